//! The load harness still works: each of its modes, small, in a process of its own.

use std::process::Command;

use serde_json::Value;

/// Runs the harness, and reads what it prints.
fn load(arguments: &[&str]) -> Vec<Value> {
    let out = Command::new(env!("CARGO_BIN_EXE_load")).args(arguments).arg("--json").output();
    let out = out.expect("the harness starts");
    let printed = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{arguments:?}: {printed}{}", String::from_utf8_lossy(&out.stderr));
    printed.lines().map(|line| serde_json::from_str(line).expect("JSON, one object a line")).collect()
}

/// That field of each line, without what is said of a machine that cannot pin a process.
fn names<'a>(lines: &'a [Value], field: &str) -> Vec<&'a str> {
    lines.iter().map(|line| line[field].as_str().expect("text").trim_end_matches(" unpinned")).collect()
}

/// Both services behind the server, and both relays.
const EVERY_SYSTEM: &[&str] =
    &["--provider", "openai", "--provider", "gemini", "--relay", "raw", "--relay", "tungstenite"];

/// All frames came back, or nearly: some are on their way at the end.
fn is_whole(line: &Value) -> bool {
    line["failed"] == 0 && line["lost_percent"].as_f64().is_some_and(|lost| lost < 20.0)
}

#[test]
fn calls_cost_something_on_every_system() {
    let lines = load(&[&["--calls", "2", "--seconds", "1"], EVERY_SYSTEM].concat());
    let systems = ["relay, raw", "relay, tungstenite", "voice (openai)", "voice (gemini)"];
    assert_eq!(names(&lines, "system"), systems);
    for line in &lines {
        assert!(is_whole(line), "{line}");
        assert!(line["latency_max_ms"].as_f64() > Some(0.0), "a marked frame came back: {line}");
    }
}

#[test]
fn services_speak_tls_to_everybody() {
    let lines = load(&[&["--tls", "--calls", "1", "--seconds", "1"], EVERY_SYSTEM].concat());
    let systems =
        ["relay, raw, tls", "relay, tungstenite, tls", "voice (openai), tls", "voice (gemini), tls"];
    assert_eq!(names(&lines, "system"), systems);
    for line in &lines {
        assert!(is_whole(line), "{line}");
    }
}

#[test]
fn a_first_sound_is_timed_through_every_system() {
    let lines =
        load(&["first", "--calls", "3", "--provider", "openai", "--provider", "gemini", "--relay", "raw"]);
    assert_eq!(names(&lines, "system"), ["relay, raw", "voice (openai)", "voice (gemini)"]);
    for line in &lines {
        assert_eq!((line["calls"].as_u64(), line["failed"].as_u64()), (Some(3), Some(0)), "{line}");
        let ms = |field: &str| line[field].as_f64().expect("a number");
        assert!(ms("spoke_ms") > ms("dialled_ms") && ms("added_p50_ms") > 0.0, "{line}");
        assert!(ms("added_max_ms") >= ms("added_p50_ms"), "{line}");
    }
}

#[test]
fn a_soak_counts_what_its_callers_do() {
    // Nine calls of four to five seconds, of which the eighth is cut off. A test build's memory is not judged.
    let soak =
        ["soak", "--before", "5", "--calls", "5", "--hours", "0.011", "--each", "4-5", "--growth", "1000"];
    for provider in ["openai", "gemini"] {
        let lines = load(&[&soak[..], &["--provider", provider]].concat());
        let (report, samples) = lines.split_last().expect("a report");
        assert!(samples.len() > 5, "progress is told: {samples:?}");
        assert!(samples.iter().all(|sample| sample["resident_kib"].as_u64() > Some(0)), "{samples:?}");
        let number = |field: &str| report[field].as_u64().expect("a number");
        assert_eq!((number("calls"), number("failed"), number("cut")), (9, 0, 1), "{report}");
        assert!(number("replies") >= 9 && number("interruptions") >= 5 && number("marks") >= 9, "{report}");
        assert_eq!((&report["is_flat"], number("tasks_left")), (&Value::Bool(true), 0), "{report}");
    }
}
