//! The port to a telephone carrier's media stream: events, commands, a session that translates.
//!
//! The signalling around it (webhooks, tickets, REST) lives in `voice-telephony`; by the time a
//! [`CarrierSession`] exists the peer has proven who it is and has told its audio format.

use crate::audio::{AudioFormat, AudioFrame};
use crate::id::MarkId;
use crate::limits::DIGITS_MAX;
use crate::sensitive::Pii;
use crate::time::MonoTime;
use crate::wire::{LineEnd, WireMessage};

use std::time::Duration;

/// One media stream of one carrier: a translator between its wire and our events.
///
/// The same pair as everywhere: after every `handle`, `poll` until it answers
/// [`CarrierOutput::WaitUntil`].
pub trait CarrierSession: Send {
    /// The only way in. Cannot fail and must not block.
    fn handle(&mut self, now: MonoTime, input: CarrierInput<'_>);

    /// The only way out.
    fn poll(&mut self) -> CarrierOutput;

    /// What the stream carries, both ways.
    fn format(&self) -> AudioFormat;
}

/// What a carrier session is told.
#[derive(Debug)]
pub enum CarrierInput<'a> {
    /// The call wants something.
    Command(CarrierCommand),
    /// A message arrived.
    Wire(&'a WireMessage),
    /// The line is gone.
    LineDown(LineEnd),
    /// The time asked for has come.
    Tick,
}

/// What a carrier session wants.
#[derive(Debug)]
pub enum CarrierOutput {
    /// Send this message.
    Send(WireMessage),
    /// Close the line politely.
    HangUp,
    /// Tell the call.
    Event(CarrierEvent),
    /// Nothing more for now; wake me then, if at all.
    WaitUntil(Option<MonoTime>),
}

/// What a call asks of the carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CarrierCommand {
    /// Play this after what was sent before.
    Play(AudioFrame),
    /// Tell us when everything before this point has been played.
    Mark(MarkId),
    /// Throw away what has not been played. Marks sent before never count as played afterwards.
    Clear,
    /// End the call.
    HangUp,
}

/// What a carrier session reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CarrierEvent {
    /// The caller's audio, of any length.
    Audio(AudioFrame),
    /// The carrier dropped audio of the caller before it reached us.
    Lost(Duration),
    /// The caller pressed a key.
    Digit(Digit),
    /// Everything before this mark has been played.
    Played(MarkId),
    /// A message that makes no sense here. Counted, never fatal by itself.
    Oddity(Oddity),
    /// The stream is over; nothing more comes.
    Ended(CarrierEnd),
}

/// A key of the telephone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Digit(char);

impl Digit {
    /// `0`–`9`, `*`, `#`, `A`–`D`.
    pub fn new(key: char) -> Option<Self> {
        let key = key.to_ascii_uppercase();
        matches!(key, '0'..='9' | '*' | '#' | 'A'..='D').then_some(Self(key))
    }

    /// The key.
    pub const fn as_char(self) -> char {
        self.0
    }
}

/// Keys to be pressed, for the other side of the line to hear: an extension, a menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits(Pii<String>);

/// Keys that no telephone has, none at all, or too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys are 0-9, *, # and A-D, and w for a pause of half a second; 1 to {DIGITS_MAX} of them")]
pub struct DigitsError;

impl Digits {
    /// `0`–`9`, `*`, `#`, `A`–`D`, and `w` for half a second of silence; at most
    /// [`DIGITS_MAX`] of them.
    ///
    /// # Errors
    /// If there is anything else, or nothing.
    pub fn new(keys: &str) -> Result<Self, DigitsError> {
        let is_key = |key: char| matches!(key, 'w' | 'W') || Digit::new(key).is_some();
        if keys.is_empty() || keys.len() > DIGITS_MAX || !keys.chars().all(is_key) {
            return Err(DigitsError);
        }
        Ok(Self(keys.to_ascii_uppercase().into()))
    }

    /// The keys, in capitals: people type card numbers.
    pub const fn keys(&self) -> &Pii<String> {
        &self.0
    }
}

/// What was odd about a message from the carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Oddity {
    /// A binary message where the protocol knows none.
    Binary,
    /// Not the JSON that the protocol prescribes.
    Unreadable,
    /// Audio that is not base64, or empty, or far too long.
    BadAudio,
    /// It belongs to another stream.
    WrongStream,
    /// A kind of message we do not know.
    UnknownEvent,
    /// A message at a time when it has no meaning.
    OutOfPlace,
    /// A key that no telephone has.
    BadDigit,
    /// More keys in a second than a telephone can send.
    TooManyKeys,
    /// A mark that we never sent.
    BadMark,
    /// The carrier says that it could make nothing of a message of ours.
    Complaint,
}

impl Oddity {
    /// A short, stable name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Unreadable => "unreadable",
            Self::BadAudio => "bad_audio",
            Self::WrongStream => "wrong_stream",
            Self::UnknownEvent => "unknown_event",
            Self::OutOfPlace => "out_of_place",
            Self::BadDigit => "bad_digit",
            Self::TooManyKeys => "too_many_keys",
            Self::BadMark => "bad_mark",
            Self::Complaint => "complaint",
        }
    }
}

/// Why the stream is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CarrierEnd {
    /// The carrier said that the call or stream is over.
    Stopped,
    /// The line went down without such a word.
    LineDown(LineEnd),
    /// Too much nonsense; we gave up on it.
    Nonsense,
}
