//! One call placed by us, as a value. Everything that decides about it is in this file.

use std::collections::VecDeque;
use std::time::Duration;

use voice_core::sensitive::Pii;
use voice_core::time::{MonoTime, UnixMillis};

use super::stage::{Attempt, Due, Fate, Looking, Stage, Up};
use super::{
    Act, AnsweredBy, AttemptKey, End, Input, News, Order, Output, Progress, Route, Seen, Told, Voicemail,
};
use crate::carrier_error::{CarrierError, Cause, Reach};
use crate::limits::{
    HANG_UPS_MAX, LOOKS, LOOKS_UNANSWERED_MAX, MEDIA_OVER_MAX, MESSAGE_MAX, PLACE_WAIT_MAX, REST_WHOLE_MAX,
    RING_SLACK, ROUND_WAIT_MAX, ROUNDS_MAX, ROUTES_MAX, STRAY_WAIT,
};
use crate::status::{CallStatus, FailReason, Outcome, Report, StatusTracker};

/// A call that is to be placed, until it is over. After every [`Self::handle`] call [`Self::poll`] until
/// it answers [`Output::WaitUntil`] or [`Output::Finished`].
#[derive(Debug)]
pub struct OutboundCall {
    order: Order,
    /// The wall clock at the origin of the other one.
    origin: UnixMillis,
    attempts: Vec<Attempt>,
    /// Routes of this round that were not asked yet, the next one first.
    left: VecDeque<usize>,
    /// Routes that only asked to wait, and for how long.
    again: Vec<(usize, Option<Duration>)>,
    round: u32,
    stage: Stage,
    outbox: VecDeque<Output>,
}

/// The shortest and longest time that carriers let a telephone ring.
const RING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

/// Calls found that were asked for before our request are others'; clocks differ by so much.
const CLOCKS_DIFFER: Duration = Duration::from_secs(30);

/// A carrier that accepted a call may let it wait for others before it is dialled.
const QUEUED_MAX: Duration = Duration::from_secs(30);

/// A stray is hung up so often, for carriers may lose the first word.
const STRAY_HANG_UPS_MAX: u32 = 3;

impl OutboundCall {
    /// Begins: the first carrier is asked at once. `unix` is the wall-clock time of `now`.
    ///
    /// Routes beyond [`ROUTES_MAX`] are not asked. Without any the call ends at once, as
    /// [`End::NotPlaced`].
    pub fn new(now: MonoTime, unix: UnixMillis, mut order: Order) -> Self {
        order.routes.truncate(ROUTES_MAX);
        order.ring = order.ring.clamp(RING.0, RING.1);
        let since_origin = i64::try_from(now.as_micros() / 1_000).unwrap_or(i64::MAX);
        let mut call = Self {
            origin: UnixMillis(unix.0.saturating_sub(since_origin)),
            attempts: Vec::new(),
            left: (0..order.routes.len()).collect(),
            again: Vec::new(),
            round: 0,
            stage: Stage::Waiting { until: now },
            outbox: VecDeque::new(),
            order,
        };
        call.next_route(now, CarrierError::refused(Cause::Invalid, Some("no_route")));
        call
    }

