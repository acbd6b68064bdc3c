//! One media stream as Telnyx runs it: `connected`, `start`, a message each 20 ms, marks, `stop`.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use voice_core::audio::{AudioFormat, FRAME, FRAME_MS, g711};
use voice_core::id::LineId;
use voice_core::sim::peer::CallerOutput;
use voice_core::sim::rng::Rng;
use voice_core::wire::WireMessage;

use super::rudeness::TelnyxRudeness;
use crate::sim::caller::Caller;
use crate::sim::playout::Playout;
use crate::sim::report::Traffic;

/// What `start` tells.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) stream_id: String,
    pub(super) call_control_id: String,
    pub(super) call_session_id: String,
    pub(super) client_state: Option<String>,
    pub(super) parameters: Value,
    /// The codec that arrives at us.
    pub(super) leg_is_alaw: bool,
    /// The codec that we said we send; `None` where rtp mode was not asked for, and nothing is heard.
    pub(super) sends: Option<Sends>,
    /// Whether this is the first stream of the call, on which some misbehave.
    pub(super) is_first: bool,
}

/// What the other side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sends {
    Mulaw,
    Alaw,
}

/// A media stream while its socket is up.
#[derive(Debug)]
pub(super) struct MediaStream {
    line: LineId,
    tick: u64,
    facts: Facts,
    sequence: u64,
    chunk: u64,
    marks: u64,
    playout: Playout,
    /// What is sent later than it should be, by the tick in which it is due.
    late: Vec<(u64, Value)>,
    keys: u64,
    cleared_in_barge_in: bool,
    rudeness: Vec<TelnyxRudeness>,
    rng: Rng,
    pub(super) traffic: Traffic,
}

impl MediaStream {
    /// The socket is up: says who is there.
    pub(super) fn open(
        line: LineId,
        facts: Facts,
        rudeness: Vec<TelnyxRudeness>,
        rng: Rng,
        out: &mut VecDeque<CallerOutput>,
    ) -> Self {
        let mut stream = Self {
            line,
            tick: 0,
            facts,
            sequence: 0,
            chunk: 0,
            marks: 0,
            playout: Playout::default(),
            late: Vec::new(),
            keys: 0,
            cleared_in_barge_in: false,
            rudeness,
            rng,
            traffic: Traffic::default(),
        };
        stream.raw(json!({"event": "connected", "version": "1.0.0"}).to_string(), out);
        if stream.is_at_first(TelnyxRudeness::EarlyMedia) {
            stream.raw(json!({"event": "media", "media": {"payload": "////"}}).to_string(), out);
        }
        if !stream.is_at_first(TelnyxRudeness::NoStart) {
            stream.send(stream.start(), out);
        }
        stream
    }

    /// The next 20 ms that reach the caller's ear. `None` where nothing was there to be played.
    pub(super) fn play(&mut self, out: &mut VecDeque<CallerOutput>) -> Option<Vec<u8>> {
        for (due, message) in std::mem::take(&mut self.late) {
            if due <= self.tick {
                self.send(message, out);
            } else {
                self.late.push((due, message));
            }
        }
        let (played, passed) = self.playout.tick();
        if played.is_some() {
            self.traffic.played += FRAME;
        }
        for name in passed {
            self.echo(name, out);
        }
        played
    }

    /// 20 ms of the caller, on their way, and whatever else comes in this tick.
    pub(super) fn speak(&mut self, audio: &Bytes, out: &mut VecDeque<CallerOutput>) {
        self.tick += 1;
        if self.is_at_first(TelnyxRudeness::NoStart) {
            return;
        }
        self.chunk += 1;
        if self.is(TelnyxRudeness::Gaps) && self.tick % 100 >= 97 {
            self.traffic.frames_dropped += 1;
            return self.be_rude(out);
        }
        let message = self.media("inbound", self.chunk, &self.for_the_wire(audio));
        self.traffic.frames_sent += 1;
        if self.is(TelnyxRudeness::DoubledChunks) && self.rng.percent(10) {
            self.send(message.clone(), out);
        }
        let delay = if self.is(TelnyxRudeness::DisorderedChunks) { self.rng.range(0..3) } else { 0 };
        if delay > 0 {
            self.late.push((self.tick + delay, message));
        } else {
            self.send(message, out);
        }
        self.be_rude(out);
    }

