//! Leading a caller to somebody else: a second leg, a few words to whoever answers, then the two are joined.
//!
//! [`Transfer`] is one of them as a value: feed it what the carrier answers and tells, with the time, and do
//! what it puts out. It knows no carrier: what a carrier must be able to do is the port [`LeadCalls`]. A
//! carrier that asks what to do with a leg (Twilio) is answered with [`Transfer::scene`]; one that is
//! commanded (Telnyx) is sent the [`Act`]s.
//!
//! ```text
//!  Dial ──► rings ──► answers ──► hears the summary ──► (presses 1) ──► Proceed ──► Join ──► Done: the caller is theirs
//!              │          │               │                  │                        │
//!              └ busy, no answer, a machine, hangs up, presses another key, refused ──► Failed: the leg is ended
//! ```
//!
//! Before the two are joined the call is told ([`TransferNews::Joining`]), and makes way: what the carrier records
//! of it ends first. It says [`Input::Proceed`], or nothing for two seconds.
//!
//! The caller stays where they are until the two are joined, so whatever fails loses nobody. Exactly one of
//! [`TransferNews::Done`] and [`TransferNews::Failed`] is told, or neither of a transfer that nobody wants any
//! more; and a leg that is not joined is ended, also one whose request was never answered and that turns up
//! later. With the feature `rest`, `rest::TransferDesk` drives all of it.

mod machine;

use std::fmt;
use std::str::FromStr;

use voice_core::id::{CallId, IdError};
use voice_core::sensitive::Pii;
use voice_core::time::MonoTime;
use voice_core::transfer::{TransferFailure, TransferId, TransferNews, TransferOrder};

use crate::ask::Ask;
use crate::carrier_error::CarrierError;
use crate::number::E164;
use crate::status::FailReason;

pub use machine::Transfer;

/// One transfer of one call. It travels with everything that the carrier is given, so that whatever it
/// tells can be put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferKey {
    /// The call.
    pub call: CallId,
    /// Which of its transfers.
    pub transfer: TransferId,
}

impl TransferKey {
    /// The name of the query parameter that carries it.
    pub const PARAMETER: &'static str = "transfer";

    /// The key in a URL's query, if there is one.
    pub fn in_query(query: &str) -> Option<Self> {
        query.split('&').find_map(|pair| pair.strip_prefix(Self::PARAMETER)?.strip_prefix('=')?.parse().ok())
    }
}

impl fmt::Display for TransferKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.t{}", self.call, self.transfer.0)
    }
}

impl FromStr for TransferKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (call, number) = text.split_once(".t").unwrap_or((text, ""));
        // Whatever is wrong with the number, the whole is no key.
        let call = number.parse().map_or("", |_: u32| call).parse()?;
        Ok(Self { call, transfer: TransferId(number.parse().unwrap_or_default()) })
    }
}

/// What is wanted, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Names it.
    pub key: TransferKey,
    /// The carrier's name for the caller's leg.
    pub caller: String,
    /// Our number, which is shown to whoever is called.
    pub from: E164,
    /// The rest.
    pub order: TransferOrder,
}

/// What is done with a leg, or with the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Whoever has answered hears the summary ([`Plan::words`]).
    Speak,
    /// The caller and the leg are joined.
    Join,
    /// The leg is ended.
    EndLeg,
    /// The caller was joined with somebody who had gone, or nobody knows whether they were: they come back to us.
    BringBack,
}

/// What a transfer learns.
#[derive(Clone, Debug)]
pub enum Input {
    /// What the carrier answered to [`Output::Dial`]: its name for the leg, or why there is none.
    Dialled(Result<String, CarrierError>),
    /// What it answered to [`Output::Find`]: its name for the conference, if there is one.
    Found(Result<Option<String>, CarrierError>),
    /// What it answered to [`Output::Act`].
    Acted(Act, Result<(), CarrierError>),
    /// The carrier tells of the leg of this name.
    Told(String, LegNews),
    /// Nothing is in the way of joining the two, as [`TransferNews::Joining`] asked.
    Proceed,
    /// Nobody wants the transfer any more.
    Withdraw,
    /// A later transfer of the same call has begun: where the caller is, is its business from here on.
    Superseded,
    /// Time has passed.
    Tick,
}

