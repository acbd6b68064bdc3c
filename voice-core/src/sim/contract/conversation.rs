//! A caller who speaks, listens and interrupts, on one side of a session; its fake service on the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Scene, Subject, Wish};
use crate::audio::convert::Converter;
use crate::audio::{AudioFormat, AudioFrame, FRAME};
use crate::capabilities::{CallerSpeech, Capabilities};
use crate::conversation::{Heard, ToolCall, ToolDefinition, ToolResult, Turn};
use crate::failure::{Failure, Verdict};
use crate::id::{AttachmentId, CorrelationId, ReplyId, ToolCallId};
use crate::provider::{ProviderCommand, ProviderEvent, ReplyEnd, Setup};
use crate::sim::harness::Harness;
use crate::sim::rng::Rng;
use crate::sim::speech;
use crate::time::{MonoTime, UnixMillis};
use crate::wire::{EndpointKind, WireMessage};

/// One call, as far as a session needs one.
pub struct Conversation {
    /// The session and its lines.
    pub harness: Harness,
    capabilities: Capabilities,
    hears: AudioFormat,
    speaks: AudioFormat,
    tools: Tools,
    answers: VecDeque<(MonoTime, ToolCall)>,
    replies: Vec<Reply>,
    events: Vec<ProviderEvent>,
    sentences: [&'static str; 4],
}

/// What becomes of calls of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tools {
    /// They are answered after a moment.
    Answer,
    /// Nobody answers.
    Ignore,
}

/// A reply as it reaches the caller.
#[derive(Debug)]
pub struct Reply {
    /// Which.
    pub id: ReplyId,
    /// Its words so far.
    pub words: String,
    /// How much sound of it came.
    pub sound: Duration,
    /// How it ended, if it has.
    pub end: Option<ReplyEnd>,
    /// The caller interrupted it.
    pub cut: bool,
    /// When its sound began and, as far as it has come, ends in the caller's ear.
    played: Option<(MonoTime, MonoTime)>,
}

/// The time a tool takes.
const TOOL_TAKES: Duration = Duration::from_millis(300);

impl Conversation {
    /// Begins one; `None` if the service does not know this scene.
    pub fn begin(subject: &dyn Subject, seed: u64, scene: Scene, history: Vec<Turn>) -> Option<Self> {
        let provider = subject.provider();
        let mut answerer = subject.service(seed, scene)?;
        let capabilities = provider.capabilities().clone();
        let mut rng = Rng::new(seed);
        let (hears, speaks) = (*capabilities.hears.first()?, *capabilities.speaks.first()?);
        let setup = Setup {
            attachment: AttachmentId(1 + rng.range(0..5) as u32),
            correlation: CorrelationId::from_static("contract"),
            instructions: "You answer the phone of a book shop.".into(),
            tools: Arc::from([lookup_tool()]),
            history,
            hears,
            speaks,
            language: Some("en".to_owned()),
            unix: UnixMillis(1_795_230_000_000),
        };
        let attachment = setup.attachment;
        let latency = rng.millis(1..80);
        let harness = Harness::new(attachment, provider.open(setup), latency, move |id, to| answerer(id, to));
        let harness = match capabilities.caller_speech {
            CallerSpeech::Told => harness,
            CallerSpeech::Detected => harness.caller_is_detected(),
        };
        let wishes = [Wish::Answer, Wish::LongAnswer, Wish::Stop, Wish::Tool];
        Some(Self {
            harness,
            capabilities,
            hears,
            speaks,
            tools: Tools::Answer,
            answers: VecDeque::new(),
            replies: Vec::new(),
            events: Vec::new(),
            sentences: wishes.map(|wish| subject.sentence(wish)),
        })
    }

    /// Begins one and waits until it is ready.
    ///
    /// # Panics
    /// If it is not ready within 20 seconds.
    pub fn ready(subject: &dyn Subject, seed: u64, scene: Scene, history: Vec<Turn>) -> Option<Self> {
        let mut conversation = Self::begin(subject, seed, scene, history)?;
        conversation.passes(Duration::from_secs(20), |c| c.is_ready());
        assert!(conversation.is_ready(), "it becomes ready; events: {:?}", conversation.events);
        Some(conversation)
    }

    /// What becomes of calls of tools from now on.
    pub fn tools(&mut self, tools: Tools) {
        self.tools = tools;
    }