    /// A key was pressed at this time.
    pub(super) fn press(&mut self, key: char, at: &str, out: &mut VecDeque<CallerOutput>) {
        self.keys += 1;
        let message = json!({"event": "dtmf", "occurred_at": at, "dtmf": {"digit": key.to_string()}});
        if self.is(TelnyxRudeness::DoubledKeys) {
            // Every other key is overtaken by the next, which is pressed 20 ms later.
            self.late.push((self.tick + 1 + self.keys % 2, message.clone()));
        }
        if self.is(TelnyxRudeness::DoubledKeys) && self.keys % 2 == 1 {
            return;
        }
        self.send(message, out);
    }

    /// Takes a message of the other side.
    pub(super) fn receive(
        &mut self,
        message: &WireMessage,
        caller: &mut Caller,
        out: &mut VecDeque<CallerOutput>,
    ) {
        if self.understand(message, caller, out).is_none() {
            self.traffic.invalid_messages += 1;
            let payload = json!({"code": 100_003, "title": "malformed_frame", "detail": ""});
            self.send(json!({"event": "error", "payload": payload}), out);
        }
        let waits = AudioFormat::MULAW_8K.duration_of(self.playout.bytes());
        self.traffic.queue_max = self.traffic.queue_max.max(waits);
    }

    /// The last words, where there are any.
    pub(super) fn stop(&mut self, out: &mut VecDeque<CallerOutput>) {
        for (_, message) in std::mem::take(&mut self.late) {
            self.send(message, out);
        }
        if !self.is(TelnyxRudeness::NoStop) {
            let stop = json!({"user_id": "u", "call_control_id": self.facts.call_control_id});
            self.send(json!({"event": "stop", "stop": stop}), out);
        }
    }

    pub(super) const fn line(&self) -> LineId {
        self.line
    }

    /// For how long it has been up.
    pub(super) const fn age(&self) -> Duration {
        Duration::from_millis(self.tick * FRAME_MS)
    }

    pub(super) const fn is_first(&self) -> bool {
        self.facts.is_first
    }

    /// Without `start` the stream is nothing yet.
    pub(super) fn is_mute(&self) -> bool {
        self.is_at_first(TelnyxRudeness::NoStart)
    }

    fn is(&self, rudeness: TelnyxRudeness) -> bool {
        self.rudeness.contains(&rudeness)
    }

    fn is_at_first(&self, rudeness: TelnyxRudeness) -> bool {
        self.facts.is_first && self.is(rudeness)
    }

    fn start(&self) -> Value {
        let encoding = match self.facts.leg_is_alaw {
            _ if self.is_at_first(TelnyxRudeness::WrongFormat) => "OPUS",
            true => "PCMA",
            false => "PCMU",
        };
        json!({"event": "start", "start": {
            "user_id": "u",
            "call_control_id": self.facts.call_control_id,
            "call_session_id": self.facts.call_session_id,
            "from": "+15005550009",
            "to": "+15005550006",
            "tags": [],
            "client_state": self.facts.client_state,
            "custom_parameters": self.facts.parameters,
            "media_format": {"encoding": encoding, "sample_rate": 8000, "channels": 1},
        }})
    }

    fn media(&self, track: &str, chunk: u64, audio: &[u8]) -> Value {
        json!({"event": "media", "media": {
            "track": track,
            "chunk": chunk.to_string(),
            "timestamp": (chunk * FRAME_MS).to_string(),
            "payload": STANDARD.encode(audio),
        }})
    }

    /// The caller speaks mu-law, the leg perhaps not.
    fn for_the_wire(&self, mulaw: &[u8]) -> Vec<u8> {
        if !self.facts.leg_is_alaw {
            return mulaw.to_vec();
        }
        let mut alaw = vec![0; mulaw.len()];
        g711::mulaw_to_alaw(mulaw, &mut alaw);
        alaw
    }

