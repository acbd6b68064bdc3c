//! A fake Speak v1: speaks with recorded clips, in the order and at the speed of the service.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use voice_core::audio::g711::{linear_to_alaw, mulaw_to_linear};
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::VOICE;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use super::speech_socket::{Agenda, SpeechRudeness, door, misbehave, parameter};

/// One connection to `/v1/speak`.
#[derive(Debug)]
pub struct FakeSpeak {
    rude: Vec<SpeechRudeness>,
    rng: Rng,
    agenda: Agenda,
    format: Format,
    buffered: String,
    /// When what has been made so far will have been sent.
    busy_until: MonoTime,
    flushes: VecDeque<MonoTime>,
    sequence: u64,
    opened: MonoTime,
    open: bool,
    log: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Mulaw,
    Alaw,
    /// Each sample of 8 kHz so many times.
    Linear(usize),
}

const TIME_LIMIT: Duration = Duration::from_secs(3_600);

/// One more in the last 60 s is ignored.
const FLUSHES_MAX: usize = 20;

/// Longest text in one message.
const TEXT_MAX: usize = 2_000;

/// Samples of 8 kHz for a character of text that is in no clip.
const SAMPLES_PER_CHAR: usize = 550;

impl FakeSpeak {
    /// A connection that behaves like this.
    pub fn new(seed: u64, rude: &[SpeechRudeness]) -> Self {
        Self {
            rude: rude.to_vec(),
            rng: Rng::new(seed),
            agenda: Agenda::default(),
            format: Format::Mulaw,
            buffered: String::new(),
            busy_until: MonoTime::ZERO,
            flushes: VecDeque::new(),
            sequence: 0,
            opened: MonoTime::ZERO,
            open: false,
            log: Vec::new(),
        }
    }

    /// What was seen: the target, then the messages, texts as `Speak: …`.
    pub fn log(&self) -> &[String] {
        &self.log
    }

    fn is(&self, rudeness: SpeechRudeness) -> bool {
        self.rude.contains(&rudeness)
    }

    fn request(&mut self, now: MonoTime, request: &Request) {
        self.log.push(request.target.clone());
        let formats = [
            ("mulaw", "8000"),
            ("alaw", "8000"),
            ("linear16", "8000"),
            ("linear16", "16000"),
            ("linear16", "24000"),
        ];
        if !door(&mut self.agenda, request, "/v1/speak", &formats, &self.rude) {
            return;
        }
        let rate: usize = parameter(request, "sample_rate").and_then(|r| r.parse().ok()).unwrap_or(8_000);
        self.format = match parameter(request, "encoding").as_deref() {
            Some("alaw") => Format::Alaw,
            Some("linear16") => Format::Linear(rate / 8_000),
            _ => Format::Mulaw,
        };
        self.open = true;
        self.opened = now;
        let metadata = json!({"type": "Metadata", "request_id": "fake-3", "model_name": "aura-2-thalia-en",
            "model_version": "1", "model_uuid": "fake"});
        self.agenda.say(Duration::from_millis(20), &metadata);
    }

    fn text(&mut self, now: MonoTime, text: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(text) else {
            return self.agenda.close(1008, "DATA-0000");
        };
        let kind = message["type"].as_str().unwrap_or("?").to_owned();
        match kind.as_str() {
            "Speak" => {
                let text = message["text"].as_str().unwrap_or_default();
                self.log.push(format!("Speak: {text}"));
                if text.chars().count() > TEXT_MAX {
                    return self.agenda.close(1009, "BIG-0001");
                }
                self.buffered.push_str(text);
                self.buffered.push(' ');
                if text.trim_end().ends_with(['.', '!', '?']) {
                    self.synthesize(now);
                }
            }
            "Flush" => {
                self.log.push(kind);
                self.flush(now);
            }
            "Clear" => {
                self.log.push(kind);
                self.clear(now);
            }
            "Close" => {
                self.log.push(kind);
                self.agenda.close(1000, "");
            }
            _ => self.agenda.close(1008, "DATA-0000"),
        }
    }

    fn flush(&mut self, now: MonoTime) {
        while self.flushes.front().is_some_and(|at| *at + Duration::from_secs(60) <= now) {
            self.flushes.pop_front();
        }
        if self.flushes.len() >= FLUSHES_MAX {
            let warning = json!({"type": "Warning", "code": "EXCESSIVE_FLUSH",
                "description": "too many flushes"});
            return self.agenda.say(Duration::ZERO, &warning);
        }
        self.flushes.push_back(now);
        self.synthesize(now);
        if self.is(SpeechRudeness::NoFlushed) || self.is(SpeechRudeness::Mute) {
            return;
        }
        // Before any audio of what is said next.
        self.busy_until = self.busy_until.max(now) + Duration::from_millis(10);
        let delay = self.busy_until.since(now);
        let times = if self.is(SpeechRudeness::DoubledFlushed) { 2 } else { 1 };
        for _ in 0..times {
            let flushed = json!({"type": "Flushed", "sequence_id": self.sequence});
            self.agenda.say(delay, &flushed);
        }
        self.sequence += 1;
    }

