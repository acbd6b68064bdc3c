//! One conversation through a pipeline: ears, mind and voice, and who does what when.
//!
//! ```text
//!  caller's audio ─► ears ── turn ended ──► mind ── clauses ──► voice ─► speech
//!                     │                      ▲ │
//!                     │ turn began           │ └─► tool calls ─► the call
//!                     ▼                      └──── answers ◄────────┘
//!        nothing said yet: hold the thought until there are words, then drop it
//!        something heard:  the call says how much (`Interrupt`); the rest was never said
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use voice_core::conversation::{Heard, ToolCall, ToolResult};
use voice_core::failure::{Failure, Verdict};
use voice_core::id::{AttachmentId, LineId, ReplyId, ToolCallId, UtteranceId};
use voice_core::provider::{
    ProviderCommand, ProviderEvent, ProviderSession, ReplyEnd, SessionInput, SessionOutput, Setup,
};
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};

use crate::llm;

use super::ears::{Ears, EarsEvent};
use super::memory::{Memory, ToolRecord};
use super::mind::{Called, Mind, MindEvent};
use super::part::{Part, Told};
use super::sentence::Sentences;
use super::settings::PipelineSettings;
use super::turns::Turning;
use super::voice::{Voice, VoiceEvent};

/// See the module.
pub(super) struct Session {
    names: Names,
    state: State,
    ears: Ears,
    mind: Mind,
    voice: Voice,
    memory: Memory,
    /// The caller has the turn.
    turn: Option<Turn>,
    /// The mind is at work on a reply.
    thought: Option<Thought>,
    /// Something has happened that the mind should answer as soon as it can.
    due: bool,
    /// Requests in a row that were made because of tools.
    rounds: u32,
    rounds_max: u32,
    outbox: VecDeque<SessionOutput>,
}

enum State {
    Opening { ears: Option<Option<String>>, voice: bool },
    Live,
    Over,
}

/// Numbers what this session brings forth.
struct Names {
    attachment: AttachmentId,
    replies: u32,
    utterances: u32,
    calls: u32,
}

/// What the caller is doing to us by speaking.
struct Turn {
    utterance: UtteranceId,
    /// They stopped the voice.
    cut: bool,
    /// They made us drop a thought that nobody heard anything of.
    dropped: bool,
}

/// A reply in the making.
struct Thought {
    reply: ReplyId,
    sentences: Sentences,
    /// The voice has something of it.
    said: bool,
    /// What came of it while it must not be spoken.
    held: Option<Vec<MindEvent>>,
    /// It answers what the caller has probably said.
    perhaps: Option<String>,
}

impl Session {
    pub(super) fn new(settings: &Arc<PipelineSettings>, setup: Setup) -> Self {
        let mut outbox = VecDeque::new();
        let mut state = State::Opening { ears: None, voice: false };
        let tools = llm::tools(&setup.tools).unwrap_or_else(|name| {
            let code = Failure::clean_code(&format!("tools.{name}.parameters"));
            outbox.push_back(SessionOutput::Event(ProviderEvent::Failed(Failure::Settings { code })));
            state = State::Over;
            Vec::new()
        });
        let mut session = Self {
            names: Names { attachment: setup.attachment, replies: 0, utterances: 0, calls: 0 },
            state,
            ears: Ears::new(settings.clone(), setup.hears, setup.language.as_deref()),
            mind: Mind::new(settings.clone(), tools),
            voice: Voice::new(settings.clone(), setup.speaks),
            memory: Memory::new(&setup.instructions, setup.history),
            turn: None,
            thought: None,
            due: false,
            rounds: 0,
            rounds_max: settings.tool_rounds_max,
            outbox,
        };
        // The lines that are to be dialled; nothing here depends on the time.
        session.drain(MonoTime::ZERO);
        session
    }
}

impl ProviderSession for Session {
    fn handle(&mut self, now: MonoTime, input: SessionInput<'_>) {
        match input {
            SessionInput::Command(ProviderCommand::Close) => return self.close(),
            _ if self.is_over() => return,
            SessionInput::Command(command) => self.command(now, command),
            SessionInput::LineUp(line) => self.line_up(now, line),
            SessionInput::Wire(line, message) => self.wire(now, line, message),
            SessionInput::LineDown(line, end) => self.line_down(now, line, &end),
            SessionInput::Tick => {}
        }
        self.ears.tick(now);
        self.mind.tick(now);
        self.voice.tick(now);
        self.drain(now);
    }

