//! The translator: one conversation with OpenAI Realtime over one WebSocket.
//!
//! Here is how far a session has come, and what the call asks of it; `hearing` is what the service says.

mod hearing;
mod outbox;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use voice_core::conversation::Heard;
use voice_core::failure::Failure;
use voice_core::id::LineId;
use voice_core::provider::{
    ProviderCommand, ProviderEvent, ProviderSession, SessionInput, SessionOutput, Setup,
};
use voice_core::time::MonoTime;

use self::outbox::{Errand, Outbox};
use super::calls::Calls;
use super::errors;
use super::history::History;
use super::replies::{Amends, Replies};
use super::responses::Responses;
use super::settings::OpenAiSettings;
use super::shape;
use super::utterances::Utterances;
use super::wire::{self, ResponseShape, ToServer};

/// One conversation.
#[derive(Debug)]
pub(super) struct Session {
    settings: Arc<OpenAiSettings>,
    setup: Setup,
    phase: Phase,
    talk: Talk,
    outbox: Outbox,
    /// The `now` of the first input, to which `setup.unix` belongs.
    born: Option<MonoTime>,
    /// Messages that could not be read.
    unreadable: u32,
}

/// How far we are.
#[derive(Debug)]
enum Phase {
    /// Nobody has polled yet.
    New,
    /// The line is wanted.
    Dialling,
    /// The line is up; `session.created` is due.
    Greeting,
    /// Our settings were sent; `session.updated` is due.
    Configuring(Welcome),
    /// The conversation so far was sent; the service acknowledges its items, or never does.
    Telling(Welcome, Unacknowledged),
    /// We have reported that we are ready.
    Talking {
        /// When the service ends the session.
        expires: Option<MonoTime>,
    },
    /// Nothing more comes.
    Over,
}

/// What `session.created` said.
#[derive(Clone, Debug)]
struct Welcome {
    session: Option<String>,
    expires: Option<MonoTime>,
}

/// Items of the conversation so far that the service has not confirmed.
#[derive(Debug)]
struct Unacknowledged {
    items: VecDeque<String>,
    until: MonoTime,
}

/// The conversation itself.
#[derive(Debug)]
struct Talk {
    utterances: Utterances,
    replies: Replies,
    responses: Responses,
    calls: Calls,
    history: History,
    floor: Floor,
    /// Empty between messages; kept for its room, so that a piece of speech takes none.
    events: Vec<ProviderEvent>,
}

/// Who is to speak next. A response that we ask for while it is the caller's or the service's turn would be
/// one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Floor {
    /// Whoever has something to say.
    Anybody,
    /// The caller is speaking.
    Caller,
    /// The caller has paused, and the service answers by itself; if it has not until then, we ask.
    Service { until: MonoTime },
}

impl ProviderSession for Session {
    fn handle(&mut self, now: MonoTime, input: SessionInput<'_>) {
        self.born.get_or_insert(now);
        match input {
            SessionInput::Command(command) => self.on_command(command),
            SessionInput::LineUp(LINE) if matches!(self.phase, Phase::Dialling) => {
                self.phase = Phase::Greeting;
            }
            SessionInput::Wire(LINE, message) => self.on_message(now, message),
            SessionInput::LineDown(LINE, end) => {
                let expires = self.phase.expires();
                let was_due = expires.is_some_and(|at| now + DUE_TOLERANCE >= at);
                self.fail_without_line(errors::judge_end(&end, was_due));
            }
            // There is but one line, and deadlines are looked at whatever woke us.
            SessionInput::LineUp(_)
            | SessionInput::Wire(..)
            | SessionInput::LineDown(..)
            | SessionInput::Tick => {}
        }
        self.lose_patience(now);
    }

