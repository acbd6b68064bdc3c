//! One call without sockets: the real bridge between Twilio's and OpenAI's real sessions, mu-law on both
//! sides, in virtual time. Messages are made by hand, as the two would send them.

#![allow(clippy::wildcard_enum_match_arm, reason = "a rig looks at what it measures")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use voice_core::bridge::{Bridge, BridgeInput, BridgeOutput, CARRIER_LINE};
use voice_core::call::{CallConfig, CallLimits, CallStart, Greeting};
use voice_core::id::{AttachmentId, CarrierId, CorrelationId, LineId, ProviderId};
use voice_core::sensitive::Secret;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::WireMessage;
use voice_providers::openai::{OpenAi, OpenAiSettings};
use voice_telephony::opening::Step;
use voice_telephony::twilio::{Opening, TwilioSession};

use super::load::socket::decode;
use super::load::{between, encode};

/// What one media message carries.
pub const FRAME: Duration = Duration::from_millis(20);

/// A call in which OpenAI is live on a Twilio line, and its clock.
pub struct Rig {
    bridge: Bridge,
    openai: Arc<OpenAi>,
    now: MonoTime,
    /// When the bridge wants to be woken.
    wake: Option<MonoTime>,
    provider_line: LineId,
    /// Services that were reached so far.
    sessions: u64,
    chunk: u64,
    turn: u64,
    /// Messages of the bridge, to either side.
    sent: u64,
    /// Marks to be sent back with the next frame.
    marks: VecDeque<String>,
    todo: VecDeque<Todo>,
}

/// What the world owes the bridge.
enum Todo {
    Assign(AttachmentId),
    Up(LineId),
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

impl Rig {
    /// A call whose media has just arrived, and whose service is ready.
    pub fn new() -> Self {
        let now = MonoTime::ZERO;
        let limits = CallLimits { call: Duration::from_secs(24 * 60 * 60), ..CallLimits::default() };
        let config = CallConfig::builder("Be brief.").greeting(Greeting::Caller).limits(limits).build();
        let start = CallStart {
            carrier: CarrierId::from_static("twilio"),
            carrier_call: "CA00112233445566778899aabbccddeeff".into(),
            format: voice_core::audio::AudioFormat::MULAW_8K,
            from: "+15550100".into(),
            to: "+15550101".into(),
            correlation: CorrelationId::from_static("bench"),
        };
        let epoch = UnixMillis(1_795_000_000_000);
        let config = Arc::new(config.expect("settings fit"));
        let key = Secret::new("sk-bench-0123456789".to_owned());
        let mut rig = Self {
            bridge: Bridge::new(now, epoch, config, start, Box::new(twilio(now))),
            openai: Arc::new(OpenAi::new(OpenAiSettings::new(key).build().expect("settings fit"))),
            now,
            wake: None,
            provider_line: LineId(0),
            sessions: 0,
            chunk: 0,
            turn: 0,
            sent: 0,
            marks: VecDeque::new(),
            todo: VecDeque::new(),
        };
        rig.drain();
        assert!(rig.bridge.live().is_some() && rig.bridge.is_passthrough(), "a live call is measured");
        rig
    }

    /// Messages that the bridge sent so far, to either side.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Services that were reached so far: one, and one more for each that reached its age.
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// Twenty milliseconds later.
    pub fn step(&mut self) {
        self.now += FRAME;
        if self.wake.is_some_and(|at| at <= self.now) {
            self.bridge.handle(self.now, BridgeInput::Tick);
            self.drain();
        }
    }

    /// A message arrives.
    pub fn give(&mut self, line: LineId, message: &WireMessage) {
        self.bridge.handle(self.now, BridgeInput::Wire(line, message));
        self.drain();
    }

    /// A message of the service arrives.
    pub fn answer(&mut self, message: &WireMessage) {
        self.give(self.provider_line, message);
    }

    /// The caller's next frame arrives, and the marks that were played meanwhile.
    pub fn hear(&mut self) {
        self.chunk += 1;
        self.give(CARRIER_LINE, &media(self.chunk));
        while let Some(name) = self.marks.pop_front() {
            let mark = format!(
                r#"{{"event":"mark","sequenceNumber":"1","streamSid":"MZ00112233445566778899aabbccddeeff","mark":{{"name":"{name}"}}}}"#
            );
            self.give(CARRIER_LINE, &WireMessage::text(mark));
        }
    }

    /// The service begins to answer.
    pub fn begin_reply(&mut self) {
        self.turn += 1;
        let n = self.turn;
        for message in begins(n) {
            self.answer(&message);
        }
    }

    /// The service has said all that it wanted.
    pub fn end_reply(&mut self) {
        let n = self.turn;
        for message in [
            format!(
                r#"{{"type":"response.output_audio_transcript.delta","event_id":"e5","response_id":"resp_{n}","item_id":"item_{n}","output_index":0,"content_index":0,"delta":"You asked me something, and this is answer {n}, which is neither long nor short."}}"#
            ),
            format!(
                r#"{{"type":"response.done","event_id":"e6","response":{{"id":"resp_{n}","object":"realtime.response","status":"completed","output":[{{"id":"item_{n}","type":"message","role":"assistant","status":"completed","content":[]}}],"usage":{{"total_tokens":300,"input_tokens":200,"output_tokens":100}}}}}}"#
            ),
        ] {
            self.answer(&WireMessage::text(message));
        }
    }

