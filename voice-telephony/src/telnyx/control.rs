//! One call as a sequence of commands: what to send next, given what was told (protocol notes, Telnyx §3).
//!
//! Twilio asks what to do; Telnyx is told. So each call has a [`CallControl`]: a value that is fed with
//! verified webhooks, answers of the REST API and time, and says which order to send next.
//!
//! ```text
//!  call.initiated ──► answer ──► call.answered ──► streaming_start with a ticket ──► media socket
//!  dial ──► call.initiated ──► call.answered ──┘                                        │
//!                                  ▲      streaming.failed, a socket that is gone ◄─────┤
//!                                  └──────── again, a few times ◄─────┘                 ▼
//!                                                         hangup ──► call.hangup ──► finished
//! ```
//!
//! Whatever order webhooks and answers come in, each step is made once. An order whose outcome is
//! unknown is repeated under the same id, which Telnyx ignores where it knows it already.

mod flight;
mod port;

use std::collections::VecDeque;

use voice_core::sensitive::Secret;
use voice_core::time::{MonoTime, UnixMillis};

use self::flight::{Flight, Landing};
pub use self::port::{ControlEvent, ControlInput, ControlOutput, ControlSettings, End};
use super::answer::{Answer, Cause, CommandError};
use super::command::{Command, CommandId, Dial, RejectCause, StreamUrlError, Streaming};
use super::event::{Event, StreamNotice};
use super::id::CallControlId;
use super::webhook::TelnyxWebhook;
use crate::limits::{ANSWERED_WAIT, HANGUP_WAIT, LEG_RING_SLACK, RECONCILE_WAIT, SOCKET_WAIT, STOPPED_GRACE};
use crate::status::{CallStatus, FailReason, Report, SeenEvents, StatusTracker};
use crate::ticket::StreamTicket;

/// See the module.
#[derive(Debug)]
pub struct CallControl {
    settings: ControlSettings,
    /// Our own name for the call, which its events carry.
    name: Vec<u8>,
    call: Option<CallControlId>,
    stage: Stage,
    flights: Flight,
    restarts: u32,
    wants_hang_up: bool,
    status: StatusTracker,
    seen: SeenEvents,
    /// Where the clocks met.
    began: (MonoTime, UnixMillis),
    outbox: VecDeque<ControlOutput>,
}

#[derive(Debug)]
enum Stage {
    /// Our call is asked for.
    Dialling {
        /// Set once nobody knows whether it was accepted.
        reconcile_until: Option<MonoTime>,
    },
    /// It rings at the other side, so long at the most.
    Ringing { until: MonoTime },
    /// The answer is given, and not yet confirmed.
    Answering { deadline: Option<MonoTime> },
    /// A ticket is asked for.
    Connecting,
    /// A stream was asked for under this address.
    Streaming { streaming: Box<Streaming>, up: Up },
    /// The stream is gone; if the call is, its end will be told soon.
    Lost { until: MonoTime },
    /// We do not want the call (any more).
    Ending { deadline: Option<MonoTime>, end: End },
    /// Reported.
    Over,
}

/// Whether the socket of a stream is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Up {
    Yes,
    By(MonoTime),
}

impl CallControl {
    /// Takes an incoming call, the one of this event. `name` is our own name for it, which its later
    /// events will carry.
    pub fn answer(
        now: (MonoTime, UnixMillis),
        settings: ControlSettings,
        call: CallControlId,
        name: &[u8],
    ) -> Self {
        let mut control = Self::new(now, settings, Some(call), name, CallStatus::Ringing);
        control.stage = Stage::Answering { deadline: None };
        let client_state = Some(control.name.clone());
        control.order_with(Command::Answer, client_state);
        control
    }

    /// Refuses an incoming call.
    pub fn reject(now: (MonoTime, UnixMillis), call: CallControlId, cause: RejectCause) -> Self {
        let mut control = Self::new(now, ControlSettings::none(), Some(call), b"", CallStatus::Ringing);
        control.stage = Stage::Ending { deadline: None, end: End::Rejected };
        control.order(Command::Reject(cause));
        control
    }

