//! The smaller pieces of stored events.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use voice_core::audio::{AudioFormat, Encoding, Rate};
use voice_core::carrier::{CarrierEnd, Oddity};
use voice_core::failure::Failure;
use voice_core::record::{Away, CoverKind, EndReason, Loss, Party, SwitchRefusal, Why};
use voice_core::recording::{RecordStep, RecordingEnd, RecordingPlace, RecordingRefusal};
use voice_core::transfer::{TransferFailure, TransferKind};
use voice_core::wire::{LineEnd, Unreachable};

use super::FormatError;

pub(in crate::store) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) const fn time(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// Mirrors an enum without data that cannot grow unnoticed.
macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident of $theirs:ident { $($variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum $name { $($variant),* }

        impl From<$theirs> for $name {
            fn from(theirs: $theirs) -> Self {
                match theirs { $($theirs::$variant => Self::$variant),* }
            }
        }

        mirror!(@back $name of $theirs { $($variant),* });
    };
    ($(#[$doc:meta])* growing $name:ident of $theirs:ident { $($variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum $name { $($variant),* }

        impl TryFrom<$theirs> for $name {
            type Error = FormatError;

            fn try_from(theirs: $theirs) -> Result<Self, FormatError> {
                match theirs {
                    $($theirs::$variant => Ok(Self::$variant),)*
                    _newer => Err(FormatError::Unwritable),
                }
            }
        }

        mirror!(@back $name of $theirs { $($variant),* });
    };
    (@back $name:ident of $theirs:ident { $($variant:ident),* }) => {
        impl From<$name> for $theirs {
            fn from(stored: $name) -> Self {
                match stored { $($name::$variant => Self::$variant),* }
            }
        }
    };
}

mirror! {
    /// Why somebody is wanted.
    StoredWhy of Why { CallStart, Failure, Wish, SessionLimit, Standby, Drain, Return }
}

mirror! {
    /// Why nobody had the caller's media.
    StoredAway of Away { Restart, HandOver, LineDown, Transfer }
}

mirror! {
    /// Why a switch was refused.
    StoredRefusal of SwitchRefusal { NotTalking, UnderWay, Nobody, Same, NoneBefore, Withdrawn }
}

mirror! {
    /// Where audio was lost.
    StoredLoss of Loss { Carrier, Held, Unheard, Playout, Withheld, Recording }
}

mirror! {
    /// With how much ceremony a caller is led elsewhere.
    StoredTransferKind of TransferKind { Warm, Blind, Conference }
}

mirror! {
    /// Why a caller was not led elsewhere.
    growing StoredTransferFailure of TransferFailure {
        Busy, NoAnswer, Declined, Machine, HungUp, Unreachable, Carrier, Timeout, Withdrawn, Interrupted, CallOver,
        UnderWay, Unsupported, Recorded,
    }
}

mirror! {
    /// Why a recording is over.
    StoredRecordingEnd of RecordingEnd { Ordered, Revoked, CallOver, Failed, Interrupted, Carrier, Transfer }
}

mirror! {
    /// Who records.
    StoredRecordingPlace of RecordingPlace { Server, Carrier }
}

mirror! {
    /// What a carrier was asked to do with its recording.
    StoredRecordStep of RecordStep { Start, Pause, Resume, Stop }
}

mirror! {
    /// Why it did not.
    growing StoredRecordingRefusal of RecordingRefusal {
        Unsupported, NotRunning, NotAllowed, NoAnswer, Refused, Ending,
    }
}

mirror! {
    /// What covered a gap.
    StoredCover of CoverKind { Moment, Still, Unavailable, Music }
}

mirror! {
    /// Who was silent.
    StoredParty of Party { Caller, Provider }
}

mirror! {
    /// What was odd about a carrier's message.
    growing StoredOddity of Oddity {
        Binary, Unreadable, BadAudio, WrongStream, UnknownEvent, OutOfPlace, BadDigit, TooManyKeys, BadMark,
        Complaint,
    }
}

mirror! {
    /// What kept a line from coming up.
    growing StoredUnreachable of Unreachable { Address, Tcp, Tls, Timeout, Handshake }
}

mirror! {
    /// How samples are written.
    StoredEncoding of Encoding { Mulaw, Alaw, Pcm16 }
}

/// Format of the caller's line.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct StoredFormat {
    encoding: StoredEncoding,
    rate_hz: u32,
}

impl From<AudioFormat> for StoredFormat {
    fn from(format: AudioFormat) -> Self {
        Self { encoding: format.encoding.into(), rate_hz: format.rate.hz() }
    }
}

impl TryFrom<StoredFormat> for AudioFormat {
    type Error = FormatError;

    fn try_from(stored: StoredFormat) -> Result<Self, FormatError> {
        let rate = Rate::from_hz(stored.rate_hz).ok_or(FormatError::Field("rate_hz"))?;
        Ok(Self::new(stored.encoding.into(), rate))
    }
}

/// What went wrong with a provider.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum StoredFailure {
    Unreachable { why: StoredUnreachable },
    Refused { status: u16 },
    NotReady { after_us: u64 },
    Closed { code: u16 },
    Cut,
    Stalled { after_us: u64 },
    Clogged,
    Unreadable { what: String },
    Service { code: String },
    Throttled { retry_after_us: Option<u64> },
    Credentials,
    Quota,
    Settings { code: String },
    SessionLimit,
    Harmless { code: String },
}

