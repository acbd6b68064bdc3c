//! The vocabulary of Call Control events (protocol notes, Telnyx §1.2).

use std::time::Duration;

use voice_core::carrier::Digit;
use voice_core::sensitive::{Pii, Secret};

use super::id::{ConferenceId, StreamId};
use super::media::Codec;
use crate::status::{CallStatus, FailReason};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A leg exists: somebody calls, or our own call is on its way.
    Initiated(Initiated),
    /// The leg was answered.
    Answered {
        /// What the leg speaks, where Telnyx says so and we can, too.
        codec: Option<Codec>,
    },
    /// The leg is over.
    Hangup(Hangup),
    /// The leg hears another one. Comes once for each of the two.
    Bridged,
    /// The leg was put on hold by the other side.
    Held,
    /// And back.
    Unheld,
    /// A key. The media socket tells the same key press: whoever has one must not count this one.
    Digit(Digit),
    /// A `gather` of ours is over.
    GatherEnded {
        /// What was typed.
        digits: Pii<String>,
        /// How it ended.
        outcome: Outcome,
    },
    /// A text is being spoken.
    SpeakStarted,
    /// A text was spoken.
    SpeakEnded(Outcome),
    /// A sound is being played.
    PlaybackStarted,
    /// A sound was played.
    PlaybackEnded(Outcome),
    /// A recording can be fetched. Names the leg, but carries no handle for commands.
    RecordingSaved(RecordingLinks),
    /// A recording failed.
    RecordingFailed {
        /// Telnyx's word; foreign text.
        reason: Option<String>,
    },
    /// Who answered.
    MachineDetected(Answerer),
    /// The announcement of an answering machine is over.
    GreetingEnded(GreetingEnd),
    /// The media socket is up.
    StreamingStarted(StreamNotice),
    /// The media stream is over.
    StreamingStopped(StreamNotice),
    /// The media socket could not be opened, or broke.
    StreamingFailed(StreamNotice),
    /// The other side was asked to call somebody else.
    Refer {
        /// Whether that has ended, well or badly.
        is_over: bool,
        /// What the other side answered.
        sip_code: Option<u16>,
    },
    /// A conference exists.
    ConferenceCreated(Option<ConferenceId>),
    /// A conference is over.
    ConferenceEnded(Option<ConferenceId>),
    /// The leg takes part in a conference.
    ConferenceJoined(Option<ConferenceId>),
    /// And no longer.
    ConferenceLeft(Option<ConferenceId>),
    /// A kind of which nothing is made; its name is foreign text.
    Other(String),
}

impl Event {
    /// A stable name for metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Initiated(_) => "initiated",
            Self::Answered { .. } => "answered",
            Self::Hangup(_) => "hangup",
            Self::Bridged => "bridged",
            Self::Held | Self::Unheld => "hold",
            Self::Digit(_) => "digit",
            Self::GatherEnded { .. } => "gather",
            Self::SpeakStarted | Self::SpeakEnded(_) => "speak",
            Self::PlaybackStarted | Self::PlaybackEnded(_) => "playback",
            Self::RecordingSaved(_) | Self::RecordingFailed { .. } => "recording",
            Self::MachineDetected(_) | Self::GreetingEnded(_) => "machine",
            Self::StreamingStarted(_) | Self::StreamingStopped(_) | Self::StreamingFailed(_) => "streaming",
            Self::Refer { .. } => "refer",
            Self::ConferenceCreated(_)
            | Self::ConferenceEnded(_)
            | Self::ConferenceJoined(_)
            | Self::ConferenceLeft(_) => "conference",
            Self::Other(_) => "other",
        }
    }

    /// Where the call is after this, if it says so. An outgoing call that was initiated rings as far as
    /// anybody can tell: Telnyx has no event of its own for that.
    pub fn status(&self) -> Option<(CallStatus, Option<FailReason>)> {
        if let Self::Hangup(hangup) = self {
            return Some(hangup.status());
        }
        let status = if matches!(self, Self::Initiated(_)) {
            CallStatus::Ringing
        } else if matches!(self, Self::Answered { .. }) {
            CallStatus::Answered
        } else {
            return None;
        };
        Some((status, None))
    }

    /// Whether it is worth nothing without the handle for commands.
    pub(super) const fn needs_handle(&self) -> bool {
        matches!(self, Self::Initiated(_) | Self::Answered { .. } | Self::Hangup(_))
    }
}

/// A leg exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initiated {
    /// Which way it goes.
    pub direction: Direction,
    /// What it does meanwhile.
    pub state: CallState,
    /// The name that the network shows beside the number.
    pub caller_name: Option<Pii<String>>,
    /// The network's word on whether the caller's number is true: `A`, `B` or `C`, as it came.
    pub attestation: Option<String>,
}

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// Somebody called us.
    Incoming,
    /// We called.
    Outgoing,
    /// A word that is new.
    Unknown,
}

/// What a leg that was not answered does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallState {
    /// Waits for a command of ours.
    Parked,
    /// Is being connected.
    Bridging,
    /// A word that is new.
    Unknown,
}

