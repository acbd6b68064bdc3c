//! Calls placed by us: which carrier, until somebody answers, and never twice.
//!
//! [`OutboundCall`] is one call as a value: feed it what carriers answer and tell, with the time, and do
//! what it puts out. It knows no carrier's protocol: what a carrier must be able to do is the port
//! [`PlaceCalls`], three requests as data.
//!
//! ```text
//!  Order ──► OutboundCall ── Place ──► carrier 1 ── refused, nothing was done ──► carrier 2 …
//!                              │           └─ no answer: may have happened ──► Look ─┬─ found: go on with it
//!                              │                                                     └─ not there, four times: carrier 2
//!                              └─ accepted ──► rings ──► answered ──► over     (never another carrier from here on)
//! ```
//!
//! The rule above all others: **the telephone of one person rings once.** Another carrier is asked only
//! after a refusal that proves that nothing was done, or after looking for the call where it may have
//! been accepted. What cannot be found out ends the call instead of repeating it. A call that turns up
//! after it was given up is hung up.
//!
//! [`Gate`] stands in front of each carrier: its breaker, and the pace it allows. With the feature `rest`
//! `rest::Desk` drives all of it.

mod call;
mod gate;
mod pacer;
mod stage;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use voice_core::id::{CallId, CarrierId, IdError};
use voice_core::sensitive::Pii;
use voice_core::time::{MonoTime, UnixMillis};

use crate::ask::Ask;
use crate::carrier_error::CarrierError;
use crate::number::E164;
use crate::status::{CallStatus, FailReason, Report};

pub use call::OutboundCall;
pub use gate::{Breaker, Entry, Gate, InARow, Outcome, Permit};
pub use pacer::Pacer;

/// A call that somebody wants to be placed.
#[derive(Clone, Debug)]
pub struct Order {
    /// Our name for it, under which everything about it can be found.
    pub call: CallId,
    /// Who is to be called.
    pub to: E164,
    /// Carriers in the order in which they are asked. At least one, at most [`ROUTES_MAX`].
    ///
    /// [`ROUTES_MAX`]: crate::limits::ROUTES_MAX
    pub routes: Vec<Route>,
    /// How long the telephone may ring; 5 s to 10 minutes.
    pub ring: Duration,
    /// How long the call may last.
    pub longest: Duration,
    /// What to do when a machine answers.
    pub voicemail: Voicemail,
}

/// A carrier, and the number of ours that it may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The carrier.
    pub carrier: CarrierId,
    /// One of our numbers at that carrier.
    pub from: E164,
}

/// What to do when a machine answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Voicemail {
    /// Nobody asks who answered: the voice talks to whatever is there.
    #[default]
    GoOn,
    /// Hang up.
    HangUp,
    /// Say this after the beep, then hang up.
    LeaveMessage(Pii<String>),
}

/// Who answered a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnsweredBy {
    /// A person.
    Human,
    /// A machine, which may still be talking.
    Machine,
    /// A machine that has come to its beep, or to its end, and waits for a message.
    MachineWaits,
    /// A fax.
    Fax,
    /// It cannot be told.
    Unknown,
}

impl AnsweredBy {
    /// A short, stable name for metrics, logs and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Machine | Self::MachineWaits => "machine",
            Self::Fax => "fax",
            Self::Unknown => "unknown",
        }
    }
}

/// One attempt of one call at one carrier. It travels in the URLs that the carrier is given, so that
/// whatever it tells can be put in its place even before its answer to the request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// The call.
    pub call: CallId,
    /// The attempt, from 0.
    pub attempt: u32,
}

impl AttemptKey {
    /// The name of the query parameter that carries it.
    pub const PARAMETER: &'static str = "attempt";

    /// The key in a URL's query, if there is one.
    pub fn in_query(query: &str) -> Option<Self> {
        query.split('&').find_map(|pair| pair.strip_prefix(Self::PARAMETER)?.strip_prefix('=')?.parse().ok())
    }

    /// The URL with the key in its query.
    pub fn in_url(self, url: &str) -> String {
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}{}={self}", Self::PARAMETER)
    }
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.call, self.attempt)
    }
}

impl FromStr for AttemptKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (call, attempt) = text.split_once('.').unwrap_or((text, ""));
        // Whatever is wrong with the number, the whole is no key.
        let nothing = || "".parse::<CallId>().map(|call| Self { call, attempt: 0 });
        let Ok(attempt) = attempt.parse() else { return nothing() };
        Ok(Self { call: call.parse()?, attempt })
    }
}

/// What a call learns.
#[derive(Clone, Debug)]
pub enum Input {
    /// What a carrier answered to [`Output::Place`]: its name for the call, or why there is none.
    Placed(u32, Result<String, CarrierError>),
    /// What a carrier answered to [`Output::Look`]: calls to this number by ours, begun since, that belong
    /// to no other order.
    Found(u32, Result<Vec<Seen>, CarrierError>),
    /// What a carrier answered to [`Output::Act`].
    Acted(u32, Act, Result<(), CarrierError>),
    /// The carrier tells of an attempt.
    Told(u32, Told),
    /// The audio of the call is over, whoever ended it.
    MediaOver,
    /// Somebody wants the call to end.
    HangUp,
    /// Time has passed.
    Tick,
}