impl TryFrom<&Failure> for StoredFailure {
    type Error = FormatError;

    fn try_from(failure: &Failure) -> Result<Self, FormatError> {
        Ok(match failure {
            Failure::Unreachable(why) => Self::Unreachable { why: (*why).try_into()? },
            Failure::Refused { status } => Self::Refused { status: *status },
            Failure::NotReady(after) => Self::NotReady { after_us: micros(*after) },
            Failure::Closed { code } => Self::Closed { code: *code },
            Failure::Cut => Self::Cut,
            Failure::Stalled(after) => Self::Stalled { after_us: micros(*after) },
            Failure::Clogged => Self::Clogged,
            Failure::Unreadable(what) => Self::Unreadable { what: (*what).to_owned() },
            Failure::Service { code } => Self::Service { code: code.clone() },
            Failure::Throttled { retry_after } => Self::Throttled { retry_after_us: retry_after.map(micros) },
            Failure::Credentials => Self::Credentials,
            Failure::Quota => Self::Quota,
            Failure::Settings { code } => Self::Settings { code: code.clone() },
            Failure::SessionLimit => Self::SessionLimit,
            Failure::Harmless { code } => Self::Harmless { code: code.clone() },
            _newer => return Err(FormatError::Unwritable),
        })
    }
}

impl From<StoredFailure> for Failure {
    fn from(stored: StoredFailure) -> Self {
        match stored {
            StoredFailure::Unreachable { why } => Self::Unreachable(why.into()),
            StoredFailure::Refused { status } => Self::Refused { status },
            StoredFailure::NotReady { after_us } => Self::NotReady(time(after_us)),
            StoredFailure::Closed { code } => Self::Closed { code },
            StoredFailure::Cut => Self::Cut,
            StoredFailure::Stalled { after_us } => Self::Stalled(time(after_us)),
            StoredFailure::Clogged => Self::Clogged,
            StoredFailure::Unreadable { what } => Self::Unreadable(known(&what)),
            StoredFailure::Service { code } => Self::Service { code },
            StoredFailure::Throttled { retry_after_us } => {
                Self::Throttled { retry_after: retry_after_us.map(time) }
            }
            StoredFailure::Credentials => Self::Credentials,
            StoredFailure::Quota => Self::Quota,
            StoredFailure::Settings { code } => Self::Settings { code },
            StoredFailure::SessionLimit => Self::SessionLimit,
            StoredFailure::Harmless { code } => Self::Harmless { code },
        }
    }
}

