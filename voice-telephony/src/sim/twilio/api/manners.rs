//! The ways in which a fake REST API, and those whom it calls, can misbehave.

use std::fmt;
use std::str::FromStr;

macro_rules! rudeness {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One way to misbehave. Any number of them can be combined.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ApiRudeness {
            $($(#[$doc])* $variant,)*
        }

        impl ApiRudeness {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Their names, in the order of [`Self::ALL`].
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

rudeness! {
    /// 503, and nothing is done.
    ServerError = "server-error",
    /// 500 after the call was placed.
    ServerErrorAfter = "server-error-after",
    /// 429.
    Throttled = "throttled",
    /// 429 with `Retry-After: 2`.
    ThrottledWithTime = "throttled-with-time",
    /// The connection is closed without an answer, and nothing is done.
    CutsBefore = "cuts-before",
    /// The call is placed, and the connection closed without an answer.
    AcceptsThenCuts = "accepts-then-cuts",
    /// The call is placed, and nothing is ever answered.
    AcceptsThenStalls = "accepts-then-stalls",
    /// The call is placed, and answered seconds later; webhooks come first.
    SlowAnswers = "slow-answers",
    /// What is wanted of a call is done seconds later, and answered then; webhooks come first.
    SlowEdits = "slow-edits",
    /// The called number is refused.
    NumberRefused = "number-refused",
    /// Lists are six seconds behind.
    SlowList = "slow-list",
    /// Status callbacks come twice.
    DuplicateCallbacks = "duplicate-callbacks",
    /// Status callbacks come in any order.
    ShuffledCallbacks = "shuffled-callbacks",
    /// Status callbacks other than the last are lost.
    LostCallbacks = "lost-callbacks",
    /// No status callback at all comes, the last one included.
    NoCallbacks = "no-callbacks",
    /// Recordings are refused.
    RecordsNothing = "records-nothing",
    /// Of recordings nothing is left.
    EmptyRecordings = "empty-recordings",
    /// The callee is busy.
    Busy = "busy",
    /// The callee lets it ring.
    NoAnswer = "no-answer",
    /// The number cannot be reached.
    Failed = "failed",
    /// A machine answers.
    Machine = "machine",
    /// A fax answers.
    Fax = "fax",
    /// Nobody can tell who answered.
    NobodyKnows = "nobody-knows",
}

impl fmt::Display for ApiRudeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = Self::ALL.iter().position(|one| one == self).unwrap_or_default();
        f.write_str(Self::NAMES[index])
    }
}

/// A name that no rudeness has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such rudeness; known are {}", ApiRudeness::NAMES.join(", "))]
pub struct UnknownApiRudeness;

impl FromStr for ApiRudeness {
    type Err = UnknownApiRudeness;

    fn from_str(name: &str) -> Result<Self, UnknownApiRudeness> {
        let index = Self::NAMES.iter().position(|known| *known == name).ok_or(UnknownApiRudeness)?;
        Ok(Self::ALL[index])
    }
}
