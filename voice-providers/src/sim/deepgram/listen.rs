//! A fake Listen v1: hears the caller, and tells interim and final results by the clock of the audio.

use std::time::Duration;

use serde_json::{Value, json};
use voice_core::sim::peer::{FakeService, ServiceInput, ServiceOutput};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::{Hearing, Listener, recognise};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use super::speech_socket::{Agenda, SpeechRudeness, door, misbehave, parameter};

/// One connection to `/v1/listen`.
#[derive(Debug)]
pub struct FakeListen {
    rude: Vec<SpeechRudeness>,
    rng: Rng,
    agenda: Agenda,
    ears: Option<Ears>,
    /// When the last message came, and whether there was ever audio.
    last: MonoTime,
    had_audio: bool,
    log: Vec<String>,
}

#[derive(Debug)]
struct Ears {
    listener: Listener,
    interim: bool,
    utterance_end: Option<Duration>,
    /// Where an `UtteranceEnd` is due, in audio time.
    end_due: Option<Duration>,
    began: Duration,
    /// Where the next interim, or empty, result is due.
    next_report: Duration,
}

/// Interims come about once a second, results of silence every few.
const INTERIM_EVERY: Duration = Duration::from_secs(1);
const SILENCE_EVERY: Duration = Duration::from_secs(4);

/// Nothing for so long, and the service gives up.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Speech shorter than this has no words.
const WORD_MIN: Duration = Duration::from_millis(260);

impl FakeListen {
    /// A connection that behaves like this.
    pub fn new(seed: u64, rude: &[SpeechRudeness]) -> Self {
        Self {
            rude: rude.to_vec(),
            rng: Rng::new(seed),
            agenda: Agenda::default(),
            ears: None,
            last: MonoTime::ZERO,
            had_audio: false,
            log: Vec::new(),
        }
    }

    /// What was seen: the target, then `audio <bytes>` (joined) and the types of messages.
    pub fn log(&self) -> &[String] {
        &self.log
    }

    fn is(&self, rudeness: SpeechRudeness) -> bool {
        self.rude.contains(&rudeness)
    }

    fn request(&mut self, request: &voice_core::sim::peer::Request) {
        self.log.push(request.target.clone());
        let formats = [("mulaw", "8000")];
        if !door(&mut self.agenda, request, "/v1/listen", &formats, &self.rude) {
            return;
        }
        let number = |name: &str| parameter(request, name).and_then(|value| value.parse().ok());
        let endpointing = number("endpointing").unwrap_or(10);
        self.ears = Some(Ears {
            listener: Listener::new(Duration::from_millis(endpointing)),
            interim: parameter(request, "interim_results").as_deref() == Some("true"),
            utterance_end: number("utterance_end_ms").map(Duration::from_millis),
            end_due: None,
            began: Duration::ZERO,
            next_report: SILENCE_EVERY,
        });
    }