/// The core keeps this as a text of the source code. Those in use are found again, any other becomes
/// one that says less.
fn known(what: &str) -> &'static str {
    const KNOWN: [&str; 3] = ["websocket framing", "json", "binary"];
    KNOWN.into_iter().find(|known| *known == what).unwrap_or("message")
}

/// Why a call ended.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum StoredEnd {
    CarrierStopped,
    CarrierLineDown { end: StoredLineEnd },
    CarrierNonsense,
    HungUp,
    NoProvider,
    Transfer { to: String },
    Limit,
    Shutdown,
}

impl TryFrom<&EndReason> for StoredEnd {
    type Error = FormatError;

    fn try_from(reason: &EndReason) -> Result<Self, FormatError> {
        Ok(match reason {
            EndReason::Carrier(CarrierEnd::Stopped) => Self::CarrierStopped,
            EndReason::Carrier(CarrierEnd::LineDown(end)) => Self::CarrierLineDown { end: end.try_into()? },
            EndReason::Carrier(CarrierEnd::Nonsense) => Self::CarrierNonsense,
            EndReason::HungUp => Self::HungUp,
            EndReason::NoProvider => Self::NoProvider,
            EndReason::Transfer { to } => Self::Transfer { to: to.expose().clone() },
            EndReason::Limit => Self::Limit,
            EndReason::Shutdown => Self::Shutdown,
            EndReason::Carrier(_) | _ => return Err(FormatError::Unwritable),
        })
    }
}

impl From<StoredEnd> for EndReason {
    fn from(stored: StoredEnd) -> Self {
        match stored {
            StoredEnd::CarrierStopped => Self::Carrier(CarrierEnd::Stopped),
            StoredEnd::CarrierLineDown { end } => Self::Carrier(CarrierEnd::LineDown(end.into())),
            StoredEnd::CarrierNonsense => Self::Carrier(CarrierEnd::Nonsense),
            StoredEnd::HungUp => Self::HungUp,
            StoredEnd::NoProvider => Self::NoProvider,
            StoredEnd::Transfer { to } => Self::Transfer { to: to.into() },
            StoredEnd::Limit => Self::Limit,
            StoredEnd::Shutdown => Self::Shutdown,
        }
    }
}

/// How a line ended. The body of a refusal is foreign text and is not kept.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum StoredLineEnd {
    Unreachable { why: StoredUnreachable },
    Refused { status: u16, retry_after_us: Option<u64> },
    Closed { code: u16, reason: String },
    Ended,
    Cut,
    Broken,
    Clogged,
}

impl TryFrom<&LineEnd> for StoredLineEnd {
    type Error = FormatError;

    fn try_from(end: &LineEnd) -> Result<Self, FormatError> {
        Ok(match end {
            LineEnd::Unreachable(why) => Self::Unreachable { why: (*why).try_into()? },
            LineEnd::Refused { status, retry_after, body: _ } => {
                Self::Refused { status: *status, retry_after_us: retry_after.map(micros) }
            }
            LineEnd::Closed { code, reason } => Self::Closed { code: *code, reason: reason.clone() },
            LineEnd::Ended => Self::Ended,
            LineEnd::Cut => Self::Cut,
            LineEnd::Broken => Self::Broken,
            LineEnd::Clogged => Self::Clogged,
            _newer => return Err(FormatError::Unwritable),
        })
    }
}

impl From<StoredLineEnd> for LineEnd {
    fn from(stored: StoredLineEnd) -> Self {
        match stored {
            StoredLineEnd::Unreachable { why } => Self::Unreachable(why.into()),
            StoredLineEnd::Refused { status, retry_after_us } => {
                Self::Refused { status, retry_after: retry_after_us.map(time), body: bytes::Bytes::new() }
            }
            StoredLineEnd::Closed { code, reason } => Self::Closed { code, reason },
            StoredLineEnd::Ended => Self::Ended,
            StoredLineEnd::Cut => Self::Cut,
            StoredLineEnd::Broken => Self::Broken,
            StoredLineEnd::Clogged => Self::Clogged,
        }
    }
}
