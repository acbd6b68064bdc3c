//! The translator: a call's wishes to the service's messages, and how a connection is kept, left and resumed.
//!
//! What the service says is read in `content`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use voice_core::conversation::Turn;
use voice_core::failure::Failure;
use voice_core::provider::{
    ProviderCommand, ProviderEvent, ProviderSession, SessionInput, SessionOutput, Setup,
};
use voice_core::time::{MonoTime, Timers};
use voice_core::wire::WireMessage;

use super::calls::Calls;
use super::ear::Ear;
use super::failure;
use super::history::{self, Recent};
use super::link::Link;
use super::mouth::{CallerWords, Events, Mouth};
use super::quirks::{History, Prompt};
use super::settings::GeminiSettings;
use super::setup::{self, Task};
use super::wire::{self, ClientContent, Content, RealtimeInput, ToGemini};

/// Who waits for a Speak without a cue gets this one.
const YOUR_TURN: &str = "[It is your turn to speak.]";
/// For a model that answers whatever it is told, where the caller is to speak first.
const WAIT: &str = "[You are connected with the caller now. Let them speak first.]";
/// For a model that fell silent, or was torn out of a sentence.
const GO_ON: &str = "[Please go on.]";

/// After an interruption, models were seen that never speak again (protocol notes, Gemini Live §13).
pub(super) const NUDGE: Duration = Duration::from_secs(7);
/// Nobody is nudged while the caller speaks, or has only just stopped.
const NUDGE_QUIET: Duration = Duration::from_secs(2);
/// A microphone that sends nothing for so long counts as muted, which the service wants to be told.
const MIC_QUIET: Duration = Duration::from_secs(1);
/// A pause of the caller in which a connection can be left.
const LEAVE_QUIET: Duration = Duration::from_millis(700);
/// The history waits so long for words to speak of, because they have to go into the same message.
const SEED_WAIT: Duration = Duration::from_millis(20);
/// Resuming may take so long: what the caller says meanwhile is held, and no more of it than this.
const RESUME_MAX: Duration = Duration::from_secs(8);
/// Commands that wait for a connection.
const WAITING_MAX: usize = 64;

/// One conversation with Gemini Live.
pub(super) struct GeminiSession {
    pub(super) settings: Arc<GeminiSettings>,
    task: Option<Task>,
    pub(super) link: Link,
    ear: Ear,
    mime: &'static str,
    pub(super) mouth: Mouth,
    pub(super) caller: CallerWords,
    pub(super) calls: Calls,
    pub(super) told: Told,
    pub(super) timers: Timers<Timer>,
    outbox: VecDeque<SessionOutput>,
}

/// What the model has been told besides the caller's voice, and what is still to be told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The conversation before this session, until the model is given it.
    history: Vec<Turn>,
    /// The setup has said that a history will come, so that one has to.
    announced: bool,
    /// Something has been sent after the setup.
    begun: bool,
    /// What it should know at the next opportunity.
    notes: VecDeque<Turn>,
    /// What a resumed session would not know.
    pub(super) recent: Recent,
    /// Commands that wait for a connection.
    waiting: VecDeque<ProviderCommand>,
    /// The connection was lost while the model spoke, or was about to.
    owes: bool,
}

/// Every reason this session may wake up without being spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The history is given, with or without a wish to speak.
    Seed,
    /// Late words of a reply are waited for no longer.
    LateWords,
    /// Late pieces of what the caller said are waited for no longer.
    CallerWords,
    /// The model should have said something.
    Nudge,
    /// More of the audio that was held may be sent.
    Pace,
    /// No audio of the caller has come for a while.
    MicQuiet,
    /// The connection must be left now.
    Leave,
    /// The next attempt to resume.
    Redial,
    /// Resuming has taken too long.
    GiveUp,
}

