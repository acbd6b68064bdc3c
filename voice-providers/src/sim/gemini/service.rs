//! One connection to the fake: the door, the setup, and what the client sends after it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use voice_core::audio::convert::Converter;
use voice_core::audio::{AudioFormat, Encoding, Rate};
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::{Hearing, Listener, recognise};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use super::check::{self, Refusal, field, invalid};
use super::config::{FakeGeminiConfig, Profile, Rudeness};
use super::memory::{FakeGeminiMemory, Handle};
use super::script::{self, Answer};
use super::speaking::{Turn, Waiting};
use crate::sim::http;

/// One connection to a fake Gemini Live.
#[derive(Debug)]
pub struct FakeGemini {
    pub(super) config: FakeGeminiConfig,
    pub(super) memory: FakeGeminiMemory,
    pub(super) rng: Rng,
    stage: Stage,
    pub(super) session: Session,
    ears: Ears,
    pub(super) turn: Turn,
    plan: Plan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Door,
    Setup,
    Talking,
    Gone,
}

/// What the setup said, and what became of it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u32,
    pub(super) profile: Profile,
    pub(super) model: String,
    pub(super) tools: Vec<String>,
    pub(super) resumable: bool,
    transcribes_caller: bool,
    pub(super) transcribes_voice: bool,
    /// A history was announced and has not come.
    history_awaited: bool,
    pub(super) greeted: bool,
}

#[derive(Debug)]
struct Ears {
    listener: Listener,
    converter: Option<(u32, Converter)>,
}

/// What is going to be sent, and when.
#[derive(Debug, Default)]
struct Plan {
    steps: BTreeMap<(MonoTime, u64), (Of, Step)>,
    count: u64,
    now: VecDeque<ServiceOutput>,
}

