//! A session, a fake service, a line with delay between them, and a caller who speaks into it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::{AudioFormat, AudioFrame};
use voice_core::conversation::{ToolDefinition, ToolResult};
use voice_core::failure::{Failure, Verdict};
use voice_core::id::{AttachmentId, CorrelationId, LineId, ReplyId, ToolCallId};
use voice_core::provider::{
    Provider, ProviderCommand, ProviderEvent, ProviderSession, SessionInput, SessionOutput, Setup,
};
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::sim::speech::caller;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::{Endpoint, LineEnd, WireMessage};
use voice_providers::deepgram::Credential;
use voice_providers::deepgram::agent::{Agent, AgentSettings, AgentSettingsBuilder};
use voice_providers::sim::deepgram::agent::{FakeAgent, Rudeness, Seen};

pub(crate) const KEY: &str = "dg-key";
const DELAY: Duration = Duration::from_millis(25);
const FRAME: Duration = Duration::from_millis(20);

pub(crate) fn settings() -> AgentSettingsBuilder {
    AgentSettings::new(Credential::ApiKey(Secret::new(KEY.to_owned())))
}

pub(crate) fn setup() -> Setup {
    let lookup = ToolDefinition {
        name: "lookup_order".into(),
        description: "Finds an order by its number.".into(),
        parameters: r#"{"type":"object","properties":{"number":{"type":"string"}}}"#.into(),
    };
    Setup {
        attachment: AttachmentId(1),
        correlation: CorrelationId::from_static("req-1"),
        instructions: "You answer the phone of a book shop.".into(),
        tools: Arc::from([lookup]),
        history: Vec::new(),
        hears: AudioFormat::MULAW_8K,
        speaks: AudioFormat::MULAW_8K,
        language: Some("en".into()),
        unix: UnixMillis(1_795_000_000_000),
    }
}

pub(crate) struct Rig {
    pub(crate) now: MonoTime,
    pub(crate) service: FakeAgent,
    pub(crate) events: Vec<(MonoTime, ProviderEvent)>,
    /// How calls of tools are answered; those that are not listed wait.
    pub(crate) tools: Option<ToolResult>,
    session: Box<dyn ProviderSession>,
    hears: AudioFormat,
    to_service: VecDeque<(MonoTime, ToService)>,
    to_session: VecDeque<(MonoTime, ToSession)>,
    microphone: Option<Microphone>,
    /// What the session said, before it was known to be over.
    pub(crate) sent: Vec<WireMessage>,
    line_up: bool,
    done: BTreeSet<ReplyId>,
}

struct Microphone {
    next: MonoTime,
    speech: VecDeque<u8>,
}

enum ToService {
    Request(Request),
    Message(WireMessage),
    Gone,
}

enum ToSession {
    Up,
    Message(WireMessage),
    Down(LineEnd),
}

impl Rig {
    pub(crate) fn polite() -> Self {
        Self::new(settings(), setup(), None)
    }

    pub(crate) fn rude(rudeness: Rudeness) -> Self {
        Self::new(settings(), setup(), Some(rudeness))
    }