impl GeminiSession {
    pub(super) fn new(settings: Arc<GeminiSettings>, setup: Setup) -> Self {
        let task = Task::new(&setup.instructions, setup.language.as_deref(), setup.tools);
        let announced = !setup.history.is_empty() && settings.quirks().history == History::Announced;
        let mut session = Self {
            settings,
            task: None,
            link: Link::new(),
            ear: Ear::default(),
            mime: wire::mime_type(setup.hears),
            mouth: Mouth::new(setup.attachment, setup.speaks),
            caller: CallerWords::new(setup.attachment),
            calls: Calls::new(setup.attachment),
            told: Told { history: setup.history, announced, ..Told::default() },
            timers: Timers::default(),
            outbox: VecDeque::new(),
        };
        match task {
            Ok(task) => {
                session.task = Some(task);
                let (line, endpoint) = (session.link.line(), session.settings.endpoint());
                session.outbox.push_back(SessionOutput::Dial(line, endpoint));
            }
            Err(failure) => {
                session.link.close();
                session.outbox.push_back(SessionOutput::Event(ProviderEvent::Failed(failure)));
            }
        }
        session
    }

    fn command(&mut self, now: MonoTime, command: ProviderCommand) {
        match command {
            ProviderCommand::Hear(frame) => {
                self.ear.push(now, frame);
                self.timers.set(Timer::MicQuiet, now + MIC_QUIET);
            }
            ProviderCommand::Interrupt(heard) => {
                // There is nothing to send: the service notices by itself, and keeps its own books.
                for heard in heard {
                    self.mouth.cut(heard.reply);
                }
                self.timers.set(Timer::Nudge, now + NUDGE);
            }
            ProviderCommand::Close => {
                self.hang_up();
                self.link.close();
            }
            ProviderCommand::Speak { .. }
            | ProviderCommand::Answer { .. }
            | ProviderCommand::CatchUp(_)
            | ProviderCommand::Note(_) => {
                if self.link.is_talking() {
                    self.act(now, command);
                } else if self.told.waiting.len() < WAITING_MAX {
                    self.told.waiting.push_back(command);
                }
            }
            // A wish that this translator is older than.
            _ => {}
        }
    }

    /// Carries out a wish for which a connection is needed.
    fn act(&mut self, now: MonoTime, command: ProviderCommand) {
        if let ProviderCommand::Speak { cue } = command {
            if self.owes_history() {
                self.give_history(Some(cue));
                self.timers.set(Timer::Nudge, now + NUDGE);
            } else {
                let cue = cue.as_deref().unwrap_or(YOUR_TURN);
                // Two texts would be answered twice where turns cannot be added.
                if self.settings.quirks().adds_turns || self.told.notes.is_empty() {
                    self.give_notes();
                    self.prompt(now, cue);
                } else {
                    let notes: Vec<Turn> = self.told.notes.drain(..).collect();
                    let notes = history::in_one_text(&history::contents(&notes));
                    self.prompt(now, &format!("{notes} {cue}"));
                }
            }
        } else if let ProviderCommand::CatchUp(turns) = command {
            let waits = self.owes_history()
                || (!self.told.begun && self.settings.quirks().history == History::EndsWithCaller);
            if waits {
                self.told.history.extend(turns);
            } else {
                turns.into_iter().for_each(|turn| self.note(turn));
            }
        } else if let ProviderCommand::Note(text) = command {
            self.note(Turn::Note { text });
        } else if let ProviderCommand::Answer { id, result } = command
            && let Some(call) = self.calls.answered(id)
        {
            if call.forgotten {
                self.prompt(now, &history::late_answer(&call.name, &result));
            } else {
                self.send(call.answer(&result, setup::scheduling(&self.settings)));
                self.timers.set(Timer::Nudge, now + NUDGE);
            }
        }
    }

    fn note(&mut self, turn: Turn) {
        if self.told.notes.len() >= WAITING_MAX {
            self.told.notes.pop_front();
        }
        self.told.notes.push_back(turn);
    }