    fn poll(&mut self) -> SessionOutput {
        if let Some(output) = self.outbox.pop_front() {
            return output;
        }
        if self.is_over() {
            return SessionOutput::WaitUntil(None);
        }
        let wakes = [self.ears.wakes_at(), self.mind.wakes_at(), self.voice.wakes_at()];
        SessionOutput::WaitUntil(wakes.into_iter().flatten().min())
    }
}

/// Lines and parts.
impl Session {
    fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn line_up(&mut self, now: MonoTime, line: LineId) {
        match Part::owner(line) {
            Part::Ears => self.ears.on_up(now),
            Part::Voice => self.voice.on_up(now, line),
            // A success status is no answer yet.
            Part::Mind => {}
        }
    }

    fn wire(&mut self, now: MonoTime, line: LineId, message: &WireMessage) {
        match Part::owner(line) {
            Part::Ears => self.ears.on_wire(now, message),
            Part::Voice => self.voice.on_wire(now, line, message),
            Part::Mind => self.mind.on_wire(now, line, message),
        }
    }

    fn line_down(&mut self, now: MonoTime, line: LineId, end: &LineEnd) {
        match Part::owner(line) {
            Part::Ears => self.ears.on_down(end),
            Part::Voice => self.voice.on_down(now, line, end),
            Part::Mind => self.mind.on_down(now, line, end),
        }
    }

    fn close(&mut self) {
        self.ears.close();
        self.mind.cancel();
        self.voice.close();
        self.state = State::Over;
        // Only what ends the lines is of interest now.
        let wires = [self.ears.poll_wires(), self.mind.poll_wires(), self.voice.poll_wires()];
        self.outbox.extend(wires.into_iter().flatten());
    }

    /// Takes what the parts have to tell, until none has anything.
    fn drain(&mut self, now: MonoTime) {
        while !self.is_over() {
            if let Some(told) = self.ears.poll() {
                self.take(now, told, Self::on_ears);
            } else if let Some(told) = self.mind.poll() {
                self.take(now, told, Self::on_mind);
            } else if let Some(told) = self.voice.poll() {
                self.take(now, told, Self::on_voice);
            } else {
                return;
            }
        }
    }

    fn take<E>(&mut self, now: MonoTime, told: Told<E>, own: fn(&mut Self, MonoTime, E)) {
        match told {
            Told::Own(event) => own(self, now, event),
            Told::Out(output) => {
                let failed = matches!(
                    &output,
                    SessionOutput::Event(ProviderEvent::Failed(failure))
                        if failure.verdict() != Verdict::Ignore
                );
                self.outbox.push_back(output);
                if failed {
                    self.state = State::Over;
                }
            }
        }
    }

    fn tell(&mut self, event: ProviderEvent) {
        self.outbox.push_back(SessionOutput::Event(event));
    }
}

/// The conversation.
impl Session {
    fn command(&mut self, now: MonoTime, command: ProviderCommand) {
        match command {
            ProviderCommand::Hear(frame) => self.ears.hear(now, frame.data),
            ProviderCommand::Interrupt(heard) => self.on_interrupt(now, heard),
            ProviderCommand::Speak { cue } => self.on_speak(now, cue),
            ProviderCommand::Answer { id, result } => self.on_answer(now, id, result),
            ProviderCommand::CatchUp(turns) => self.memory.catch_up(turns),
            ProviderCommand::Note(text) => self.memory.note(text.into_inner()),
            // Closing was seen to; what is new is not for us.
            ProviderCommand::Close | _ => {}
        }
    }

    fn on_ears(&mut self, now: MonoTime, event: EarsEvent) {
        match event {
            EarsEvent::Ready(session) => {
                if let State::Opening { ears, .. } = &mut self.state {
                    *ears = Some(session);
                }
                self.ready_if_complete();
            }
            // Before anybody was ready there was nobody to speak.
            EarsEvent::Turn(_) if matches!(self.state, State::Opening { .. }) => {}
            EarsEvent::Turn(Turning::Began { words }) => self.on_began(now, words),
            EarsEvent::Turn(Turning::Words) => self.drop_unspoken(),
            EarsEvent::Turn(Turning::Eager(text)) => self.on_eager(now, text),
            EarsEvent::Turn(Turning::Resumed) => {
                if self.thought.as_ref().is_some_and(|thought| thought.perhaps.is_some()) {
                    self.drop_unspoken();
                }
            }
            EarsEvent::Turn(Turning::Ended(text)) => self.on_ended(now, text),
        }
    }

    fn ready_if_complete(&mut self) {
        if let State::Opening { ears: Some(session), voice: true } = &mut self.state {
            let session = session.take();
            self.state = State::Live;
            self.tell(ProviderEvent::Ready { session, expires: None });
        }
    }

