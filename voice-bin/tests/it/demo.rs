//! The demonstrations, which are whole calls over real sockets in real time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use voice_bin::store::Store;
use voice_core::record::CallEvent;

/// Provider and carrier. Over Telnyx one of the two callers speaks mu-law, the other A-law.
const DEMOS: [(&str, &str); 5] = [
    ("openai", "twilio"),
    ("gemini", "twilio"),
    ("deepgram-agent", "twilio"),
    ("deepgram-pipeline", "twilio"),
    ("openai", "telnyx"),
];

#[tokio::test]
async fn every_demonstration_goes_well_and_says_so_in_json_and_the_log_is_discreet() {
    let directory = tempfile::tempdir().unwrap();
    // All at once: each takes as long as the call.
    let running =
        DEMOS.map(|(provider, carrier)| (provider, carrier, demo(directory.path(), provider, carrier)));
    for (provider, carrier, demo) in running {
        let output = demo.wait_with_output().unwrap();
        let errors = fs::read_to_string(log(directory.path(), provider, carrier)).unwrap();
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{provider}: {summary:#}\n{errors}");
        let calls = summary["calls"].as_array().unwrap();
        assert_eq!((&summary["ok"], calls.len()), (&Value::Bool(true), 2));
        for call in calls {
            check(provider, call);
        }
        // Of the calls only the journal tells, and it holds all of them.
        let journal = directory.path().join(format!("{provider}-{carrier}.db"));
        let private = told(&journal).await;
        assert!(private.len() > 10, "{provider}: {private:?}");
        assert!(errors.lines().count() > 40, "{provider}: {errors}");
        for line in errors.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let is_of_call = !line["call_id"].is_null();
            assert!(!is_of_call || line["correlation_id"].is_string(), "{provider}: {line}");
            let text = line.to_string();
            for private in &private {
                assert!(!text.contains(private), "{provider}: {private:?} is in the log: {text}");
            }
        }
    }
    assert!(!directory.path().join("voice.db").exists(), "that is where real calls go");
}

/// Every number, every sentence and every word with a tool that the journal holds.
async fn told(journal: &Path) -> Vec<String> {
    let store = Store::open(&format!("sqlite:{}", journal.display())).await.unwrap();
    let mut told = Vec::new();
    for call in store.calls(10).await.unwrap() {
        for entry in store.entries(call.call).await.unwrap() {
            let event = entry.event.unwrap();
            if let CallEvent::Started { from, to, .. } = event {
                told.extend([from, to].map(|number| number.expose().trim_start_matches('+').to_owned()));
            } else if let CallEvent::CallerSaid { text, .. } | CallEvent::ReplyHeard { text, .. } = event {
                told.push(text.into_inner());
            } else if let CallEvent::ToolCalled(tool) = event {
                told.push(tool.arguments.into_inner());
            } else if let CallEvent::ToolAnswered { output, .. } = event {
                told.push(output.into_inner());
            }
        }
    }
    // As JSON writes it, and long enough to be nothing else by accident.
    told.iter()
        .map(|text| Value::from(text.as_str()).to_string().trim_matches('"').to_owned())
        .filter(|text| text.len() > 3)
        .collect()
}

fn log(directory: &Path, provider: &str, carrier: &str) -> PathBuf {
    directory.join(format!("{provider}-{carrier}.log"))
}

fn demo(directory: &Path, provider: &str, carrier: &str) -> Child {
    // Not a pipe, which would be full while another demonstration is looked at.
    let log = fs::File::create(log(directory, provider, carrier)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_voice-server"))
        .args(["demo", "--once", "--json", "--calls", "2", "--provider", provider, "--carrier", carrier])
        .current_dir(directory)
        .env_clear()
        .env("DATABASE_URL", format!("sqlite:{provider}-{carrier}.db"))
        .env("LOG_FORMAT", "json")
        .env("LOG_LEVEL", "trace")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
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