    /// A whole exchange: the caller speaks for a second, the service answers with two, both listen for
    /// another. Four seconds of virtual time.
    pub fn exchange(&mut self) {
        let n = self.turn + 1;
        let of_caller = |kind: &str, more: &str| {
            WireMessage::text(format!(r#"{{"type":"{kind}","event_id":"e7","item_id":"said_{n}"{more}}}"#))
        };
        self.answer(&of_caller("input_audio_buffer.speech_started", r#","audio_start_ms":1"#));
        self.frames(50);
        self.answer(&of_caller("input_audio_buffer.speech_stopped", r#","audio_end_ms":1000"#));
        self.answer(&of_caller("input_audio_buffer.committed", ""));
        let said = format!(r#","content_index":0,"transcript":"This is question number {n}.""#);
        self.answer(&of_caller("conversation.item.input_audio_transcription.completed", &said));
        self.begin_reply();
        let delta = delta(self.turn);
        for _ in 0..100 {
            self.step();
            self.hear();
            self.answer(&delta);
        }
        self.end_reply();
        self.frames(50);
    }

    /// The caller's audio alone.
    fn frames(&mut self, count: usize) {
        for _ in 0..count {
            self.step();
            self.hear();
        }
    }

    fn drain(&mut self) {
        loop {
            match self.bridge.poll() {
                BridgeOutput::Send(line, message) => {
                    self.sent += 1;
                    if line == CARRIER_LINE {
                        self.played(&message);
                    }
                    black_box(message);
                }
                BridgeOutput::Dial(line, _) => self.todo.push_back(Todo::Up(line)),
                BridgeOutput::Assign { id, .. } => self.todo.push_back(Todo::Assign(id)),
                BridgeOutput::WaitUntil(at) => {
                    self.wake = at.map(|(at, _)| at);
                    match self.todo.pop_front() {
                        Some(todo) => self.carry_out(todo),
                        None => return,
                    }
                }
                BridgeOutput::Finished(reason) => panic!("the call ended at {}: {reason:?}", self.now),
                other => {
                    black_box(other);
                }
            }
        }
    }

    fn carry_out(&mut self, todo: Todo) {
        let line = match todo {
            Todo::Assign(id) => {
                let assigned = Some((ProviderId::from_static("openai"), self.openai.clone() as _));
                return self.bridge.handle(self.now, BridgeInput::Assigned(id, assigned));
            }
            Todo::Up(line) => line,
        };
        self.provider_line = line;
        self.sessions += 1;
        self.bridge.handle(self.now, BridgeInput::LineUp(line));
        for kind in ["session.created", "session.updated"] {
            // An hour, as the service has it.
            let expires = 1_795_000_000 + self.now.since(MonoTime::ZERO).as_secs() + 3_600;
            let message = format!(
                r#"{{"type":"{kind}","event_id":"e1","session":{{"type":"realtime","id":"sess_{}","expires_at":{expires}}}}}"#,
                self.sessions
            );
            let message = WireMessage::text(message);
            self.bridge.handle(self.now, BridgeInput::Wire(line, &message));
        }
    }

    fn played(&mut self, message: &WireMessage) {
        let WireMessage::Text(text) = message else { return };
        let text = text.as_str();
        if text.contains(r#""event":"mark""#)
            && let Some(name) = between(text, r#""name":""#, "\"")
        {
            self.marks.push_back(name.to_owned());
        }
    }
}

/// Twilio's session, from the message that opens it.
pub fn twilio(now: MonoTime) -> TwilioSession {
    let start = r#"{"event":"start","sequenceNumber":"1","streamSid":"MZ00112233445566778899aabbccddeeff","start":{"accountSid":"AC00112233445566778899aabbccddeeff","callSid":"CA00112233445566778899aabbccddeeff","streamSid":"MZ00112233445566778899aabbccddeeff","tracks":["inbound"],"customParameters":{"ticket":"x"},"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}"#;
    match Opening::new(now).read(now, &WireMessage::text(start)) {
        Step::Opened(opened) => opened.session,
        other => panic!("the start message opens the stream: {other:?}"),
    }
}

/// So many bytes of sound, not all alike.
pub fn sound(bytes: usize) -> Vec<u8> {
    decode("ABCDEFGHabcdefgh0123+xyz").into_iter().cycle().take(bytes).collect()
}

/// OpenAI's reply `turn` begins.
pub fn begins(turn: u64) -> [WireMessage; 2] {
    [
        WireMessage::text(format!(
            r#"{{"type":"response.created","event_id":"e3","response":{{"id":"resp_{turn}","object":"realtime.response","status":"in_progress","output":[]}}}}"#
        )),
        WireMessage::text(format!(
            r#"{{"type":"response.output_item.added","event_id":"e4","response_id":"resp_{turn}","output_index":0,"item":{{"id":"item_{turn}","object":"realtime.item","type":"message","role":"assistant","status":"in_progress","content":[]}}}}"#
        )),
    ]
}

/// A frame of the caller, as Twilio sends it.
pub fn media(number: u64) -> WireMessage {
    let payload = encode(&sound(160));
    WireMessage::text(format!(
        r#"{{"event":"media","sequenceNumber":"{}","streamSid":"MZ00112233445566778899aabbccddeeff","media":{{"track":"inbound","chunk":"{}","timestamp":"{}","payload":"{payload}"}}}}"#,
        number + 1,
        number,
        number * 20,
    ))
}

/// A frame of reply `turn`, as OpenAI sends it.
pub fn delta(turn: u64) -> WireMessage {
    delta_of(turn, 160)
}

/// So many bytes of it at once.
pub fn delta_of(turn: u64, bytes: usize) -> WireMessage {
    let payload = encode(&sound(bytes));
    WireMessage::text(format!(
        r#"{{"type":"response.output_audio.delta","event_id":"event_B","response_id":"resp_{turn}","item_id":"item_{turn}","output_index":0,"content_index":0,"delta":"{payload}"}}"#
    ))
}