    fn on_began(&mut self, now: MonoTime, words: bool) {
        let utterance = self.names.utterance();
        self.turn = Some(Turn { utterance, cut: false, dropped: false });
        self.tell(ProviderEvent::CallerSpoke(utterance));
        // Of what the call knows it will say how much was heard. Of the rest nothing was.
        if self.voice.is_unannounced() {
            self.hush(now);
        } else if words {
            self.drop_unspoken();
        } else if let Some(thought) = self.thought.as_mut().filter(|thought| !thought.said) {
            // Perhaps it is a cough: thinking goes on, speaking waits.
            thought.held.get_or_insert_default();
        }
    }

    fn on_eager(&mut self, now: MonoTime, text: String) {
        if self.turn.is_none() || !self.voice.is_silent() {
            return;
        }
        self.rounds = 0;
        self.ask(now, Some(text));
    }

    fn on_ended(&mut self, now: MonoTime, text: String) {
        let Some(turn) = self.turn.take() else { return };
        let Turn { utterance, cut, dropped } = turn;
        self.tell(ProviderEvent::CallerSaid { utterance, text: text.clone().into() });
        self.tell(ProviderEvent::CallerPaused(utterance));
        if text.is_empty() {
            return self.on_noise(now, cut, dropped);
        }
        self.rounds = 0;
        let guessed = self.thought.as_ref().is_some_and(|t| t.perhaps.as_ref() == Some(&text));
        if guessed {
            self.memory.caller(text);
            return self.release(now);
        }
        self.hush(now);
        self.memory.caller(text);
        self.ask(now, None);
    }

    /// The caller made a sound and said nothing. Whatever it stopped goes on.
    fn on_noise(&mut self, now: MonoTime, cut: bool, dropped: bool) {
        if self.thought.as_ref().is_some_and(|thought| thought.perhaps.is_some()) {
            self.drop_unspoken();
        }
        if self.thought.is_some() {
            return self.release(now);
        }
        if cut {
            self.memory.note(GO_ON.to_owned());
        }
        if cut || dropped || self.due {
            self.ask(now, None);
        } else if self.voice.is_silent() {
            // To have nothing to say is an answer, too: nobody need wait for more.
            let reply = self.names.reply();
            self.voice.finish(now, reply, ReplyEnd::Completed);
        }
    }

    fn on_interrupt(&mut self, now: MonoTime, heard: Vec<Heard>) {
        if let Some(turn) = &mut self.turn {
            turn.cut = true;
        }
        self.hush(now);
        for heard in heard {
            self.memory.cut(heard);
        }
    }

    fn on_speak(&mut self, now: MonoTime, cue: Option<String>) {
        match cue {
            Some(cue) => self.memory.note(format!("Speak now, without waiting for the caller. {cue}")),
            None if self.memory.awaits_answer() => {}
            None => self.memory.note(SPEAK.to_owned()),
        }
        self.rounds = 0;
        if self.thought.is_some() {
            self.due = true;
        } else {
            self.ask(now, None);
        }
    }

    fn on_answer(&mut self, now: MonoTime, id: ToolCallId, result: ToolResult) {
        if self.memory.answer(id, result) && !self.memory.is_waiting_for_tools() {
            self.due = true;
            self.follow_up(now);
        }
    }

    fn on_mind(&mut self, now: MonoTime, event: MindEvent) {
        let Some(thought) = &mut self.thought else { return };
        if let Some(held) = &mut thought.held {
            return held.push(event);
        }
        match event {
            MindEvent::Text(text) => {
                thought.sentences.push(&text);
                while let Some(piece) = self.thought.as_mut().and_then(|t| t.sentences.next()) {
                    self.say(now, &piece);
                }
            }
            MindEvent::Answered { calls, end } => self.on_answered(now, calls, end),
        }
    }

    fn on_answered(&mut self, now: MonoTime, mut calls: Vec<Called>, end: ReplyEnd) {
        if let Some(rest) = self.thought.as_mut().and_then(|thought| thought.sentences.finish()) {
            self.say(now, &rest);
        }
        let Some(thought) = self.thought.take() else { return };
        let mut end = end;
        if self.rounds >= self.rounds_max && !calls.is_empty() {
            // It was told not to. What it called for is not done.
            calls.clear();
            end = ReplyEnd::Incomplete;
        }
        let called = !calls.is_empty();
        self.call_tools(calls);
        // A reply that is nothing but calls is none that anybody knows of.
        if thought.said || !called {
            self.voice.finish(now, thought.reply, end);
        }
        self.follow_up(now);
    }

