//! A caller, a call as far as a session needs one, and the three services, in virtual time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::{AudioFormat, AudioFrame, FRAME};
use voice_core::conversation::{Heard, ToolCall, ToolDefinition, ToolResult};
use voice_core::failure::{Failure, Verdict};
use voice_core::id::{AttachmentId, CorrelationId, LineId, ReplyId};
use voice_core::provider::{
    Provider, ProviderCommand, ProviderEvent, ProviderSession, ReplyEnd, SessionInput, SessionOutput, Setup,
};
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{Request, ServiceInput, ServiceOutput};
use voice_core::sim::speech::{caller, recognise};
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::{Endpoint, EndpointKind, LineEnd, Unreachable, WireMessage};
use voice_providers::deepgram::Credential;
use voice_providers::deepgram::pipeline::{EarsModel, Pipeline, PipelineBuilder, PipelineSettings};
use voice_providers::llm::ChatEndpoint;

use crate::network::{Fake, Line, Manners, answerer};

/// A reply as it reaches the caller.
#[derive(Default)]
pub(crate) struct Reply {
    pub(crate) words: String,
    pub(crate) audio: Vec<u8>,
    pub(crate) end: Option<ReplyEnd>,
    pub(crate) first_at: Option<MonoTime>,
    pub(crate) cut: Option<Duration>,
}

/// See the module.
pub(crate) struct World {
    pub(crate) now: MonoTime,
    manners: Manners,
    session: Box<dyn ProviderSession>,
    wakes: Option<MonoTime>,
    lines: Vec<Line>,
    minds_asked: (usize, usize),
    /// Frames of the caller still to be spoken, and when the next is due; `None` while they are mute.
    mouth: VecDeque<Bytes>,
    next_frame: Option<MonoTime>,
    answers: Vec<(MonoTime, ToolCall)>,
    pub(crate) tool_calls: Vec<(String, String)>,
    /// Replies in order, and until when the caller will have heard what there is.
    pub(crate) replies: Vec<(ReplyId, Reply)>,
    playing: VecDeque<(ReplyId, usize, MonoTime)>,
    pub(crate) heard_until: MonoTime,
    pub(crate) events: Vec<(MonoTime, ProviderEvent)>,
    pub(crate) ready: bool,
    pub(crate) failure: Option<Failure>,
    /// What must never happen, and did.
    pub(crate) offences: Vec<String>,
}

pub(crate) fn settings() -> PipelineBuilder {
    let mind = ChatEndpoint::new("https://mind.example/v1", "fake").expect("a good address");
    PipelineSettings::builder(
        Credential::ApiKey(Secret::new("dg".into())),
        mind.bearer(Secret::new("sk".into())),
    )
}

pub(crate) fn spare() -> ChatEndpoint {
    let spare = ChatEndpoint::new("https://spare.example/v1", "spare").expect("a good address");
    spare.bearer(Secret::new("sk".into()))
}

pub(crate) fn listen() -> EarsModel {
    EarsModel::listen("nova-3")
}

pub(crate) fn eager() -> EarsModel {
    EarsModel::Flux {
        model: "flux-general-en".into(),
        eot_threshold: 0.7,
        eager_eot_threshold: Some(0.4),
        eot_timeout: Duration::from_secs(5),
    }
}

pub(crate) fn polite() -> Manners {
    Manners {
        seed: 1,
        tools_offered: true,
        tool_takes: Some(Duration::from_millis(300)),
        ..Manners::default()
    }
}

impl World {
    pub(crate) fn new(builder: PipelineBuilder, manners: Manners) -> Self {
        Self::with_format(builder, manners, AudioFormat::MULAW_8K)
    }