/// A leg is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hangup {
    /// Why.
    pub cause: HangupCause,
    /// Who hung up.
    pub source: HangupSource,
    /// The SIP status, where there was one.
    pub sip_code: Option<u16>,
}

impl Hangup {
    /// Whether this was a conversation that ended or a call that failed.
    pub const fn status(&self) -> (CallStatus, Option<FailReason>) {
        if matches!(self.sip_code, Some(200)) {
            return (CallStatus::Completed, None);
        }
        match &self.cause {
            HangupCause::NormalClearing | HangupCause::TimeLimit => (CallStatus::Completed, None),
            HangupCause::UserBusy => (CallStatus::Failed, Some(FailReason::Busy)),
            HangupCause::NoAnswer | HangupCause::Timeout => (CallStatus::Failed, Some(FailReason::NoAnswer)),
            HangupCause::OriginatorCancel => (CallStatus::Failed, Some(FailReason::Canceled)),
            HangupCause::CallRejected
            | HangupCause::NotFound
            | HangupCause::Unspecified
            | HangupCause::Other(_) => (CallStatus::Failed, Some(FailReason::Carrier)),
        }
    }
}

/// Why a leg is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HangupCause {
    /// Somebody hung up.
    NormalClearing,
    /// The other side did not want it.
    CallRejected,
    /// The caller gave up while it rang.
    OriginatorCancel,
    /// It rang for too long.
    Timeout,
    /// The longest call that was allowed is over.
    TimeLimit,
    /// Busy.
    UserBusy,
    /// No such number.
    NotFound,
    /// Nobody answered.
    NoAnswer,
    /// Nobody knows.
    Unspecified,
    /// A word that is new; foreign text.
    Other(String),
}

impl HangupCause {
    pub(super) fn read(word: Option<String>) -> Self {
        match word.as_deref() {
            Some("normal_clearing") => Self::NormalClearing,
            Some("call_rejected") => Self::CallRejected,
            Some("originator_cancel") => Self::OriginatorCancel,
            Some("timeout") => Self::Timeout,
            Some("time_limit") => Self::TimeLimit,
            Some("user_busy") => Self::UserBusy,
            Some("not_found") => Self::NotFound,
            Some("no_answer") => Self::NoAnswer,
            Some("unspecified") | None => Self::Unspecified,
            Some(_) => Self::Other(word.unwrap_or_default()),
        }
    }
}

/// Who hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HangupSource {
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
    /// Nobody knows.
    Unknown,
}

/// How something that was played, spoken or collected ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// As it should.
    Completed,
    /// We stopped it, or an answering machine's announcement did.
    Cancelled,
    /// The other side hung up.
    HungUp,
    /// Nothing came in time.
    Timeout,
    /// It could not be done, or a word that is new; foreign text.
    Failed(String),
}

impl Outcome {
    pub(super) fn read(word: Option<String>) -> Self {
        match word.as_deref() {
            Some("completed" | "valid") => Self::Completed,
            Some("cancelled" | "cancelled_amd") => Self::Cancelled,
            Some("call_hangup") => Self::HungUp,
            Some("timeout") => Self::Timeout,
            Some(_) | None => Self::Failed(word.unwrap_or_default()),
        }
    }
}

/// Who answered an outgoing call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answerer {
    /// A person.
    Human,
    /// An answering machine.
    Machine,
    /// A fax.
    Fax,
    /// Nobody says anything.
    Silence,
    /// Telnyx cannot tell.
    NotSure,
}

impl Answerer {
    pub(super) fn read(word: Option<&str>) -> Self {
        match word {
            Some("human" | "human_residence" | "human_business") => Self::Human,
            Some("machine") => Self::Machine,
            Some("fax_detected") => Self::Fax,
            Some("silence") => Self::Silence,
            Some(_) | None => Self::NotSure,
        }
    }
}

/// How the announcement of an answering machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GreetingEnd {
    /// With a beep: the moment to leave a message.
    Beep,
    /// Without one.
    NoBeep,
    /// Telnyx cannot tell.
    NotSure,
}

impl GreetingEnd {
    pub(super) fn read(word: Option<&str>) -> Self {
        match word {
            Some("beep_detected") => Self::Beep,
            Some("ended" | "no_beep_detected" | "prompt_ended") => Self::NoBeep,
            Some(_) | None => Self::NotSure,
        }
    }
}

/// A recording can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingLinks {
    /// Good for ten minutes, for whoever has it.
    pub url: Option<Secret<String>>,
    /// Whether caller and callee are on channels of their own.
    pub is_dual: bool,
    /// Telnyx's name for it, where it tells one.
    pub recording: Option<String>,
    /// From its beginning to its end, where both are told.
    pub length: Option<Duration>,
}

/// Something about a media stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamNotice {
    /// The address we gave, ticket included: it tells this stream from an earlier one.
    pub url: Option<Secret<String>>,
    /// The stream, where it got that far.
    pub stream_id: Option<StreamId>,
    /// What went wrong; foreign text.
    pub reason: Option<String>,
}
