//! A session, its connections to the fake, and a microphone, in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use voice_core::audio::convert::Converter;
use voice_core::audio::{AudioFormat, AudioFrame};
use voice_core::conversation::{Heard, ToolDefinition, ToolResult, Turn};
use voice_core::failure::Failure;
use voice_core::id::{AttachmentId, CorrelationId, LineId, ReplyId};
use voice_core::provider::{
    Provider, ProviderCommand, ProviderEvent, ProviderSession, ReplyEnd, SessionInput, SessionOutput, Setup,
};
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::sim::speech;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::{Endpoint, LineEnd, WireMessage};
use voice_providers::gemini::{Gemini, GeminiSettings, GeminiSettingsBuilder};
use voice_providers::sim::gemini::{FakeGemini, FakeGeminiConfig, FakeGeminiMemory, Seen};

/// One way over the network.
const LATENCY: Duration = Duration::from_millis(20);

pub(crate) struct World {
    session: Box<dyn ProviderSession>,
    config: FakeGeminiConfig,
    memory: FakeGeminiMemory,
    pub(crate) lines: Vec<Line>,
    post: BTreeMap<(MonoTime, u64), Delivery>,
    count: u64,
    pub(crate) now: MonoTime,
    pub(crate) events: Vec<(MonoTime, ProviderEvent)>,
    mic: Mic,
    /// What tools answer, after 200 ms; `None`: nothing ever.
    pub(crate) tool: Option<ToolResult>,
    wakes: Option<MonoTime>,
}

pub(crate) struct Line {
    id: LineId,
    fake: FakeGemini,
    pub(crate) endpoint: Endpoint,
    pub(crate) dialled: MonoTime,
    pub(crate) closed: Option<MonoTime>,
    refused: Option<u16>,
}

enum Delivery {
    Up(LineId),
    ToFake(usize, Option<WireMessage>),
    ToSession(LineId, WireMessage),
    Down(LineId, LineEnd),
    Command(ProviderCommand),
    Mic,
}

struct Mic {
    format: AudioFormat,
    frames: VecDeque<AudioFrame>,
    on: bool,
}

pub(crate) fn settings() -> GeminiSettingsBuilder {
    GeminiSettings::new(Secret::new("AIza-test".to_owned())).url("ws://fake.example")
}

pub(crate) fn lookup_tool() -> ToolDefinition {
    ToolDefinition {
        name: "lookup_order".into(),
        description: "Finds an order.".into(),
        parameters: r#"{"type":"object","properties":{"number":{"type":"string"}}}"#.into(),
    }
}

pub(crate) fn setup(history: Vec<Turn>) -> Setup {
    Setup {
        attachment: AttachmentId(3),
        correlation: CorrelationId::from_static("test-1"),
        instructions: "You answer the phone of a book shop.".into(),
        tools: Arc::from([lookup_tool()]),
        history,
        hears: AudioFormat::PCM16_16K,
        speaks: AudioFormat::PCM16_24K,
        language: None,
        unix: UnixMillis(1_795_230_000_000),
    }
}

impl World {
    pub(crate) fn new(config: FakeGeminiConfig) -> Self {
        Self::with(config, settings(), setup(Vec::new()))
    }

