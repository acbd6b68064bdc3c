//! A recording that the carrier makes: what is asked of it, what comes of that, and what there is in the end.

use std::time::Duration;

use crate::sensitive::Pii;

/// Who writes a recording down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecordingPlace {
    /// We do: both channels as they were said and heard here.
    #[default]
    Server,
    /// The carrier does, and keeps it. It goes on while our server restarts.
    Carrier,
}

impl RecordingPlace {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Server, Self::Carrier];

    /// A short, stable name for the API, settings and the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Carrier => "carrier",
        }
    }
}

/// What a carrier is asked to do with its recording of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordStep {
    /// Begin, each side on a channel of its own.
    Start,
    /// Write silence.
    Pause,
    /// Write again what is said.
    Resume,
    /// End it.
    Stop,
}

impl RecordStep {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Start, Self::Pause, Self::Resume, Self::Stop];

    /// A short, stable name for the API, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
        }
    }
}

/// What came of what a carrier was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordNews {
    /// It records, under this name of its own, where it told one.
    Begun(Option<String>),
    /// It records no more: the end that it was asked for, or there was nothing to end.
    Ended,
    /// It did not do that step.
    Refused(RecordStep, RecordingRefusal),
}

/// Why a carrier did not do what it was asked of its recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordingRefusal {
    /// Nobody commands this call's carrier.
    Unsupported,
    /// There is no such recording, or no such call any more.
    NotRunning,
    /// The account may not, or its key was refused.
    NotAllowed,
    /// It did not answer, or could not, however often it was asked.
    NoAnswer,
    /// It understood, and did not want to.
    Refused,
    /// It was not even asked: it is still ending the recording before, and there are never two at once.
    Ending,
}

impl RecordingRefusal {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Unsupported, Self::NotRunning, Self::NotAllowed, Self::NoAnswer, Self::Refused, Self::Ending];

    /// A short, stable name for the API, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::NotRunning => "not_running",
            Self::NotAllowed => "not_allowed",
            Self::NoAnswer => "no_answer",
            Self::Refused => "refused",
            Self::Ending => "ending",
        }
    }
}

/// What the carrier says it has of a recording that is over. Usually told after the call's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filed {
    /// It has it.
    Saved(SavedRecording),
    /// It has nothing: the recording was empty, or failed.
    Absent {
        /// The name of what there is not.
        recording: String,
    },
}

/// A recording at the carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRecording {
    /// The carrier's name for it; where it tells none, its name for this piece of news. Either way the
    /// same however often it is told.
    pub recording: String,
    /// How long it is, as the carrier counts.
    pub length: Option<Duration>,
    /// Where it can be fetched: with the account's key (Twilio), or by whoever has the address, for ten
    /// minutes (Telnyx).
    pub url: Option<Pii<String>>,
}

impl Filed {
    /// By which name two pieces of news are about the same recording.
    pub fn recording(&self) -> &str {
        match self {
            Self::Saved(SavedRecording { recording, .. }) | Self::Absent { recording } => recording,
        }
    }
}