/// What a carrier tells of the leg to somebody, by webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegNews {
    /// Somebody has answered.
    Answered,
    /// They have heard everything that was to be said.
    Said,
    /// They have pressed this key, or, when one was awaited, none.
    Key(Option<char>),
    /// It is a machine.
    Machine,
    /// The leg and the caller hear each other.
    Bridged,
    /// The leg is over.
    Over(LegEnd),
}

/// How a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegEnd {
    /// It was answered, and they hung up.
    HungUp,
    /// They did not take the call.
    Declined,
    /// It was never answered, for this reason.
    Failed(FailReason),
}

impl LegEnd {
    const fn failure(self) -> TransferFailure {
        match self {
            Self::HungUp => TransferFailure::HungUp,
            Self::Declined => TransferFailure::Declined,
            Self::Failed(FailReason::Busy) => TransferFailure::Busy,
            Self::Failed(FailReason::NoAnswer | FailReason::Canceled) => TransferFailure::NoAnswer,
            Self::Failed(FailReason::Carrier | FailReason::MediaLost) => TransferFailure::Unreachable,
        }
    }
}

/// What a leg should do now, for carriers that ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Hear the summary, and press a key after it if that is wanted.
    Summary {
        /// Whether a key is wanted.
        accept: bool,
    },
    /// Be joined with the caller.
    Join,
    /// Be over.
    HangUp,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask the carrier to call them; answer with [`Input::Dialled`].
    Dial,
    /// Ask it for the conference of that name; answer with [`Input::Found`].
    Find,
    /// Ask it for this; answer with [`Input::Acted`]. A carrier that asks what to do needs no request for
    /// [`Act::Speak`]: then nothing is answered.
    Act(Act),
    /// Tell the call.
    Tell(TransferNews),
    /// Nothing until then, or until there is input.
    WaitUntil(MonoTime),
    /// Over. Comes again for whoever asks again.
    Finished,
}

impl Plan {
    /// What whoever answers hears before the caller is put through.
    pub fn words(&self) -> Pii<String> {
        let summary = self.order.summary.as_ref().map_or("", |summary| summary.expose());
        let accept = if self.order.accept { " Press 1 to take the call." } else { "" };
        Pii::new(format!("A caller is being put through to you. {summary}{accept}"))
    }
}

/// What transfers need of a carrier: requests as data, each with the reader of its answer.
pub trait LeadCalls: Send + Sync {
    /// Calls whoever the caller is to be led to. The answer is the carrier's name for the leg. `None` where
    /// nobody can be called at such an address.
    fn dial(&self, plan: &Plan) -> Option<Ask<String>>;

    /// Does this with the leg or the conference of that name, or the caller. `None` where no request is needed
    /// for it, or the name is none that this carrier gives. Who joins a conference without a name begins it.
    fn act(&self, plan: &Plan, leg: Option<&str>, act: Act) -> Option<Ask<()>>;

    /// Whether a conference can be joined, and whether [`LegNews::Bridged`] tells that two legs were joined
    /// (else the answer to the request does).
    fn abilities(&self) -> Abilities;

    /// Looks for the conference that the caller is to join: its name at the carrier, if it is there. Asked of
    /// carriers with [`Conferences::ByLooking`] only: this answer is for all others.
    fn room(&self, _plan: &Plan) -> Option<Ask<Option<String>>> {
        None
    }
}

/// How carriers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// How a caller joins a conference.
    pub conferences: Conferences,
    /// It is told when two legs were joined.
    pub tells_bridged: bool,
}

/// How a carrier's conferences are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conferences {
    /// Not at all.
    None,
    /// By name; whoever comes first begins it.
    ByName,
    /// By the carrier's own name for it, which must be looked for first; if there is none, it is begun.
    ByLooking,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_a_query_and_is_no_attempt() {
        let key = TransferKey { call: CallId::from_u128(7), transfer: TransferId(3) };
        let query = format!("step=said&transfer={key}");
        assert_eq!(TransferKey::in_query(&query), Some(key));
        assert_eq!(crate::outbound::AttemptKey::in_query(&query), None);
        assert!(key.to_string().parse::<crate::outbound::AttemptKey>().is_err());
        for bad in ["", "transfer", "transfer=", "transfer=7.t3", &format!("transfer={}.t", key.call)] {
            assert_eq!(TransferKey::in_query(bad), None, "{bad}");
        }
    }
}
