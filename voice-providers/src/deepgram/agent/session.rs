//! One conversation with the Voice Agent, from its `Welcome` to the end of its line.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::AudioFrame;
use voice_core::conversation::{Heard, ToolCall, ToolResult, Turn};
use voice_core::failure::Failure;
use voice_core::id::{LineId, ToolCallId};
use voice_core::limits;
use voice_core::provider::{
    ProviderCommand, ProviderEvent, ProviderSession, SessionInput, SessionOutput, Setup,
};
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, LineEnd, WireMessage};

use super::SESSION_MAX;
use super::caller::Caller;
use super::calls::{Calls, Refusal};
use super::cues::Cues;
use super::mouth::Mouth;
use super::settings::AgentSettings;
use super::wire::{self, FromAgent, Requested, ToAgent, ToolError};
use super::{errors, history, opening};

const LINE: LineId = LineId(0);

/// See the module.
pub(super) struct Session {
    settings: Arc<AgentSettings>,
    setup: Setup,
    stage: Stage,
    caller: Caller,
    mouth: Mouth,
    calls: Calls,
    cues: Cues,
    /// Messages that could not be read.
    unreadable: u32,
    outbox: VecDeque<SessionOutput>,
}

#[derive(Debug)]
enum Stage {
    /// The line is being opened.
    Dialling,
    /// The line is up; the service speaks first.
    Welcoming { since: MonoTime },
    /// Settings are sent. Audio would be lost, or be the end of it.
    Applying { since: MonoTime, session: Option<String>, quiet_since: MonoTime },
    /// The service hears.
    Talking { since: MonoTime, heard_until: MonoTime },
    /// Nothing more comes in or out.
    Over,
}

impl Session {
    pub(super) fn new(settings: Arc<AgentSettings>, setup: Setup) -> Self {
        let endpoint =
            Endpoint::web_socket(&settings.url).header("authorization", settings.credential.header());
        Self {
            stage: Stage::Dialling,
            caller: Caller::new(setup.attachment),
            mouth: Mouth::new(setup.attachment, setup.speaks),
            calls: Calls::new(setup.attachment),
            cues: Cues::new(settings.verbatim_cues, opening::greets(&settings, &setup)),
            unreadable: 0,
            outbox: VecDeque::from([SessionOutput::Dial(LINE, endpoint)]),
            settings,
            setup,
        }
    }
}

impl ProviderSession for Session {
    fn handle(&mut self, now: MonoTime, input: SessionInput<'_>) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        match input {
            SessionInput::Command(command) => self.on_command(now, command),
            SessionInput::LineUp(_) => {
                if matches!(self.stage, Stage::Dialling) {
                    self.stage = Stage::Welcoming { since: now };
                }
            }
            SessionInput::Wire(_, WireMessage::Binary(sound)) => self.on_sound(now, sound),
            SessionInput::Wire(_, WireMessage::Text(text)) => {
                self.on_message(now, FromAgent::read(text.as_bytes()));
            }
            SessionInput::LineDown(_, end) => self.on_line_down(now, &end),
            SessionInput::Tick => {}
        }
        self.tick(now);
    }

    fn poll(&mut self) -> SessionOutput {
        self.outbox.pop_front().unwrap_or_else(|| SessionOutput::WaitUntil(self.wakes_at()))
    }
}

// What the call wants.
impl Session {
    fn on_command(&mut self, now: MonoTime, command: ProviderCommand) {
        match command {
            ProviderCommand::Close => {
                self.stage = Stage::Over;
                self.outbox.push_back(SessionOutput::HangUp(LINE));
            }
            // Before the settings are applied nobody listens.
            _ if !matches!(self.stage, Stage::Talking { .. }) => {}
            ProviderCommand::Hear(frame) => self.hear(now, frame),
            ProviderCommand::Interrupt(heard) => self.interrupt(now, &heard),
            ProviderCommand::Speak { cue } => {
                self.cues.wanted(cue);
                self.send_cue();
            }
            ProviderCommand::Answer { id, result } => self.answer(id, &result),
            ProviderCommand::CatchUp(turns) => self.catch_up(&turns),
            ProviderCommand::Note(text) => {
                self.say(&ToAgent::UpdatePrompt { prompt: &history::note(text.expose()) });
            }
            // New commands of the port mean nothing here until they are written.
            _ => {}
        }
    }

    fn catch_up(&mut self, turns: &[Turn]) {
        if !turns.is_empty() {
            self.cues.begun();
            self.say(&ToAgent::UpdatePrompt { prompt: &history::catch_up(turns) });
        }
    }

    fn hear(&mut self, now: MonoTime, frame: AudioFrame) {
        let Stage::Talking { heard_until, .. } = &mut self.stage else { return };
        // An empty message would mean the end of the audio.
        if !frame.data.is_empty() {
            *heard_until = now;
            self.send(WireMessage::Binary(frame.data));
        }
    }

    /// There is nothing to tell: the service stopped by itself, and takes what it sent as heard. If it
    /// did not stop, what still comes is kept from being a reply of its own.
    fn interrupt(&mut self, now: MonoTime, heard: &[Heard]) {
        if heard.iter().any(|heard| self.mouth.is_in(heard.reply)) {
            let cut = self.mouth.cut(now);
            self.tell(cut);
        }
    }

