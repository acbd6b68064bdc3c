//! Where a call is, as carriers report it: late, doubled, out of order, or not at all.

use std::collections::VecDeque;

use voice_core::time::UnixMillis;

use crate::limits::SEEN_EVENTS_MAX;

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallStatus {
    /// Exists; nobody's telephone rings yet.
    Initiated,
    /// Rings.
    Ringing,
    /// Both sides talk.
    Answered,
    /// Answered, but put aside.
    OnHold,
    /// Is being handed to somebody else.
    Transferring,
    /// Was answered, and is over.
    Completed,
    /// Is over without success.
    Failed,
}

impl CallStatus {
    /// All of them, in the order of a call's life.
    pub const ALL: [Self; 7] = [
        Self::Initiated,
        Self::Ringing,
        Self::Answered,
        Self::OnHold,
        Self::Transferring,
        Self::Completed,
        Self::Failed,
    ];

    /// The name in APIs, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::OnHold => "on_hold",
            Self::Transferring => "transferring",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The table: which status may follow directly. A call fails from anywhere before it is over (media
    /// can be lost on hold as well); it completes only from where it was answered.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Initiated => matches!(next, Self::Ringing | Self::Failed),
            Self::Ringing => matches!(next, Self::Answered | Self::Failed),
            Self::Answered => {
                matches!(next, Self::OnHold | Self::Transferring | Self::Completed | Self::Failed)
            }
            Self::OnHold | Self::Transferring => {
                matches!(next, Self::Answered | Self::Completed | Self::Failed)
            }
            Self::Completed | Self::Failed => false,
        }
    }

    /// The steps that lead to `goal` along the straight way of a call, `goal` itself the last; each is one
    /// that [`Self::may_become`] allows. `None` where no way leads there.
    ///
    /// ```
    /// use voice_telephony::status::CallStatus;
    ///
    /// let way = CallStatus::Initiated.way_to(CallStatus::Answered);
    /// assert_eq!(way, Some(vec![CallStatus::Ringing, CallStatus::Answered]));
    /// assert_eq!(CallStatus::Failed.way_to(CallStatus::Answered), None);
    /// ```
    pub fn way_to(self, goal: Self) -> Option<Vec<Self>> {
        let mut way = vec![goal];
        let mut step = goal;
        while !self.may_become(step) {
            step = step.step_before()?;
            way.push(step);
        }
        way.reverse();
        Some(way)
    }

    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// The step before `self` on the straight way through a call, if `self` cannot be the first.
    const fn step_before(self) -> Option<Self> {
        match self {
            Self::Initiated => None,
            Self::Ringing => Some(Self::Initiated),
            Self::Answered => Some(Self::Ringing),
            Self::OnHold | Self::Transferring | Self::Completed => Some(Self::Answered),
            Self::Failed => None,
        }
    }
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailReason {
    /// The other side was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// Hung up before it was answered.
    Canceled,
    /// The carrier could not connect it.
    Carrier,
    /// The audio stream broke and did not come back.
    MediaLost,
}

impl FailReason {
    /// The name in APIs, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Canceled => "canceled",
            Self::Carrier => "carrier",
            Self::MediaLost => "media_lost",
        }
    }
}

/// What somebody says about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where it is.
    pub status: CallStatus,
    /// Why, if it failed.
    pub reason: Option<FailReason>,
    /// The carrier's count of its reports on this call, or else the time of what it reports, in any unit
    /// that rises. Our own reports have none.
    pub sequence: Option<u64>,
}

impl Report {
    /// A report of our own: we answered, put on hold, hung up.
    pub const fn ours(status: CallStatus) -> Self {
        Self { status, reason: None, sequence: None }
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call has moved on. `skipped` steps in between were never reported, or will be reported late;
    /// each step is one that [`CallStatus::may_become`] allows.
    Moved {
        /// Where it was.
        from: CallStatus,
        /// How many steps were passed over.
        skipped: u32,
    },
    /// The call is there already.
    Repeated,
    /// An older report that was overtaken by a newer one.
    Late,
    /// No way leads there from where the call is.
    Refused,
}

/// Follows one call through reports that may come late, twice, or in any order.
///
/// ```
/// use voice_core::time::UnixMillis;
/// use voice_telephony::status::{CallStatus, Outcome, Report, StatusTracker};
///
/// let mut call = StatusTracker::new(UnixMillis(0), CallStatus::Ringing);
/// let report = |status, number| Report { status, reason: None, sequence: Some(number) };
/// let moved = call.report(UnixMillis(9_000), report(CallStatus::Completed, 3));
/// assert_eq!(moved, Outcome::Moved { from: CallStatus::Ringing, skipped: 1 });
/// assert_eq!(call.report(UnixMillis(9_100), report(CallStatus::Answered, 2)), Outcome::Late);
/// assert_eq!(call.status(), CallStatus::Completed);
/// ```
#[derive(Clone, Debug)]
pub struct StatusTracker {
    status: CallStatus,
    reason: Option<FailReason>,
    since: UnixMillis,
    newest: Option<u64>,
    seen: SeenEvents,
}

impl StatusTracker {
    /// Begins with what is known now.
    pub const fn new(now: UnixMillis, status: CallStatus) -> Self {
        Self { status, reason: None, since: now, newest: None, seen: SeenEvents::new() }
    }

