//! A breaker: whether a peer is asked at all, decided by how it fared lately.
//!
//! The states keep the industry's names, because dashboards and operators know them; the verbs speak of
//! traffic. *Closed*: everybody is admitted. *Open*: nobody is. *Half-open*: a few are, as probes.
//!
//! Two signals open it, because each misses what the other sees. Failures in a row catch an outage
//! within seconds, even at night when calls are rare. A rate over a sliding window catches half an
//! outage, in which every second call succeeds and no row ever gets long; the same window knows how many
//! were slow or stalled. [`TripReason`] says which it was.
//!
//! What counts is decided by [`Failure::judge`] and nowhere else:
//!
//! | what happened | what the breaker learns |
//! |---|---|
//! | their failure | a failure; a stall counts as slow, too |
//! | throttled | open at once, for as long as they ask (1 s to 10 min, and a little jitter) |
//! | key, quota or settings refused | open until somebody acts: [`Breaker::reset`] |
//! | session limit, lost race, caller gone | nothing; the slot is free again |
//!
//! It stays open for [`BreakerConfig::open`]; each opening within five minutes of the last time it
//! closed doubles that, up to [`BreakerConfig::open_max`], and up to a tenth is added at random, so that
//! many processes do not come back in the same second.
//!
//! A [`Permit`] belongs to the period in which it was granted; every transition begins a new one. A
//! success that arrives late can therefore not open the gate again, nor an old failure close it.
//!
//! [`Breaker::insist`] is for a caller on the line whom nobody else can serve: they are better served by
//! a probe than by nobody. It grants beyond the probes, up to a bound, and a success of such a permit
//! moves an open breaker to half-open. Its failures do not prolong anything.
//!
//! ```
//! use voice_core::breaker::{Breaker, BreakerConfig, Sample, State};
//! use voice_core::failure::Failure;
//! use voice_core::time::MonoTime;
//!
//! let mut breaker = Breaker::new(BreakerConfig::default(), 7);
//! let now = MonoTime::ZERO;
//! for _ in 0..5 {
//!     let permit = breaker.admit(now).expect("it is closed");
//!     breaker.settle(now, permit, Sample::Failure(&Failure::Cut));
//! }
//! assert_eq!(breaker.state(), State::Open);
//! assert!(breaker.admit(now).is_err());
//!
//! let later = MonoTime::from_millis(66_000); // sixty seconds and at most a tenth
//! for _ in 0..2 {
//!     let probe = breaker.admit(later).expect("probes are let through");
//!     breaker.settle(later, probe, Sample::Success);
//! }
//! assert_eq!(breaker.state(), State::Closed);
//! ```

mod backoff;
mod shared;
mod snapshot;
mod window;

use std::time::Duration;

use crate::failure::{Blame, Failure, Verdict};
use crate::time::MonoTime;

pub use backoff::Backoff;
pub use shared::{Pass, SharedBreaker};
pub use snapshot::{BreakerSnapshot, BreakerTimes, BreakerTotals, State, Sums, TripReason};

pub(crate) use backoff::Jitter;
use window::{Note, Window};

/// The shortest and the longest time that a throttling service can keep us away.
const THROTTLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// What is told to those who find all probes taken.
const PROBES_TAKEN: Duration = Duration::from_secs(5);

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// So many failures in a row open it. Default: 5.
    pub failures_in_row: u32,
    /// How far back the rates look. Default: 60 s.
    pub window: Duration,
    /// Rates of fewer samples mean nothing. Default: 10.
    pub samples_min: u32,
    /// Failures of a hundred samples that open it. Default: 50.
    pub failure_percent: u32,
    /// Slow or stalled of a hundred samples that open it. Default: 80.
    pub slow_percent: u32,
    /// How long it stays open the first time. Default: 60 s.
    pub open: Duration,
    /// How long it stays open at most, when it opens again and again. Default: 5 min.
    pub open_max: Duration,
    /// Probes under way at once while half-open. Default: 3.
    pub probes: u32,
    /// Successes of probes that close it. Default: 2.
    pub successes: u32,
    /// Permits under way at once for callers whom nobody else can serve. Default: 32, which is no herd
    /// for a service that answers, and no hope for one that does not.
    pub insists: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures_in_row: 5,
            window: Duration::from_secs(60),
            samples_min: 10,
            failure_percent: 50,
            slow_percent: 80,
            open: Duration::from_secs(60),
            open_max: Duration::from_secs(300),
            probes: 3,
            successes: 2,
            insists: 32,
        }
    }
}

/// Leave to try once. Belongs to the period in which it was granted.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an unsettled permit keeps its slot until the probe period ends"]
pub struct Permit {
    period: u64,
    slot: Slot,
}

