//! Why somebody was chosen, and why the others were not.

use std::time::Duration;

use crate::id::ProviderId;
use crate::time::MonoTime;

use super::needs::StayId;
use super::strategy::Strategy;

/// What stands between a provider and a call. The first nine can never be overcome for this call; the
/// rest are in the order in which they are, if there is nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Obstacle {
    /// Nothing but that others come first.
    Outranked,
    /// It has failed for this call just now, but may be asked once more.
    FailedJustNow,
    /// It costs more than the call may cost.
    Cost,
    /// It has as many calls as it may have.
    Full,
    /// There is little confidence in it: below 70 of 100.
    Confidence,
    /// It was seen to fare badly within the last minute.
    Ailing,
    /// Its breaker refuses; so long, or until somebody acts.
    Refused(Option<Duration>),
    /// An operator forced its breaker open.
    Forced,
    /// An operator lets it run empty.
    Drained,
    /// It has failed for this call and must not be asked again.
    Tried,
    /// Somebody else was asked for by name.
    NotWished,
    /// It does not carry the label.
    Label,
    /// It does not speak the language.
    Language,
    /// It cannot call tools.
    Tools,
    /// It cannot see pictures.
    Images,
    /// It does not take this audio without conversion.
    Codec,
}

impl Obstacle {
    /// Whether it can be overcome when there is nobody else.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Outranked
            | Self::FailedJustNow
            | Self::Cost
            | Self::Full
            | Self::Confidence
            | Self::Ailing
            | Self::Refused(_) => false,
            Self::Forced
            | Self::Drained
            | Self::Tried
            | Self::NotWished
            | Self::Label
            | Self::Language
            | Self::Tools
            | Self::Images
            | Self::Codec => true,
        }
    }

    /// A stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outranked => "outranked",
            Self::FailedJustNow => "failed_just_now",
            Self::Cost => "cost",
            Self::Full => "full",
            Self::Confidence => "confidence",
            Self::Ailing => "ailing",
            Self::Refused(_) => "breaker_open",
            Self::Forced => "forced_open",
            Self::Drained => "drained",
            Self::Tried => "tried",
            Self::NotWished => "not_wished",
            Self::Label => "label",
            Self::Language => "language",
            Self::Tools => "tools",
            Self::Images => "images",
            Self::Codec => "codec",
        }
    }
}

/// Why the one who was chosen was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// By name.
    Wish,
    /// The caller, or the agent, was with them last.
    Sticky,
    /// First by the strategy among those with nothing against them.
    Strategy(Strategy),
    /// First by the strategy among those with the least against them: this.
    LastResort(Obstacle),
    /// Nobody could be chosen.
    Nobody,
}

impl Reason {
    /// A stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wish => "wish",
            Self::Sticky => "sticky",
            Self::Strategy(strategy) => strategy.name(),
            Self::LastResort(_) => "last_resort",
            Self::Nobody => "nobody",
        }
    }
}

/// One choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When.
    pub at: MonoTime,
    /// For whom.
    pub stay: StayId,
    /// Who takes the call.
    pub chosen: Option<ProviderId>,
    /// Why.
    pub reason: Reason,
    /// How much confidence the chosen one deserves, 0 to 100.
    pub confidence: u8,
    /// Everybody else, best first, and what stood against them.
    pub others: Vec<(ProviderId, Obstacle)>,
}