    /// Everything that may come between two honest messages.
    fn be_rude(&mut self, out: &mut VecDeque<CallerOutput>) {
        if self.is(TelnyxRudeness::BothTracks) {
            let message = self.media("outbound", self.chunk, &[0x55; 160]);
            self.send(message, out);
        }
        if self.is_at_first(TelnyxRudeness::Flood) && self.tick == 50 {
            for number in 0..2_000 {
                self.raw(format!("nonsense {number}"), out);
            }
        }
        if self.tick % 25 != 24 {
            return;
        }
        if self.is(TelnyxRudeness::BinaryMedia) {
            let message = WireMessage::Binary(Bytes::from_static(&[0xff; 160]));
            out.push_back(CallerOutput::Send(self.line, message));
        }
        if self.is(TelnyxRudeness::MalformedJson) {
            self.raw(r#"{"event":"media","media":{"payload":"#.to_owned(), out);
        }
        if self.is(TelnyxRudeness::WrongStreamId) {
            let media = json!({"event": "media", "stream_id": "another", "media": {"payload": "////"}});
            self.raw(media.to_string(), out);
        }
        if self.is(TelnyxRudeness::BadBase64) {
            self.send(json!({"event": "media", "media": {"payload": "no base64!"}}), out);
        }
        if self.is(TelnyxRudeness::OversizedMedia) {
            let payload = STANDARD.encode([0xff; 16_000]);
            self.send(json!({"event": "media", "media": {"payload": payload}}), out);
        }
        if self.is(TelnyxRudeness::UnknownMessages) {
            self.send(json!({"event": "weather", "weather": {"sun": [1, 2, {"a": null}]}, "new": true}), out);
        }
        if self.is(TelnyxRudeness::Complaints) {
            let payload = json!({"code": 100_002, "title": "unknown_error", "detail": "x"});
            self.send(json!({"event": "error", "payload": payload}), out);
        }
        if self.is(TelnyxRudeness::StrayMarks) {
            self.send(json!({"event": "mark", "mark": {"name": "999.1"}}), out);
            self.send(json!({"event": "mark", "mark": {"name": "somebody else's"}}), out);
        }
    }

    /// `None` for what makes no sense to Telnyx.
    fn understand(
        &mut self,
        message: &WireMessage,
        caller: &mut Caller,
        out: &mut VecDeque<CallerOutput>,
    ) -> Option<()> {
        let WireMessage::Text(text) = message else { return None };
        let message: Value = serde_json::from_slice(text.as_bytes()).ok()?;
        match message["event"].as_str()? {
            "media" => {
                let audio = STANDARD.decode(message["media"]["payload"].as_str()?).ok()?;
                // Chunks of less than 20 ms and more than 30 s are refused.
                if !(160..=240_000).contains(&audio.len()) {
                    return None;
                }
                self.traffic.frames_received += 1;
                self.traffic.received += AudioFormat::MULAW_8K.duration_of(audio.len());
                if self.cleared_in_barge_in && caller.is_barging_in() {
                    caller.residue(audio.len());
                }
                match self.facts.sends {
                    None => {}
                    Some(Sends::Mulaw) => self.playout.audio(Bytes::from(audio)),
                    Some(Sends::Alaw) => {
                        let mut mulaw = vec![0; audio.len()];
                        g711::alaw_to_mulaw(&audio, &mut mulaw);
                        self.playout.audio(Bytes::from(mulaw));
                    }
                }
            }
            "mark" => {
                let name = message["mark"]["name"].as_str()?.to_owned();
                if let Some(name) = self.playout.mark(name) {
                    self.echo(name, out);
                }
            }
            "clear" => {
                self.traffic.clears += 1;
                self.cleared_in_barge_in = caller.is_barging_in();
                for name in self.playout.clear() {
                    self.echo(name, out);
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn echo(&mut self, name: String, out: &mut VecDeque<CallerOutput>) {
        self.marks += 1;
        if self.is(TelnyxRudeness::LostMarks) && self.marks.is_multiple_of(3) {
            return;
        }
        self.traffic.marks_echoed += 1;
        let message = json!({"event": "mark", "mark": {"name": name}});
        if self.is(TelnyxRudeness::LateMarks) {
            self.late.push((self.tick + LATE_TICKS, message));
        } else {
            self.send(message, out);
        }
    }

    /// Sends a numbered message of this stream.
    fn send(&mut self, mut message: Value, out: &mut VecDeque<CallerOutput>) {
        self.sequence += 1;
        message["sequence_number"] = Value::from(self.sequence.to_string());
        message["stream_id"] = Value::from(self.facts.stream_id.as_str());
        self.raw(message.to_string(), out);
    }

    fn raw(&self, text: String, out: &mut VecDeque<CallerOutput>) {
        out.push_back(CallerOutput::Send(self.line, WireMessage::text(text)));
    }
}

/// A second and a half.
const LATE_TICKS: u64 = 75;