    fn call_tools(&mut self, calls: Vec<Called>) {
        if calls.is_empty() {
            return;
        }
        let mut records: Vec<ToolRecord> = Vec::with_capacity(calls.len());
        for call in calls {
            let id = self.names.call();
            let arguments = if call.arguments.trim().is_empty() { "{}".to_owned() } else { call.arguments };
            let taken = call.id.is_empty() || records.iter().any(|record| record.call.id == call.id);
            let own = if taken { self.memory.make_call_id() } else { call.id };
            let readable = llm::wire::is_object(&arguments) && !call.name.is_empty();
            let mut record = ToolRecord::new(id, own, call.name.clone(), arguments.clone(), call.extra);
            if readable {
                let (name, arguments) = (call.name, arguments.into());
                self.tell(ProviderEvent::ToolCall(ToolCall { id, name, arguments }));
            } else {
                record.result = Some(BAD_ARGUMENTS.to_owned());
            }
            records.push(record);
        }
        self.memory.tools(records);
        self.due |= !self.memory.is_waiting_for_tools();
    }

    fn on_voice(&mut self, _now: MonoTime, event: VoiceEvent) {
        match event {
            VoiceEvent::Ready => {
                if let State::Opening { voice, .. } = &mut self.state {
                    *voice = true;
                }
                self.ready_if_complete();
            }
            VoiceEvent::Sounded { reply, group, duration } => self.memory.sounded(reply, group, duration),
            VoiceEvent::Spoken { reply, group } => self.memory.spoken(reply, group),
        }
    }

    fn say(&mut self, now: MonoTime, piece: &str) {
        let Some(thought) = &mut self.thought else { return };
        thought.said = true;
        let reply = thought.reply;
        let group = self.voice.say(now, reply, piece);
        self.memory.say(reply, group, piece);
    }

    /// Asks the mind for the next reply, in the place of any other.
    fn ask(&mut self, now: MonoTime, perhaps: Option<String>) {
        self.due = false;
        let may_call = self.rounds < self.rounds_max;
        self.mind.ask(now, self.memory.messages(perhaps.as_deref()), may_call);
        self.thought = Some(Thought {
            reply: self.names.reply(),
            sentences: Sentences::default(),
            said: false,
            held: perhaps.is_some().then(Vec::new),
            perhaps,
        });
    }

    /// Asks again because of what tools have answered, unless somebody speaks or thinks.
    fn follow_up(&mut self, now: MonoTime) {
        if self.due && self.thought.is_none() && self.turn.is_none() {
            self.rounds += 1;
            self.ask(now, None);
        }
    }

    /// What was held may be spoken.
    fn release(&mut self, now: MonoTime) {
        let Some(thought) = &mut self.thought else { return };
        thought.perhaps = None;
        for event in thought.held.take().unwrap_or_default() {
            self.on_mind(now, event);
        }
    }

    /// Drops a thought of which the voice has nothing yet.
    fn drop_unspoken(&mut self) {
        if let Some(thought) = self.thought.take_if(|thought| !thought.said) {
            self.mind.cancel();
            // A guess at what the caller is saying is no answer that is owed.
            if let Some(turn) = self.turn.as_mut().filter(|_| thought.perhaps.is_none()) {
                turn.dropped = true;
            }
        }
    }

    /// Stops mind and voice. What nobody heard anything of was never said.
    fn hush(&mut self, now: MonoTime) {
        self.drop_unspoken();
        if self.thought.take().is_some() {
            self.mind.cancel();
        }
        for (reply, announced) in self.voice.cut(now) {
            if announced {
                let all = Heard { reply, heard: Duration::MAX, unheard: Duration::ZERO };
                self.memory.cut(all);
            } else {
                self.memory.forget(reply);
                if let Some(turn) = &mut self.turn {
                    turn.dropped = true;
                }
            }
        }
    }
}

impl Names {
    fn reply(&mut self) -> ReplyId {
        self.replies += 1;
        ReplyId::new(self.attachment, self.replies)
    }

    fn utterance(&mut self) -> UtteranceId {
        self.utterances += 1;
        UtteranceId::new(self.attachment, self.utterances)
    }

    fn call(&mut self) -> ToolCallId {
        self.calls += 1;
        ToolCallId::new(self.attachment, self.calls)
    }
}

/// What the mind is told when a sound without words stopped the voice.
const GO_ON: &str = "That was only a sound on the line. Go on from where you were cut off.";

/// What it is told when it should speak and nothing asks for an answer.
const SPEAK: &str = "The caller is on the line and hears you. Say what is to be said now.";

/// What it is told of a call that cannot be carried out.
const BAD_ARGUMENTS: &str =
    "The tool was not called: it needs a name, and arguments that are one valid JSON object. Call it again.";
