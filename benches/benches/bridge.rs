//! One 20 ms frame each way through the bridge, with everything but the sockets: Twilio's media message
//! in, OpenAI's append out; OpenAI's audio delta in, Twilio's media message out. Mu-law on both sides,
//! so nothing is converted.

#![allow(clippy::wildcard_enum_match_arm, reason = "a bench looks at what it measures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use voice_core::bridge::{Bridge, BridgeInput, BridgeOutput, CARRIER_LINE};
use voice_core::call::{CallConfig, CallStart, Greeting};
use voice_core::id::{AttachmentId, CarrierId, CorrelationId, LineId, ProviderId};
use voice_core::sensitive::Secret;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::WireMessage;
use voice_providers::openai::{OpenAi, OpenAiSettings};
use voice_telephony::opening::Step;
use voice_telephony::twilio::Opening;

const FRAME: Duration = Duration::from_millis(20);

/// A call of the bench lasts so long, because a carrier that is silent for half a minute is gone; then
/// the next begins, at a cost that so many frames hardly feel.
const CALL: Duration = Duration::from_secs(25);

/// A call in which OpenAI is live on a Twilio line, and its clock.
struct Rig {
    bridge: Bridge,
    now: MonoTime,
    provider_line: LineId,
    sent: u64,
}

impl Rig {
    fn new() -> Self {
        let now = MonoTime::ZERO;
        let opened = open(now);
        let config =
            CallConfig::builder("Be brief.").greeting(Greeting::Caller).build().expect("settings fit");
        let start = CallStart {
            carrier: CarrierId::from_static("twilio"),
            carrier_call: "CA00112233445566778899aabbccddeeff".into(),
            format: voice_core::audio::AudioFormat::MULAW_8K,
            from: "+15550100".into(),
            to: "+15550101".into(),
            correlation: CorrelationId::from_static("bench"),
        };
        let bridge = Bridge::new(now, UnixMillis(1_795_000_000_000), Arc::new(config), start, opened);
        let mut rig = Self { bridge, now, provider_line: LineId(0), sent: 0 };
        rig.drain();
        let key = Secret::new("sk-bench-0123456789".to_owned());
        let openai = OpenAi::new(OpenAiSettings::new(key).build().expect("settings fit"));
        let assigned = Some((ProviderId::from_static("openai"), Arc::new(openai) as _));
        rig.bridge.handle(now, BridgeInput::Assigned(AttachmentId(1), assigned));
        rig.drain();
        let line = rig.provider_line;
        rig.bridge.handle(now, BridgeInput::LineUp(line));
        rig.drain();
        for message in [
            r#"{"type":"session.created","event_id":"e1","session":{"type":"realtime","id":"sess_1","expires_at":1795003600}}"#,
            r#"{"type":"session.updated","event_id":"e2","session":{"type":"realtime","id":"sess_1","expires_at":1795003600}}"#,
        ] {
            rig.give(line, &WireMessage::text(message));
        }
        assert!(rig.bridge.live().is_some() && rig.bridge.is_passthrough(), "the bench measures a live call");
        rig
    }

    fn give(&mut self, line: LineId, message: &WireMessage) {
        self.bridge.handle(self.now, BridgeInput::Wire(line, message));
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.bridge.poll() {
                BridgeOutput::Send(_, message) => {
                    black_box(message);
                    self.sent += 1;
                }
                BridgeOutput::Dial(line, _) => self.provider_line = line,
                BridgeOutput::WaitUntil(_) => return,
                BridgeOutput::Finished(reason) => panic!("the call ended at {}: {reason:?}", self.now),
                other => {
                    black_box(other);
                }
            }
        }
    }

    /// Twenty milliseconds later; in the next call if this one has lasted long enough.
    fn step(&mut self) {
        if self.now > MonoTime::ZERO + CALL {
            let sent = self.sent;
            *self = Self::new();
            self.begin_reply();
            self.sent = sent;
        }
        self.now += FRAME;
    }

    fn begin_reply(&mut self) {
        let line = self.provider_line;
        for message in [
            r#"{"type":"response.created","event_id":"e3","response":{"id":"resp_1","object":"realtime.response","status":"in_progress","output":[]}}"#,
            r#"{"type":"response.output_item.added","event_id":"e4","response_id":"resp_1","output_index":0,"item":{"id":"item_1","object":"realtime.item","type":"message","role":"assistant","status":"in_progress","content":[]}}"#,
        ] {
            self.give(line, &WireMessage::text(message));
        }
    }
}

fn open(now: MonoTime) -> Box<dyn voice_core::carrier::CarrierSession> {
    let start = r#"{"event":"start","sequenceNumber":"1","streamSid":"MZ00112233445566778899aabbccddeeff","start":{"accountSid":"AC00112233445566778899aabbccddeeff","callSid":"CA00112233445566778899aabbccddeeff","streamSid":"MZ00112233445566778899aabbccddeeff","tracks":["inbound"],"customParameters":{"ticket":"x"},"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}"#;
    match Opening::new(now).read(now, &WireMessage::text(start)) {
        Step::Opened(opened) => Box::new(opened.session),
        other => panic!("the start message opens the stream: {other:?}"),
    }
}

/// 160 bytes of mu-law in base64, not all alike.
fn payload() -> String {
    let body = (0..213).map(|n| b"ABCDEFGHabcdefgh0123+xyz"[n % 24] as char);
    // The last of the 160 bytes takes two characters, of which the second has four bits to spare.
    body.chain("A==".chars()).collect()
}

fn media(number: u64) -> WireMessage {
    let payload = payload();
    WireMessage::text(format!(
        r#"{{"event":"media","sequenceNumber":"{}","streamSid":"MZ00112233445566778899aabbccddeeff","media":{{"track":"inbound","chunk":"{}","timestamp":"{}","payload":"{payload}"}}}}"#,
        number + 1,
        number,
        number * 20,
    ))
}

fn delta() -> WireMessage {
    let payload = payload();
    WireMessage::text(format!(
        r#"{{"type":"response.output_audio.delta","event_id":"event_B","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0,"delta":"{payload}"}}"#
    ))
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("bridge");
    // Messages are made beforehand: their making is the carrier's work.
    let messages: Vec<WireMessage> = (1..=20_000).map(media).collect();
    let delta = delta();

    let (mut rig, mut frames) = (Rig::new(), 0);
    group.bench_function("caller to provider", |b| {
        b.iter(|| {
            rig.step();
            rig.give(CARRIER_LINE, &messages[frames % messages.len()]);
            frames += 1;
        });
    });
    assert!(rig.sent as usize >= frames, "every frame was passed on");

    let (mut rig, mut frames) = (Rig::new(), 0);
    rig.begin_reply();
    group.bench_function("provider to caller", |b| {
        b.iter(|| {
            rig.step();
            rig.give(rig.provider_line, &delta);
            frames += 1;
        });
    });
    assert!(rig.sent as usize >= frames, "every frame was passed on");

    let (mut rig, mut frames) = (Rig::new(), 0);
    rig.begin_reply();
    group.bench_function("one frame each way", |b| {
        b.iter(|| {
            rig.step();
            rig.give(CARRIER_LINE, &messages[frames % messages.len()]);
            rig.give(rig.provider_line, &delta);
            frames += 1;
        });
    });
    assert!(rig.sent as usize >= 2 * frames, "every frame was passed on");
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