    fn audio(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.finish();
        }
        self.had_audio = true;
        let Some(mut ears) = self.ears.take() else { return };
        let mut noticed = Vec::new();
        ears.listener.push(bytes, &mut noticed);
        for hearing in noticed {
            match hearing {
                Hearing::Began { at } => self.began(&mut ears, at),
                Hearing::Ended { at, audio } => self.ended(&mut ears, at, &audio, false),
            }
        }
        self.report(&mut ears);
        self.ears = Some(ears);
    }

    fn began(&mut self, ears: &mut Ears, at: Duration) {
        ears.began = at;
        ears.next_report = at + INTERIM_EVERY / 2;
        self.agenda.say(
            Duration::from_millis(60),
            &json!({"type": "SpeechStarted", "channel": [0], "timestamp": at.as_secs_f64()}),
        );
    }

    fn ended(&mut self, ears: &mut Ears, at: Duration, audio: &[u8], finalized: bool) {
        ears.next_report = ears.listener.position() + SILENCE_EVERY;
        if self.is(SpeechRudeness::NoEnd) {
            return;
        }
        let text = words(at.saturating_sub(ears.began), audio);
        let delay = self.rng.millis(200..300);
        let ends = !self.is(SpeechRudeness::NoSpeechFinal);
        let mut result = results(ears.began, at, &text, true);
        if ends {
            result["speech_final"] = json!(true);
        }
        result["from_finalize"] = json!(finalized);
        self.agenda.say(delay, &result);
        if !text.is_empty() {
            ears.end_due = ears.utterance_end.map(|gap| at + gap);
        }
    }

    /// Whatever is due by the clock of the audio.
    fn report(&mut self, ears: &mut Ears) {
        let position = ears.listener.position();
        if ears.end_due.is_some_and(|due| due <= position) {
            let end = ears.end_due.take().unwrap_or_default();
            if !ears.listener.is_speaking() {
                let message =
                    json!({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": end.as_secs_f64()});
                self.agenda.say(Duration::from_millis(100), &message);
            }
        }
        if position < ears.next_report {
            return;
        }
        if ears.listener.is_speaking() {
            if misbehave(&mut self.agenda, &self.rude) {
                return;
            }
            ears.next_report = position + INTERIM_EVERY;
            if ears.interim && position.saturating_sub(ears.began) > WORD_MIN {
                // It has not understood yet, and will change its mind.
                let words = ["um", "um I", "um I think"];
                let seconds = position.saturating_sub(ears.began).as_secs() as usize;
                let text = words[seconds.min(words.len() - 1)];
                self.agenda.say(Duration::from_millis(150), &results(ears.began, position, text, false));
            }
        } else {
            ears.next_report = position + SILENCE_EVERY;
            self.agenda.say(Duration::from_millis(150), &results(position, position, "", true));
        }
    }

    fn finalize(&mut self) {
        let Some(mut ears) = self.ears.take() else { return };
        let mut noticed = Vec::new();
        ears.listener.finish(&mut noticed);
        for hearing in noticed {
            if let Hearing::Ended { at, audio } = hearing {
                self.ended(&mut ears, at, &audio, true);
            }
        }
        self.ears = Some(ears);
    }

    fn finish(&mut self) {
        self.finalize();
        let heard = self.ears.as_ref().map_or(Duration::ZERO, |ears| ears.listener.position()).as_secs_f64();
        let metadata = json!({"type": "Metadata", "transaction_key": "deprecated", "request_id": "fake-1",
            "sha256": "0".repeat(64), "created": "2026-11-21T10:00:00.000Z", "duration": heard, "channels": 1});
        self.agenda.say(Duration::from_millis(300), &metadata);
        let close = ServiceOutput::Close { code: 1000, reason: String::new() };
        self.agenda.after(Duration::from_millis(301), close);
    }

    fn text(&mut self, text: &[u8]) {
        let message: Value = serde_json::from_slice(text).unwrap_or_default();
        let kind = message["type"].as_str().unwrap_or("?").to_owned();
        self.log.push(kind.clone());
        match kind.as_str() {
            "KeepAlive" => {}
            "Finalize" => self.finalize(),
            "CloseStream" => self.finish(),
            _ => {
                let error =
                    json!({"type": "Error", "variant": "SchemaError", "description": "?", "message": "?"});
                self.agenda.say(Duration::ZERO, &error);
                self.agenda
                    .after(Duration::ZERO, ServiceOutput::Close { code: 1008, reason: "DATA-0000".into() });
            }
        }
    }

    fn gives_up_at(&self) -> Option<MonoTime> {
        let patient = self.is(SpeechRudeness::HalfOpen);
        self.ears.as_ref().filter(|_| !patient).map(|_| self.last + IDLE_MAX)
    }
}

impl FakeService for FakeListen {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        self.agenda.at(now);
        if self.agenda.is_closed() {
            return;
        }
        match input {
            ServiceInput::Request(request) => {
                self.last = now;
                self.request(request);
            }
            ServiceInput::Wire(message) => {
                let silent = self.is(SpeechRudeness::HalfOpen);
                match message {
                    WireMessage::Binary(bytes) => {
                        self.last = now;
                        note_audio(&mut self.log, bytes.len());
                        if !silent {
                            self.audio(bytes);
                        }
                    }
                    WireMessage::Text(text) => {
                        // A socket that never had audio is not kept alive by words.
                        self.last = if self.had_audio || silent { now } else { self.last };
                        if !silent {
                            self.text(text.as_bytes());
                        }
                    }
                }
            }
            ServiceInput::Gone => self.agenda.abandon(),
            ServiceInput::Tick => {
                if self.gives_up_at().is_some_and(|at| at <= now) {
                    let why =
                        "NET-0001 did not receive audio data or a text message within the timeout window";
                    self.agenda.close(1011, why);
                }
            }
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        let wakes = self.gives_up_at();
        self.agenda.poll(wakes)
    }
}

/// What was said in this audio.
pub(super) fn words(duration: Duration, audio: &[u8]) -> String {
    if duration < WORD_MIN {
        return String::new();
    }
    recognise(audio).map_or("something unclear", |clip| clip.text).to_owned()
}

/// Adds audio to a log, joined to the audio before it.
pub(super) fn note_audio(log: &mut Vec<String>, bytes: usize) {
    let before = log.last().and_then(|last| last.strip_prefix("audio ")?.parse::<usize>().ok());
    if let Some(before) = before.filter(|_| bytes > 0) {
        log.pop();
        log.push(format!("audio {}", before + bytes));
    } else {
        log.push(format!("audio {bytes}"));
    }
}

fn results(from: Duration, to: Duration, text: &str, is_final: bool) -> Value {
    json!({"type": "Results", "channel_index": [0, 1], "start": from.as_secs_f64(),
        "duration": to.saturating_sub(from).as_secs_f64(), "is_final": is_final,
        "channel": {"alternatives": [{"transcript": text, "confidence": 0.97, "words": []}]},
        "metadata": {"request_id": "fake-1", "model_uuid": "fake",
            "model_info": {"name": "general-nova-3", "version": "2026-01-01.0", "arch": "nova-3"}}})
}
