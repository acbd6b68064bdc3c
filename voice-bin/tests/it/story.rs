//! One id finds everything about a call: in the log, in the database, and with those whom we asked.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use voice_bin::sim_net::run_caller;
use voice_bin::store::{CallFilter, Store};
use voice_core::driver::Clock;
use voice_core::record::CallEvent;
use voice_core::sensitive::Secret;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{FakeTwilioCall, TwilioCallPlan};

use crate::world::TOKEN;

/// A service that takes nobody, and writes down what it was asked.
async fn refusing(listener: TcpListener, asked: Arc<std::sync::Mutex<Vec<String>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(byte);
        }
        asked.lock().unwrap().push(String::from_utf8(head).unwrap());
        let refusal = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let _gone_or_not = stream.write_all(refusal).await;
    }
}

#[tokio::test]
async fn one_id_tells_the_story_of_a_call_that_failed() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let voice = listener.local_addr().unwrap();
    let asked = Arc::default();
    tokio::spawn(refusing(listener, Arc::clone(&asked)));
    let mut process = Command::new(env!("CARGO_BIN_EXE_voice-server"))
        .arg("serve")
        .current_dir(directory.path())
        .env_clear()
        .env("PORT", "0")
        .env("LOG_FORMAT", "json")
        .env("LOG_LEVEL", "debug")
        .env("OPENAI_API_KEY", "sk-of-a-test-0123456789")
        .env("OPENAI_REALTIME_URL", format!("ws://{voice}/v1/realtime"))
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let listening = tokio::task::spawn_blocking(move || {
        for line in lines.by_ref() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line["message"] == "listening" {
                return (line["address"].as_str().unwrap().to_owned(), lines);
            }
        }
        panic!("it does not listen");
    });
    let (address, lines) = listening.await.unwrap();
    let rest = tokio::task::spawn_blocking(move || {
        let mut seen: Vec<Value> = Vec::new();
        for line in lines {
            seen.push(serde_json::from_str(&line.unwrap()).unwrap());
            if seen.last().is_some_and(|line| line["message"] == "call ended") {
                break;
            }
        }
        seen
    });
    let webhook = format!("http://{address}{}", voice_bin::server::TWILIO_WEBHOOK);
    let clock = Clock::start();
    let plan = TwilioCallPlan::new(webhook, Secret::new(TOKEN.to_owned()));
    run_caller(FakeTwilioCall::new(clock.now(), plan), Arc::new(Dialer::plain()), clock).await;
    let log = rest.await.unwrap();

    let started = log.iter().find(|line| line["message"] == "call started").unwrap();
    let id = started["correlation"].as_str().unwrap().to_owned();
    // The log: from the webhook to the end, each line by itself.
    let of_call: Vec<&str> = log
        .iter()
        .filter(|line| line.to_string().contains(&id))
        .filter_map(|line| line["message"].as_str())
        .collect();
    for wanted in ["call started", "connecting a provider", "problem with the provider", "call ended"] {
        assert!(of_call.contains(&wanted), "{wanted} is not among {of_call:?}");
    }
    // The service that refused.
    let heads: Vec<String> = asked.lock().unwrap().clone();
    let header = format!("x-correlation-id: {id}");
    let told = |head: &String| head.contains("/v1/realtime") && head.to_lowercase().contains(&header);
    assert!(heads.iter().any(told), "{heads:?}");
    // The database, which is written a moment later.
    let url = format!("sqlite:{}", directory.path().join("voice.db").display());
    let store = Store::open(&url).await.unwrap();
    let filter = CallFilter { correlation: Some(id), ..CallFilter::default() };
    let call = loop {
        let page = store.page(&filter, None, 10).await.unwrap();
        if let Some(call) = page.calls.into_iter().find(|call| call.reason.is_some()) {
            break call;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(call.reason.as_deref(), Some("no_provider"));
    let entries = store.entries(call.call).await.unwrap();
    assert!(entries.iter().any(|entry| matches!(entry.event, Ok(CallEvent::Problem { .. }))));
    process.kill().unwrap();
    process.wait().unwrap();
}
