//! What is read back: rows of the tables, and how one asks for some of them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use voice_core::id::CallId;
use voice_core::record::CallEvent;
use voice_core::sensitive::Pii;
use voice_core::time::{MonoTime, UnixMillis};
use voice_telephony::status::CallStatus;

use super::Node;
use super::format::FormatError;

/// One call as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRow {
    /// Which call.
    pub call: CallId,
    /// The server that holds it, or held it last; empty for calls of earlier versions.
    pub node: Node,
    /// When it began.
    pub started: UnixMillis,
    /// When it ended, if it has. A call that came back has not.
    pub ended: Option<UnixMillis>,
    /// Who carried it.
    pub carrier: String,
    /// The carrier's own name for it.
    pub carrier_call: String,
    /// Who called.
    pub from: Pii<String>,
    /// Who was called.
    pub to: Pii<String>,
    /// Finds it in everybody's logs.
    pub correlation: String,
    /// Who talked last, if anybody did.
    pub provider: Option<String>,
    /// Why it ended, as in the metrics.
    pub reason: Option<String>,
}

/// Whether a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// It has not ended, as far as anybody wrote down.
    Live,
    /// It is over.
    Ended,
}

/// Which calls are wanted. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// In this state.
    pub state: Option<CallState>,
    /// Held by this server, or last held by it.
    pub node: Option<Node>,
    /// Carried by this one.
    pub carrier: Option<String>,
    /// Who talked last.
    pub provider: Option<String>,
    /// Of this correlation id.
    pub correlation: Option<String>,
    /// Begun at this moment or later.
    pub from: Option<UnixMillis>,
    /// Begun before this moment.
    pub to: Option<UnixMillis>,
}

/// Some calls, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPage {
    /// The calls.
    pub calls: Vec<CallRow>,
    /// Asks for those after them, if there are more.
    pub next: Option<Cursor>,
}

/// A place in the list of calls. Calls that begin meanwhile do not move it.
///
/// ```
/// use voice_bin::store::Cursor;
///
/// let cursor: Cursor = "1795000000000-0193a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b".parse()?;
/// assert_eq!(cursor.to_string(), "1795000000000-0193a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b");
/// # Ok::<(), voice_bin::store::CursorError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) started: UnixMillis,
    pub(super) call: CallId,
}

/// The text is no cursor of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct CursorError;

/// How many calls there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that go on.
    pub live: u64,
    /// Calls that are over.
    pub ended: u64,
}

/// One entry of a call as it was read back.
#[derive(Debug)]
pub struct StoredEntry {
    /// Its number within the call.
    pub seq: u64,
    /// When, in the call's own time. The node that wrote it began to count at its start.
    pub at: MonoTime,
    /// When, on the clock.
    pub unix: UnixMillis,
    /// What; an error where a newer build wrote it.
    pub event: Result<CallEvent, FormatError>,
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The caller; their words as they were transcribed.
    Caller,
    /// The voice; its words as they were heard.
    Voice,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnRow {
    /// Number of the entry that tells it.
    pub seq: u64,
    /// When that was written, on the clock.
    pub unix: UnixMillis,
    /// Who.
    pub speaker: Speaker,
    /// The utterance or reply behind it; those of one speaker rise in the order in which they were spoken.
    pub turn: u64,
    /// What.
    pub words: Pii<String>,
    /// How much of a reply was heard.
    pub heard: Option<Duration>,
    /// Whether a reply was cut short.
    pub cut: bool,
}

/// Another voice took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchRow {
    /// Number of the entry that tells it.
    pub seq: u64,
    /// When, on the clock.
    pub unix: UnixMillis,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What for, as in the API.
    pub why: String,
    /// How long nobody heard the caller.
    pub gap: Duration,
    /// Audio of the caller that was lost.
    pub lost: Duration,
    /// Turns that were carried over.
    pub turns: u32,
}

/// A stretch that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingRow {
    /// Number of the entry that began it.
    pub seq: u64,
    /// When it began, on the clock.
    pub started: UnixMillis,
    /// Who recorded: `server` or `carrier`.
    pub place: String,
    /// When it ended, if it has.
    pub stopped: Option<UnixMillis>,
    /// Why it ended.
    pub reason: Option<String>,
    /// From beginning to end, pauses included.
    pub length: Option<Duration>,
}

/// A recording that a carrier has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierRecordingRow {
    /// Number of the entry that tells it.
    pub seq: u64,
    /// When that was, on the clock.
    pub unix: UnixMillis,
    /// The carrier's name for it.
    pub recording: String,
    /// How long it is.
    pub length: Option<Duration>,
    /// Where it can be fetched, perhaps only for some minutes.
    pub url: Option<Pii<String>>,
}

/// How a call stood from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// Which of the changes of its call, as one server counts them.
    pub number: u32,
    /// How it stood before; `None` of the first one.
    pub from: Option<CallStatus>,
    /// How it stands.
    pub to: CallStatus,
    /// Why, in one word.
    pub reason: Cow<'static, str>,
    /// When.
    pub unix: UnixMillis,
}

/// Entries of a call that are missing, or that nobody was to write any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossRow {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// How many of them: less than all in between, where too many stretches had to be told as one.
    pub entries: u64,
    /// Whose they were.
    pub node: Node,
    /// Why: `queue_full`, `format`, `refused` by the database, or `superseded` by a node that took the call over.
    pub reason: String,
    /// When the first of them was, on the clock.
    pub unix: UnixMillis,
}

impl CallRow {
    /// Its place in the list.
    pub fn cursor(&self) -> Cursor {
        Cursor { started: self.started, call: self.call }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.started.0, self.call)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (started, call) = text.split_once('-').ok_or(CursorError)?;
        let started = started.parse().map_err(|_| CursorError)?;
        Ok(Self { started: UnixMillis(started), call: call.parse().map_err(|_| CursorError)? })
    }
}

impl Speaker {
    /// A short, stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Voice => "voice",
        }
    }

    pub(super) fn of(name: &str) -> Result<Self, FormatError> {
        [Self::Caller, Self::Voice]
            .into_iter()
            .find(|one| one.name() == name)
            .ok_or(FormatError::Field("speaker"))
    }
}