    /// Takes what happened. Whatever it is and whenever it comes, nothing here fails.
    pub fn handle(&mut self, now: MonoTime, input: Input) {
        match input {
            Input::Placed(attempt, Ok(carrier_call)) => self.accepted(now, attempt, carrier_call),
            Input::Placed(attempt, Err(error)) => self.not_placed(now, attempt, error),
            Input::Found(attempt, found) => self.found(now, attempt, found),
            Input::Acted(attempt, act, outcome) => self.acted(now, attempt, &act, outcome),
            Input::Told(attempt, told) => self.told(now, attempt, told),
            Input::MediaOver => {
                if let Stage::Up(up) = &mut self.stage
                    && !up.is_leaving_message
                {
                    up.deadline = up.deadline.min(now + MEDIA_OVER_MAX);
                }
            }
            Input::HangUp => self.canceled(now),
            Input::Tick => {}
        }
        self.due(now);
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Output {
        if let Some(output) = self.outbox.pop_front() {
            return output;
        }
        match &self.stage {
            Stage::Placing { deadline: at, .. }
            | Stage::Waiting { until: at }
            | Stage::Up(Up { deadline: at, .. })
            | Stage::Looking(Looking { due: Due::At(at) | Due::Asked(at), .. })
            | Stage::HangingUp { due: Due::At(at) | Due::Asked(at), .. }
            | Stage::Over { until: Some(at), .. } => Output::WaitUntil(*at),
            Stage::Over { end, until: None } => Output::Finished(end.clone()),
        }
    }

    /// The order, as it is carried out.
    pub const fn order(&self) -> &Order {
        &self.order
    }

    /// The key of an attempt, for the URLs that its carrier is given.
    pub const fn key(&self, attempt: u32) -> AttemptKey {
        AttemptKey { call: self.order.call, attempt }
    }

    /// Whether the carrier gave this name to a call of this order.
    pub fn owns(&self, carrier_call: &str) -> bool {
        let is_live = match &self.stage {
            Stage::Up(Up { carrier_call: ours, .. }) | Stage::HangingUp { carrier_call: ours, .. } => {
                ours == carrier_call
            }
            Stage::Placing { .. } | Stage::Looking(_) | Stage::Waiting { .. } | Stage::Over { .. } => false,
        };
        let was = |attempt: &Attempt| matches!(&attempt.fate, Fate::Over(ours) if ours == carrier_call);
        is_live || self.attempts.iter().any(was)
    }

    /// Whether somebody has answered and the call is not over.
    pub fn is_answered(&self) -> bool {
        matches!(&self.stage, Stage::Up(up) if up.is_answered())
    }

    /// Whether the request that a carrier is about to be sent is still wanted.
    pub fn is_wanted(&self) -> bool {
        matches!(self.stage, Stage::Placing { is_canceled: false, .. })
    }

    /// Whether a carrier that says that this attempt was answered should be given the voice. Anything
    /// else is a stray, to be hung up.
    pub fn is_welcome(&self, attempt: u32) -> bool {
        let is_open = match &self.stage {
            Stage::Placing { is_canceled, .. } | Stage::Looking(Looking { is_canceled, .. }) => !is_canceled,
            Stage::Up(up) => !up.is_leaving_message,
            Stage::Waiting { .. } | Stage::HangingUp { .. } | Stage::Over { .. } => false,
        };
        is_open && self.is_current(attempt)
    }

    /// What was due by now and did not come.
    fn due(&mut self, now: MonoTime) {
        match &mut self.stage {
            Stage::Placing { deadline, .. } if *deadline <= now => {
                self.not_placed(now, self.current(), CarrierError::unanswered(Reach::Unknown));
            }
            Stage::Waiting { until } if *until <= now => {
                self.next_route(now, CarrierError::refused(Cause::Throttled { retry_after: None }, None));
            }
            Stage::Looking(looking) => match looking.due {
                Due::At(at) if at <= now => {
                    looking.due = Due::Asked(now + REST_WHOLE_MAX * 2);
                    let (attempt, route) = (self.current(), self.route().clone());
                    self.outbox.push_back(Output::Look(attempt, route));
                }
                Due::Asked(at) if at <= now => {
                    self.found(now, self.current(), Err(CarrierError::unanswered(Reach::Unknown)));
                }
                Due::At(_) | Due::Asked(_) => {}
            },
            Stage::Up(up) if up.deadline <= now => {
                let end = match up.is_leaving_message {
                    true => End::Voicemail { message: true },
                    false if up.is_answered() => End::Completed,
                    false => End::NotReached(FailReason::NoAnswer),
                };
                self.hang_up(now, end);
            }
            Stage::HangingUp { due, .. } => match *due {
                Due::At(at) if at <= now => self.ask_to_hang_up(now),
                Due::Asked(at) if at <= now => self.hang_up_failed(now, true),
                Due::At(_) | Due::Asked(_) => {}
            },
            Stage::Over { until, .. } if until.is_some_and(|at| at <= now) => *until = None,
            Stage::Placing { .. } | Stage::Waiting { .. } | Stage::Up(_) | Stage::Over { .. } => {}
        }
    }

    // Which carrier

    /// Asks the next carrier, or waits for those that asked us to, or gives up because of this.
    fn next_route(&mut self, now: MonoTime, error: CarrierError) {
        if let Some(route) = self.left.pop_front() {
            let attempt = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
            self.attempts.push(Attempt { route, at: now, fate: Fate::Current, strays: 0 });
            self.stage = Stage::Placing { deadline: now + PLACE_WAIT_MAX, is_canceled: false };
            let route = self.route().clone();
            self.report(Progress::Placing(route.carrier.clone()));
            self.outbox.push_back(Output::Place(attempt, route));
            return;
        }
        self.round += 1;
        if self.again.is_empty() || self.round >= ROUNDS_MAX {
            return self.over(now, End::NotPlaced(error));
        }
        let again = std::mem::take(&mut self.again);
        let pause = Duration::from_secs(2_u64 << self.round.min(8));
        let wait = again.iter().map(|(_, wait)| wait.unwrap_or(pause)).min().unwrap_or(pause);
        self.left = again.into_iter().map(|(route, _)| route).collect();
        self.stage = Stage::Waiting { until: now + wait.min(ROUND_WAIT_MAX) };
    }

    fn not_placed(&mut self, now: MonoTime, attempt: u32, error: CarrierError) {
        if !self.is_current(attempt) {
            return;
        }
        let is_canceled = match &self.stage {
            Stage::Placing { is_canceled, .. } => *is_canceled,
            // An answer that came after we stopped to wait for it.
            Stage::Looking(looking) if !error.may_have_happened => looking.is_canceled,
            Stage::Looking(_)
            | Stage::Waiting { .. }
            | Stage::Up(_)
            | Stage::HangingUp { .. }
            | Stage::Over { .. } => return,
        };
        let carrier = self.route().carrier.clone();
        self.report(Progress::NotPlaced(carrier.clone(), error.clone()));
        if error.may_have_happened {
            self.report(Progress::Uncertain(carrier));
            let due = Due::At(now + LOOKS[0]);
            self.stage = Stage::Looking(Looking { in_vain: 0, unanswered: 0, due, is_canceled, error });
            return;
        }
        self.settle(Fate::Refused);
        if let Cause::Throttled { retry_after } = error.cause {
            self.again.push((self.route_index(), retry_after));
        } else if error.is_passing() {
            self.again.push((self.route_index(), None));
        }
        match is_canceled {
            true => self.over(now, End::Canceled),
            false if error.is_elsewhere_different() => self.next_route(now, error),
            false => self.over(now, End::NotPlaced(error)),
        }
    }

    fn found(&mut self, now: MonoTime, attempt: u32, found: Result<Vec<Seen>, CarrierError>) {
        let earliest = self.began(attempt);
        let is_current = self.is_current(attempt);
        let Stage::Looking(looking) = &mut self.stage else { return };
        if !is_current {
            return;
        }
        match found {
            Ok(calls) => {
                let is_ours = |call: &Seen| call.created.is_none_or(|created| created >= earliest);
                if let Some(call) = calls.into_iter().find(is_ours) {
                    let report = Report { status: call.status, reason: call.reason, sequence: None };
                    return self.adopt(now, call.carrier_call, Some(News::Status(report)));
                }
                looking.in_vain += 1;
            }
            Err(_no_answer) => looking.unanswered += 1,
        }
        let (in_vain, unanswered) = (looking.in_vain as usize, looking.unanswered);
        if let Some(pause) = LOOKS.get(in_vain)
            && unanswered < LOOKS_UNANSWERED_MAX
        {
            looking.due = Due::At(now + *pause);
            return;
        }
        let (error, is_canceled) = (looking.error.clone(), looking.is_canceled);
        self.settle(Fate::GivenUp);
        match (is_canceled, in_vain == LOOKS.len()) {
            (true, true) => self.over(now, End::Canceled),
            (false, true) => self.next_route(now, error),
            (_, false) => self.over(now, End::Uncertain),
        }
    }

    // The call that a carrier has

    fn accepted(&mut self, now: MonoTime, attempt: u32, carrier_call: String) {
        if !self.is_current(attempt) {
            return self.stray(attempt, carrier_call);
        }
        match &self.stage {
            Stage::Placing { .. } | Stage::Looking(_) => self.adopt(now, carrier_call, None),
            Stage::Up(Up { carrier_call: known, .. }) | Stage::HangingUp { carrier_call: known, .. } => {
                if *known != carrier_call {
                    self.stray(attempt, carrier_call);
                }
            }
            Stage::Waiting { .. } | Stage::Over { .. } => self.stray(attempt, carrier_call),
        }
    }

    /// From here on no other carrier is asked.
    fn adopt(&mut self, now: MonoTime, carrier_call: String, news: Option<News>) {
        let is_canceled = matches!(
            &self.stage,
            Stage::Placing { is_canceled: true, .. } | Stage::Looking(Looking { is_canceled: true, .. })
        );
        let carrier = self.route().carrier.clone();
        self.report(Progress::Accepted(carrier, carrier_call.clone()));
        self.report(Progress::Status(CallStatus::Initiated));
        self.stage = Stage::Up(Up {
            carrier_call,
            tracker: StatusTracker::new(self.wall(now), CallStatus::Initiated),
            deadline: now + self.order.ring + QUEUED_MAX + RING_SLACK,
            is_leaving_message: false,
        });
        if let Some(news) = news {
            self.news(now, news);
        }
        if is_canceled {
            self.canceled(now);
        }
    }

    fn told(&mut self, now: MonoTime, attempt: u32, told: Told) {
        let Told { carrier_call, news } = told;
        let is_final = matches!(news, News::Status(Report { status, .. }) if status.is_final());
        let is_current = self.is_current(attempt);
        match &self.stage {
            Stage::Placing { .. } | Stage::Looking(_) if is_current => {
                self.adopt(now, carrier_call, Some(news));
            }
            Stage::Up(up) if is_current && up.carrier_call == carrier_call => self.news(now, news),
            Stage::HangingUp { carrier_call: ours, end, .. } if is_current && *ours == carrier_call => {
                if is_final {
                    let end = end.clone();
                    self.over(now, end);
                }
            }
            Stage::Placing { .. }
            | Stage::Looking(_)
            | Stage::Waiting { .. }
            | Stage::Up(_)
            | Stage::HangingUp { .. }
            | Stage::Over { .. } => {
                if !is_final {
                    self.stray(attempt, carrier_call);
                }
            }
        }
    }

    fn news(&mut self, now: MonoTime, news: News) {
        let at = self.wall(now);
        let Stage::Up(up) = &mut self.stage else { return };
        match news {
            News::Status(report) => self.moved(now, at, report),
            News::Answered => self.moved(now, at, Report::ours(CallStatus::Answered)),
            News::Machine(by) => {
                let is_leaving = up.is_leaving_message;
                self.report(Progress::Machine(by));
                match (self.order.voicemail.clone(), by) {
                    (Voicemail::GoOn, _)
                    | (_, AnsweredBy::Human | AnsweredBy::Unknown)
                    | (Voicemail::LeaveMessage(_), AnsweredBy::Machine) => {}
                    (Voicemail::HangUp, _) | (Voicemail::LeaveMessage(_), AnsweredBy::Fax) => {
                        self.hang_up(now, End::Voicemail { message: false });
                    }
                    (Voicemail::LeaveMessage(text), AnsweredBy::MachineWaits) if !is_leaving => {
                        self.leave_message(now, text);
                    }
                    (Voicemail::LeaveMessage(_), AnsweredBy::MachineWaits) => {}
                }
            }
        }
    }

    fn moved(&mut self, now: MonoTime, at: UnixMillis, report: Report) {
        let (ring, longest) = (self.order.ring, self.order.longest);
        let Stage::Up(up) = &mut self.stage else { return };
        if !matches!(up.tracker.report(at, report), Outcome::Moved { .. }) {
            return;
        }
        let (status, reason) = (up.tracker.status(), up.tracker.reason());
        let is_leaving_message = up.is_leaving_message;
        match status {
            CallStatus::Initiated | CallStatus::Ringing => up.deadline = now + ring + RING_SLACK,
            CallStatus::Answered | CallStatus::OnHold | CallStatus::Transferring => {
                up.deadline = now + longest + RING_SLACK;
            }
            CallStatus::Completed => {
                let message = End::Voicemail { message: true };
                return self.over(now, if is_leaving_message { message } else { End::Completed });
            }
            CallStatus::Failed => {
                return self.over(now, End::NotReached(reason.unwrap_or(FailReason::Carrier)));
            }
        }
        self.report(Progress::Status(status));
    }

    fn leave_message(&mut self, now: MonoTime, text: Pii<String>) {
        let (attempt, carrier) = (self.current(), self.route().carrier.clone());
        let Stage::Up(up) = &mut self.stage else { return };
        up.is_leaving_message = true;
        up.deadline = now + MESSAGE_MAX;
        let act = Act::LeaveMessage(text);
        self.outbox.push_back(Output::Act(attempt, carrier, up.carrier_call.clone(), act));
        self.report(Progress::LeavingMessage);
    }

    // The end

    fn canceled(&mut self, now: MonoTime) {
        match &mut self.stage {
            Stage::Placing { is_canceled, .. } => *is_canceled = true,
            Stage::Looking(looking) => looking.is_canceled = true,
            Stage::Waiting { .. } => self.over(now, End::Canceled),
            Stage::Up(up) => {
                let end = if up.is_answered() { End::Completed } else { End::Canceled };
                self.hang_up(now, end);
            }
            Stage::HangingUp { .. } | Stage::Over { .. } => {}
        }
    }

    fn hang_up(&mut self, now: MonoTime, end: End) {
        let Stage::Up(up) = &self.stage else { return };
        let carrier_call = up.carrier_call.clone();
        self.stage = Stage::HangingUp { carrier_call, end, tries: 0, due: Due::At(now) };
        self.ask_to_hang_up(now);
    }

    fn ask_to_hang_up(&mut self, now: MonoTime) {
        let (attempt, carrier) = (self.current(), self.route().carrier.clone());
        let Stage::HangingUp { carrier_call, tries, due, .. } = &mut self.stage else { return };
        *tries += 1;
        *due = Due::Asked(now + REST_WHOLE_MAX * 2);
        self.outbox.push_back(Output::Act(attempt, carrier, carrier_call.clone(), Act::HangUp));
    }

    fn acted(&mut self, now: MonoTime, attempt: u32, act: &Act, outcome: Result<(), CarrierError>) {
        if !self.is_current(attempt) {
            return;
        }
        let gone = matches!(&outcome, Err(error) if error.cause == Cause::CallGone);
        match (act, &mut self.stage) {
            (Act::HangUp, Stage::HangingUp { due: Due::Asked(_), end, .. }) => match outcome {
                Err(error) if !gone => self.hang_up_failed(now, error.is_passing()),
                Ok(()) | Err(_) => {
                    let end = end.clone();
                    self.over(now, end);
                }
            },
            (Act::LeaveMessage(_), Stage::Up(up)) => match outcome {
                // Said or perhaps said: not twice.
                Ok(()) => {}
                Err(error) if error.may_have_happened => {}
                Err(_) => {
                    up.is_leaving_message = false;
                    self.hang_up(now, End::Voicemail { message: false });
                }
            },
            (Act::HangUp | Act::LeaveMessage(_), _) => {}
        }
    }

    fn hang_up_failed(&mut self, now: MonoTime, is_passing: bool) {
        let carrier = self.route().carrier.clone();
        let Stage::HangingUp { tries, due, end, .. } = &mut self.stage else { return };
        if is_passing && *tries < HANG_UPS_MAX {
            *due = Due::At(now + Duration::from_secs(1 << (*tries - 1).min(8)));
            return;
        }
        let end = end.clone();
        self.report(Progress::LeftBehind(carrier));
        self.over(now, end);
    }

    fn over(&mut self, now: MonoTime, end: End) {
        if let Stage::Up(Up { carrier_call, .. }) | Stage::HangingUp { carrier_call, .. } = &self.stage {
            let call = carrier_call.clone();
            self.settle(Fate::Over(call));
        }
        let may_stray = self.attempts.iter().any(|attempt| attempt.fate == Fate::GivenUp);
        self.report(Progress::Ended(end.clone()));
        self.stage = Stage::Over { end, until: may_stray.then(|| now + STRAY_WAIT) };
    }

    /// A call that should not be there.
    fn stray(&mut self, attempt: u32, carrier_call: String) {
        let Some(known) = self.attempts.get_mut(attempt as usize) else { return };
        let is_late_news = matches!(&known.fate, Fate::Over(ours) if *ours == carrier_call);
        if is_late_news || known.strays >= STRAY_HANG_UPS_MAX {
            return;
        }
        known.strays += 1;
        let carrier = self.order.routes[known.route].carrier.clone();
        self.report(Progress::Stray(carrier.clone()));
        self.outbox.push_back(Output::Act(attempt, carrier, carrier_call, Act::HangUp));
    }

    // Small things

    fn report(&mut self, progress: Progress) {
        self.outbox.push_back(Output::Report(progress));
    }

    /// The newest attempt; none is made before the first output.
    fn current(&self) -> u32 {
        u32::try_from(self.attempts.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn is_current(&self, attempt: u32) -> bool {
        attempt == self.current() && self.attempts.last().is_some_and(|last| last.fate == Fate::Current)
    }

    fn settle(&mut self, fate: Fate) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.fate = fate;
        }
    }

    fn route_index(&self) -> usize {
        self.attempts.last().map_or(0, |attempt| attempt.route)
    }

    fn route(&self) -> &Route {
        &self.order.routes[self.route_index()]
    }

    /// Calls asked for before this are not of this attempt.
    fn began(&self, attempt: u32) -> UnixMillis {
        let at = self.attempts.get(attempt as usize).map_or(MonoTime::ZERO, |attempt| attempt.at);
        self.wall(at.saturating_sub(CLOCKS_DIFFER))
    }

    fn wall(&self, at: MonoTime) -> UnixMillis {
        self.origin + at.since(MonoTime::ZERO)
    }
}