    fn poll(&mut self) -> SessionOutput {
        if let Phase::New = self.phase {
            match shape::unusable_tool(&self.setup) {
                Some(code) => self.fail_without_line(Failure::Settings { code }),
                None => {
                    self.phase = Phase::Dialling;
                    return SessionOutput::Dial(LINE, shape::endpoint(&self.settings, &self.setup));
                }
            }
        }
        self.outbox.pop().unwrap_or_else(|| SessionOutput::WaitUntil(self.wakes_at()))
    }
}

impl Phase {
    /// When the service ends the session, where it said so.
    fn expires(&self) -> Option<MonoTime> {
        match self {
            Self::Configuring(welcome) | Self::Telling(welcome, _) => welcome.expires,
            Self::Talking { expires } => *expires,
            Self::New | Self::Dialling | Self::Greeting | Self::Over => None,
        }
    }

    fn patience_ends(&self) -> Option<MonoTime> {
        if let Self::Telling(_, unacknowledged) = self { Some(unacknowledged.until) } else { None }
    }
}

/// The only line.
const LINE: LineId = LineId(0);

/// After the last item of the conversation so far, so long we wait for it to be acknowledged. The
/// service itself does so at once; some that imitate it never do.
const PATIENCE: Duration = Duration::from_secs(1);

/// After the caller's turn the service begins a response at once, or some that imitate it never do.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// A close with code 1001 so close to the announced end is that end.
const DUE_TOLERANCE: Duration = Duration::from_secs(30);

impl Session {
    pub(super) fn new(settings: Arc<OpenAiSettings>, setup: Setup) -> Self {
        let attachment = setup.attachment;
        let talk = Talk {
            utterances: Utterances::new(attachment),
            replies: Replies::new(attachment, setup.speaks),
            responses: Responses::default(),
            calls: Calls::new(attachment),
            history: History::new(attachment),
            floor: Floor::Anybody,
            events: Vec::new(),
        };
        Self { settings, setup, phase: Phase::New, talk, outbox: Outbox::new(), born: None, unreadable: 0 }
    }

    fn on_command(&mut self, command: ProviderCommand) {
        if !matches!(self.phase, Phase::Talking { .. }) && command != ProviderCommand::Close {
            return;
        }
        let Talk { history, calls, responses, .. } = &mut self.talk;
        let outbox = &mut self.outbox;
        match command {
            ProviderCommand::Hear(frame) => outbox.send(wire::append(&frame.data)),
            ProviderCommand::Interrupt(heard) => self.on_interrupt(&heard),
            ProviderCommand::Speak { cue } => {
                responses.want(cue);
                self.respond_if_free();
            }
            ProviderCommand::Answer { id, result } => {
                if let Some(call_id) = calls.answer(id) {
                    let mut told = String::new();
                    history.output(call_id, &result, |item_id, item| {
                        told = item_id.to_owned();
                        outbox.tell(Errand::Answer, ToServer::Create { item });
                    });
                    calls.told(id, told);
                    self.respond_if_free();
                }
            }
            ProviderCommand::CatchUp(turns) => {
                history.tell(&turns, |_, item| outbox.tell(Errand::History, ToServer::Create { item }));
            }
            ProviderCommand::Note(text) => {
                history
                    .note(text.expose(), |_, item| outbox.tell(Errand::History, ToServer::Create { item }));
            }
            ProviderCommand::Close => self.close(),
            _ => {}
        }
    }

    /// The caller interrupted. The service learns what was heard; it has perhaps stopped by itself.
    fn on_interrupt(&mut self, heard: &[Heard]) {
        if let Some(response) = self.talk.responses.running() {
            self.talk.replies.close(response);
        }
        if let Some(response) = self.talk.responses.stop() {
            self.outbox.tell(Errand::Cancel, ToServer::Cancel { response_id: response });
        }
        for heard in heard {
            let Some(amends) = self.talk.replies.cut(heard) else { continue };
            let message = match &amends {
                Amends::Truncate { item, content_index, audio_end_ms } => ToServer::Truncate {
                    item_id: item,
                    content_index: *content_index,
                    audio_end_ms: *audio_end_ms,
                },
                Amends::Delete { item } => ToServer::Delete { item_id: item },
            };
            self.outbox.tell(Errand::Cut, message);
        }
    }