    /// Ends a call that nobody on our side wants, whoever began it. Its orders have numbers of their own: Telnyx
    /// ignores one that looks like an order of whoever commanded the call a moment ago.
    pub fn dismiss(now: (MonoTime, UnixMillis), call: CallControlId) -> Self {
        let mut control = Self::new(now, ControlSettings::none(), Some(call), b"", CallStatus::Answered);
        control.flights = Flight::beginning_at(number_of(now.1) | DISMISSED);
        control.hang_up(End::Gone);
        control
    }

    /// Calls somebody. `name` must be unique: events are known by it until the call has a name of
    /// Telnyx's.
    pub fn dial(now: (MonoTime, UnixMillis), mut settings: ControlSettings, dial: Dial, name: &[u8]) -> Self {
        settings.ring = dial.ring;
        let mut control = Self::new(now, settings, None, name, CallStatus::Initiated);
        let id = control.flights.dial(&control.name, dial.clone());
        let client_state = control.name.clone();
        control.outbox.push_back(ControlOutput::Dial { id, dial: Box::new(dial), client_state });
        control
    }

    /// Takes up a call that is answered and that somebody else began: one that was dialled elsewhere
    /// ([`super::outbound`]), or one of before our own restart. The numbers of its orders begin with the
    /// time, so that none is mistaken for one of before.
    pub fn resume(
        now: (MonoTime, UnixMillis),
        settings: ControlSettings,
        call: CallControlId,
        name: &[u8],
    ) -> Self {
        let mut control = Self::new(now, settings, Some(call), name, CallStatus::Answered);
        control.flights = Flight::beginning_at(number_of(now.1));
        control.connect();
        control
    }

    /// Takes up a call whose stream somebody else asked for, under this ticket, and which has come here.
    pub fn taken_up(
        now: (MonoTime, UnixMillis),
        settings: ControlSettings,
        call: CallControlId,
        ticket: &Secret<String>,
    ) -> Self {
        let ticket = StreamTicket::signed(ticket.expose().clone());
        let streaming = Streaming::new(&settings.stream_url, &ticket, settings.codec);
        let mut control = Self::resume(now, settings, call, b"");
        if let Ok(streaming) = streaming {
            control.outbox.clear();
            control.stage =
                Stage::Streaming { streaming: Box::new(streaming), up: Up::By(now.0 + SOCKET_WAIT) };
        }
        control
    }