/// Whether a step dies with the turn it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Turn,
    Connection,
}

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Step {
    Send(Value),
    Raw(WireMessage),
    Call(Vec<Waiting>),
    CancelCalls,
    Interrupt,
    Close(u16, &'static str),
    Cut,
}

impl FakeGemini {
    /// A connection that nobody has knocked at yet.
    pub fn new(config: FakeGeminiConfig, memory: FakeGeminiMemory) -> Self {
        let rng = Rng::new(config.seed);
        Self {
            rng,
            stage: Stage::Door,
            session: Session {
                number: 0,
                profile: config.profile.unwrap_or(Profile::V3_8),
                model: String::new(),
                tools: Vec::new(),
                resumable: false,
                transcribes_caller: false,
                transcribes_voice: false,
                history_awaited: false,
                greeted: false,
            },
            ears: Ears { listener: Listener::new(Duration::from_millis(500)), converter: None },
            turn: Turn::default(),
            plan: Plan::default(),
            config,
            memory,
        }
    }

    pub(super) fn is(&self, rudeness: Rudeness) -> bool {
        self.config.is(rudeness)
    }

    /// Whether it is rude in this way now, for ways of which once is enough.
    pub(super) fn is_once(&self, rudeness: Rudeness) -> bool {
        self.is(rudeness) && self.memory.once(rudeness.name())
    }

    pub(super) fn at(&mut self, at: MonoTime, of: Of, step: Step) {
        self.plan.count += 1;
        self.plan.steps.insert((at, self.plan.count), (of, step));
    }

    pub(super) fn forget_turn(&mut self) {
        self.plan.steps.retain(|_, (of, _)| *of == Of::Connection);
    }

    fn knock(&mut self, request: &Request) {
        let probed = http::read(request).and_then(|path| path.strip_prefix("/v1beta/models/"));
        let refusal = if self.is(Rudeness::Refuse403) || !self.lets_in(request) {
            Some((403, "Method doesn't allow unregistered callers. Please use API Key."))
        } else if self.is(Rudeness::Refuse400) {
            Some((400, "API key not valid. Please pass a valid API key."))
        } else if self.is(Rudeness::Refuse429) {
            Some((429, "Resource has been exhausted (e.g. check quota)."))
        } else if probed.is_none() && !request.target.contains("BidiGenerateContent") {
            Some((404, "Not found."))
        } else {
            None
        };
        if let Some((status, text)) = refusal {
            let error = json!({ "error": { "code": status, "message": text } });
            return self.respond(status, &error);
        }
        if let Some(name) = probed {
            let methods = ["bidiGenerateContent"];
            let model = json!({ "name": format!("models/{name}"), "supportedGenerationMethods": methods });
            return self.respond(200, &model);
        }
        self.plan.now.push_back(ServiceOutput::Accept { subprotocol: None });
        self.stage = Stage::Setup;
    }

    fn respond(&mut self, status: u16, body: &Value) {
        self.plan.now.extend(http::answer(status, Vec::new(), body));
        self.stage = Stage::Gone;
    }

    fn lets_in(&self, request: &Request) -> bool {
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let from_query = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("key=").or_else(|| pair.strip_prefix("access_token=")));
        let bearer = request.header("authorization").and_then(|value| value.split_once(' '));
        let shown = request.header("x-goog-api-key").or(from_query).or(bearer.map(|(_, token)| token));
        match (&self.config.key, shown) {
            (_, None | Some("")) => false,
            (None, Some(_)) => true,
            (Some(key), Some(shown)) => key == shown,
        }
    }

    fn read(&mut self, now: MonoTime, message: &WireMessage) {
        let read: Option<Value> = serde_json::from_slice(message.as_bytes()).ok();
        let Some(Value::Object(object)) = read else {
            return self.close((1007, "Invalid JSON payload received.".to_owned()));
        };
        let mut keys = object.into_iter();
        let (Some((key, value)), None) = (keys.next(), keys.next()) else {
            return self.close(invalid("one key a message"));
        };
        let key = key.replace('_', "").to_ascii_lowercase();
        let done = match (self.stage, key.as_str()) {
            (Stage::Setup, "setup") => self.set_up(now, &value),
            (Stage::Talking, "clientcontent") => self.on_turns(now, &value),
            (Stage::Talking, "realtimeinput") => self.on_input(now, &value),
            (Stage::Talking, "toolresponse") => self.on_answers(now, &value),
            (Stage::Door | Stage::Setup | Stage::Talking | Stage::Gone, _) => {
                Err(invalid("this message at this time"))
            }
        };
        if let Err(refusal) = done {
            self.close(refusal);
        }
    }

    fn set_up(&mut self, now: MonoTime, setup: &Value) -> Result<(), Refusal> {
        let model = setup["model"].as_str().unwrap_or_default().to_owned();
        self.session.profile = self.config.profile.unwrap_or_else(|| Profile::of(&model));
        self.memory.see(|seen| seen.setups.push(setup.clone()));
        for (rudeness, code, reason) in [
            (Rudeness::CloseKey, 1008, "API key not valid. Please pass a valid API key."),
            (Rudeness::BadSetup, 1007, "Request contains an invalid argument."),
            (Rudeness::NoModel, 1008, "models/x is not found for API version v1beta"),
            (Rudeness::NoQuota, 1011, "You exceeded your current quota, please check your plan."),
        ] {
            if self.is(rudeness) {
                return Err((code, reason.to_owned()));
            }
        }
        check::setup(setup, self.session.profile, self.config.vertex)?;
        let resumption = field(setup, "sessionResumption");
        self.session.resumable = resumption.is_object() && !self.is(Rudeness::NoHandle);
        self.session.tools =
            check::declarations(setup).filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect();
        self.session.transcribes_caller = field(setup, "inputAudioTranscription").is_object();
        self.session.transcribes_voice = field(setup, "outputAudioTranscription").is_object();
        let history = field(field(setup, "historyConfig"), "initialHistoryInClientContent");
        self.session.history_awaited = history == &Value::Bool(true);
        match resumption["handle"].as_str() {
            Some(handle) => self.resume(handle, &model)?,
            None => self.session.number = self.memory.begin(),
        }
        self.session.model = model;
        if self.is(Rudeness::Mute) {
            return Ok(());
        }
        self.stage = Stage::Talking;
        let name = format!("session-{}", self.session.number);
        let ready = now + Duration::from_millis(100);
        self.at(ready, Of::Connection, Step::Send(json!({ "setupComplete": { "sessionId": name } })));
        self.offer_handle(ready);
        let leave = now + self.config.go_away_after;
        self.go_away(leave, self.config.time_left);
        Ok(())
    }

    fn resume(&mut self, handle: &str, model: &str) -> Result<(), Refusal> {
        if self.is(Rudeness::RefuseResume) {
            return Err(invalid("the handle"));
        }
        if self.is(Rudeness::NeverResume) || self.is_once(Rudeness::BusyResume) {
            return Err((1011, "The service is currently unavailable.".to_owned()));
        }
        let known = self.memory.resume(handle, model).map_err(|(code, why)| (code, why.to_owned()))?;
        self.session.number = known.session;
        self.session.greeted = known.greeted;
        Ok(())
    }

    /// Says that it will go, and goes.
    pub(super) fn go_away(&mut self, at: MonoTime, left: Duration) {
        let text = format!("{}s", left.as_secs_f64());
        self.at(at, Of::Connection, Step::Send(json!({ "goAway": { "timeLeft": text } })));
        self.at(at + left.max(Duration::from_millis(500)), Of::Connection, Step::Cut);
    }

    /// A handle that knows everything so far.
    pub(super) fn offer_handle(&mut self, at: MonoTime) {
        if !self.session.resumable {
            return;
        }
        let handle = self.memory.handle(Handle {
            session: self.session.number,
            model: self.session.model.clone(),
            greeted: self.session.greeted,
        });
        let update =
            json!({ "newHandle": handle, "resumable": true, "lastConsumedClientMessageIndex": "12" });
        self.at(at, Of::Turn, Step::Send(json!({ "sessionResumptionUpdate": update })));
    }

    fn on_turns(&mut self, now: MonoTime, content: &Value) -> Result<(), Refusal> {
        let complete = field(content, "turnComplete") == &Value::Bool(true);
        let turns: Vec<(String, String)> =
            content["turns"].as_array().into_iter().flatten().map(turn).collect();
        check::turns(&turns, complete, self.session.profile, self.session.history_awaited)?;
        self.memory.see(|seen| seen.turns.extend(turns.iter().cloned()));
        if turns.len() > 1 {
            self.session.greeted = true;
        }
        if self.session.history_awaited {
            self.session.history_awaited = !complete;
            return Ok(());
        }
        self.barge_in(now);
        if complete && let Some((_, text)) = turns.last() {
            let answer = script::to_text(text, self.session.greeted);
            self.answer(now, answer);
        }
        Ok(())
    }

    fn on_input(&mut self, now: MonoTime, input: &Value) -> Result<(), Refusal> {
        if self.session.history_awaited {
            return Err(invalid("input before the history"));
        }
        if !field(input, "activityStart").is_null() || !field(input, "activityEnd").is_null() {
            return Err(invalid("activity with automatic detection"));
        }
        if field(input, "audioStreamEnd") == &Value::Bool(true) {
            return self.on_stream_end(now);
        }
        if let Some(text) = input["text"].as_str() {
            self.memory.see(|seen| seen.texts.push(text.to_owned()));
            // Input like the rest of what the caller is saying: one turn, one answer.
            if self.ears.listener.is_speaking() {
                return Ok(());
            }
            self.barge_in(now);
            let answer = script::to_text(text, self.session.greeted);
            self.answer(now, answer);
            return Ok(());
        }
        if self.turn.blocks(now, self.session.profile) {
            return Err((1008, "Operation is not implemented, or supported, or enabled.".to_owned()));
        }
        let audio = &input["audio"];
        let mime = field(audio, "mimeType").as_str().unwrap_or_default();
        let mulaw = self.ears.take(mime, audio["data"].as_str().unwrap_or_default())?;
        self.memory.see(|seen| {
            seen.audio_ms += mulaw.len() as u64 / 8;
            if seen.mime_types.iter().all(|known| known != mime) {
                seen.mime_types.push(mime.to_owned());
            }
        });
        let mut noticed = Vec::new();
        self.ears.listener.push(&mulaw, &mut noticed);
        self.on_noticed(now, noticed);
        Ok(())
    }

    fn on_stream_end(&mut self, now: MonoTime) -> Result<(), Refusal> {
        if self.config.vertex {
            return Err(invalid("audioStreamEnd"));
        }
        self.memory.see(|seen| seen.stream_ends += 1);
        let mut noticed = Vec::new();
        self.ears.listener.finish(&mut noticed);
        self.on_noticed(now, noticed);
        Ok(())
    }

    fn on_noticed(&mut self, now: MonoTime, noticed: Vec<Hearing>) {
        for hearing in noticed {
            match hearing {
                Hearing::Began { .. } => self.barge_in(now),
                Hearing::Ended { audio, .. } => {
                    let clip = recognise(&audio);
                    self.memory.see(|seen| seen.heard.push(clip.map(|clip| clip.name)));
                    if self.session.transcribes_caller {
                        self.transcribe(now, clip.map_or("(unclear)", |clip| clip.text));
                    }
                    if !self.is_once(Rudeness::Silent) {
                        self.answer(now, script::to_speech(clip.map(|clip| clip.name)));
                    }
                }
            }
        }
    }

    /// In two pieces; the newer models send the second after the reply has begun.
    fn transcribe(&mut self, now: MonoTime, text: &str) {
        let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
        let late =
            if self.session.profile == Profile::V2_5 { 200 } else { self.config.first_audio_ms.end + 100 };
        for (piece, after) in [(&text[..middle], 100), (&text[middle..], late)] {
            let message = json!({ "serverContent": { "inputTranscription": { "text": piece } } });
            self.at(now + Duration::from_millis(after), Of::Connection, Step::Send(message));
        }
    }

    fn on_answers(&mut self, now: MonoTime, answers: &Value) -> Result<(), Refusal> {
        let mut failed = false;
        for answer in field(answers, "functionResponses").as_array().into_iter().flatten() {
            if !answer["response"].is_object() {
                return Err(invalid("a response that is no object"));
            }
            failed |= !answer["response"]["error"].is_null();
            self.memory.see(|seen| seen.answers.push(answer.clone()));
            if !self.turn.answered(answer["id"].as_str(), answer["name"].as_str().unwrap_or_default()) {
                return Err(invalid("an answer that nobody waits for"));
            }
        }
        if self.turn.waiting.is_empty() {
            self.answer(now, Answer::Say(if failed { "sorry" } else { "order" }));
        }
        Ok(())
    }

    fn close(&mut self, (code, reason): Refusal) {
        self.memory.see(|seen| seen.closes.push((code, reason.clone())));
        self.plan.now.push_back(ServiceOutput::Close { code, reason });
        self.leave();
    }

    fn leave(&mut self) {
        self.stage = Stage::Gone;
        self.plan.steps.clear();
        self.memory.close(self.session.number);
    }

    fn carry_out(&mut self, now: MonoTime, step: Step) {
        match step {
            Step::Send(message) => self.say(message),
            Step::Raw(message) => self.plan.now.push_back(ServiceOutput::Send(message)),
            Step::Call(calls) => self.call(now, calls),
            Step::CancelCalls => self.cancel_calls(),
            Step::Interrupt => self.interrupt(now),
            Step::Close(code, reason) => self.close((code, reason.to_owned())),
            Step::Cut => {
                self.plan.now.push_back(ServiceOutput::Cut);
                self.leave();
            }
        }
    }

    /// Sends a message, in a binary frame unless it is rude.
    pub(super) fn say(&mut self, message: Value) {
        let text = message.to_string();
        if message["serverContent"]["modelTurn"].is_null() {
            self.memory.see(|seen| seen.sent.push(message));
        }
        let message = if self.is(Rudeness::TextFrames) {
            WireMessage::text(text)
        } else {
            WireMessage::Binary(text.into_bytes().into())
        };
        self.plan.now.push_back(ServiceOutput::Send(message));
    }
}