/// What a permit occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Nothing: it was granted while closed, or stands for something that has proven itself.
    None,
    /// One of the probes.
    Probe,
    /// One of those for callers whom nobody else can serve.
    Insisted,
}

/// Nobody is admitted at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How long to stay away; `None` if somebody must act first.
    pub retry_after: Option<Duration>,
}

/// What a permit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample<'a> {
    /// It did its work.
    Success,
    /// It did its work, but took too long.
    Slow,
    /// It failed; [`Failure::judge`] says whether that counts.
    Failure(&'a Failure),
    /// Nothing was shown, either way.
    Unproven,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Closed,
    /// By order: nothing opens it.
    ForcedClosed,
    HalfOpen {
        since: MonoTime,
        successes: u32,
    },
    Open {
        /// `None`: until somebody acts.
        until: Option<MonoTime>,
        why: TripReason,
    },
}

/// A breaker as a value. Share it with [`SharedBreaker`], or behind the lock of what it belongs to.
#[derive(Clone, Debug)]
pub struct Breaker {
    config: BreakerConfig,
    gate: Gate,
    period: u64,
    window: Window,
    failures_in_row: u32,
    successes_in_row: u32,
    /// Probes and insisted permits under way in this period.
    running: (u32, u32),
    /// Openings of which each came soon after the last closing.
    openings: u32,
    jitter: Jitter,
    totals: BreakerTotals,
    times: BreakerTimes,
}

impl Breaker {
    /// A closed breaker. The seed spreads the times at which breakers come back.
    pub fn new(config: BreakerConfig, seed: u64) -> Self {
        Self {
            gate: Gate::Closed,
            period: 0,
            window: Window::new(config.window),
            failures_in_row: 0,
            successes_in_row: 0,
            running: (0, 0),
            openings: 0,
            jitter: Jitter::new(seed),
            totals: BreakerTotals::default(),
            times: BreakerTimes::default(),
            config,
        }
    }

    /// Leave to try, or not. An open breaker whose time is over becomes half-open here.
    pub fn admit(&mut self, now: MonoTime) -> Result<Permit, Refusal> {
        self.wake(now);
        match self.gate {
            Gate::Closed | Gate::ForcedClosed => Ok(self.grant(Slot::None)),
            Gate::HalfOpen { .. } if self.running.0 < self.config.probes => Ok(self.grant(Slot::Probe)),
            Gate::HalfOpen { .. } | Gate::Open { .. } => {
                self.totals.rejected += 1;
                Err(self.refusal(now))
            }
        }
    }

    /// As [`Self::admit`], for a caller whom nobody else can serve. Never where an operator forced it
    /// open; one at a time where somebody must act first (they may have, at the service itself).
    pub fn insist(&mut self, now: MonoTime) -> Result<Permit, Refusal> {
        self.wake(now);
        if self.would_admit(now).is_err() && self.running.1 < self.room() {
            return Ok(self.grant(Slot::Insisted));
        }
        self.admit(now)
    }

    /// What came of it. A permit of an earlier period proves nothing.
    pub fn settle(&mut self, now: MonoTime, permit: Permit, sample: Sample<'_>) {
        if permit.period != self.period {
            self.totals.late += 1;
            return;
        }
        self.free(permit.slot);
        match sample {
            Sample::Success => self.succeeded(now, false),
            Sample::Slow => self.succeeded(now, true),
            Sample::Failure(failure) => self.failed(now, failure),
            Sample::Unproven => self.totals.unproven += 1,
        }
    }

    /// Gives a permit back that came to nothing.
    pub fn release(&mut self, permit: Permit) {
        if permit.period == self.period {
            self.free(permit.slot);
            self.totals.unproven += 1;
        } else {
            self.totals.late += 1;
        }
    }

    /// Settles what has proven itself but goes on, and stands for the rest of it: a failure later in the
    /// same period counts, and no slot is kept.
    pub fn settle_and_stand(&mut self, now: MonoTime, permit: Permit, sample: Sample<'_>) -> Permit {
        let current = permit.period == self.period;
        let period = permit.period;
        self.settle(now, permit, sample);
        self.totals.granted += 1;
        Permit { period: if current { self.period } else { period }, slot: Slot::None }
    }

    /// Closed, as if nothing had ever happened; what is counted stays counted.
    pub fn reset(&mut self, now: MonoTime) {
        self.openings = 0;
        self.move_to(now, Gate::Closed);
    }

    /// Open until [`Self::reset`], by an operator's order.
    pub fn force_open(&mut self, now: MonoTime) {
        self.move_to(now, Gate::Open { until: None, why: TripReason::Forced });
    }

    /// Closed until [`Self::reset`], whatever happens.
    pub fn force_closed(&mut self, now: MonoTime) {
        self.move_to(now, Gate::ForcedClosed);
    }