    fn answer(&mut self, id: ToolCallId, result: &ToolResult) {
        // Cancelled calls must not be answered.
        let Some(open) = self.calls.answered(id) else { return };
        let content = history::response(Some(result));
        self.say(&ToAgent::FunctionCallResponse { id: &open.call, name: &open.name, content: &content });
    }

    fn send_cue(&mut self) {
        if let Some(message) = self.cues.next(self.mouth.is_speaking()) {
            self.send(WireMessage::text(message));
        }
    }
}

// What the service says.
impl Session {
    fn on_sound(&mut self, now: MonoTime, sound: &Bytes) {
        if !matches!(self.stage, Stage::Talking { .. }) {
            return self.unknown("early_audio");
        }
        if !sound.is_empty() {
            let event = self.mouth.speech(now, sound);
            self.tell_of_voice(event);
        }
    }

    fn on_message(&mut self, now: MonoTime, message: FromAgent<'_>) {
        match message {
            FromAgent::Welcome { request_id } => self.on_welcome(now, request_id),
            FromAgent::SettingsApplied => self.on_settings_applied(now),
            FromAgent::Error { code } => {
                let is_talking = matches!(self.stage, Stage::Talking { .. });
                self.fail(errors::of_error(&code, is_talking, self.is_at_limit(now)));
            }
            FromAgent::Warning { code } => self.on_warning(&code),
            FromAgent::Needless => {}
            FromAgent::Unknown(kind) => self.unknown(&kind),
            FromAgent::Unreadable => self.on_unreadable(),
            _ if !matches!(self.stage, Stage::Talking { .. }) => self.unknown("early_message"),
            FromAgent::UserStartedSpeaking => self.on_caller_began(now),
            FromAgent::CallerSaid(text) => {
                if !text.trim().is_empty() && !self.cues.is_echo(&text) {
                    self.cues.begun();
                    self.caller
                        .said(clipped(&text), |event| self.outbox.push_back(SessionOutput::Event(event)));
                }
            }
            FromAgent::VoiceSaid(text) => {
                if !text.trim().is_empty() {
                    let event = self.mouth.words(now, clipped(&text));
                    self.tell_of_voice(event);
                }
            }
            FromAgent::AgentAudioDone => {
                let done = self.mouth.done();
                self.on_reply_over(done);
            }
            FromAgent::FunctionCallRequest(functions) => {
                functions.iter().for_each(|function| self.on_function(function));
            }
            FromAgent::FunctionCallCancelled(calls) => {
                for id in calls.iter().filter_map(|call| self.calls.cancelled(call)) {
                    self.outbox.push_back(SessionOutput::Event(ProviderEvent::ToolCancelled(id)));
                }
            }
            FromAgent::InjectionRefused => {
                self.cues.refused();
                self.tell_harmless("InjectionRefused");
            }
        }
    }

    fn on_welcome(&mut self, now: MonoTime, session: Option<String>) {
        let Stage::Welcoming { since } = self.stage else { return self.unknown("late_welcome") };
        self.send(WireMessage::text(opening::message(&self.settings, &self.setup)));
        // The history is with the service now, and may be long.
        self.setup.history = Vec::new();
        self.stage = Stage::Applying { since, session, quiet_since: now };
    }

    fn on_settings_applied(&mut self, now: MonoTime) {
        let Stage::Applying { since, session, .. } = &mut self.stage else {
            return self.unknown("late_settings_applied");
        };
        let (since, session) = (*since, session.take().map(|id| Failure::clean_code(&id)));
        self.stage = Stage::Talking { since, heard_until: now };
        self.tell(Some(ProviderEvent::Ready { session, expires: Some(since + SESSION_MAX) }));
    }

    fn on_caller_began(&mut self, now: MonoTime) {
        self.cues.begun();
        let cut = self.mouth.cut(now);
        self.caller.began(|event| self.outbox.push_back(SessionOutput::Event(event)));
        self.tell(cut);
    }

    fn on_function(&mut self, function: &Requested<'_>) {
        // The others are run by the service itself.
        if !function.client_side {
            return;
        }
        let id = match self.calls.called(&function.id, &function.name) {
            Ok(id) => id,
            Err(Refusal::Repeated) => return self.unknown("repeated_function_call"),
            Err(Refusal::TooMany) => {
                let content =
                    ToolError { error: "too many calls are open; wait for their answers" }.to_json();
                let (id, name) = (&function.id, &function.name);
                return self.say(&ToAgent::FunctionCallResponse { id, name, content: &content });
            }
        };
        let arguments = if function.arguments.trim().is_empty() { "{}" } else { &*function.arguments };
        if wire::object(arguments).is_none() {
            self.tell_harmless("tool_arguments_not_json");
            let why = "the arguments are not a JSON object; call the tool again with valid JSON";
            return self.answer(id, &ToolResult { output: why.into(), failed: true });
        }
        let (name, arguments) = (function.name.to_string(), arguments.into());
        self.tell(Some(ProviderEvent::ToolCall(ToolCall { id, name, arguments })));
    }

