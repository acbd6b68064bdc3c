//! The demonstrations, which are whole calls over real sockets in real time.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Provider and carrier. Over Telnyx one of the two callers speaks mu-law, the other A-law.
const DEMOS: [(&str, &str); 5] = [
    ("openai", "twilio"),
    ("gemini", "twilio"),
    ("deepgram-agent", "twilio"),
    ("deepgram-pipeline", "twilio"),
    ("openai", "telnyx"),
];

#[test]
fn every_demonstration_goes_well_and_says_so_in_json() {
    let directory = tempfile::tempdir().unwrap();
    // All at once: each takes as long as the call.
    let running =
        DEMOS.map(|(provider, carrier)| (provider, carrier, demo(directory.path(), provider, carrier)));
    for (provider, carrier, demo) in running {
        let output = demo.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{provider}: {summary:#}\n{errors}");
        let calls = summary["calls"].as_array().unwrap();
        assert_eq!((&summary["ok"], calls.len()), (&Value::Bool(true), 2));
        for call in calls {
            check(provider, call);
        }
        assert!(!errors.contains("+1"), "{provider}: a number in the log: {errors}");
        // Of the calls only the journal tells, and it holds all of them.
        assert!(directory.path().join(format!("{provider}-{carrier}.db")).exists());
    }
    assert!(!directory.path().join("voice.db").exists(), "that is where real calls go");
}

fn demo(directory: &Path, provider: &str, carrier: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_voice-server"))
        .args(["demo", "--once", "--json", "--calls", "2", "--provider", provider, "--carrier", carrier])
        .current_dir(directory)
        .env_clear()
        .env("DATABASE_URL", format!("sqlite:{provider}-{carrier}.db"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn check(provider: &str, call: &Value) {
    assert_eq!(call["providers"], serde_json::json!([provider]));
    assert_eq!(call["tools"], serde_json::json!(["lookup_order"]), "{provider}: {call:#}");
    let turns = call["transcript"].as_array().unwrap();
    let who = |who: &str| turns.iter().filter(|turn| turn["who"] == who && turn["text"] != "").count();
    assert!(who("caller") >= 3 && who("voice") >= 3, "{provider}: {call:#}");
    let cut = turns.iter().find(|turn| turn["cut"] == true).unwrap();
    let barge_in = &call["barge_ins"][0];
    assert!(
        cut["heard_ms"].as_u64().unwrap() > 0 && barge_in["unheard_ms"].as_u64().unwrap() > 0,
        "{provider}: {call:#}"
    );
    assert_eq!(call["frames_lost"], 0, "{provider}: {call:#}");
}