    fn timer(&mut self, now: MonoTime, timer: Timer) {
        match timer {
            Timer::Seed if self.owes_history() => self.give_history(None),
            Timer::LateWords => {
                let mut events = Events::new();
                self.mouth.finish(&mut events);
                self.tell(events);
            }
            Timer::CallerWords => self.flush_caller(),
            Timer::Nudge => self.nudge(now),
            Timer::MicQuiet if self.is_listening() && self.settings.door().audio_stream_end => {
                self.send(ToGemini::RealtimeInput(RealtimeInput::AudioStreamEnd(true)).message());
            }
            Timer::Leave => self.leave(now),
            Timer::Redial => self.redial(),
            Timer::GiveUp => self.fail(Failure::NotReady(RESUME_MAX)),
            Timer::Seed | Timer::Pace | Timer::MicQuiet => {}
        }
    }

    /// What becomes possible after any input: notes, audio, leaving.
    fn settle(&mut self, now: MonoTime) {
        if self.link.is_over() {
            return;
        }
        let waits = self.link.is_talking() && self.owes_history() && self.ear.wakes_at().is_some();
        if waits && self.timers.due(Timer::Seed).is_none() {
            self.timers.set(Timer::Seed, now + SEED_WAIT);
        }
        if self.is_listening() {
            // Turns would interrupt the model's own.
            if self.mouth.is_silent() && self.may_add_turns(now) {
                self.give_notes();
            }
            self.give_audio(now);
        }
        let pace = self.ear.wakes_at().filter(|_| self.is_listening());
        match pace {
            Some(at) => self.timers.set(Timer::Pace, at),
            None => self.timers.clear(Timer::Pace),
        }
        if self.link.is_leaving() && self.is_pause(now) {
            self.leave(now);
        }
    }

    fn give_audio(&mut self, now: MonoTime) {
        let lost = self.ear.take_lost();
        if !lost.is_zero() {
            self.told(ProviderEvent::Unheard(lost));
        }
        while let Some(frame) = self.ear.pop(now) {
            self.send(wire::audio(self.mime, &frame.data));
        }
    }

    /// Whether the model can be given audio. While a tool runs for which it waits, audio is refused by
    /// a close.
    fn is_listening(&self) -> bool {
        let waits_for_tool = self.settings.tools_block() && self.calls.is_awaited();
        self.link.is_talking() && !self.owes_history() && !waits_for_tool
    }

    fn is_pause(&self, now: MonoTime) -> bool {
        self.link.is_talking()
            && self.link.is_fresh()
            && !self.mouth.is_generating()
            && !self.calls.is_awaited()
            && !self.caller.is_waiting()
            && self.ear.quiet_for(now) >= LEAVE_QUIET
    }

    fn owes_history(&self) -> bool {
        self.told.announced || !self.told.history.is_empty()
    }

    /// The conversation so far, in the way the family of the model wants it; and, if it is to speak,
    /// what of.
    fn give_history(&mut self, speak: Option<Option<String>>) {
        let mut turns = history::contents(&std::mem::take(&mut self.told.history));
        self.told.announced = false;
        self.timers.clear(Timer::Seed);
        match self.settings.quirks().history {
            History::EndsWithCaller => {
                let last = match speak {
                    Some(Some(cue)) => Some(cue),
                    _ if history::ends_with_caller(&turns) => None,
                    Some(None) => Some(YOUR_TURN.to_owned()),
                    None => Some(WAIT.to_owned()),
                };
                if let Some(last) = last {
                    history::push_caller(&mut turns, last);
                }
                self.send(content(turns, true));
            }
            History::Announced => {
                self.send(content(turns, true));
                if let Some(cue) = speak {
                    self.send_prompt(cue.as_deref().unwrap_or(YOUR_TURN));
                }
            }
        }
    }

    /// Whether turns can be told without an answer to them. One family answers whatever it is told: there
    /// they wait until the caller speaks, to whom an answer is due anyway, or until it is asked to speak.
    fn may_add_turns(&self, now: MonoTime) -> bool {
        self.settings.quirks().adds_turns || self.ear.is_mid_speech(now)
    }