impl FakeService for FakeGemini {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        match input {
            ServiceInput::Request(request) => self.knock(request),
            ServiceInput::Wire(message) if self.stage != Stage::Gone => self.read(now, message),
            ServiceInput::Gone => self.leave(),
            ServiceInput::Wire(_) | ServiceInput::Tick => {}
        }
        while let Some(entry) = self.plan.steps.first_entry()
            && entry.key().0 <= now
        {
            let (_, step) = entry.remove();
            self.carry_out(now, step);
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        match self.plan.now.pop_front() {
            Some(output) => output,
            None => ServiceOutput::WaitUntil(self.plan.steps.keys().next().map(|(at, _)| *at)),
        }
    }
}

impl Ears {
    /// Audio as mu-law.
    fn take(&mut self, mime: &str, data: &str) -> Result<Vec<u8>, Refusal> {
        let rate = mime.strip_prefix("audio/pcm").and_then(|rest| match rest.split_once("rate=") {
            Some((_, rate)) => rate.trim().parse().ok(),
            None => Some(16_000),
        });
        let Some((hz, rate)) = rate.and_then(|hz| Some((hz, Rate::from_hz(hz)?))) else {
            return Err(invalid("the audio's format"));
        };
        let standard: String = data
            .chars()
            .map(|c| {
                if c == '-' {
                    '+'
                } else if c == '_' {
                    '/'
                } else {
                    c
                }
            })
            .collect();
        let pcm = BASE64.decode(standard).map_err(|_| invalid("the audio's base64"))?;
        if self.converter.as_ref().is_none_or(|(known, _)| *known != hz) {
            let from = AudioFormat::new(Encoding::Pcm16, rate);
            self.converter = Some((hz, Converter::new(from, AudioFormat::MULAW_8K)));
        }
        Ok(match &mut self.converter {
            Some((_, converter)) => converter.convert(pcm.into()).to_vec(),
            None => Vec::new(),
        })
    }
}

/// With or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn turn(content: &Value) -> (String, String) {
    let parts = content["parts"].as_array().into_iter().flatten();
    let texts: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
    (content["role"].as_str().unwrap_or_default().to_owned(), texts.join(" | "))
}
