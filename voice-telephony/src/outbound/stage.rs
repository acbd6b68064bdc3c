//! Where a call placed by us can be, and what belongs to each place.

use voice_core::time::MonoTime;

use super::End;
use crate::carrier_error::CarrierError;
use crate::status::{CallStatus, StatusTracker};

/// One request to one carrier.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) route: usize,
    pub(super) at: MonoTime,
    pub(super) fate: Fate,
    /// How often a stray of it was hung up.
    pub(super) strays: u32,
}

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is the one that the stage is about.
    Current,
    /// Refused; there should be no call.
    Refused,
    /// Looked for in vain; there should be no call, but who knows.
    GivenUp,
    /// There was a call of this name, and it is over.
    Over(String),
}

#[derive(Debug)]
pub(super) enum Stage {
    /// A carrier was asked.
    Placing { deadline: MonoTime, is_canceled: bool },
    /// It may have placed the call, and nobody knows.
    Looking(Looking),
    /// All carriers asked to wait.
    Waiting { until: MonoTime },
    /// A carrier has the call.
    Up(Up),
    /// It was told to end it.
    HangingUp { carrier_call: String, end: End, tries: u32, due: Due },
    /// All is told. `until` then nothing more is expected.
    Over { end: End, until: Option<MonoTime> },
}

#[derive(Debug)]
pub(super) struct Looking {
    /// Answers in which it was not there.
    pub(super) in_vain: u32,
    /// No answers.
    pub(super) unanswered: u32,
    pub(super) due: Due,
    pub(super) is_canceled: bool,
    /// Why it has to be looked for.
    pub(super) error: CarrierError,
}

/// A request that is asked again and again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// To be asked then.
    At(MonoTime),
    /// Asked; without an answer by then there is none.
    Asked(MonoTime),
}

#[derive(Debug)]
pub(super) struct Up {
    pub(super) carrier_call: String,
    pub(super) tracker: StatusTracker,
    /// The carrier should have told how it went by then.
    pub(super) deadline: MonoTime,
    pub(super) is_leaving_message: bool,
}

impl Up {
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self.tracker.status(), CallStatus::Initiated | CallStatus::Ringing)
    }
}