    /// The caller says a sentence to this effect.
    pub fn says(&mut self, wish: Wish) {
        let name = match wish {
            Wish::Answer => self.sentences[0],
            Wish::LongAnswer => self.sentences[1],
            Wish::Stop => self.sentences[2],
            Wish::Tool => self.sentences[3],
        };
        let clip = speech::caller(name).expect("a sentence that is recorded").mulaw;
        // Where nobody tells that the caller speaks, the bridge notices after a while.
        let notices = self.capabilities.caller_speech == CallerSpeech::Detected;
        for (number, audio) in frames(clip, self.hears).into_iter().enumerate() {
            if notices && number == 10 {
                self.interrupts();
            }
            self.hear(audio);
        }
    }

    /// The caller is silent for so long.
    pub fn listens(&mut self, duration: Duration) {
        self.passes(duration, |_| false);
    }

    /// The caller is silent until this is so, at most so long; whether it came to be so.
    pub fn passes(&mut self, limit: Duration, until: impl Fn(&Self) -> bool) -> bool {
        let end = self.harness.now() + limit;
        let silence = vec![self.hears.encoding.silence_byte(); self.hears.frame_bytes()];
        while self.harness.now() < end {
            if until(self) {
                return true;
            }
            self.hear(Bytes::from(silence.clone()));
        }
        until(self)
    }

    /// The caller says this and waits for an answer with sound that begins after it; whether one came.
    pub fn is_answered(&mut self, wish: Wish) -> bool {
        self.passes(Duration::from_secs(40), Self::is_quiet);
        let before = self.replies.len();
        self.says(wish);
        self.passes(Duration::from_secs(30), |c| {
            c.is_over() || c.replies.iter().skip(before).any(|reply| !reply.sound.is_zero())
        });
        self.replies.iter().skip(before).any(|reply| !reply.sound.is_zero())
    }

    /// The caller speaks into what they hear: everything that is still to be heard is cut.
    pub fn interrupts(&mut self) {
        let now = self.harness.now();
        let mut cut = Vec::new();
        for reply in self.replies.iter_mut().filter(|reply| !reply.cut) {
            let Some((from, to)) = reply.played.filter(|(_, to)| *to > now) else { continue };
            reply.cut = true;
            let heard = now.since(from).min(reply.sound);
            cut.push(Heard { reply: reply.id, heard, unheard: to.since(now).min(reply.sound - heard) });
        }
        if !cut.is_empty() {
            self.command(ProviderCommand::Interrupt(cut));
        }
    }

    /// The call asks for something.
    pub fn command(&mut self, command: ProviderCommand) {
        if !self.is_over() {
            self.harness.command(command);
            self.look();
        }
    }

    /// Everything that the session reported.
    pub fn events(&self) -> &[ProviderEvent] {
        &self.events
    }

    /// The replies, in order.
    pub fn replies(&self) -> &[Reply] {
        &self.replies
    }

    /// What the caller is known to have said.
    pub fn said(&self) -> Vec<&str> {
        let mut said = Vec::new();
        for event in &self.events {
            if let ProviderEvent::CallerSaid { text, .. } = event {
                said.push(text.expose().as_str());
            }
        }
        said
    }

    /// The calls of tools.
    pub fn calls(&self) -> Vec<&ToolCall> {
        let mut calls = Vec::new();
        for event in &self.events {
            if let ProviderEvent::ToolCall(call) = event {
                calls.push(call);
            }
        }
        calls
    }

    /// The calls of tools that were taken back.
    pub fn cancelled(&self) -> Vec<ToolCallId> {
        let id = |event: &_| if let ProviderEvent::ToolCancelled(id) = event { Some(*id) } else { None };
        self.events.iter().filter_map(id).collect()
    }

    /// The failure that ended the session.
    pub fn failure(&self) -> Option<&Failure> {
        self.events.iter().find_map(|event| {
            if let ProviderEvent::Failed(failure) = event
                && failure.verdict() != Verdict::Ignore
            {
                Some(failure)
            } else {
                None
            }
        })
    }

    /// Whether the session has failed.
    pub fn is_over(&self) -> bool {
        self.failure().is_some()
    }

    /// Whether the session hears.
    pub fn is_ready(&self) -> bool {
        self.events.iter().any(|event| matches!(event, ProviderEvent::Ready { .. }))
    }

    /// Whether no reply is under way or sounding.
    pub fn is_quiet(&self) -> bool {
        let now = self.harness.now();
        let sounds = |reply: &Reply| !reply.cut && reply.played.is_some_and(|(_, to)| to > now);
        !self.replies.iter().any(|reply| sounds(reply) || (reply.end.is_none() && !reply.cut))
    }