    /// Another server's breaker for the same peer opened `ago`, and stays open for `left`. One that is closed
    /// believes it, unless it has seen the peer well since then; one that has found out by itself goes by that.
    pub fn told_open(&mut self, now: MonoTime, ago: Duration, left: Duration) {
        let was_well = |at: Option<MonoTime>| at.is_some_and(|at| now.since(at) < ago);
        if self.gate != Gate::Closed || was_well(self.times.success) || was_well(self.times.closed) {
            return;
        }
        let left = left.min(THROTTLE.1);
        if left > Duration::ZERO {
            self.open(now, Some(now + left), TripReason::Elsewhere);
        }
    }

    /// Whether an operator forced it open.
    pub const fn is_forced_open(&self) -> bool {
        matches!(self.gate, Gate::Open { why: TripReason::Forced, .. })
    }

    /// Where it stands. An open one whose time is over stays open until somebody asks to be admitted.
    pub const fn state(&self) -> State {
        match self.gate {
            Gate::Closed | Gate::ForcedClosed => State::Closed,
            Gate::HalfOpen { .. } => State::HalfOpen,
            Gate::Open { .. } => State::Open,
        }
    }

    /// What [`Self::admit`] would answer, without asking it.
    pub fn would_admit(&self, now: MonoTime) -> Result<(), Refusal> {
        match self.gate {
            Gate::Closed | Gate::ForcedClosed => Ok(()),
            Gate::HalfOpen { since, .. } => {
                let free = self.running.0 < self.config.probes || now.since(since) >= self.config.open;
                if free { Ok(()) } else { Err(self.refusal(now)) }
            }
            Gate::Open { until: Some(until), .. } if now >= until => Ok(()),
            Gate::Open { .. } => Err(self.refusal(now)),
        }
    }

    /// Whether [`Self::insist`] would be granted.
    pub fn would_insist(&self, now: MonoTime) -> bool {
        self.would_admit(now).is_ok() || self.running.1 < self.room()
    }

    /// Everything that can be told about it.
    pub fn snapshot(&self, now: MonoTime) -> BreakerSnapshot {
        let recent = self.window.sums(now);
        BreakerSnapshot {
            state: self.state(),
            forced: matches!(self.gate, Gate::ForcedClosed | Gate::Open { why: TripReason::Forced, .. }),
            reason: match self.gate {
                Gate::Open { why, .. } => Some(why),
                Gate::Closed | Gate::ForcedClosed | Gate::HalfOpen { .. } => None,
            },
            retry_after: self.would_admit(now).err().and_then(|refusal| refusal.retry_after),
            failures_in_row: self.failures_in_row,
            successes_in_row: self.successes_in_row,
            under_way: self.running.0 + self.running.1,
            recent,
            totals: self.totals,
            times: self.times,
        }
    }

    /// Permits under way at once for those who insist.
    const fn room(&self) -> u32 {
        match self.gate {
            Gate::Closed | Gate::ForcedClosed => 0,
            Gate::HalfOpen { .. } | Gate::Open { until: Some(_), .. } => self.config.insists,
            Gate::Open { until: None, why: TripReason::Forced } => 0,
            Gate::Open { until: None, .. } => 1,
        }
    }

    fn grant(&mut self, slot: Slot) -> Permit {
        match slot {
            Slot::None => {}
            Slot::Probe => self.running.0 += 1,
            Slot::Insisted => self.running.1 += 1,
        }
        self.totals.granted += 1;
        Permit { period: self.period, slot }
    }

    fn free(&mut self, slot: Slot) {
        match slot {
            Slot::None => {}
            Slot::Probe => self.running.0 = self.running.0.saturating_sub(1),
            Slot::Insisted => self.running.1 = self.running.1.saturating_sub(1),
        }
    }

    /// Time alone changes two things: an open breaker may be probed, and probes that nobody ever settled
    /// must not keep a half-open one from being tried.
    fn wake(&mut self, now: MonoTime) {
        match self.gate {
            Gate::Open { until: Some(until), .. } if now >= until => {
                self.move_to(now, Gate::HalfOpen { since: now, successes: 0 });
            }
            Gate::HalfOpen { since, successes } if now.since(since) >= self.config.open => {
                self.gate = Gate::HalfOpen { since: now, successes };
                self.period += 1;
                self.running = (0, 0);
            }
            Gate::Open { .. } | Gate::HalfOpen { .. } | Gate::Closed | Gate::ForcedClosed => {}
        }
    }

    fn refusal(&self, now: MonoTime) -> Refusal {
        Refusal {
            retry_after: match self.gate {
                Gate::Open { until, .. } => until.map(|until| until.since(now)),
                Gate::HalfOpen { .. } | Gate::Closed | Gate::ForcedClosed => Some(PROBES_TAKEN),
            },
        }
    }