    /// Takes a report. Whatever it says, a call never moves backwards and never leaves its end.
    pub fn report(&mut self, now: UnixMillis, report: Report) -> Outcome {
        let is_older = matches!((report.sequence, self.newest), (Some(this), Some(newest)) if this < newest);
        self.newest = self.newest.max(report.sequence);
        if report.status == self.status {
            return Outcome::Repeated;
        }
        // An end counts however late it comes: nothing true can follow it.
        if (is_older && !report.status.is_final()) || self.has_passed(report) {
            return Outcome::Late;
        }
        match self.steps_to(report.status) {
            None => Outcome::Refused,
            Some(steps) => {
                let from = std::mem::replace(&mut self.status, report.status);
                self.reason = report.reason;
                self.since = now;
                Outcome::Moved { from, skipped: steps - 1 }
            }
        }
    }

    /// Takes a report of a carrier that names each of them: a second delivery of one is
    /// [`Outcome::Repeated`], whatever it says.
    pub fn report_event(&mut self, now: UnixMillis, event: &str, report: Report) -> Outcome {
        if self.seen.is_new(event) { self.report(now, report) } else { Outcome::Repeated }
    }

    /// Where the call is.
    pub const fn status(&self) -> CallStatus {
        self.status
    }

    /// Why it failed, if it did and somebody knows.
    pub const fn reason(&self) -> Option<FailReason> {
        self.reason
    }

    /// Since when it is there.
    pub const fn since(&self) -> UnixMillis {
        self.since
    }

    /// Whether the call was there before. Only we know of holding and transferring, so only we can say
    /// that a call is back from it; a carrier's `answered` is then old news.
    fn has_passed(&self, report: Report) -> bool {
        let comes_back = report.sequence.is_none() && self.status.may_become(report.status);
        let mut before = self.status.step_before();
        while let Some(step) = before {
            if step == report.status {
                return !comes_back;
            }
            before = step.step_before();
        }
        false
    }

