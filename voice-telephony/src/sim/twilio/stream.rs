//! One media stream as Twilio runs it: `connected`, `start`, a message each 20 ms, marks, `stop`.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use voice_core::audio::{AudioFormat, FRAME, FRAME_MS};
use voice_core::id::LineId;
use voice_core::sim::peer::CallerOutput;
use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use crate::sim::caller::Caller;
use crate::sim::playout::Playout;
use crate::sim::report::Traffic;
use crate::sim::rudeness::Rudeness;

/// Names that appear in `start`.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) stream_sid: String,
    pub(super) call_sid: String,
    pub(super) account_sid: String,
}

/// What became of the stream in the ticks that were due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    GoesOn,
    /// The caller hung up.
    CallerLeft,
    /// The carrier vanished, as it was asked to.
    Vanished,
}

/// A media stream while its socket is up.
#[derive(Debug)]
pub(super) struct MediaStream {
    line: LineId,
    began: MonoTime,
    tick: u64,
    names: Names,
    counters: Counters,
    playout: Playout,
    /// What is sent later than it should be, by the tick in which it is due.
    late: Vec<(u64, Value)>,
    /// No frame of the caller may be sent before this tick, because the one before it is not.
    frames_from: u64,
    /// The first half of a message of 40 ms.
    half: Vec<u8>,
    cleared_in_barge_in: bool,
    rudeness: Vec<Rudeness>,
    rng: Rng,
    pub(super) traffic: Traffic,
}

#[derive(Debug, Default)]
struct Counters {
    sequence: u64,
    chunk: u64,
    marks: u64,
}