    pub(crate) fn with_format(builder: PipelineBuilder, manners: Manners, speaks: AudioFormat) -> Self {
        let pipeline = Pipeline::new(builder.build().expect("good settings"));
        let tool = ToolDefinition {
            name: "lookup_order".into(),
            description: "Looks an order up.".into(),
            parameters: r#"{"type":"object","properties":{"number":{"type":"string"}}}"#.into(),
        };
        let tools: Arc<[ToolDefinition]> = if manners.tools_offered { [tool].into() } else { [].into() };
        let setup = Setup {
            attachment: AttachmentId(3),
            correlation: CorrelationId::from_static("test"),
            instructions: "You are Ada from the book shop.".into(),
            tools,
            history: manners.history.clone(),
            hears: AudioFormat::MULAW_8K,
            speaks,
            language: Some("en".into()),
            unix: UnixMillis(0),
        };
        let mut world = Self {
            now: MonoTime::ZERO,
            session: pipeline.open(setup),
            manners,
            wakes: None,
            lines: Vec::new(),
            minds_asked: (0, 0),
            mouth: VecDeque::new(),
            next_frame: None,
            answers: Vec::new(),
            tool_calls: Vec::new(),
            replies: Vec::new(),
            playing: VecDeque::new(),
            heard_until: MonoTime::ZERO,
            events: Vec::new(),
            ready: false,
            failure: None,
            offences: Vec::new(),
        };
        world.drain();
        world
    }

    /// A world whose session is ready and whose caller is on the line.
    pub(crate) fn connected(builder: PipelineBuilder, manners: Manners) -> Self {
        let mut world = Self::new(builder, manners);
        world.run(Duration::from_millis(500));
        assert!(world.ready, "ready after half a second: {:?}", world.failure);
        world.lift();
        world
    }

    /// From now on the caller's line gives a frame each 20 ms.
    pub(crate) fn lift(&mut self) {
        self.next_frame = Some(self.now);
    }

    /// The caller's audio stops altogether.
    pub(crate) fn mute(&mut self) {
        self.next_frame = None;
        self.mouth.clear();
    }

    /// The caller says this.
    pub(crate) fn say(&mut self, name: &str) {
        let clip = caller(name).expect("the caller can say that");
        self.say_audio(clip.mulaw);
    }

    pub(crate) fn say_audio(&mut self, mulaw: &[u8]) {
        for frame in mulaw.chunks(160) {
            let mut frame = frame.to_vec();
            frame.resize(160, 0xff);
            self.mouth.push_back(frame.into());
        }
    }

    /// The caller says this, and everybody takes the time that they need for it and its answer.
    pub(crate) fn exchange(&mut self, name: &str) -> String {
        let before = self.replies.len();
        self.say(name);
        self.run(Duration::from_secs(9));
        let said = self.replies[before..].iter().map(|(_, reply)| reply.words.as_str());
        said.collect::<Vec<_>>().join(" | ")
    }

    pub(crate) fn command(&mut self, command: ProviderCommand) {
        self.session.handle(self.now, SessionInput::Command(command));
        self.drain();
    }

    /// Something arrives on the first open line of that kind (`listen`, `speak`, `llm`).
    pub(crate) fn inject(&mut self, kind: &str, message: WireMessage) {
        let line = self.lines.iter().find(|line| line.up && !line.over && line.fake.kind() == kind);
        if let Some(id) = line.map(|line| line.id) {
            self.session.handle(self.now, SessionInput::Wire(id, &message));
            self.drain();
        }
    }

    /// The first open line of that kind ends like this.
    pub(crate) fn end_line(&mut self, kind: &str, end: LineEnd) {
        let line = self.lines.iter_mut().find(|line| !line.over && line.fake.kind() == kind);
        let line = line.expect("there is such a line");
        line.over = true;
        let id = line.id;
        self.session.handle(self.now, SessionInput::LineDown(id, end));
        self.drain();
    }

