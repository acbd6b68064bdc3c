//! A fake Voice Agent: strict about what it is told, with ears that really listen and a voice that
//! really speaks.

mod rudeness;
mod schema;
mod sound;
mod talk;

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::Listener;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use super::host::shown_key;
pub use rudeness::Rudeness;
use schema::{Applied, Refusal, only, text};

/// One connection to a fake Voice Agent.
#[derive(Debug)]
pub struct FakeAgent {
    key: String,
    rudeness: Option<Rudeness>,
    rng: Rng,
    stage: Stage,
    /// What is to happen, and when.
    agenda: Agenda,
    ears: Ears,
    talk: talk::Talk,
    seen: Vec<Seen>,
    outbox: VecDeque<ServiceOutput>,
}

/// What the fake saw, for assertions.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Seen {
    /// Settings, as they came.
    Settings(Value),
    /// A keep-alive.
    KeepAlive,
    /// Sound before the settings were applied; it is lost.
    EarlySound,
    /// A message without any sound, which other services of the house take for the end.
    EmptySound,
    /// A control message sent as sound.
    ControlAsSound,
    /// The caller said one of the known sentences, or something else.
    Caller(Option<&'static str>),
    /// An addition to the prompt.
    Prompt(String),
    /// Words put into the caller's mouth.
    UserMessage(String),
    /// Words put into the voice's mouth.
    AgentMessage(String),
    /// What a tool answered.
    Answer {
        /// The tool.
        name: String,
        /// Its answer.
        content: String,
    },
    /// An answer that nobody waited for.
    NeedlessAnswer(String),
    /// What was wrong with a message.
    Refused(String),
    /// The other side is gone.
    Gone,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    /// Waiting for settings.
    Unset,
    /// Waiting for ourselves.
    Applying {
        settings: Applied,
    },
    Talking {
        settings: Applied,
    },
    Over,
}

#[derive(Debug)]
struct Ears {
    listener: Listener,
    half: Option<u8>,
    last_sound: MonoTime,
}

/// What is to happen, in order.
#[derive(Debug, Default)]
struct Agenda {
    items: Vec<(MonoTime, Due)>,
}