    fn on_warning(&mut self, code: &str) {
        if code.starts_with("INJECT_AGENT_MESSAGE_DURING_") {
            self.cues.refused();
        }
        self.tell_harmless(code);
    }

    fn on_unreadable(&mut self) {
        self.unreadable += 1;
        self.unknown("unreadable");
        if self.unreadable >= limits::UNREADABLE_MAX {
            self.fail(Failure::Unreadable("messages that are not those of the voice agent"));
        }
    }

    fn on_line_down(&mut self, now: MonoTime, end: &LineEnd) {
        let failure = errors::of_line_end(end, self.is_at_limit(now));
        self.stage = Stage::Over;
        self.tell(Some(ProviderEvent::Failed(failure)));
    }

    fn on_reply_over(&mut self, done: Option<ProviderEvent>) {
        if done.is_some() {
            self.cues.begun();
        }
        self.tell(done);
        self.send_cue();
    }

    /// Something of a reply, after which the turn is the caller's no more.
    fn tell_of_voice(&mut self, event: Option<ProviderEvent>) {
        if event.is_some() {
            self.caller.answered(|event| self.outbox.push_back(SessionOutput::Event(event)));
        }
        self.tell(event);
    }

    fn tell_harmless(&mut self, code: &str) {
        let failure = Failure::Harmless { code: Failure::clean_code(code) };
        self.tell(Some(ProviderEvent::Failed(failure)));
    }

    fn unknown(&mut self, kind: &str) {
        self.tell(Some(ProviderEvent::Unknown { kind: Failure::clean_code(kind) }));
    }

    /// The session is over, whatever the line does.
    fn fail(&mut self, failure: Failure) {
        self.stage = Stage::Over;
        self.tell(Some(ProviderEvent::Failed(failure)));
        self.outbox.push_back(SessionOutput::HangUp(LINE));
    }

    fn tell(&mut self, event: Option<ProviderEvent>) {
        self.outbox.extend(event.map(SessionOutput::Event));
    }

    fn say(&mut self, message: &ToAgent<'_>) {
        self.send(WireMessage::text(message.to_json()));
    }

    fn send(&mut self, message: WireMessage) {
        self.outbox.push_back(SessionOutput::Send(LINE, message));
    }
}

// Time.
impl Session {
    fn tick(&mut self, now: MonoTime) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        if let Some(over) = self.mouth.tick(now) {
            self.on_reply_over(Some(over));
        }
        if self.line_wakes_at().is_none_or(|at| at > now) {
            return;
        }
        match &mut self.stage {
            Stage::Applying { quiet_since, .. } => {
                *quiet_since = now;
                self.say(&ToAgent::KeepAlive);
            }
            Stage::Talking { heard_until, .. } => {
                let missing = now.since(*heard_until).min(SILENCE_MAX);
                *heard_until = now;
                let silence =
                    vec![self.setup.hears.encoding.silence_byte(); self.setup.hears.bytes_in(missing)];
                self.send(WireMessage::Binary(silence.into()));
            }
            Stage::Dialling | Stage::Welcoming { .. } | Stage::Over => {}
        }
    }

    fn wakes_at(&self) -> Option<MonoTime> {
        if matches!(self.stage, Stage::Over) {
            return None;
        }
        self.line_wakes_at().into_iter().chain(self.mouth.wakes_at()).min()
    }

    /// When something must be sent, lest the service believe us gone.
    fn line_wakes_at(&self) -> Option<MonoTime> {
        match self.stage {
            Stage::Applying { quiet_since, .. } => Some(quiet_since + KEEP_ALIVE_EVERY),
            Stage::Talking { heard_until, .. } => Some(heard_until + SILENCE_AFTER),
            Stage::Dialling | Stage::Welcoming { .. } | Stage::Over => None,
        }
    }

    /// Whether the session is so old that its end is the limit's work, whatever the code.
    fn is_at_limit(&self, now: MonoTime) -> bool {
        match self.stage {
            Stage::Talking { since, .. } => now.since(since) + LIMIT_SLACK >= SESSION_MAX,
            Stage::Dialling | Stage::Welcoming { .. } | Stage::Applying { .. } | Stage::Over => false,
        }
    }
}

/// As much of a foreign text as a turn may hold.
fn clipped(text: &str) -> &str {
    let mut end = text.len().min(limits::TURN_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// While settings are applied no audio may be sent; the service hangs up after some ten seconds
/// without a message.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(5);

/// Keep-alives do not reliably save a session without audio (protocol notes, Deepgram §5.6), and ears
/// that hear nothing never find the end of a turn (§3). So silence is sent in place of the caller where
/// nothing comes from them: a carrier that sends no silence, or a session that is warming up. Not
/// sooner, because speech that was held up on its way should not have a gap put into it.
const SILENCE_AFTER: Duration = Duration::from_secs(1);

/// If we were held up for longer, nobody needs that much silence.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The service ends a session about then.
const LIMIT_SLACK: Duration = Duration::from_secs(60);