    /// Turns for which no answer is due; to one family as part of what the caller says.
    fn give_notes(&mut self) {
        if self.told.notes.is_empty() {
            return;
        }
        let notes: Vec<Turn> = self.told.notes.drain(..).collect();
        let turns = history::contents(&notes);
        if self.settings.quirks().adds_turns {
            self.send(content(turns, false));
        } else {
            self.send_prompt(&history::in_one_text(&turns));
        }
    }

    /// Makes the model speak.
    pub(super) fn prompt(&mut self, now: MonoTime, text: &str) {
        self.send_prompt(text);
        self.timers.set(Timer::Nudge, now + NUDGE);
    }

    fn send_prompt(&mut self, text: &str) {
        let message = match self.settings.quirks().prompt {
            Prompt::Turn => {
                let mut turns = Vec::new();
                history::push_caller(&mut turns, text.to_owned());
                content(turns, true)
            }
            Prompt::Text => ToGemini::RealtimeInput(RealtimeInput::Text(text)).message(),
        };
        self.send(message);
    }

    fn nudge(&mut self, now: MonoTime) {
        if !self.is_listening() || self.mouth.is_generating() {
            return;
        }
        let quiet = self.ear.quiet_for(now);
        if quiet < NUDGE_QUIET {
            self.timers.set(Timer::Nudge, now + (NUDGE_QUIET - quiet));
        } else {
            self.send_prompt(GO_ON);
        }
    }

    /// The setup was accepted, for the first time or again.
    pub(super) fn on_accepted(&mut self, now: MonoTime, name: Option<String>) {
        let Some(resumed) = self.link.accepted(now) else { return };
        self.timers.clear(Timer::GiveUp);
        if resumed {
            self.recall(now);
        } else {
            let expires = self.settings.session_max().map(|max| now + max);
            self.told(ProviderEvent::Ready { session: name, expires });
        }
        for command in std::mem::take(&mut self.told.waiting) {
            self.act(now, command);
        }
    }

    /// Tells a resumed session what was said since its handle was given, and goes on with what it owed.
    fn recall(&mut self, now: MonoTime) {
        let owes = std::mem::take(&mut self.told.owes);
        let turns = history::contents(&self.told.recent.take());
        if turns.is_empty() {
            if owes {
                self.prompt(now, GO_ON);
            }
            return;
        }
        if self.settings.quirks().adds_turns {
            self.send(content(turns, false));
            if owes {
                self.prompt(now, GO_ON);
            }
        } else if owes {
            self.prompt(now, &format!("{} {GO_ON}", history::in_one_text(&turns)));
        }
    }

    /// The connection is gone, or of no use any more.
    pub(super) fn lost(&mut self, now: MonoTime, failure: Failure) {
        let leaving = self.link.is_leaving() && self.link.is_talking();
        if failure::is_resumable(&failure) && self.resume(now) {
            return;
        }
        let told = leaving && failure::is_resumable(&failure);
        self.fail(if told { Failure::SessionLimit } else { failure });
    }

    /// Leaves a connection before the service cuts it.
    fn leave(&mut self, now: MonoTime) {
        if !self.link.is_talking() {
            return;
        }
        if !self.resume(now) {
            self.fail(Failure::SessionLimit);
        }
    }

    /// Closes what there is of the old connection, then opens another. Whether that is possible.
    fn resume(&mut self, now: MonoTime) -> bool {
        if !self.settings.resumes || !self.link.is_resumable() {
            return false;
        }
        let first = self.link.is_talking();
        let dialled = self.link.is_dialled();
        let old = self.link.line();
        let Some(pause) = self.link.again(now) else { return false };
        if dialled {
            self.outbox.push_back(SessionOutput::HangUp(old));
        }
        if first {
            self.break_off();
            self.timers.set(Timer::GiveUp, now + RESUME_MAX);
        }
        if pause.is_zero() {
            self.redial();
        } else {
            self.timers.set(Timer::Redial, now + pause);
        }
        true
    }

