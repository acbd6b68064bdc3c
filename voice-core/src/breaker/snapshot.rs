//! What can be told about a breaker.

use std::time::Duration;

use crate::time::MonoTime;

pub use super::window::Sums;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Everybody is admitted.
    Closed,
    /// A few are, as probes.
    HalfOpen,
    /// Nobody is.
    Open,
}

impl State {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// 0 closed, 1 half-open, 2 open: what dashboards expect.
    pub const fn code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }

    /// The industry's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Why a breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TripReason {
    /// Too many failures in a row.
    InRow,
    /// Too many failures of those in the window.
    Rate,
    /// Too many slow or stalled of those in the window.
    Slow,
    /// A probe failed.
    Probe,
    /// The service asked us to stay away.
    Throttled,
    /// It will fail the same way until somebody acts: the kind of failure.
    Held(&'static str),
    /// An operator's order.
    Forced,
    /// Another server of ours has found reason to.
    Elsewhere,
}

impl TripReason {
    /// A short, stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InRow => "failures_in_row",
            Self::Rate => "failure_rate",
            Self::Slow => "slow_rate",
            Self::Probe => "probe_failed",
            Self::Throttled => "throttled",
            Self::Held(kind) => kind,
            Self::Forced => "forced",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// A breaker at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSnapshot {
    /// Where it stands.
    pub state: State,
    /// Whether an operator put it there.
    pub forced: bool,
    /// Why it is open.
    pub reason: Option<TripReason>,
    /// How long nobody is admitted; `None` if somebody is, or if somebody must act first.
    pub retry_after: Option<Duration>,
    /// Failures since the last success or closing.
    pub failures_in_row: u32,
    /// Successes since the last failure.
    pub successes_in_row: u32,
    /// Probes and last resorts under way.
    pub under_way: u32,
    /// What the window holds.
    pub recent: Sums,
    /// Counted since the beginning.
    pub totals: BreakerTotals,
    /// When things happened last.
    pub times: BreakerTimes,
}

/// Counted since a breaker was made. `granted` is the sum of `successful`, `failed`, `unproven`, `late`
/// and what is still under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerTotals {
    /// Permits given.
    pub granted: u64,
    /// Requests that got none.
    pub rejected: u64,
    /// Permits that did their work.
    pub successful: u64,
    /// Permits that failed, and that counted.
    pub failed: u64,
    /// Of both, those that were slow or stalled.
    pub slow: u64,
    /// Permits that showed nothing: the caller hung up, a session limit was reached.
    pub unproven: u64,
    /// Permits settled in a later period, which proves nothing.
    pub late: u64,
    transitions: [[u64; 3]; 3],
}

impl BreakerTotals {
    /// How often it went from one state to another.
    pub const fn transitions(&self, from: State, to: State) -> u64 {
        self.transitions[from.code() as usize][to.code() as usize]
    }

    /// How often it changed at all.
    pub fn changes(&self) -> u64 {
        self.transitions.iter().flatten().sum()
    }

    pub(super) const fn note_transition(&mut self, from: State, to: State) {
        self.transitions[from.code() as usize][to.code() as usize] += 1;
    }
}

/// When things happened last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerTimes {
    /// A success.
    pub success: Option<MonoTime>,
    /// A failure that counted.
    pub failure: Option<MonoTime>,
    /// A change of state.
    pub change: Option<MonoTime>,
    /// It became closed, or was reset.
    pub closed: Option<MonoTime>,
}