    /// Whether these words have been sent to the service, on any line or in any request.
    pub fn has_told(&self, words: &str) -> bool {
        let holds = |bytes: &[u8]| bytes.windows(words.len()).any(|window| window == words.as_bytes());
        let in_request = |kind: &EndpointKind| match kind {
            EndpointKind::Http { body, .. } => holds(body),
            EndpointKind::WebSocket { .. } => false,
        };
        self.harness.sent().iter().any(|(_, _, message)| holds(message.as_bytes()))
            || self.harness.dialled().iter().any(|(_, endpoint)| in_request(&endpoint.kind))
    }

    /// A message arrives that nobody sent, on every open line.
    pub fn inject(&mut self, message: &WireMessage) {
        for line in self.harness.held() {
            if !self.is_over() {
                self.harness.inject(line, message);
                self.look();
            }
        }
    }

    fn hear(&mut self, audio: Bytes) {
        if self.is_ready() && !self.is_over() {
            self.harness.command(ProviderCommand::Hear(AudioFrame::new(self.hears, audio)));
        }
        self.look();
        self.harness.run_for(FRAME);
        self.look();
        while let Some((due, _)) = self.answers.front()
            && *due <= self.harness.now()
            && let Some((_, call)) = self.answers.pop_front()
        {
            let failed = call.name != TOOL || !call.arguments.expose().trim_end().ends_with('}');
            let output = if failed { "the arguments cannot be read" } else { "on its way" };
            let result = ToolResult { output: output.into(), failed };
            self.command(ProviderCommand::Answer { id: call.id, result });
        }
    }

    /// Takes note of what was reported.
    pub(super) fn look(&mut self) {
        for event in self.harness.take_events() {
            self.events.push(event.clone());
            self.note(event);
        }
    }

    fn note(&mut self, event: ProviderEvent) {
        let now = self.harness.now();
        match event {
            ProviderEvent::Speech { reply, audio } => {
                let duration = self.speaks.duration_of(audio.len());
                let sounding = self.replies.iter().filter(|reply| !reply.cut).filter_map(|r| r.played);
                let from = sounding.map(|(_, to)| to).max().unwrap_or(now).max(now);
                let reply = self.reply(reply);
                reply.sound += duration;
                let (begun, _) = reply.played.unwrap_or((from, from));
                reply.played = Some((begun, from + duration));
            }
            ProviderEvent::Words { reply, text } => self.reply(reply).words.push_str(text.expose()),
            ProviderEvent::ReplyDone { reply, end } => self.reply(reply).end = Some(end),
            ProviderEvent::CallerSpoke(_) => self.interrupts(),
            ProviderEvent::ToolCall(call) if self.tools == Tools::Answer => {
                self.answers.push_back((now + TOOL_TAKES, call));
            }
            ProviderEvent::ToolCancelled(id) => self.answers.retain(|(_, call)| call.id != id),
            ProviderEvent::Ready { .. }
            | ProviderEvent::CallerPaused(_)
            | ProviderEvent::CallerSaid { .. }
            | ProviderEvent::ToolCall(_)
            | ProviderEvent::Unheard(_)
            | ProviderEvent::Used(_)
            | ProviderEvent::Unknown { .. }
            | ProviderEvent::Failed(_) => {}
        }
    }

    fn reply(&mut self, id: ReplyId) -> &mut Reply {
        if !self.replies.iter().any(|reply| reply.id == id) {
            let words = String::new();
            let reply = Reply { id, words, sound: Duration::ZERO, end: None, cut: false, played: None };
            self.replies.push(reply);
        }
        let found = self.replies.iter_mut().find(|reply| reply.id == id);
        found.expect("it has just been put there")
    }
}

const TOOL: &str = "lookup_order";

fn lookup_tool() -> ToolDefinition {
    ToolDefinition {
        name: TOOL.to_owned(),
        description: "Finds an order by its number.".to_owned(),
        parameters: r#"{"type":"object","properties":{"number":{"type":"string"}}}"#.to_owned(),
    }
}

/// Telephone sound in frames of another format.
fn frames(mulaw: &'static [u8], format: AudioFormat) -> Vec<Bytes> {
    let mut converter = Converter::new(AudioFormat::MULAW_8K, format);
    let chunks = mulaw.chunks(AudioFormat::MULAW_8K.frame_bytes());
    chunks.map(|chunk| converter.convert(Bytes::from_static(chunk))).filter(|b| !b.is_empty()).collect()
}
