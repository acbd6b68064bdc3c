//! Leading the caller to somebody else: what is wanted, how it goes, why it failed.
//!
//! A [`Call`](crate::call::Call) is ordered to transfer with `Control::Transfer`. It asks whoever operates
//! the carrier for the rest ([`Operation`]) and is told how that goes ([`TransferNews`]): another leg is
//! called, somebody answers, the two are joined. Until they are, the caller stays where they are, hears
//! music, and can be given back to the voice at any moment: a transfer that fails loses nobody.

use std::time::Duration;

use crate::recording::RecordStep;
use crate::sensitive::Pii;

/// One transfer of one call, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u32);

/// Whom the caller is led to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferOrder {
    /// With how much ceremony.
    pub kind: TransferKind,
    /// What they are called, for the voice and the record: "support". Without numbers.
    pub name: String,
    /// Where they are, in a form that the carrier takes: a number in E.164, a SIP address, or the name of a
    /// conference.
    pub to: Pii<String>,
    /// How long their telephone may ring.
    pub ring: Duration,
    /// They press `1` before the caller is put through; whoever does not want to, hangs up.
    pub accept: bool,
    /// What they hear first, in a warm transfer. If nothing is given, the call says what it knows: the
    /// last `Control::Summary`, or else the last turns.
    pub summary: Option<Pii<String>>,
}

impl TransferOrder {
    /// How long a telephone rings unless it is said: five or six rings.
    pub const RING: Duration = Duration::from_secs(30);

    /// An order without a summary of its own, to be accepted by picking up.
    pub fn new(kind: TransferKind, name: impl Into<String>, to: impl Into<Pii<String>>) -> Self {
        Self { kind, name: name.into(), to: to.into(), ring: Self::RING, accept: false, summary: None }
    }
}

/// With how much ceremony the caller is led elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferKind {
    /// Somebody is called, hears what it is about, and is put through.
    Warm,
    /// Somebody is called and put through as soon as they answer.
    Blind,
    /// The caller joins a conference by its name; whoever is there, or comes, talks with them.
    Conference,
}

impl TransferKind {
    /// A short, stable name for the API, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Blind => "blind",
            Self::Conference => "conference",
        }
    }
}

/// What a call asks of whoever operates its carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Lead the caller there, and tell how it goes with `Control::Transferred`. The summary is filled in.
    Transfer(TransferId, TransferOrder),
    /// Nothing is in the way of joining the two, as [`TransferNews::Joining`] asked: what the carrier recorded of
    /// the call is over. Whoever hears nothing of this for two seconds joins them all the same.
    Proceed(TransferId),
    /// Nobody wants that transfer any more: end what is under way of it. Nothing need be told.
    Withdraw(TransferId),
    /// Let the carrier do this with its own recording of the call, after what it was asked of it before. Tell
    /// with `RecordCommand::Ordered` that it has begun, that it has ended, or that it refused; of other steps
    /// that are done, nothing need be told.
    Record {
        /// Which order of this call: the number of the entry that tells it. No other order has it, also after
        /// the call has come back.
        order: u64,
        /// What to do.
        step: RecordStep,
    },
}

/// How a transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferNews {
    /// Somebody has answered.
    Answered,
    /// Caller and somebody are about to be joined, as soon as the call says [`Operation::Proceed`]. If the
    /// caller's stream ends after that, that may be why.
    Joining,
    /// The caller is with somebody else, or on the way there without us.
    Done,
    /// The caller is where they were.
    Failed(TransferFailure),
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferStage {
    /// Somebody is being called.
    Calling,
    /// They have answered.
    Answered,
    /// They and the caller are being joined.
    Joining,
}

impl TransferStage {
    /// A short, stable name for the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Answered => "answered",
            Self::Joining => "joining",
        }
    }
}

/// Why the caller was not led to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransferFailure {
    /// The line was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// They did not want the call.
    Declined,
    /// A machine answered.
    Machine,
    /// They hung up before they were put through.
    HungUp,
    /// The number cannot be reached, or the carrier does not call it.
    Unreachable,
    /// The carrier did not do what it was asked, or nobody knows whether it did.
    Carrier,
    /// It took too long.
    Timeout,
    /// Somebody wanted the caller back.
    Withdrawn,
    /// Our server was restarted in the middle of it.
    Interrupted,
    /// The call ended first.
    CallOver,
    /// Another transfer was under way.
    UnderWay,
    /// Nobody operates this call's carrier, or not for this kind of transfer.
    Unsupported,
    /// The carrier did not end its recording in time, and [`WhenRecorded::GiveBack`] was chosen.
    ///
    /// [`WhenRecorded::GiveBack`]: crate::call::WhenRecorded::GiveBack
    Recorded,
}

impl TransferFailure {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Busy,
        Self::NoAnswer,
        Self::Declined,
        Self::Machine,
        Self::HungUp,
        Self::Unreachable,
        Self::Carrier,
        Self::Timeout,
        Self::Withdrawn,
        Self::Interrupted,
        Self::CallOver,
        Self::UnderWay,
        Self::Unsupported,
        Self::Recorded,
    ];

    /// A short, stable name for the API, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Declined => "declined",
            Self::Machine => "machine",
            Self::HungUp => "hung_up",
            Self::Unreachable => "unreachable",
            Self::Carrier => "carrier",
            Self::Timeout => "timeout",
            Self::Withdrawn => "withdrawn",
            Self::Interrupted => "interrupted",
            Self::CallOver => "call_over",
            Self::UnderWay => "under_way",
            Self::Unsupported => "unsupported",
            Self::Recorded => "recorded",
        }
    }

    /// The same in words for the model, to end a sentence that begins "The caller was not put through: ".
    pub const fn told(self) -> &'static str {
        match self {
            Self::Busy => "the line is busy",
            Self::NoAnswer => "nobody answered",
            Self::Declined => "they cannot take the call now",
            Self::Machine => "an answering machine took the call",
            Self::HungUp => "they hung up before they were connected",
            Self::Unreachable => "the number cannot be reached",
            Self::Carrier => "the telephone network did not connect them",
            Self::Timeout => "it took too long",
            Self::Withdrawn => "somebody took the transfer back",
            Self::Interrupted => "the connection was interrupted",
            Self::CallOver => "the call was over",
            Self::UnderWay => "another transfer is under way",
            Self::Unsupported => "transfers are not possible in this call",
            Self::Recorded => "the call is still being recorded, which nobody else has agreed to",
        }
    }
}