    fn wakes_at(&self) -> Option<MonoTime> {
        let floor = match self.talk.floor {
            Floor::Service { until } if matches!(self.phase, Phase::Talking { .. }) => Some(until),
            Floor::Service { .. } | Floor::Anybody | Floor::Caller => None,
        };
        self.phase.patience_ends().or(floor)
    }

    /// Asks for a response if one is due, none runs, and it is nobody else's turn.
    fn respond_if_free(&mut self) {
        if self.talk.floor != Floor::Anybody {
            return;
        }
        let Talk { calls, responses, .. } = &mut self.talk;
        if responses.running().is_none() && calls.all_answered() {
            calls.forget_settled();
            responses.want(None);
        }
        let Some(cue) = responses.next() else { return };
        // Instructions of a response replace those of the session, which the voice still needs.
        let instructions = cue.map(|cue| format!("{}\n\n{cue}", self.setup.instructions));
        let response = instructions.as_deref().map(|instructions| ResponseShape { instructions });
        self.outbox.tell(Errand::Respond, ToServer::Respond { response });
    }

    fn configure(&mut self, welcome: Welcome) {
        let session = Box::new(shape::session(&self.settings, &self.setup));
        self.outbox.tell(Errand::Settings, ToServer::Update { session });
        self.phase = Phase::Configuring(welcome);
    }

    /// Our settings are accepted: the conversation so far comes next.
    fn tell_history(&mut self, now: MonoTime, welcome: Welcome) {
        let turns = std::mem::take(&mut self.setup.history);
        let mut items = VecDeque::new();
        let outbox = &mut self.outbox;
        self.talk.history.tell(&turns, |id, item| {
            items.push_back(id.to_owned());
            outbox.tell(Errand::History, ToServer::Create { item });
        });
        if items.is_empty() {
            self.ready(welcome);
        } else {
            self.phase = Phase::Telling(welcome, Unacknowledged { items, until: now + PATIENCE });
        }
    }

    fn on_item_accepted(&mut self, item: &str) {
        self.talk.calls.accepted(item);
        let Phase::Telling(welcome, unacknowledged) = &mut self.phase else { return };
        unacknowledged.items.retain(|unacknowledged| unacknowledged != item);
        if unacknowledged.items.is_empty() {
            let welcome = welcome.clone();
            self.ready(welcome);
        }
    }

    fn lose_patience(&mut self, now: MonoTime) {
        if let Phase::Telling(welcome, unacknowledged) = &self.phase
            && unacknowledged.until <= now
        {
            let welcome = welcome.clone();
            self.ready(welcome);
        }
        if let Floor::Service { until } = self.talk.floor
            && until <= now
        {
            self.talk.floor = Floor::Anybody;
            if matches!(self.phase, Phase::Talking { .. }) {
                self.respond_if_free();
            }
        }
    }

    fn ready(&mut self, Welcome { session, expires }: Welcome) {
        self.phase = Phase::Talking { expires };
        self.outbox.event(ProviderEvent::Ready { session, expires });
    }

    /// It is over, and the line still stands.
    fn fail(&mut self, failure: Failure) {
        if !matches!(self.phase, Phase::Over) {
            self.outbox.hang_up();
            self.fail_without_line(failure);
        }
    }

    /// It is over, and there is no line, or no more.
    fn fail_without_line(&mut self, failure: Failure) {
        if !matches!(self.phase, Phase::Over) {
            self.phase = Phase::Over;
            self.outbox.event(ProviderEvent::Failed(failure));
        }
    }

    /// The call needs us no more.
    fn close(&mut self) {
        let has_line = !matches!(self.phase, Phase::New | Phase::Over);
        self.phase = Phase::Over;
        if has_line {
            self.outbox.hang_up();
        }
    }
}