    /// The only way in. Cannot fail.
    pub fn handle(&mut self, now: MonoTime, input: ControlInput<'_>) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        match input {
            ControlInput::Webhook(webhook) => self.webhook(now, webhook),
            ControlInput::Answer(id, answer) => self.answered(now, id, answer),
            ControlInput::Ticket(ticket) => self.ticket(now, ticket),
            ControlInput::MediaUp => {
                if let Stage::Streaming { up, .. } = &mut self.stage {
                    *up = Up::Yes;
                }
            }
            ControlInput::MediaDown => {
                if matches!(self.stage, Stage::Streaming { up: Up::Yes, .. }) {
                    self.stage = Stage::Lost { until: now + STOPPED_GRACE };
                }
            }
            ControlInput::Do(command) => {
                self.order_for(command);
            }
            ControlInput::HangUp => self.hang_up(End::Gone),
            ControlInput::Tick => {}
        }
        self.look_at(now);
    }

    /// The only way out.
    pub fn poll(&mut self) -> ControlOutput {
        self.outbox.pop_front().unwrap_or_else(|| ControlOutput::WaitUntil(self.wakes_at()))
    }

    /// Telnyx's name for the call, once there is one.
    pub const fn call(&self) -> Option<&CallControlId> {
        self.call.as_ref()
    }

    /// Where the call is.
    pub const fn status(&self) -> &StatusTracker {
        &self.status
    }

    fn new(
        (now, unix): (MonoTime, UnixMillis),
        settings: ControlSettings,
        call: Option<CallControlId>,
        name: &[u8],
        status: CallStatus,
    ) -> Self {
        Self {
            settings,
            name: name.to_vec(),
            call,
            stage: Stage::Dialling { reconcile_until: None },
            flights: Flight::beginning_at(0),
            restarts: 0,
            wants_hang_up: false,
            status: StatusTracker::new(unix, status),
            seen: SeenEvents::new(),
            began: (now, unix),
            outbox: VecDeque::new(),
        }
    }

    fn webhook(&mut self, now: MonoTime, webhook: &TelnyxWebhook) {
        if !self.is_ours(webhook) || !self.seen.is_new(webhook.id.as_str()) {
            return;
        }
        if self.call.is_none() {
            self.named(webhook.leg.call_control_id.clone());
        }
        if let Some(report) = webhook.report() {
            self.report(now, report);
        }
        match &webhook.event {
            Event::Initiated(_) => {
                if matches!(self.stage, Stage::Dialling { .. }) {
                    self.stage = Stage::Ringing { until: now + self.settings.ring + LEG_RING_SLACK };
                }
            }
            Event::Answered { .. } => self.is_answered(),
            Event::Hangup(hangup) => self.finish(End::HungUp(hangup.clone())),
            Event::StreamingStopped(notice) | Event::StreamingFailed(notice) => self.stopped(now, notice),
            Event::MachineDetected(who) => self.tell(ControlEvent::Answerer(*who)),
            Event::GreetingEnded(how) => self.tell(ControlEvent::Greeting(*how)),
            // Of interest to whoever asked for it, who sees the event as well.
            Event::Bridged
            | Event::Held
            | Event::Unheld
            | Event::Digit(_)
            | Event::GatherEnded { .. }
            | Event::SpeakStarted
            | Event::SpeakEnded(_)
            | Event::PlaybackStarted
            | Event::PlaybackEnded(_)
            | Event::RecordingSaved(_)
            | Event::RecordingFailed { .. }
            | Event::StreamingStarted(_)
            | Event::Refer { .. }
            | Event::ConferenceCreated(_)
            | Event::ConferenceEnded(_)
            | Event::ConferenceJoined(_)
            | Event::ConferenceLeft(_)
            | Event::Other(_) => {}
        }
    }

    fn is_ours(&self, webhook: &TelnyxWebhook) -> bool {
        let leg = &webhook.leg;
        match (&self.call, &leg.call_control_id) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, Some(_)) => leg.client_state.as_ref() == Some(&self.name) && !self.name.is_empty(),
            (_, None) => false,
        }
    }

    /// Our call has a name, so that commands can be sent to it.
    fn named(&mut self, call: Option<CallControlId>) {
        if self.call.is_none() {
            self.call = call;
        }
        if let Stage::Dialling { reconcile_until } = &mut self.stage {
            *reconcile_until = None;
        }
        if self.wants_hang_up && self.call.is_some() {
            self.hang_up(End::Gone);
        }
    }

    fn report(&mut self, now: MonoTime, report: Report) {
        let unix = self.began.1 + now.since(self.began.0);
        if let crate::status::Outcome::Moved { .. } = self.status.report(unix, report) {
            self.tell(ControlEvent::Status(self.status.status(), self.status.reason()));
        }
    }

    fn is_answered(&mut self) {
        let waits =
            matches!(self.stage, Stage::Dialling { .. } | Stage::Ringing { .. } | Stage::Answering { .. });
        if waits {
            self.connect();
        }
    }

    fn connect(&mut self) {
        if let Some(call) = self.call.clone() {
            self.stage = Stage::Connecting;
            self.outbox.push_back(ControlOutput::NeedTicket(call));
        }
    }

    fn ticket(&mut self, now: MonoTime, ticket: &StreamTicket) {
        if !matches!(self.stage, Stage::Connecting) {
            return;
        }
        match Streaming::new(&self.settings.stream_url, ticket, self.settings.codec) {
            Ok(streaming) => {
                let streaming = Box::new(streaming);
                self.order(Command::StreamingStart(streaming.clone()));
                self.stage = Stage::Streaming { streaming, up: Up::By(now + SOCKET_WAIT) };
            }
            // The settings were checked, so this is a call that was never meant to stream.
            Err(StreamUrlError) => self.hang_up(End::MediaLost),
        }
    }

    /// A stream is over or was never there. Which one, its address tells: the notice may be late.
    fn stopped(&mut self, now: MonoTime, notice: &StreamNotice) {
        let Stage::Streaming { streaming, up } = &self.stage else { return };
        let is_this = match &notice.url {
            Some(url) => url == streaming.url(),
            None => *up != Up::Yes,
        };
        if is_this {
            self.stage = Stage::Lost { until: now + STOPPED_GRACE };
        }
    }

    fn restart(&mut self) {
        if self.restarts >= self.settings.restarts_max {
            return self.hang_up(End::MediaLost);
        }
        self.restarts += 1;
        // What led to the stream that is given up must not bring it back.
        self.flights.forget_steps();
        self.tell(ControlEvent::Restarting);
        self.connect();
    }

    fn hang_up(&mut self, end: End) {
        if matches!(self.stage, Stage::Ending { .. } | Stage::Over) {
            return;
        }
        self.wants_hang_up = true;
        if self.call.is_some() {
            self.stage = Stage::Ending { deadline: None, end };
            self.flights.forget_steps();
            self.order(Command::Hangup);
        }
    }

    fn answered(&mut self, now: MonoTime, id: CommandId, answer: Result<Answer, CommandError>) {
        let may_repeat = !matches!(self.stage, Stage::Ending { .. })
            || self.flights.is(&id, |command| matches!(command, Command::Hangup | Command::Reject(_)));
        match self.flights.land(now, &id, answer, may_repeat) {
            Landing::Unknown => {}
            Landing::Repeats(at) => {
                // A socket cannot come before it was asked for.
                if let Stage::Streaming { up: Up::By(deadline), .. } = &mut self.stage {
                    *deadline = (*deadline).max(at + SOCKET_WAIT);
                }
            }
            Landing::Dialled(answer) => self.dialled(now, answer),
            Landing::Step(command, Err(error), true)
                if error.cause == Cause::Streaming && matches!(command, Command::StreamingStart(_)) =>
            {
                // The first try was carried out after all.
            }
            Landing::Step(command, answer, _) => self.step(now, &command, answer),
            Landing::Asked(answer) => {
                let is_gone = answer.as_ref().is_err_and(|error| error.cause == Cause::CallGone);
                self.tell(ControlEvent::Done(id, answer));
                if is_gone {
                    self.finish(End::Gone);
                }
            }
        }
    }

    fn dialled(&mut self, now: MonoTime, answer: Result<Answer, CommandError>) {
        match answer {
            Ok(answer) => self.named(answer.call),
            Err(_) if self.call.is_some() => {}
            Err(error) if error.cause.may_be_done() => {
                self.stage = Stage::Dialling { reconcile_until: Some(now + RECONCILE_WAIT) };
            }
            Err(error) => self.finish(End::Failed(error.cause)),
        }
    }

    /// A step of ours came to its end, for good.
    fn step(&mut self, now: MonoTime, command: &Command, answer: Result<Answer, CommandError>) {
        let is_over = matches!(self.stage, Stage::Ending { .. });
        match (command, answer.map_err(|error| error.cause)) {
            (Command::Hangup | Command::Reject(_), Ok(_)) => {
                if let Stage::Ending { deadline, .. } = &mut self.stage {
                    *deadline = Some(now + HANGUP_WAIT);
                }
            }
            (Command::Hangup | Command::Reject(_), Err(cause)) => {
                let stage = std::mem::replace(&mut self.stage, Stage::Over);
                let end = if let Stage::Ending { end, .. } = stage { end } else { End::Gone };
                self.finish(if cause == Cause::CallGone { end } else { End::Failed(cause) });
            }
            (_, _) if is_over => {}
            (_, Err(Cause::CallGone)) => self.finish(End::Gone),
            (Command::Answer, Ok(_)) => {
                if let Stage::Answering { deadline } = &mut self.stage {
                    *deadline = Some(now + ANSWERED_WAIT);
                }
            }
            (Command::StreamingStart(_), Err(Cause::Streaming)) => {
                // Of a life before this one, or a socket that never came. One stream per call.
                self.order(Command::StreamingStop);
            }
            (Command::StreamingStart(_), Err(Cause::StreamFailed)) => self.restart(),
            (Command::StreamingStop, _) => self.restart(),
            (_, Err(cause)) => self.hang_up(End::Failed(cause)),
            (_, Ok(_)) => {}
        }
    }

    /// What has become due.
    fn look_at(&mut self, now: MonoTime) {
        while let Some(again) = self.flights.due(now) {
            self.outbox.push_back(match again {
                flight::Again::Order(order) => ControlOutput::Send(order),
                flight::Again::Dial(id, dial) => {
                    ControlOutput::Dial { id, dial, client_state: self.name.clone() }
                }
            });
        }
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match &self.stage {
            Stage::Dialling { .. } => self.finish(End::Unknown),
            // The event is late, or lost: the command was accepted, so the call is answered.
            Stage::Answering { .. } => self.connect(),
            Stage::Streaming { .. } | Stage::Lost { .. } => self.restart(),
            Stage::Ending { end, .. } => {
                let end = end.clone();
                self.finish(end);
            }
            // Neither its answer nor its end was told: whatever it does, nobody waits for it.
            Stage::Ringing { .. } => self.hang_up(End::Gone),
            Stage::Connecting | Stage::Over => {}
        }
    }

    const fn deadline(&self) -> Option<MonoTime> {
        match &self.stage {
            Stage::Dialling { reconcile_until: at }
            | Stage::Answering { deadline: at }
            | Stage::Ending { deadline: at, .. } => *at,
            Stage::Streaming { up: Up::By(at), .. }
            | Stage::Lost { until: at }
            | Stage::Ringing { until: at } => Some(*at),
            Stage::Streaming { up: Up::Yes, .. } | Stage::Connecting | Stage::Over => None,
        }
    }

    fn wakes_at(&self) -> Option<MonoTime> {
        [self.deadline(), self.flights.next_due()].into_iter().flatten().min()
    }

    fn order(&mut self, command: Command) {
        self.order_with(command, None);
    }

    fn order_with(&mut self, command: Command, client_state: Option<Vec<u8>>) {
        if let Some(call) = &self.call {
            let order = self.flights.step(call, command, client_state);
            self.outbox.push_back(ControlOutput::Send(order));
        }
    }

    /// An order of somebody else. Without a call there is nobody to give it to.
    fn order_for(&mut self, command: Command) {
        if let Some(call) = &self.call
            && !matches!(self.stage, Stage::Ending { .. })
        {
            let order = self.flights.asked(call, command);
            self.outbox.push_back(ControlOutput::Send(order));
            return;
        }
        let id = CommandId::new("", 0);
        let error = CommandError { cause: Cause::CallGone, ..CommandError::unreachable() };
        self.tell(ControlEvent::Done(id, Err(error)));
    }

    fn finish(&mut self, end: End) {
        let status = self.status.status();
        if !status.is_final() {
            let (status, reason) = self.last_status(&end, status);
            let unix = self.began.1;
            self.status.report(unix, Report { status, reason, sequence: None });
            self.tell(ControlEvent::Status(self.status.status(), self.status.reason()));
        }
        self.stage = Stage::Over;
        self.flights = Flight::beginning_at(0);
        self.outbox.push_back(ControlOutput::Finished(end));
    }

    /// What nobody told us: an answered call that we ended was completed.
    fn last_status(&self, end: &End, status: CallStatus) -> (CallStatus, Option<FailReason>) {
        let was_answered =
            matches!(status, CallStatus::Answered | CallStatus::OnHold | CallStatus::Transferring);
        match end {
            End::MediaLost => (CallStatus::Failed, Some(FailReason::MediaLost)),
            End::Gone | End::HungUp(_) if was_answered => (CallStatus::Completed, None),
            End::Gone | End::HungUp(_) if self.wants_hang_up => {
                (CallStatus::Failed, Some(FailReason::Canceled))
            }
            End::Rejected => (CallStatus::Failed, Some(FailReason::Busy)),
            End::Gone | End::HungUp(_) | End::Failed(_) | End::Unknown => {
                (CallStatus::Failed, Some(FailReason::Carrier))
            }
        }
    }

    fn tell(&mut self, event: ControlEvent) {
        self.outbox.push_back(ControlOutput::Event(event));
    }
}

/// Sets apart the numbers of orders by which a call is dismissed.
const DISMISSED: u32 = 1 << 31;

/// A number for the first order of whoever commands a call from now on.
fn number_of(unix: UnixMillis) -> u32 {
    u32::try_from(unix.as_secs()).unwrap_or_default() & (DISMISSED - 1)
}
