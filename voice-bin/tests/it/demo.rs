//! The demonstration, which is a whole call over real sockets in real time.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_demonstration_goes_well_and_says_so_in_json() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_voice-server"))
        .args(["demo", "--once", "--json", "--calls", "3"])
        .current_dir(directory.path())
        .env_clear()
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{summary:#}\n{errors}");
    assert_eq!((&summary["ok"], summary["calls"].as_array().unwrap().len()), (&Value::Bool(true), 3));
    for call in summary["calls"].as_array().unwrap() {
        let turns = call["transcript"].as_array().unwrap();
        let who = |who: &str| turns.iter().filter(|turn| turn["who"] == who && turn["text"] != "").count();
        assert!(who("caller") >= 3 && who("voice") >= 3, "{call:#}");
        let cut = turns.iter().find(|turn| turn["cut"] == true).unwrap();
        let barge_in = &call["barge_ins"][0];
        assert!(
            cut["heard_ms"].as_u64().unwrap() > 0 && barge_in["unheard_ms"].as_u64().unwrap() > 0,
            "{call:#}"
        );
        assert_eq!(call["frames_lost"], 0, "{call:#}");
    }
    // Of the calls only the journal tells, and it holds all of them.
    assert!(directory.path().join("voice.db").exists());
    assert!(!errors.contains("+1"), "a number in the log: {errors}");
}