impl MediaStream {
    /// The socket is up: says who is there.
    pub(super) fn open(
        now: MonoTime,
        line: LineId,
        names: Names,
        parameters: &[(String, String)],
        rudeness: Vec<Rudeness>,
        rng: Rng,
        out: &mut VecDeque<CallerOutput>,
    ) -> Self {
        let mut stream = Self {
            line,
            began: now,
            tick: 0,
            names,
            counters: Counters::default(),
            playout: Playout::default(),
            late: Vec::new(),
            frames_from: 0,
            half: Vec::new(),
            cleared_in_barge_in: false,
            rudeness,
            rng,
            traffic: Traffic::default(),
        };
        stream.raw(json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}).to_string(), out);
        if stream.is(Rudeness::EarlyMedia) {
            stream.raw(json!({"event": "media", "media": {"payload": "////"}}).to_string(), out);
        }
        if stream.is(Rudeness::MalformedStart) {
            stream.raw(r#"{"event":"start","start":{"callSid":"#.to_owned(), out);
        } else if !stream.is(Rudeness::NoStart) {
            stream.send(stream.start(parameters), out);
        }
        stream
    }

    /// When the next tick is due, on an absolute clock.
    pub(super) fn next_tick_at(&self) -> MonoTime {
        self.began + Duration::from_millis(self.tick * FRAME_MS)
    }

    /// Runs the ticks that are due.
    pub(super) fn advance(
        &mut self,
        now: MonoTime,
        caller: &mut Caller,
        out: &mut VecDeque<CallerOutput>,
    ) -> Flow {
        while self.next_tick_at() <= now {
            let flow = self.one_tick(caller, out);
            self.tick += 1;
            if flow != Flow::GoesOn {
                return flow;
            }
        }
        Flow::GoesOn
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
        }
        let waits = AudioFormat::MULAW_8K.duration_of(self.playout.bytes());
        self.traffic.queue_max = self.traffic.queue_max.max(waits);
    }

    /// The last words, where there are any.
    pub(super) fn stop(&mut self, out: &mut VecDeque<CallerOutput>) {
        if !self.is(Rudeness::NoStop) {
            let names = &self.names;
            let stop = json!({"accountSid": names.account_sid, "callSid": names.call_sid});
            self.send(json!({"event": "stop", "stop": stop}), out);
        }
    }

    pub(super) const fn line(&self) -> LineId {
        self.line
    }

    fn is(&self, rudeness: Rudeness) -> bool {
        self.rudeness.contains(&rudeness)
    }

    fn start(&self, parameters: &[(String, String)]) -> Value {
        let mut custom: serde_json::Map<String, Value> = parameters
            .iter()
            .filter(|(name, _)| name != "ticket" || !self.is(Rudeness::MissingTicket))
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        if self.is(Rudeness::UnknownTicket) {
            custom.insert("ticket".to_owned(), Value::from("A".repeat(43)));
        }
        let (encoding, rate) =
            if self.is(Rudeness::WrongFormat) { ("audio/l16", 16_000) } else { ("audio/x-mulaw", 8_000) };
        let names = &self.names;
        json!({"event": "start", "start": {
            "accountSid": names.account_sid,
            "callSid": names.call_sid,
            "streamSid": names.stream_sid,
            "tracks": ["inbound"],
            "customParameters": custom,
            "mediaFormat": {"encoding": encoding, "sampleRate": rate, "channels": 1},
        }})
    }

    fn one_tick(&mut self, caller: &mut Caller, out: &mut VecDeque<CallerOutput>) -> Flow {
        if self.is(Rudeness::Cut) && self.tick == MIDDLE {
            out.push_back(CallerOutput::Cut(self.line));
            return Flow::Vanished;
        }
        if self.is(Rudeness::HalfOpen) && self.tick >= MIDDLE {
            return if self.tick >= MIDDLE + HALF_OPEN_TICKS { Flow::Vanished } else { Flow::GoesOn };
        }
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
        let deed = caller.tick(played.as_deref());
        if !caller.is_barging_in() {
            self.cleared_in_barge_in = false;
        }
        if self.is(Rudeness::NoStart) || self.is(Rudeness::MalformedStart) {
            return if deed.hangs_up { Flow::CallerLeft } else { Flow::GoesOn };
        }
        self.speak(&deed.audio, out);
        if let Some(key) = deed.digit {
            let dtmf = json!({"track": "inbound_track", "digit": key.to_string()});
            self.send(json!({"event": "dtmf", "dtmf": dtmf}), out);
        }
        self.be_rude(out);
        if deed.hangs_up { Flow::CallerLeft } else { Flow::GoesOn }
    }

    /// 20 ms of the caller, on their way; bunched, joined or dropped where that was asked for.
    fn speak(&mut self, audio: &Bytes, out: &mut VecDeque<CallerOutput>) {
        self.half.extend_from_slice(audio);
        if self.is(Rudeness::BigFrames) && self.tick.is_multiple_of(2) {
            return;
        }
        let audio = std::mem::take(&mut self.half);
        self.counters.chunk += 1;
        if self.is(Rudeness::Gaps) && self.tick % 100 >= 97 {
            self.traffic.frames_dropped += 1;
            return;
        }
        let ahead = audio.len() as u64 / 8 - FRAME_MS;
        let message = json!({"event": "media", "media": {
            "track": "inbound",
            "chunk": self.counters.chunk.to_string(),
            "timestamp": ((self.tick * FRAME_MS).saturating_sub(ahead) + 40).to_string(),
            "payload": STANDARD.encode(&audio),
        }});
        self.traffic.frames_sent += 1;
        if self.is(Rudeness::Jitter) {
            self.frames_from = self.frames_from.max(self.tick + self.rng.range(1..5));
            self.late.push((self.frames_from, message));
        } else {
            self.send(message, out);
        }
    }

    /// Everything that may come between two honest messages.
    fn be_rude(&mut self, out: &mut VecDeque<CallerOutput>) {
        if self.is(Rudeness::Flood) && self.tick == 50 {
            for number in 0..2_000 {
                self.raw(format!("nonsense {number}"), out);
            }
        }
        if self.tick % 25 != 24 {
            return;
        }
        if self.is(Rudeness::BinaryMedia) {
            let message = WireMessage::Binary(Bytes::from_static(&[0xff; 160]));
            out.push_back(CallerOutput::Send(self.line, message));
        }
        if self.is(Rudeness::MalformedJson) {
            self.raw(r#"{"event":"media","media":{"payload":"#.to_owned(), out);
        }
        if self.is(Rudeness::WrongStreamSid) {
            let other = "MZ00000000000000000000000000000000";
            let media = json!({"event": "media", "streamSid": other, "media": {"payload": "////"}});
            self.raw(media.to_string(), out);
        }
        if self.is(Rudeness::BadBase64) {
            self.send(json!({"event": "media", "media": {"payload": "no base64!"}}), out);
        }
        if self.is(Rudeness::OversizedMedia) {
            let payload = STANDARD.encode([0xff; 16_000]);
            self.send(json!({"event": "media", "media": {"payload": payload}}), out);
        }
        if self.is(Rudeness::UnknownEvents) {
            self.send(json!({"event": "weather", "weather": {"sun": [1, 2, {"a": null}]}, "new": true}), out);
        }
        if self.is(Rudeness::StrayMarks) {
            self.send(json!({"event": "mark", "mark": {"name": "999.1"}}), out);
            self.send(json!({"event": "mark", "mark": {"name": "somebody else's"}}), out);
        }
    }

    /// `None` for what makes no sense to Twilio: it ignores that with one warning.
    fn understand(
        &mut self,
        message: &WireMessage,
        caller: &mut Caller,
        out: &mut VecDeque<CallerOutput>,
    ) -> Option<()> {
        let WireMessage::Text(text) = message else { return None };
        let message: Value = serde_json::from_slice(text.as_bytes()).ok()?;
        if message["streamSid"].as_str()? != self.names.stream_sid {
            return None;
        }
        match message["event"].as_str()? {
            "media" => {
                let audio = STANDARD.decode(message["media"]["payload"].as_str()?).ok()?;
                self.traffic.frames_received += 1;
                self.traffic.received += AudioFormat::MULAW_8K.duration_of(audio.len());
                if self.cleared_in_barge_in {
                    caller.residue(audio.len());
                }
                self.playout.audio(Bytes::from(audio));
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
        self.counters.marks += 1;
        if self.is(Rudeness::LostMarks) && self.counters.marks.is_multiple_of(3) {
            return;
        }
        self.traffic.marks_echoed += 1;
        let message = json!({"event": "mark", "mark": {"name": name}});
        if self.is(Rudeness::LateMarks) {
            self.late.push((self.tick + LATE_TICKS, message));
        } else {
            self.send(message, out);
        }
    }

    /// Sends a numbered message of this stream.
    fn send(&mut self, mut message: Value, out: &mut VecDeque<CallerOutput>) {
        self.counters.sequence += 1;
        message["sequenceNumber"] = Value::from(self.counters.sequence.to_string());
        message["streamSid"] = Value::from(self.names.stream_sid.as_str());
        self.raw(message.to_string(), out);
    }

    fn raw(&self, text: String, out: &mut VecDeque<CallerOutput>) {
        out.push_back(CallerOutput::Send(self.line, WireMessage::text(text)));
    }
}

/// Where the middle of a call is: three seconds.
const MIDDLE: u64 = 150;

/// A socket that nobody closes is given up after two minutes.
const HALF_OPEN_TICKS: u64 = 6_000;

/// A second and a half.
const LATE_TICKS: u64 = 75;
