//! A fake Flux: hears the caller, and decides itself when their turn is over.

use std::time::Duration;

use serde_json::{Value, json};
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::{Hearing, Listener};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use super::listen::{note_audio, words};
use super::speech_socket::{Agenda, SpeechRudeness, door, misbehave, parameter};

/// One connection to `/v2/listen`.
#[derive(Debug)]
pub struct FakeFlux {
    rude: Vec<SpeechRudeness>,
    rng: Rng,
    agenda: Agenda,
    turns: Option<Turns>,
    last: MonoTime,
    sequence: u64,
    log: Vec<String>,
}

#[derive(Debug)]
struct Turns {
    /// Ends speech early, for those who want to begin thinking.
    eager: Option<Listener>,
    end: Listener,
    index: u64,
    began: Duration,
    next_update: Duration,
    /// Whether a word has been heard in this turn.
    open: bool,
}

/// It reports so often, by the clock of the audio.
const UPDATE_EVERY: Duration = Duration::from_millis(250);

const IDLE_MAX: Duration = Duration::from_secs(20);

impl FakeFlux {
    /// A connection that behaves like this.
    pub fn new(seed: u64, rude: &[SpeechRudeness]) -> Self {
        Self {
            rude: rude.to_vec(),
            rng: Rng::new(seed),
            agenda: Agenda::default(),
            turns: None,
            last: MonoTime::ZERO,
            sequence: 0,
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

    fn request(&mut self, request: &Request) {
        self.log.push(request.target.clone());
        if !door(&mut self.agenda, request, "/v2/listen", &[("mulaw", "8000")], &self.rude) {
            return;
        }
        let eager = parameter(request, "eager_eot_threshold").is_some() || self.is(SpeechRudeness::Resumed);
        self.turns = Some(Turns {
            eager: eager.then(|| Listener::new(Duration::from_millis(200))),
            end: Listener::new(Duration::from_millis(400)),
            index: 0,
            began: Duration::ZERO,
            next_update: UPDATE_EVERY,
            open: false,
        });
        if !self.is(SpeechRudeness::HalfOpen) {
            self.say(Duration::from_millis(30), json!({"type": "Connected", "request_id": "fake-2"}));
        }
    }

    fn say(&mut self, delay: Duration, mut message: Value) {
        message["sequence_id"] = json!(self.sequence);
        self.sequence += 1;
        self.agenda.say(delay, &message);
    }

    fn turn(&mut self, turns: &Turns, delay: Duration, event: &str, text: &str) {
        let message = json!({"type": "TurnInfo", "request_id": "fake-2", "event": event,
            "turn_index": turns.index, "audio_window_start": turns.began.as_secs_f64(),
            "audio_window_end": turns.end.position().as_secs_f64(), "transcript": text, "words": [],
            "end_of_turn_confidence": 0.8, "trigger": "model", "languages": ["en"]});
        self.say(delay, message);
    }

    fn audio(&mut self, bytes: &[u8]) {
        let Some(mut turns) = self.turns.take() else { return };
        let (mut early, mut late) = (Vec::new(), Vec::new());
        if let Some(eager) = &mut turns.eager {
            eager.push(bytes, &mut early);
        }
        turns.end.push(bytes, &mut late);
        for hearing in early {
            if let Hearing::Ended { at, audio } = hearing
                && turns.open
            {
                let text = words(at.saturating_sub(turns.began), &audio);
                self.turn(&turns, Duration::from_millis(100), "EagerEndOfTurn", &text);
                if self.is(SpeechRudeness::Resumed) {
                    self.turn(&turns, Duration::from_millis(150), "TurnResumed", &text);
                }
            }
        }
        for hearing in late {
            match hearing {
                Hearing::Began { at } => turns.began = at,
                Hearing::Ended { at, audio } => self.ended(&mut turns, at, &audio),
            }
        }
        self.report(&mut turns);
        self.turns = Some(turns);
    }

    fn ended(&mut self, turns: &mut Turns, at: Duration, audio: &[u8]) {
        // Mere noise never became a turn.
        if !std::mem::take(&mut turns.open) || self.is(SpeechRudeness::NoEnd) {
            return;
        }
        let text = words(at.saturating_sub(turns.began), audio);
        // After what was eager, so that the order holds.
        let delay = Duration::from_millis(160) + self.rng.millis(0..100);
        self.turn(turns, delay, "EndOfTurn", &text);
        turns.index += 1;
    }

    fn report(&mut self, turns: &mut Turns) {
        let position = turns.end.position();
        if position < turns.next_update {
            return;
        }
        turns.next_update = position + UPDATE_EVERY;
        let speaking = turns.end.is_speaking();
        if speaking && !turns.open && position.saturating_sub(turns.began) > Duration::from_millis(300) {
            turns.open = true;
            self.turn(turns, Duration::from_millis(80), "StartOfTurn", "um");
            return;
        }
        if turns.open && position.saturating_sub(turns.began) > Duration::from_millis(900) {
            misbehave(&mut self.agenda, &self.rude);
        }
        let text = if turns.open { "um I" } else { "" };
        self.turn(turns, Duration::from_millis(80), "Update", text);
    }

    fn text(&mut self, text: &[u8]) {
        let message: Value = serde_json::from_slice(text).unwrap_or_default();
        let kind = message["type"].as_str().unwrap_or("?").to_owned();
        self.log.push(kind.clone());
        match kind.as_str() {
            "CloseStream" => self.agenda.close(1000, ""),
            "Configure" => {
                let echo = json!({"type": "ConfigureSuccess", "request_id": "fake-2",
                    "thresholds": message["thresholds"], "keyterms": [], "language_hints": []});
                self.say(Duration::from_millis(50), echo);
            }
            // Keep-alives, too: the service takes them ill.
            _ => self.agenda.close(1005, ""),
        }
    }

    fn gives_up_at(&self) -> Option<MonoTime> {
        let patient = self.is(SpeechRudeness::HalfOpen);
        self.turns.as_ref().filter(|_| !patient).map(|_| self.last + IDLE_MAX)
    }
}

impl FakeService for FakeFlux {
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
                self.last = now;
                match message {
                    WireMessage::Binary(bytes) => {
                        note_audio(&mut self.log, bytes.len());
                        if !self.is(SpeechRudeness::HalfOpen) {
                            self.audio(bytes);
                        }
                    }
                    WireMessage::Text(text) => self.text(text.as_bytes()),
                }
            }
            ServiceInput::Gone => self.agenda.abandon(),
            ServiceInput::Tick => {
                if self.gives_up_at().is_some_and(|at| at <= now) {
                    self.agenda.close(1011, "NET-0001");
                }
            }
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        let wakes = self.gives_up_at();
        self.agenda.poll(wakes)
    }
}