    pub(crate) fn new(settings: AgentSettingsBuilder, setup: Setup, rudeness: Option<Rudeness>) -> Self {
        let agent = Agent::new(settings.build().expect("the settings are fine"));
        let hears = setup.hears;
        let mut rig = Self {
            now: MonoTime::ZERO,
            service: FakeAgent::new(KEY, 7).rude(rudeness),
            events: Vec::new(),
            tools: Some(ToolResult { output: r#"{"status":"sent"}"#.into(), failed: false }),
            session: agent.open(setup),
            hears,
            to_service: VecDeque::new(),
            to_session: VecDeque::new(),
            microphone: None,
            sent: Vec::new(),
            line_up: false,
            done: BTreeSet::new(),
        };
        rig.drain_session();
        rig
    }

    /// A rig that has become ready and whose caller is on the line.
    pub(crate) fn ready(mut self) -> Self {
        self.run(500);
        assert!(self.is_ready(), "{}", self.script());
        self.microphone = Some(Microphone { next: self.now, speech: VecDeque::new() });
        self
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        loop {
            let frame = self.microphone.as_ref().map(|microphone| microphone.next);
            let lines =
                [self.to_service.front().map(|(at, _)| *at), self.to_session.front().map(|(at, _)| *at)];
            let wakes = [self.drain_session(), self.drain_service()];
            let next = lines.into_iter().chain(wakes).chain([frame]).flatten().min().unwrap_or(end);
            if next > end {
                self.now = end;
                return;
            }
            if next == self.now && next == end && lines == [None, None] {
                return;
            }
            self.now = self.now.max(next);
            self.deliver();
            if self.now >= end && self.to_service.is_empty() && self.to_session.is_empty() {
                return;
            }
        }
    }

    /// The caller says one of the known sentences, and is silent until the answer has come.
    pub(crate) fn say(&mut self, name: &str) {
        let clip = caller(name).expect("a known sentence");
        let microphone = self.microphone.as_mut().expect("the caller is on the line");
        microphone.speech.extend(clip.mulaw);
    }

    /// As [`Self::say`], with the time for an answer.
    pub(crate) fn ask(&mut self, name: &str) {
        self.say(name);
        self.run(caller(name).expect("known").duration().as_millis() as u64 + 6_000);
    }

    /// The carrier sends nothing any more.
    pub(crate) fn mute(&mut self) {
        self.microphone = None;
    }

    pub(crate) fn command(&mut self, command: ProviderCommand) {
        self.session.handle(self.now, SessionInput::Command(command));
        self.drain_session();
    }

    pub(crate) fn wire(&mut self, message: &WireMessage) {
        self.session.handle(self.now, SessionInput::Wire(LineId(0), message));
        self.drain_session();
    }

    pub(crate) fn line_down(&mut self, end: LineEnd) {
        self.session.handle(self.now, SessionInput::LineDown(LineId(0), end));
        self.drain_session();
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.events.iter().any(|(_, event)| matches!(event, ProviderEvent::Ready { .. }))
    }

    /// The failure that ended the session, if it has ended.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.events.iter().find_map(|(_, event)| match event {
            ProviderEvent::Failed(failure) if failure.verdict() != Verdict::Ignore => Some(failure),
            _ => None,
        })
    }

    /// What the service saw, but for its settings.
    pub(crate) fn seen(&self) -> Vec<&Seen> {
        self.service.seen().iter().filter(|seen| !matches!(seen, Seen::Settings(_))).collect()
    }

    /// The settings as the service got them.
    pub(crate) fn settings(&self) -> serde_json::Value {
        let settings = self.service.seen().iter().find_map(|seen| match seen {
            Seen::Settings(settings) => Some(settings.clone()),
            _ => None,
        });
        settings.expect("settings were sent")
    }

    /// The session's events, one a line, with the sound of a reply summed up.
    pub(crate) fn script(&self) -> String {
        let mut lines = Vec::new();
        let mut sound: Option<(ReplyId, usize)> = None;
        for (_, event) in &self.events {
            if let ProviderEvent::Speech { reply, audio } = event {
                match &mut sound {
                    Some((speaking, bytes)) if speaking == reply => *bytes += audio.len(),
                    _ => sound = Some((*reply, audio.len())),
                }
                continue;
            }
            if matches!(event, ProviderEvent::ReplyDone { .. })
                && let Some((reply, bytes)) = sound.take()
            {
                lines.push(format!("{reply} sound of {bytes} bytes"));
            }
            lines.push(line(event));
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn deliver(&mut self) {
        while let Some((_, input)) = self.to_service.pop_front_if(|(at, _)| *at <= self.now) {
            match &input {
                ToService::Request(request) => self.service.handle(self.now, ServiceInput::Request(request)),
                ToService::Message(message) => self.service.handle(self.now, ServiceInput::Wire(message)),
                ToService::Gone => self.service.handle(self.now, ServiceInput::Gone),
            }
            self.drain_service();
        }
        while let Some((_, input)) = self.to_session.pop_front_if(|(at, _)| *at <= self.now) {
            match input {
                ToSession::Up => self.session.handle(self.now, SessionInput::LineUp(LineId(0))),
                ToSession::Message(message) => {
                    self.session.handle(self.now, SessionInput::Wire(LineId(0), &message));
                }
                ToSession::Down(end) => self.session.handle(self.now, SessionInput::LineDown(LineId(0), end)),
            }
            self.drain_session();
        }
        while let Some(frame) = self.microphone.as_mut().and_then(|microphone| microphone.frame(self.now)) {
            let data = in_format(&frame, self.hears);
            self.command(ProviderCommand::Hear(AudioFrame::new(self.hears, data)));
        }
        self.service.handle(self.now, ServiceInput::Tick);
        self.session.handle(self.now, SessionInput::Tick);
        self.drain_service();
        self.drain_session();
    }

    fn drain_session(&mut self) -> Option<MonoTime> {
        loop {
            match self.session.poll() {
                SessionOutput::Dial(_, endpoint) => {
                    self.to_service.push_back((self.now + DELAY, ToService::Request(request(&endpoint))));
                }
                SessionOutput::Send(_, message) => {
                    self.sent.push(message.clone());
                    self.to_service.push_back((self.now + DELAY, ToService::Message(message)));
                }
                SessionOutput::HangUp(_) => self.to_service.push_back((self.now + DELAY, ToService::Gone)),
                SessionOutput::Event(event) => self.take(event),
                SessionOutput::WaitUntil(at) => {
                    assert!(
                        at.is_none_or(|at| at > self.now || self.now == MonoTime::ZERO),
                        "wakes in the past"
                    );
                    return at;
                }
            }
        }
    }

    /// Checks what every session has to keep to.
    fn take(&mut self, event: ProviderEvent) {
        assert!(self.failure().is_none(), "{} after the end", line(&event));
        let ready = matches!(event, ProviderEvent::Ready { .. });
        assert!(!(ready && self.is_ready()), "ready twice");
        let reply = match &event {
            ProviderEvent::Speech { reply, audio } => {
                assert!(!audio.is_empty());
                Some(*reply)
            }
            ProviderEvent::Words { reply, .. } => Some(*reply),
            ProviderEvent::ReplyDone { reply, .. } => {
                assert!(self.done.insert(*reply), "{reply} is over twice");
                None
            }
            _ => None,
        };
        if let Some(reply) = reply {
            assert!(self.done.iter().all(|done| *done < reply), "{reply} after its end, or out of order");
        }
        let call = match &event {
            ProviderEvent::ToolCall(call) => Some(call.id),
            _ => None,
        };
        self.events.push((self.now, event));
        if let (Some(id), Some(result)) = (call, self.tools.clone()) {
            self.answer(id, result);
        }
    }

    pub(crate) fn answer(&mut self, id: ToolCallId, result: ToolResult) {
        self.session.handle(self.now, SessionInput::Command(ProviderCommand::Answer { id, result }));
    }

    fn drain_service(&mut self) -> Option<MonoTime> {
        loop {
            let input = match self.service.poll() {
                ServiceOutput::Accept { .. } => {
                    self.line_up = true;
                    ToSession::Up
                }
                ServiceOutput::Respond { status, .. } => {
                    let ServiceOutput::Send(body) = self.service.poll() else {
                        panic!("a refusal has a body")
                    };
                    let body = Bytes::copy_from_slice(body.as_bytes());
                    ToSession::Down(LineEnd::Refused { status, retry_after: None, body })
                }
                ServiceOutput::Send(message) => ToSession::Message(message),
                // The end of a refusal's body is no news.
                ServiceOutput::Close { .. } if !self.line_up => continue,
                ServiceOutput::Close { code, reason } => ToSession::Down(LineEnd::Closed { code, reason }),
                ServiceOutput::Cut => ToSession::Down(LineEnd::Cut),
                ServiceOutput::WaitUntil(at) => return at,
            };
            self.to_session.push_back((self.now + DELAY, input));
        }
    }
}

impl Microphone {
    fn frame(&mut self, now: MonoTime) -> Option<Vec<u8>> {
        if self.next > now {
            return None;
        }
        self.next += FRAME;
        let mut frame: Vec<u8> = self.speech.drain(..self.speech.len().min(160)).collect();
        frame.resize(160, 0xff);
        Some(frame)
    }
}

fn in_format(mulaw: &[u8], format: AudioFormat) -> Bytes {
    use voice_core::audio::g711::{mulaw_to_alaw, mulaw_to_linear};
    if format == AudioFormat::MULAW_8K {
        return Bytes::copy_from_slice(mulaw);
    }
    if format == AudioFormat::ALAW_8K {
        let mut alaw = vec![0; mulaw.len()];
        mulaw_to_alaw(mulaw, &mut alaw);
        return alaw.into();
    }
    let times = format.rate.hz() as usize / 8_000;
    let samples = mulaw.iter().flat_map(|code| std::iter::repeat_n(mulaw_to_linear(*code), times));
    samples.flat_map(i16::to_le_bytes).collect::<Vec<u8>>().into()
}

fn request(endpoint: &Endpoint) -> Request {
    let path = endpoint.url.splitn(4, '/').nth(3).unwrap_or_default();
    Request {
        method: "GET".into(),
        target: format!("/{path}"),
        headers: endpoint
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.expose().clone()))
            .collect(),
        body: Bytes::new(),
        upgrade: true,
    }
}

fn line(event: &ProviderEvent) -> String {
    match event {
        ProviderEvent::Ready { expires, .. } => format!("ready, until {expires:?}"),
        ProviderEvent::CallerSpoke(utterance) => format!("{utterance} spoke"),
        ProviderEvent::CallerPaused(utterance) => format!("{utterance} paused"),
        ProviderEvent::CallerSaid { utterance, text } => format!("{utterance} said {:?}", text.expose()),
        ProviderEvent::Speech { reply, .. } => format!("{reply} sound"),
        ProviderEvent::Words { reply, text } => format!("{reply} words {:?}", text.expose()),
        ProviderEvent::ReplyDone { reply, end } => format!("{reply} {end:?}"),
        ProviderEvent::ToolCall(call) => format!("{} {} {}", call.id, call.name, call.arguments.expose()),
        ProviderEvent::ToolCancelled(id) => format!("{id} cancelled"),
        ProviderEvent::Unknown { kind } => format!("unknown {kind}"),
        ProviderEvent::Failed(failure) => format!("{failure}, {:?}", failure.verdict()),
        other => format!("{other:?}"),
    }
}