/// What a carrier tells of an attempt, by webhook. It proves that the attempt was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The carrier's name for the call.
    pub carrier_call: String,
    /// What about it.
    pub news: News,
}

/// What about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It got further.
    Status(Report),
    /// Somebody or something has answered, and the carrier wants to know what to do.
    Answered,
    /// It was found out who answered.
    Machine(AnsweredBy),
}

/// A call that a carrier knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The carrier's name for it.
    pub carrier_call: String,
    /// Where it is.
    pub status: CallStatus,
    /// Why, if it failed.
    pub reason: Option<FailReason>,
    /// When it was asked for, where the carrier tells it.
    pub created: Option<UnixMillis>,
}

/// What is to be done with a call at its carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// End it.
    HangUp,
    /// Say this instead of whatever it does now, then hang up.
    LeaveMessage(Pii<String>),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Ask the carrier to place the call; answer with [`Input::Placed`]. Where its [`Gate`] is shut,
    /// answer with what the gate says.
    Place(u32, Route),
    /// Ask the carrier for calls like this one; answer with [`Input::Found`].
    Look(u32, Route),
    /// Ask the carrier to do this with its call of that name; answer with [`Input::Acted`].
    Act(u32, CarrierId, String, Act),
    /// Tell whoever wants to know.
    Report(Progress),
    /// Nothing until then, or until there is input.
    WaitUntil(MonoTime),
    /// Over. Comes again for whoever asks again.
    Finished(End),
}

/// What is worth telling about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// This carrier is asked.
    Placing(CarrierId),
    /// It did not take the call.
    NotPlaced(CarrierId, CarrierError),
    /// Nobody knows whether it took the call; it is looked for.
    Uncertain(CarrierId),
    /// It did, and this is its name for the call.
    Accepted(CarrierId, String),
    /// The call got further.
    Status(CallStatus),
    /// It was found out who answered.
    Machine(AnsweredBy),
    /// A message is being left.
    LeavingMessage,
    /// A call that was given up turned up, and is hung up.
    Stray(CarrierId),
    /// A call could not be hung up at its carrier, which ends it by its own limits.
    LeftBehind(CarrierId),
    /// The call is over. Told exactly once.
    Ended(End),
}

/// How a call came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Somebody answered, and it is over.
    Completed,
    /// A machine answered; whether a message was left.
    Voicemail {
        /// Whether a message was left.
        message: bool,
    },
    /// Nobody answered, and why.
    NotReached(FailReason),
    /// No carrier took it; what the last one said.
    NotPlaced(CarrierError),
    /// A carrier may have taken it, and does not tell. It was not repeated.
    Uncertain,
    /// We ended it before anybody answered.
    Canceled,
}

impl End {
    /// A short, stable name for metrics, logs and answers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Voicemail { message: true } => "message_left",
            Self::Voicemail { message: false } => "voicemail",
            Self::NotReached(FailReason::Busy) => "busy",
            Self::NotReached(FailReason::NoAnswer) => "no_answer",
            Self::NotReached(FailReason::Canceled) | Self::Canceled => "canceled",
            Self::NotReached(FailReason::Carrier | FailReason::MediaLost) => "failed",
            Self::NotPlaced(_) => "not_placed",
            Self::Uncertain => "uncertain",
        }
    }

    /// The status to which this end belongs.
    pub const fn status(&self) -> CallStatus {
        match self {
            Self::Completed | Self::Voicemail { .. } => CallStatus::Completed,
            Self::NotReached(_) | Self::NotPlaced(_) | Self::Uncertain | Self::Canceled => CallStatus::Failed,
        }
    }
}

/// What a carrier is asked to place.
#[derive(Clone, Copy, Debug)]
pub struct Placement<'a> {
    /// Which attempt this is; belongs into every URL that the carrier is given.
    pub key: AttemptKey,
    /// The order.
    pub order: &'a Order,
    /// Our number at this carrier.
    pub from: &'a E164,
}

/// What calls need of a carrier: requests as data, each with the reader of its answer.
pub trait PlaceCalls: Send + Sync {
    /// Places a call. The answer is the carrier's name for it.
    fn place(&self, placement: Placement<'_>) -> Ask<String>;

    /// Looks for calls from and to these numbers, newest first, those included that still wait to be
    /// dialled. Used where nobody knows whether a call was placed.
    fn look(&self, placement: Placement<'_>) -> Ask<Vec<Seen>>;

    /// Does this with a call. `None` where the name is none that this carrier gives.
    fn act(&self, carrier_call: &str, act: &Act) -> Option<Ask<()>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_a_url() {
        let key = AttemptKey { call: CallId::from_u128(7), attempt: 3 };
        let url = key.in_url("https://a.example/hook?a=1");
        assert_eq!(url, "https://a.example/hook?a=1&attempt=00000000-0000-0000-0000-000000000007.3");
        assert_eq!(AttemptKey::in_query(url.split_once('?').expect("it has a query").1), Some(key));
        for bad in ["", "attempt", "attempt=", "attempt=7.3", "attempts=x", &format!("attempt={}.", key.call)]
        {
            assert_eq!(AttemptKey::in_query(bad), None, "{bad}");
        }
    }
}