    pub(crate) fn with(config: FakeGeminiConfig, settings: GeminiSettingsBuilder, setup: Setup) -> Self {
        let format = setup.hears;
        let provider = Gemini::new(settings.build().expect("these settings are valid"));
        let mut world = Self {
            session: provider.open(setup),
            config,
            memory: FakeGeminiMemory::default(),
            lines: Vec::new(),
            post: BTreeMap::new(),
            count: 0,
            now: MonoTime::from_millis(1_000),
            events: Vec::new(),
            mic: Mic { format, frames: VecDeque::new(), on: false },
            tool: Some(ToolResult { output: r#"{"eta":"Friday"}"#.into(), failed: false }),
            wakes: None,
        };
        world.drain();
        world
    }

    /// A session that has become ready, with the microphone on.
    pub(crate) fn ready(config: FakeGeminiConfig) -> Self {
        let mut world = Self::new(config);
        world.become_ready();
        world
    }

    pub(crate) fn become_ready(&mut self) {
        self.until(|world| world.is_ready(), 5);
        self.switch_mic(true);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.events.iter().any(|(_, event)| matches!(event, ProviderEvent::Ready { .. }))
    }

    pub(crate) fn switch_mic(&mut self, on: bool) {
        if on && !self.mic.on {
            self.post(self.now, Delivery::Mic);
        }
        self.mic.on = on;
    }

    /// The caller says a recorded sentence; how long that takes.
    pub(crate) fn say(&mut self, name: &str) -> Duration {
        let clip = speech::caller(name).expect("there is such a clip");
        let mut converter = Converter::new(AudioFormat::MULAW_8K, self.mic.format);
        for chunk in clip.mulaw.chunks(160) {
            let mut mulaw = chunk.to_vec();
            mulaw.resize(160, 0xff);
            let data = converter.convert(mulaw.into());
            self.mic.frames.push_back(AudioFrame::new(self.mic.format, data));
        }
        clip.duration()
    }

    pub(crate) fn command(&mut self, command: ProviderCommand) {
        let now = self.now;
        self.session.handle(now, SessionInput::Command(command));
        self.drain();
    }

    pub(crate) fn speak(&mut self, cue: Option<&str>) {
        self.command(ProviderCommand::Speak { cue: cue.map(str::to_owned) });
    }

    /// The network fails.
    pub(crate) fn cut(&mut self) {
        let line = self.lines.last().expect("there is a line").id;
        let n = self.lines.len() - 1;
        self.post(self.now, Delivery::ToFake(n, None));
        self.post(self.now, Delivery::Down(line, LineEnd::Cut));
    }

    pub(crate) fn interrupt(&mut self, reply: ReplyId) {
        let heard = Heard { reply, heard: Duration::from_millis(500), unheard: Duration::from_secs(1) };
        self.command(ProviderCommand::Interrupt(vec![heard]));
    }

    /// Runs for so many milliseconds.
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until it is so.
    pub(crate) fn until(&mut self, is: impl Fn(&Self) -> bool, secs: u64) {
        let end = self.now + Duration::from_secs(secs);
        while !is(self) {
            if !self.step(end) {
                panic!("not within {secs} s; events: {:#?}", self.told());
            }
        }
    }

    /// Runs until so many replies are done.
    pub(crate) fn until_replies(&mut self, count: usize) {
        self.until(|world| world.ends().len() >= count, 40);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.memory.seen()
    }

    /// Events in short, without audio and words.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut told: Vec<String> = self.events.iter().filter_map(|(_, event)| short(event)).collect();
        told.dedup();
        told
    }

    pub(crate) fn ends(&self) -> Vec<(ReplyId, ReplyEnd)> {
        let end = |(_, event): &(MonoTime, ProviderEvent)| match event {
            ProviderEvent::ReplyDone { reply, end } => Some((*reply, *end)),
            _ => None,
        };
        self.events.iter().filter_map(end).collect()
    }

    /// How much of a reply has come.
    pub(crate) fn spoken(&self, reply: ReplyId) -> Duration {
        let bytes = self.events.iter().map(|(_, event)| match event {
            ProviderEvent::Speech { reply: of, audio } if *of == reply => audio.len(),
            _ => 0,
        });
        AudioFormat::PCM16_24K.duration_of(bytes.sum())
    }

    pub(crate) fn words(&self, reply: ReplyId) -> String {
        let words = self.events.iter().map(|(_, event)| match event {
            ProviderEvent::Words { reply: of, text } if *of == reply => text.expose().as_str(),
            _ => "",
        });
        words.collect()
    }

    pub(crate) fn said(&self) -> Vec<String> {
        let said = |(_, event): &(MonoTime, ProviderEvent)| match event {
            ProviderEvent::CallerSaid { text, .. } => Some(text.expose().clone()),
            _ => None,
        };
        self.events.iter().filter_map(said).collect()
    }

    /// The failure that ended the session, if one has.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.events.iter().find_map(|(_, event)| match event {
            ProviderEvent::Failed(failure) if failure.kind() != "harmless" => Some(failure.clone()),
            _ => None,
        })
    }

    /// One delivery or wake-up, if there is one before the end.
    fn step(&mut self, end: MonoTime) -> bool {
        let fakes: Vec<Option<MonoTime>> = (0..self.lines.len()).map(|n| self.drain_fake(n)).collect();
        let post = self.post.keys().next().map(|(at, _)| *at);
        let next = fakes.iter().copied().flatten().chain(post).chain(self.wakes).min();
        let Some(at) = next.filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        if let Some(entry) = self.post.first_entry()
            && entry.key().0 <= self.now
        {
            let (_, delivery) = entry.remove_entry();
            self.deliver(delivery);
        }
        for (n, wakes) in fakes.into_iter().enumerate() {
            if wakes.is_some_and(|wakes| wakes <= self.now) {
                self.lines[n].fake.handle(self.now, ServiceInput::Tick);
                self.drain_fake(n);
            }
        }
        if self.wakes.is_some_and(|wakes| wakes <= self.now) {
            self.session.handle(self.now, SessionInput::Tick);
        }
        self.drain();
        true
    }

    fn deliver(&mut self, delivery: Delivery) {
        let now = self.now;
        match delivery {
            Delivery::Up(line) => self.session.handle(now, SessionInput::LineUp(line)),
            Delivery::ToFake(n, Some(message)) => {
                self.lines[n].fake.handle(now, ServiceInput::Wire(&message));
            }
            Delivery::ToFake(n, None) => self.lines[n].fake.handle(now, ServiceInput::Gone),
            Delivery::ToSession(line, message) => {
                if self.is_open(line) {
                    self.session.handle(now, SessionInput::Wire(line, &message));
                }
            }
            Delivery::Down(line, end) => {
                if self.is_open(line) {
                    self.close(line);
                    self.session.handle(now, SessionInput::LineDown(line, end));
                }
            }
            Delivery::Command(command) => self.session.handle(now, SessionInput::Command(command)),
            Delivery::Mic => {
                if !self.mic.on {
                    return;
                }
                let frame = self.mic.frames.pop_front().unwrap_or_else(|| {
                    AudioFrame::new(self.mic.format, vec![0; self.mic.format.frame_bytes()].into())
                });
                self.session.handle(now, SessionInput::Command(ProviderCommand::Hear(frame)));
                self.post(now + Duration::from_millis(20), Delivery::Mic);
            }
        }
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll() {
                SessionOutput::Dial(line, endpoint) => self.dial(line, endpoint),
                SessionOutput::Send(line, message) => {
                    let n = self.position(line).expect("it sends on lines that it dialled");
                    self.post(self.now + LATENCY, Delivery::ToFake(n, Some(message)));
                }
                SessionOutput::HangUp(line) => {
                    let n = self.position(line).expect("it hangs up lines that it dialled");
                    self.close(line);
                    self.post(self.now + LATENCY, Delivery::ToFake(n, None));
                }
                SessionOutput::Event(event) => self.tell(event),
                SessionOutput::WaitUntil(at) => {
                    self.wakes = at;
                    return;
                }
            }
        }
    }

    fn tell(&mut self, event: ProviderEvent) {
        assert_eq!(self.failure(), None, "nothing comes after the end: {event:?}");
        if let ProviderEvent::Speech { reply, .. } | ProviderEvent::Words { reply, .. } = &event {
            assert!(self.ends().iter().all(|(done, _)| done != reply), "{reply} is done");
        }
        if let ProviderEvent::Ready { .. } = &event {
            assert!(!self.is_ready(), "it is ready once");
        }
        if let ProviderEvent::ToolCall(call) = &event
            && let Some(result) = self.tool.clone()
        {
            let answer = ProviderCommand::Answer { id: call.id, result };
            self.post(self.now + Duration::from_millis(200), Delivery::Command(answer));
        }
        self.events.push((self.now, event));
    }

    fn dial(&mut self, line: LineId, endpoint: Endpoint) {
        assert!(self.position(line).is_none(), "every line has a number of its own");
        let target = endpoint.url.splitn(4, '/').nth(3).unwrap_or_default();
        let headers =
            endpoint.headers.iter().map(|(name, value)| ((*name).to_owned(), value.expose().clone()));
        let request = Request {
            method: "GET".into(),
            target: format!("/{target}"),
            headers: headers.collect(),
            body: bytes::Bytes::new(),
            upgrade: true,
        };
        let mut fake = FakeGemini::new(self.config.clone(), self.memory.clone());
        fake.handle(self.now + LATENCY, ServiceInput::Request(&request));
        self.lines.push(Line { id: line, fake, endpoint, dialled: self.now, closed: None, refused: None });
    }

    fn drain_fake(&mut self, n: usize) -> Option<MonoTime> {
        let line = self.lines[n].id;
        loop {
            let delivery = match self.lines[n].fake.poll() {
                ServiceOutput::Accept { .. } => Delivery::Up(line),
                ServiceOutput::Respond { status, .. } => {
                    self.lines[n].refused = Some(status);
                    continue;
                }
                ServiceOutput::Send(message) => match self.lines[n].refused {
                    None => Delivery::ToSession(line, message),
                    Some(status) => {
                        let body = bytes::Bytes::copy_from_slice(message.as_bytes());
                        Delivery::Down(line, LineEnd::Refused { status, retry_after: None, body })
                    }
                },
                ServiceOutput::Close { code, reason } => {
                    Delivery::Down(line, LineEnd::Closed { code, reason })
                }
                ServiceOutput::Cut => Delivery::Down(line, LineEnd::Cut),
                ServiceOutput::WaitUntil(at) => return at,
            };
            self.post(self.now + LATENCY, delivery);
        }
    }

    fn post(&mut self, at: MonoTime, delivery: Delivery) {
        self.count += 1;
        self.post.insert((at, self.count), delivery);
    }

    fn position(&self, line: LineId) -> Option<usize> {
        self.lines.iter().position(|known| known.id == line)
    }

    fn is_open(&self, line: LineId) -> bool {
        self.position(line).is_some_and(|n| self.lines[n].closed.is_none())
    }

    fn close(&mut self, line: LineId) {
        let now = self.now;
        if let Some(n) = self.position(line) {
            self.lines[n].closed.get_or_insert(now);
        }
    }
}

/// The `number`th reply.
pub(crate) fn reply(number: u32) -> ReplyId {
    ReplyId::new(AttachmentId(3), number)
}

fn short(event: &ProviderEvent) -> Option<String> {
    Some(match event {
        ProviderEvent::Ready { .. } => "ready".to_owned(),
        ProviderEvent::CallerSpoke(utterance) => format!("{utterance} spoke"),
        ProviderEvent::CallerPaused(utterance) => format!("{utterance} paused"),
        ProviderEvent::CallerSaid { utterance, text } => format!("{utterance} said: {}", text.expose()),
        ProviderEvent::Speech { reply, .. } => format!("{reply} speech"),
        ProviderEvent::ReplyDone { reply, end } => format!("{reply} {end:?}"),
        ProviderEvent::ToolCall(call) => format!("{} {}({})", call.id, call.name, call.arguments.expose()),
        ProviderEvent::ToolCancelled(id) => format!("{id} cancelled"),
        ProviderEvent::Unknown { kind } => format!("unknown {kind}"),
        ProviderEvent::Failed(failure) => format!("failed {}", failure.kind()),
        ProviderEvent::Words { .. } | ProviderEvent::Used(_) => return None,
        _ => "?".to_owned(),
    })
}