    fn succeeded(&mut self, now: MonoTime, slow: bool) {
        self.totals.successful += 1;
        self.totals.slow += u64::from(slow);
        self.times.success = Some(now);
        self.failures_in_row = 0;
        self.successes_in_row = self.successes_in_row.saturating_add(1);
        self.window.note(now, Note { failed: false, slow });
        match self.gate {
            Gate::Closed if slow => self.trip_if_bad(now),
            // A slow probe proves neither that it is well nor that it is down.
            Gate::HalfOpen { since, successes } if !slow => self.probed(now, since, successes + 1),
            Gate::Open { .. } if !slow => self.probed(now, now, 1),
            Gate::Closed | Gate::ForcedClosed | Gate::HalfOpen { .. } | Gate::Open { .. } => {}
        }
    }

    fn probed(&mut self, now: MonoTime, since: MonoTime, successes: u32) {
        if successes >= self.config.successes {
            self.move_to(now, Gate::Closed);
        } else if let Gate::HalfOpen { .. } = self.gate {
            self.gate = Gate::HalfOpen { since, successes };
        } else {
            self.move_to(now, Gate::HalfOpen { since, successes });
        }
    }

    fn failed(&mut self, now: MonoTime, failure: &Failure) {
        match failure.judge() {
            (Blame::Nobody, _) | (_, Verdict::Ignore) => self.totals.unproven += 1,
            (Blame::Us, _) | (_, Verdict::NeverAgain) => {
                self.count_failure(now, false);
                self.open(now, None, TripReason::Held(failure.kind()));
            }
            (Blame::Provider, Verdict::SwitchAndRetryAfter(wait)) => {
                self.count_failure(now, false);
                let wait = wait.clamp(THROTTLE.0, THROTTLE.1);
                let until = now + self.jitter.stretch(wait);
                self.open(now, Some(until), TripReason::Throttled);
            }
            (Blame::Provider, Verdict::SwitchNow) => {
                self.count_failure(now, matches!(failure, Failure::Stalled(_)));
                match self.gate {
                    Gate::Closed => self.trip_if_bad(now),
                    Gate::HalfOpen { .. } => self.trip(now, TripReason::Probe),
                    Gate::ForcedClosed | Gate::Open { .. } => {}
                }
            }
        }
    }

    fn count_failure(&mut self, now: MonoTime, slow: bool) {
        self.totals.failed += 1;
        self.totals.slow += u64::from(slow);
        self.times.failure = Some(now);
        self.successes_in_row = 0;
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        self.window.note(now, Note { failed: true, slow });
    }

    fn trip_if_bad(&mut self, now: MonoTime) {
        let recent = self.window.sums(now);
        let enough = recent.samples >= self.config.samples_min;
        let reaches = |count: u32, percent: u32| {
            u64::from(count) * 100 >= u64::from(percent) * u64::from(recent.samples)
        };
        if self.failures_in_row >= self.config.failures_in_row {
            self.trip(now, TripReason::InRow);
        } else if enough && reaches(recent.failed, self.config.failure_percent) {
            self.trip(now, TripReason::Rate);
        } else if enough && reaches(recent.slow, self.config.slow_percent) {
            self.trip(now, TripReason::Slow);
        }
    }

    /// Opens for a while that grows with every opening soon after the last.
    fn trip(&mut self, now: MonoTime, why: TripReason) {
        let well = self.times.closed.is_none_or(|closed| now.since(closed) > self.config.open_max);
        if self.gate == Gate::Closed && well {
            self.openings = 0;
        }
        let growth = 1_u32.checked_shl(self.openings).unwrap_or(u32::MAX);
        let length = self.config.open.saturating_mul(growth).min(self.config.open_max);
        self.openings = (self.openings + 1).min(31);
        let until = now + self.jitter.stretch(length);
        self.open(now, Some(until), why);
    }

    fn open(&mut self, now: MonoTime, until: Option<MonoTime>, why: TripReason) {
        match self.gate {
            Gate::ForcedClosed => {}
            // Somebody must act already; or it is open for longer than this asks.
            Gate::Open { until: None, .. } => {}
            Gate::Open { until: Some(old), .. } if until.is_some_and(|until| until <= old) => {}
            Gate::Open { .. } => self.gate = Gate::Open { until, why },
            Gate::Closed | Gate::HalfOpen { .. } => self.move_to(now, Gate::Open { until, why }),
        }
    }

    fn move_to(&mut self, now: MonoTime, gate: Gate) {
        let from = self.state();
        self.gate = gate;
        self.period += 1;
        self.running = (0, 0);
        let to = self.state();
        if from != to {
            self.totals.note_transition(from, to);
            self.times.change = Some(now);
        }
        if to == State::Closed {
            self.times.closed = Some(now);
            self.failures_in_row = 0;
            self.window.clear();
        }
    }
}

#[cfg(test)]
mod tests;
