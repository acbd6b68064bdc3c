//! A server that died with a thousand calls finds them again.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use voice_bin::store::{Journal, Store};
use voice_core::audio::AudioFormat;
use voice_core::driver::Clock;
use voice_core::id::{AttachmentId, CallId, CarrierId, CorrelationId, ReplyId, UtteranceId};
use voice_core::record::{CallEvent, Entry, Reader};
use voice_core::time::MonoTime;

const CALLS: u128 = 1_000;

/// Twenty turns either way: a call of some minutes.
const TURNS: u32 = 20;

#[tokio::test]
async fn a_thousand_calls_are_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("voice.db").display());
    let journal = Journal::start(Store::open(&url).await.unwrap(), Clock::start());
    let reader = journal.reader();
    for call in 1..=CALLS {
        for (seq, event) in (1..).zip(record(call)) {
            reader.read(CallId::from_u128(call), &Entry { seq, at: MonoTime::from_millis(seq * 50), event });
        }
        // The writer has its turn: its queue is for calls that speak, not for a flood.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    journal.close().await;
    let mut server = Command::new(env!("CARGO_BIN_EXE_voice-server"))
        .arg("serve")
        .env_clear()
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .envs([("PORT", "0"), ("OPENAI_API_KEY", "sk-survive"), ("NODE_NAME", "voice")])
        .envs([("VOICE_PROBE_SECONDS", "0"), ("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")])
        .spawn()
        .unwrap();
    let log = BufReader::new(server.stderr.take().unwrap());
    let told = log.lines().map_while(Result::ok).find(|line| line.contains("calls of before are awaited"));
    server.kill().unwrap();
    server.wait().unwrap();
    let told = told.unwrap();
    println!("{told}");
    assert!(told.contains("calls=1000"), "{told}");
}

fn record(call: u128) -> Vec<CallEvent> {
    let attachment = AttachmentId(1);
    let mut events = vec![CallEvent::Started {
        carrier: CarrierId::from_static("twilio"),
        carrier_call: format!("CA{call:032x}"),
        format: AudioFormat::MULAW_8K,
        from: "+15005550009".into(),
        to: "+15005550006".into(),
        correlation: CorrelationId::from_static("c-1"),
    }];
    for turn in 1..=TURNS {
        let (utterance, reply) = (UtteranceId::new(attachment, turn), ReplyId::new(attachment, turn));
        events.push(CallEvent::CallerSaid { utterance, text: "What does the book cost, please?".into() });
        events.push(CallEvent::ReplyStarted { reply, latency: None });
        events.push(CallEvent::ReplyHeard {
            reply,
            text: "It costs twenty euros, and it is there tomorrow.".into(),
            heard: std::time::Duration::from_secs(3),
            unheard: std::time::Duration::ZERO,
            cut: false,
        });
    }
    events
}