    /// Turns what is buffered into audio, some ten times faster than it is spoken.
    fn synthesize(&mut self, now: MonoTime) {
        let text = std::mem::take(&mut self.buffered);
        if text.trim().is_empty() || self.is(SpeechRudeness::Mute) || self.is(SpeechRudeness::HalfOpen) {
            return;
        }
        let audio = self.encode(&sound_of(&text));
        let first = now + self.rng.millis(100..250);
        let mut at = self.busy_until.max(first);
        let mut rest = audio.as_slice();
        let mut count = 0;
        while !rest.is_empty() {
            let odd = self.rng.range(333..2_222) as usize;
            let (chunk, later) = rest.split_at(odd.min(rest.len()));
            rest = later;
            let message = WireMessage::Binary(chunk.to_vec().into());
            self.agenda.after(at.since(now), ServiceOutput::Send(message));
            at += self.rng.millis(10..25);
            count += 1;
            if count == 2 {
                let manners = self.voice_manners();
                if misbehave(&mut self.agenda, &manners) {
                    return;
                }
            }
        }
        self.busy_until = at;
    }

    /// To this service audio is what is binary, so a stray message would be audio.
    fn voice_manners(&self) -> Vec<SpeechRudeness> {
        self.rude.iter().copied().filter(|rudeness| *rudeness != SpeechRudeness::StrayBinary).collect()
    }

    fn clear(&mut self, now: MonoTime) {
        if self.is(SpeechRudeness::NotCleared) {
            return;
        }
        self.buffered.clear();
        self.agenda.forget(|output| matches!(output, ServiceOutput::Send(_)));
        self.busy_until = now + Duration::from_millis(60);
        // What was on its way already.
        for delay in [5, 15] {
            let stray = WireMessage::Binary(vec![0x55; 777].into());
            self.agenda.after(Duration::from_millis(delay), ServiceOutput::Send(stray));
        }
        let cleared = json!({"type": "Cleared", "sequence_id": self.sequence});
        self.agenda.say(Duration::from_millis(50), &cleared);
        self.sequence += 1;
    }

    fn encode(&self, mulaw: &[u8]) -> Vec<u8> {
        match self.format {
            Format::Mulaw => mulaw.to_vec(),
            Format::Alaw => mulaw.iter().map(|code| linear_to_alaw(mulaw_to_linear(*code))).collect(),
            Format::Linear(times) => mulaw
                .iter()
                .flat_map(|code| std::iter::repeat_n(mulaw_to_linear(*code).to_le_bytes(), times).flatten())
                .collect(),
        }
    }
}

impl FakeService for FakeSpeak {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        self.agenda.at(now);
        if self.agenda.is_closed() {
            return;
        }
        match input {
            ServiceInput::Request(request) => self.request(now, request),
            ServiceInput::Wire(WireMessage::Text(text)) => self.text(now, text.as_bytes()),
            ServiceInput::Wire(WireMessage::Binary(_)) => self.agenda.close(1003, "MESSAGE-0000"),
            ServiceInput::Gone => self.agenda.abandon(),
            ServiceInput::Tick => {
                if self.open && self.opened + TIME_LIMIT <= now {
                    self.agenda.close(1011, "NET-0003");
                }
            }
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        let limit = self.open.then(|| self.opened + TIME_LIMIT);
        self.agenda.poll(limit)
    }
}

/// The sound of a text: the part of the clip that it is a part of, so that the parts of a clip make up
/// the whole of it again.
fn sound_of(text: &str) -> Vec<u8> {
    let letters = |text: &str| {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>()
    };
    let wanted = letters(text);
    for clip in VOICE {
        let whole = letters(clip.text);
        if let Some(at) = whole.find(&wanted).filter(|_| !wanted.is_empty()) {
            let place = |letter: usize| clip.mulaw.len() * letter / whole.len();
            return clip.mulaw[place(at)..place(at + wanted.len())].to_vec();
        }
    }
    let long = VOICE.iter().map(|clip| clip.mulaw).max_by_key(|mulaw| mulaw.len()).unwrap_or_default();
    long.iter().copied().cycle().take(wanted.len() * SAMPLES_PER_CHAR).collect()
}