    /// How many allowed steps lead to `goal` along the straight way of a call.
    fn steps_to(&self, goal: CallStatus) -> Option<u32> {
        let steps = self.status.way_to(goal)?.len();
        // A call has seven statuses, and a way no two steps alike.
        Some(u32::try_from(steps).unwrap_or(u32::MAX))
    }
}

/// The names of the newest events of one call, so that a second delivery is known.
///
/// A carrier repeats an event within a minute or two; [`SEEN_EVENTS_MAX`] of one call last for longer.
#[derive(Clone, Debug, Default)]
pub struct SeenEvents(VecDeque<String>);

impl SeenEvents {
    /// Nothing was seen.
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Whether this event was not seen before; from now on it was.
    pub fn is_new(&mut self, event: &str) -> bool {
        if self.0.iter().any(|seen| seen == event) {
            return false;
        }
        if self.0.len() >= SEEN_EVENTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(event.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallStatus::{Answered, Completed, Failed, Initiated, OnHold, Ringing, Transferring};
    use proptest::prelude::*;

    fn carrier(status: CallStatus, sequence: u64) -> Report {
        Report { status, reason: None, sequence: Some(sequence) }
    }

    /// Feeds reports, in the order given, to a call that was just begun.
    fn check(reports: &[Report], outcomes: &[Outcome], end: CallStatus) {
        let mut call = StatusTracker::new(UnixMillis(0), Initiated);
        let seen: Vec<Outcome> = reports.iter().map(|r| call.report(UnixMillis(1), *r)).collect();
        assert_eq!((seen.as_slice(), call.status()), (outcomes, end));
    }

    const fn moved(from: CallStatus) -> Outcome {
        Outcome::Moved { from, skipped: 0 }
    }

    #[test]
    fn in_order() {
        check(
            &[carrier(Initiated, 0), carrier(Ringing, 1), carrier(Answered, 2), carrier(Completed, 3)],
            &[Outcome::Repeated, moved(Initiated), moved(Ringing), moved(Answered)],
            Completed,
        );
    }

    #[test]
    fn a_late_ringing_does_not_undo_an_answer() {
        check(
            &[carrier(Answered, 2), carrier(Ringing, 1), carrier(Answered, 2)],
            &[Outcome::Moved { from: Initiated, skipped: 1 }, Outcome::Late, Outcome::Repeated],
            Answered,
        );
    }

    #[test]
    fn nothing_follows_the_end() {
        check(
            &[carrier(Failed, 1), carrier(Completed, 2), carrier(Ringing, 3), Report::ours(Answered)],
            &[moved(Initiated), Outcome::Refused, Outcome::Refused, Outcome::Refused],
            Failed,
        );
    }

    #[test]
    fn our_own_reports_mix_with_the_carriers() {
        check(
            &[Report::ours(Ringing), Report::ours(Answered), Report::ours(OnHold), Report::ours(Answered)],
            &[moved(Initiated), moved(Ringing), moved(Answered), moved(OnHold)],
            Answered,
        );
        check(
            &[Report::ours(Ringing), Report::ours(Answered), Report::ours(OnHold), carrier(Answered, 2)],
            &[moved(Initiated), moved(Ringing), moved(Answered), Outcome::Late],
            OnHold,
        );
    }

    #[test]
    fn an_end_counts_however_late() {
        check(
            &[carrier(Answered, 2), Report::ours(Transferring), carrier(Completed, 0)],
            &[Outcome::Moved { from: Initiated, skipped: 1 }, moved(Answered), moved(Transferring)],
            Completed,
        );
    }

    #[test]
    fn two_reports_with_one_number_both_count() {
        check(&[carrier(Ringing, 1), carrier(Answered, 1)], &[moved(Initiated), moved(Ringing)], Answered);
    }

    #[test]
    fn an_event_counts_once_and_in_the_order_of_its_time() {
        let mut call = StatusTracker::new(UnixMillis(0), Ringing);
        assert_eq!(call.report_event(UnixMillis(1), "b", carrier(Answered, 2_000)), moved(Ringing));
        assert_eq!(call.report_event(UnixMillis(2), "a", carrier(Ringing, 1_000)), Outcome::Late);
        call.report(UnixMillis(3), Report::ours(OnHold));
        assert_eq!(call.report_event(UnixMillis(4), "b", carrier(Answered, 2_000)), Outcome::Repeated);
        assert_eq!(call.report_event(UnixMillis(5), "c", carrier(Completed, 3_000)), moved(OnHold));
    }

    #[test]
    fn what_was_seen_is_forgotten_in_the_end() {
        let mut seen = SeenEvents::new();
        assert!((0..=SEEN_EVENTS_MAX).all(|number| seen.is_new(&number.to_string())));
        assert!(!seen.is_new(&SEEN_EVENTS_MAX.to_string()));
        assert!(seen.is_new("0"), "the oldest made room");
    }

    #[test]
    fn only_the_table_is_allowed() {
        let allowed: Vec<String> = CallStatus::ALL
            .iter()
            .flat_map(|from| CallStatus::ALL.iter().map(move |to| (from, to)))
            .filter(|(from, to)| from.may_become(**to))
            .map(|(from, to)| format!("{} -> {}", from.name(), to.name()))
            .collect();
        expect_test::expect![[r#"
            initiated -> ringing
            initiated -> failed
            ringing -> answered
            ringing -> failed
            answered -> on_hold
            answered -> transferring
            answered -> completed
            answered -> failed
            on_hold -> answered
            on_hold -> completed
            on_hold -> failed
            transferring -> answered
            transferring -> completed
            transferring -> failed"#]]
        .assert_eq(&allowed.join("\n"));
    }

    #[test]
    fn why_and_when_are_kept() {
        let mut call = StatusTracker::new(UnixMillis(5), Ringing);
        let busy = Report { status: Failed, reason: Some(FailReason::Busy), sequence: Some(1) };
        call.report(UnixMillis(70), busy);
        call.report(UnixMillis(90), busy);
        assert_eq!((call.reason(), call.since()), (Some(FailReason::Busy), UnixMillis(70)));
    }

    proptest! {
        /// Whatever order the true reports of one call come in, the end is the same.
        #[test]
        fn any_order_ends_the_same(order in Just(vec![0_u64, 1, 2, 3]).prop_shuffle(), doubled in 0_usize..4) {
            let truth = [Initiated, Ringing, Answered, Completed];
            let mut call = StatusTracker::new(UnixMillis(0), Initiated);
            for &number in order.iter().chain([&order[doubled]]) {
                call.report(UnixMillis(0), carrier(truth[number as usize], number));
            }
            prop_assert_eq!(call.status(), Completed);
        }

        #[test]
        fn an_end_is_the_end(reports in proptest::collection::vec((0_usize..7, proptest::option::of(0_u64..9)), 0..30)) {
            let mut call = StatusTracker::new(UnixMillis(0), Initiated);
            for (status, sequence) in reports {
                let before = call.status();
                let report = Report { status: CallStatus::ALL[status], reason: None, sequence };
                let outcome = call.report(UnixMillis(0), report);
                prop_assert_eq!(matches!(outcome, Outcome::Moved { .. }), call.status() != before);
                prop_assert!(!before.is_final() || call.status() == before);
            }
        }
    }
}