#[derive(Clone, Debug)]
enum Due {
    Say(Value),
    /// Of a reply: gone when the caller interrupts.
    Reply(Value),
    Sound(Vec<u8>),
    Stray(Vec<u8>),
    Garble(&'static str),
    Applied,
    /// The voice answers a sentence of the caller.
    Answer(Option<&'static str>),
    Fail(&'static str),
    Close(u16, &'static str),
    Cut,
    /// A tool has not answered.
    GiveUp,
}

impl FakeAgent {
    /// A service that takes this key or token; the seed decides about delays and sizes.
    pub fn new(key: impl Into<String>, seed: u64) -> Self {
        Self {
            key: key.into(),
            rudeness: None,
            rng: Rng::new(seed),
            stage: Stage::Connecting,
            agenda: Agenda::default(),
            ears: Ears { listener: Listener::new(SILENCE), half: None, last_sound: MonoTime::ZERO },
            talk: talk::Talk::default(),
            seen: Vec::new(),
            outbox: VecDeque::new(),
        }
    }

    /// Makes it rude.
    #[must_use]
    pub fn rude(mut self, rudeness: Option<Rudeness>) -> Self {
        self.rudeness = rudeness;
        self
    }

    /// What it saw so far.
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    fn on_request(&mut self, now: MonoTime, request: &Request) {
        let refusal = match self.rudeness {
            Some(Rudeness::Refuse(status)) => Some(status),
            _ if !request.upgrade || !request.target.starts_with("/v1/agent/converse") => Some(400),
            _ if !self.is_known(request) => Some(401),
            _ => None,
        };
        if let Some(status) = refusal {
            return self.refuse(status);
        }
        self.outbox.push_back(ServiceOutput::Accept { subprotocol: subprotocol(request) });
        self.stage = Stage::Unset;
        self.ears.last_sound = now;
        if self.rudeness != Some(Rudeness::NoWelcome) {
            self.agenda.add(now, Due::Say(json!({"type": "Welcome", "request_id": "7f3c2a10-fake"})));
        }
        let end = now + SESSION_MAX;
        let warning = json!({"type": "Warning", "code": "SESSION_ENDS_SOON", "description": "two hours"});
        self.agenda.add(end.saturating_sub(Duration::from_secs(60)), Due::Say(warning));
        self.agenda.add(end, Due::Fail("SESSION_TOO_LONG"));
    }

    fn is_known(&self, request: &Request) -> bool {
        shown_key(request) == Some(self.key.as_str())
    }

    fn refuse(&mut self, status: u16) {
        let code = match status {
            401 => "INVALID_AUTH",
            402 => "ASR_PAYMENT_REQUIRED",
            403 => "INSUFFICIENT_PERMISSIONS",
            429 => "TOO_MANY_REQUESTS",
            503 => "SERVICE_UNAVAILABLE",
            _ => "BAD_REQUEST",
        };
        let headers = vec![("dg-request-id", "7f3c2a10-fake".to_owned()), ("dg-error", code.to_owned())];
        self.outbox.push_back(ServiceOutput::Respond { status, headers });
        let body = json!({"err_code": code, "err_msg": "refused", "request_id": "7f3c2a10-fake"});
        self.outbox.push_back(ServiceOutput::Send(WireMessage::text(body.to_string())));
        self.close(1000, "");
    }

    fn on_text(&mut self, now: MonoTime, message: &[u8]) {
        let message: Value = serde_json::from_slice(message).unwrap_or_default();
        let kind = message["type"].as_str().unwrap_or_default().to_owned();
        let outcome = match (&self.stage, kind.as_str()) {
            (Stage::Unset, "Settings") => self.on_settings(now, &message),
            (Stage::Unset, _) => Err(("NON_SETTINGS_MESSAGE_BEFORE_SETTINGS", kind)),
            (Stage::Applying { .. } | Stage::Talking { .. }, "Settings") => {
                Err(("SETTINGS_ALREADY_APPLIED", String::new()))
            }
            (Stage::Applying { .. } | Stage::Talking { .. }, _) => self.on_control(now, &kind, &message),
            (Stage::Connecting | Stage::Over, _) => Ok(()),
        };
        if let Err((code, description)) = outcome {
            self.fail(code, &description);
        }
    }

    fn on_settings(&mut self, now: MonoTime, message: &Value) -> Result<(), Refusal> {
        self.seen.push(Seen::Settings(message.clone()));
        let settings = schema::read(message)?;
        match self.rudeness {
            Some(Rudeness::SettingsError(code)) => return Err((code, "rude".into())),
            Some(Rudeness::NeverApplied) => {}
            _ => self.agenda.add(now + self.rng.millis(20..80), Due::Applied),
        }
        self.stage = Stage::Applying { settings };
        Ok(())
    }

    fn on_control(&mut self, now: MonoTime, kind: &str, message: &Value) -> Result<(), Refusal> {
        let acknowledge =
            |agent: &mut Self, kind: &str| agent.agenda.add(now, Due::Say(json!({"type": kind})));
        match kind {
            "KeepAlive" => {
                only(message, &["type"])?;
                self.seen.push(Seen::KeepAlive);
            }
            "UpdatePrompt" => {
                only(message, &["type", "prompt"])?;
                self.seen.push(Seen::Prompt(text(message, "prompt")?));
                acknowledge(self, "PromptUpdated");
            }
            "UpdateSpeak" => acknowledge(self, "SpeakUpdated"),
            "UpdateThink" => acknowledge(self, "ThinkUpdated"),
            "UpdateListen" => acknowledge(self, "ListenUpdated"),
            "InjectUserMessage" => {
                only(message, &["type", "content"])?;
                self.on_user_message(now, text(message, "content")?);
            }
            "InjectAgentMessage" => {
                only(message, &["type", "message", "behavior"])?;
                let behavior = message["behavior"].as_str().unwrap_or("default");
                self.on_agent_message(now, text(message, "message")?, behavior)?;
            }
            "FunctionCallResponse" => {
                only(message, &["type", "id", "name", "content"])?;
                let (name, content) = (text(message, "name")?, text(message, "content")?);
                self.on_answer(now, &text(message, "id")?, name, content);
            }
            _ => return Err(("UNPARSABLE_CLIENT_MESSAGE", format!("unknown kind {kind}"))),
        }
        Ok(())
    }

    fn on_sound(&mut self, now: MonoTime, bytes: &[u8]) {
        self.ears.last_sound = now;
        if bytes.is_empty() {
            return self.seen.push(Seen::EmptySound);
        }
        if bytes.starts_with(b"{\"type\"") {
            self.seen.push(Seen::ControlAsSound);
        }
        let mulaw = match &self.stage {
            Stage::Unset => return self.fail("NON_SETTINGS_MESSAGE_BEFORE_SETTINGS", "sound"),
            Stage::Applying { .. } => return self.seen.push(Seen::EarlySound),
            Stage::Talking { settings } => sound::to_mulaw(&settings.hears, bytes, &mut self.ears.half),
            Stage::Connecting | Stage::Over => return,
        };
        let mut noticed = Vec::new();
        self.ears.listener.push(&mulaw, &mut noticed);
        for hearing in noticed {
            self.on_hearing(now, hearing);
        }
    }

    fn tick(&mut self, now: MonoTime) {
        while let Some((at, due)) = self.agenda.take(now) {
            self.carry_out(at.max(now), due);
        }
        let talks = matches!(self.stage, Stage::Unset | Stage::Applying { .. } | Stage::Talking { .. });
        if talks && self.ears.last_sound + NO_SOUND_MAX <= now {
            self.fail("CLIENT_MESSAGE_TIMEOUT", "no audio");
        }
    }

    fn carry_out(&mut self, now: MonoTime, due: Due) {
        match due {
            Due::Say(message) | Due::Reply(message) => self.say(&message),
            Due::Sound(bytes) | Due::Stray(bytes) => {
                self.outbox.push_back(ServiceOutput::Send(WireMessage::Binary(bytes.into())));
            }
            Due::Garble(text) => self.outbox.push_back(ServiceOutput::Send(WireMessage::text(text))),
            Due::Applied => self.on_applied(now),
            Due::Answer(sentence) => self.answer(now, sentence),
            Due::Fail(code) => self.fail(code, ""),
            Due::Close(code, reason) => self.close(code, reason),
            Due::Cut => {
                self.outbox.push_back(ServiceOutput::Cut);
                self.over();
            }
            Due::GiveUp => self.give_up(now),
        }
    }

    fn on_applied(&mut self, now: MonoTime) {
        let Stage::Applying { settings } = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        self.stage = Stage::Talking { settings: settings.clone() };
        self.say(&json!({"type": "SettingsApplied"}));
        self.talk.remember(&settings.history);
        if let Some(greeting) = settings.greeting {
            self.speak_words(now, &greeting);
        }
        if self.rudeness == Some(Rudeness::Gibberish) {
            for n in 0..40 {
                self.agenda.add(now + Duration::from_millis(20 * n), Due::Garble("}{ not JSON"));
            }
        }
    }

    fn say(&mut self, message: &Value) {
        self.outbox.push_back(ServiceOutput::Send(WireMessage::text(message.to_string())));
    }

    fn fail(&mut self, code: &str, description: &str) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        self.seen.push(Seen::Refused(format!("{code} {description}")));
        self.say(&json!({"type": "Error", "code": code, "description": description}));
        self.close(1011, "");
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.outbox.push_back(ServiceOutput::Close { code, reason: reason.to_owned() });
        self.over();
    }

    fn over(&mut self) {
        self.stage = Stage::Over;
        self.agenda.items.clear();
    }
}

impl FakeService for FakeAgent {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        match input {
            ServiceInput::Request(request) => self.on_request(now, request),
            ServiceInput::Wire(WireMessage::Text(text)) => self.on_text(now, text.as_bytes()),
            ServiceInput::Wire(WireMessage::Binary(bytes)) => self.on_sound(now, bytes),
            ServiceInput::Gone => {
                self.seen.push(Seen::Gone);
                self.over();
            }
            ServiceInput::Tick => {}
        }
        self.tick(now);
    }

    fn poll(&mut self) -> ServiceOutput {
        if let Some(output) = self.outbox.pop_front() {
            return output;
        }
        let timeout = match self.stage {
            Stage::Connecting | Stage::Over => None,
            Stage::Unset | Stage::Applying { .. } | Stage::Talking { .. } => {
                Some(self.ears.last_sound + NO_SOUND_MAX)
            }
        };
        ServiceOutput::WaitUntil(self.agenda.next().into_iter().chain(timeout).min())
    }
}

impl Agenda {
    fn add(&mut self, at: MonoTime, due: Due) {
        let place = self.items.partition_point(|(before, _)| *before <= at);
        self.items.insert(place, (at, due));
    }

    fn take(&mut self, now: MonoTime) -> Option<(MonoTime, Due)> {
        self.next().filter(|at| *at <= now).map(|_| self.items.remove(0))
    }

    fn next(&self) -> Option<MonoTime> {
        self.items.first().map(|(at, _)| *at)
    }
}

fn subprotocol(request: &Request) -> Option<&'static str> {
    let offered = request.header("sec-websocket-protocol")?;
    ["token", "bearer"].into_iter().find(|kind| offered.starts_with(kind))
}

/// Silence after which the caller's turn is over.
const SILENCE: Duration = Duration::from_millis(400);

/// Without sound for so long, it hangs up; keep-alives do not help (protocol notes, Deepgram §5.6).
const NO_SOUND_MAX: Duration = Duration::from_secs(12);

const SESSION_MAX: Duration = Duration::from_secs(7_200);