    /// Ends what was under way on a connection.
    fn break_off(&mut self) {
        for timer in [Timer::LateWords, Timer::CallerWords, Timer::Nudge, Timer::MicQuiet, Timer::Leave] {
            self.timers.clear(timer);
        }
        let mut events = Events::new();
        self.told.owes |= self.caller.is_waiting();
        self.caller.flush(&mut events);
        self.told.owes |= self.mouth.break_off(&mut events);
        self.calls.forget();
        self.tell(events);
    }

    fn redial(&mut self) {
        let line = self.link.redial();
        self.outbox.push_back(SessionOutput::Dial(line, self.settings.endpoint()));
    }

    /// The end of this session, with what can still be told.
    pub(super) fn fail(&mut self, failure: Failure) {
        if self.link.is_over() {
            return;
        }
        self.flush_caller();
        // Who takes over hears the caller from now on: what waited for this connection is heard by nobody.
        let unheard = self.ear.give_up();
        if !unheard.is_zero() {
            self.told(ProviderEvent::Unheard(unheard));
        }
        self.hang_up();
        self.link.close();
        self.outbox.push_back(SessionOutput::Event(ProviderEvent::Failed(failure)));
    }

    fn hang_up(&mut self) {
        if self.link.is_dialled() {
            self.outbox.push_back(SessionOutput::HangUp(self.link.line()));
        }
    }

    pub(super) fn flush_caller(&mut self) {
        self.timers.clear(Timer::CallerWords);
        let mut events = Events::new();
        self.caller.flush(&mut events);
        self.tell(events);
    }

    pub(super) fn tell(&mut self, events: Events) {
        events.into_iter().for_each(|event| self.told(event));
    }

    /// Nothing more is told once it is over, though the rest of the message that was the end of it is read.
    pub(super) fn told(&mut self, event: ProviderEvent) {
        if self.link.is_over() {
            return;
        }
        self.told.recent.observe(&event);
        self.outbox.push_back(SessionOutput::Event(event));
    }

    fn send(&mut self, message: WireMessage) {
        if self.link.is_over() {
            return;
        }
        self.told.begun |= self.link.is_talking();
        self.outbox.push_back(SessionOutput::Send(self.link.line(), message));
    }

    fn on_line_up(&mut self) {
        if let Some(task) = self.task.as_ref()
            && self.link.up()
        {
            let handle = self.link.handle();
            let message = task.message(&self.settings, handle, handle.is_none() && self.told.announced);
            self.send(message);
        }
    }
}

impl ProviderSession for GeminiSession {
    fn handle(&mut self, now: MonoTime, input: SessionInput<'_>) {
        if self.link.is_over() {
            return;
        }
        match input {
            SessionInput::Command(command) => self.command(now, command),
            SessionInput::LineUp(line) if self.link.is_current(line) => self.on_line_up(),
            SessionInput::Wire(line, message) if self.link.is_current(line) => self.read(now, message),
            SessionInput::LineDown(line, end) if self.link.is_current(line) => {
                let failure = failure::of_line_end(&end, self.link.stage());
                self.link.down();
                self.lost(now, failure);
            }
            SessionInput::LineUp(_)
            | SessionInput::Wire(..)
            | SessionInput::LineDown(..)
            | SessionInput::Tick => {}
        }
        while !self.link.is_over()
            && let Some(timer) = self.timers.expired(now)
        {
            self.timer(now, timer);
        }
        self.settle(now);
    }

    fn poll(&mut self) -> SessionOutput {
        if let Some(output) = self.outbox.pop_front() {
            return output;
        }
        let wakes = if self.link.is_over() { None } else { self.timers.next().map(|(_, at)| at) };
        SessionOutput::WaitUntil(wakes)
    }
}

fn content(turns: Vec<Content>, turn_complete: bool) -> WireMessage {
    ToGemini::ClientContent(ClientContent { turns, turn_complete }).message()
}