    /// Lets so much time pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 2_000_000, "time goes on");
            let next = self.next_time();
            if next.is_none_or(|at| at > until) {
                break;
            }
            self.now = self.now.max(next.unwrap_or(until));
            self.step();
        }
        self.now = until;
    }

    /// Runs until nothing but time would pass for a while, at most so long.
    pub(crate) fn settle(&mut self) {
        self.run(Duration::from_secs(12));
    }

    /// What all fakes of one kind saw.
    pub(crate) fn log(&self, kind: &str) -> Vec<String> {
        let of_kind = self.lines.iter().filter(|line| line.fake.kind() == kind);
        of_kind.flat_map(|line| line.fake.log().to_vec()).collect()
    }

    /// The bodies of the requests to language models.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.log("llm").into_iter().filter(|entry| entry.starts_with('{')).collect()
    }

    pub(crate) fn dials(&self, kind: &str) -> usize {
        self.lines.iter().filter(|line| line.fake.kind() == kind).count()
    }

    /// Names of the clips that the caller heard whole, in order.
    pub(crate) fn clips(&self) -> Vec<&'static str> {
        self.replies.iter().filter_map(|(_, reply)| recognise(&reply.audio).map(|clip| clip.name)).collect()
    }

    /// What the caller said, as it was understood.
    pub(crate) fn said(&self) -> Vec<String> {
        let said = |event: &ProviderEvent| {
            let ProviderEvent::CallerSaid { text, .. } = event else { return None };
            Some(text.expose().clone())
        };
        self.events.iter().filter_map(|(_, event)| said(event)).collect()
    }

    /// Codes of what was reported and changed nothing.
    pub(crate) fn harmless(&self) -> Vec<String> {
        let code = |event: &ProviderEvent| {
            let ProviderEvent::Failed(Failure::Harmless { code }) = event else { return None };
            Some(code.clone())
        };
        self.events.iter().filter_map(|(_, event)| code(event)).collect()
    }

    pub(crate) fn count(&self, what: impl Fn(&ProviderEvent) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| what(event)).count()
    }

    /// When the first event of that kind came after this time.
    pub(crate) fn first_after(&self, since: MonoTime, what: impl Fn(&ProviderEvent) -> bool) -> MonoTime {
        let found = self.events.iter().find(|(at, event)| *at >= since && what(event));
        found.map(|(at, _)| *at).expect("it happened")
    }

    fn next_time(&mut self) -> Option<MonoTime> {
        let fakes: Vec<MonoTime> = (0..self.lines.len()).filter_map(|at| self.poll_line(at)).collect();
        let answers = self.answers.iter().map(|(at, _)| *at);
        let own = [self.wakes, self.next_frame].into_iter().flatten();
        fakes.into_iter().chain(answers).chain(own).min()
    }

    fn step(&mut self) {
        if self.next_frame.is_some_and(|at| at <= self.now) {
            self.next_frame = self.next_frame.map(|at| at + FRAME);
            let frame = self.mouth.pop_front().unwrap_or_else(|| Bytes::from_static(&[0xff; 160]));
            if self.ready {
                let frame = AudioFrame::new(AudioFormat::MULAW_8K, frame);
                self.command(ProviderCommand::Hear(frame));
            }
        }
        while let Some(at) = self.answers.iter().position(|(at, _)| *at <= self.now) {
            let (_, call) = self.answers.remove(at);
            let output = r#"{"eta":"Friday"}"#.into();
            self.command(ProviderCommand::Answer {
                id: call.id,
                result: ToolResult { output, failed: false },
            });
        }
        for line in &mut self.lines {
            line.fake.handle(self.now, ServiceInput::Tick);
        }
        self.session.handle(self.now, SessionInput::Tick);
        self.drain();
    }

    /// Carries out what one fake wants now. Answers when it wants more.
    fn poll_line(&mut self, at: usize) -> Option<MonoTime> {
        loop {
            let output = self.lines[at].fake.poll();
            if let ServiceOutput::WaitUntil(next) = output {
                return next.filter(|_| !self.lines[at].over);
            }
            let line = &mut self.lines[at];
            if line.over {
                continue;
            }
            let (id, now) = (line.id, self.now);
            let input = match output {
                ServiceOutput::Accept { .. } => {
                    line.up = true;
                    SessionInput::LineUp(id)
                }
                ServiceOutput::Respond { status: 200, .. } if line.http => {
                    line.up = true;
                    SessionInput::LineUp(id)
                }
                ServiceOutput::Respond { status, headers } => {
                    let after = headers.iter().find(|(name, _)| *name == "retry-after");
                    let after = after.and_then(|(_, value)| value.parse().ok()).map(Duration::from_secs);
                    line.refused = Some((status, after, Vec::new()));
                    continue;
                }
                ServiceOutput::Send(message) => {
                    if let Some((_, _, body)) = &mut line.refused {
                        body.extend_from_slice(message.as_bytes());
                        continue;
                    }
                    self.session.handle(now, SessionInput::Wire(id, &message));
                    self.drain();
                    continue;
                }
                ServiceOutput::Close { code, reason } => {
                    line.over = true;
                    SessionInput::LineDown(id, line.end(code, reason))
                }
                ServiceOutput::Cut => {
                    line.over = true;
                    SessionInput::LineDown(id, LineEnd::Cut)
                }
                ServiceOutput::WaitUntil(_) => continue,
            };
            self.session.handle(now, input);
            self.drain();
        }
    }

    fn drain(&mut self) {
        for _ in 0..100_000 {
            match self.session.poll() {
                SessionOutput::Dial(id, endpoint) => self.dial(id, &endpoint),
                SessionOutput::Send(id, message) => self.send(id, &message),
                SessionOutput::HangUp(id) => {
                    if let Some(line) = self.lines.iter_mut().find(|line| line.id == id) {
                        line.over = true;
                        line.fake.handle(self.now, ServiceInput::Gone);
                    }
                }
                SessionOutput::Event(event) => self.on_event(event),
                SessionOutput::WaitUntil(at) => {
                    self.wakes = at;
                    return;
                }
            }
        }
        panic!("the session never waits");
    }

    fn dial(&mut self, id: LineId, endpoint: &Endpoint) {
        if self.lines.iter().any(|line| line.id == id) {
            self.offences.push(format!("{id} was dialled twice"));
        }
        let (_, rest) = endpoint.url.split_once("://").expect("a scheme");
        let (host, path) = rest.split_once('/').expect("a path");
        let target = format!("/{path}");
        let (http, method, body) = match &endpoint.kind {
            EndpointKind::WebSocket { .. } => (false, "GET", Bytes::new()),
            EndpointKind::Http { method, body } => (true, *method, body.clone()),
        };
        let seed = self.manners.seed + self.lines.len() as u64;
        let fake = answerer(&self.manners, &mut self.minds_asked, seed, host, &target);
        let headers = endpoint.headers.iter().map(|(n, v)| ((*n).to_owned(), v.expose().clone())).collect();
        let request = Request { method: method.to_owned(), target, headers, body, upgrade: !http };
        let mut line = Line { id, fake, up: false, http, refused: None, over: false };
        line.fake.handle(self.now, ServiceInput::Request(&request));
        let unreachable = matches!(line.fake, Fake::Nobody);
        line.over = unreachable;
        self.lines.push(line);
        if unreachable {
            let end = LineEnd::Unreachable(Unreachable::Tcp);
            self.session.handle(self.now, SessionInput::LineDown(id, end));
        }
    }

    /// How often the first and the second language model were asked.
    pub(crate) fn minds_asked(&self) -> (usize, usize) {
        self.minds_asked
    }

    /// From now on everybody behaves like this.
    pub(crate) fn behave(&mut self, manners: Manners) {
        self.minds_asked = (0, 0);
        self.manners = manners;
    }

    fn send(&mut self, id: LineId, message: &WireMessage) {
        let now = self.now;
        let Some(line) = self.lines.iter_mut().find(|line| line.id == id) else {
            return self.offences.push(format!("sent to {id}, which was never dialled"));
        };
        if line.over {
            return;
        }
        if !line.up {
            self.offences.push(format!("sent to {id} before it was up"));
        }
        if matches!(message, WireMessage::Binary(bytes) if bytes.is_empty()) {
            self.offences.push("sent an empty binary message".to_owned());
        }
        line.fake.handle(now, ServiceInput::Wire(message));
    }

    fn on_event(&mut self, event: ProviderEvent) {
        if self.failure.is_some() {
            self.offences.push(format!("{event:?} after the end"));
        }
        self.events.push((self.now, event.clone()));
        if let ProviderEvent::Ready { .. } = event {
            if std::mem::replace(&mut self.ready, true) {
                self.offences.push("ready twice".to_owned());
            }
        } else if let ProviderEvent::CallerSpoke(_) = event {
            if !self.manners.never_interrupts {
                self.barge_in();
            }
        } else if let ProviderEvent::Speech { reply, audio } = event {
            self.on_speech(reply, &audio);
        } else if let ProviderEvent::Words { reply, text } = event {
            self.reply(reply).words.push_str(text.expose());
        } else if let ProviderEvent::ReplyDone { reply, end } = event {
            if self.reply(reply).end.replace(end).is_some() {
                self.offences.push(format!("{reply} ended twice"));
            }
        } else if let ProviderEvent::ToolCall(call) = event {
            self.tool_calls.push((call.name.clone(), call.arguments.expose().clone()));
            if let Some(takes) = self.manners.tool_takes {
                self.answers.push((self.now + takes, call));
            }
        } else if let ProviderEvent::Failed(failure) = event
            && failure.verdict() != Verdict::Ignore
        {
            self.failure = Some(failure);
        }
    }

    fn reply(&mut self, id: ReplyId) -> &mut Reply {
        let at = match self.replies.iter().position(|(known, _)| *known == id) {
            Some(at) => at,
            None => {
                if self.replies.last().is_some_and(|(last, _)| *last >= id) {
                    self.offences.push(format!("{id} does not rise"));
                }
                self.replies.push((id, Reply::default()));
                self.replies.len() - 1
            }
        };
        if self.replies[at].1.end.is_some() {
            self.offences.push(format!("something of {id} after its end"));
        }
        &mut self.replies[at].1
    }

    fn on_speech(&mut self, id: ReplyId, audio: &Bytes) {
        let now = self.now;
        let reply = self.reply(id);
        reply.first_at.get_or_insert(now);
        reply.audio.extend_from_slice(audio);
        if reply.cut.is_some() {
            return;
        }
        self.heard_until = self.heard_until.max(now) + AudioFormat::MULAW_8K.duration_of(audio.len());
        self.playing.push_back((id, audio.len(), self.heard_until));
    }

    /// What the call does when the caller speaks: whatever is not heard yet is cut.
    fn barge_in(&mut self) {
        let now = self.now;
        let open: Vec<ReplyId> = self
            .replies
            .iter()
            .filter(|(id, reply)| {
                let plays = self.playing.iter().any(|(playing, _, ends)| playing == id && *ends > now);
                reply.cut.is_none() && (reply.end.is_none() || plays)
            })
            .map(|(id, _)| *id)
            .collect();
        let mut heard = Vec::new();
        for id in open {
            let pieces = self.playing.iter().filter(|(playing, ..)| *playing == id);
            let (mut ear, mut all) = (Duration::ZERO, Duration::ZERO);
            for (_, bytes, ends) in pieces {
                let lasts = AudioFormat::MULAW_8K.duration_of(*bytes);
                all += lasts;
                ear += lasts.saturating_sub(ends.since(now));
            }
            heard.push(Heard { reply: id, heard: ear, unheard: all - ear });
            if let Some((_, reply)) = self.replies.iter_mut().find(|(known, _)| *known == id) {
                reply.cut = Some(ear);
            }
        }
        self.playing.clear();
        self.heard_until = now;
        if !heard.is_empty() {
            self.session.handle(now, SessionInput::Command(ProviderCommand::Interrupt(heard)));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.offences.is_empty(), "{:#?}", self.offences);
        }
    }
}
