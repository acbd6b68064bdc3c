//! A call's sound on one timeline: the caller in one channel, the voice as they heard it in the other.
//!
//! The timeline is that of sound *arriving here*. The caller's channel stands as it came; the voice's stands
//! where its echo would have come: at the moment at which the ledger believes that it reached the ear,
//! corrected by the carrier's marks, which take the same way back. So the two stand to each other as they
//! did at the caller's ear, whatever the way there and back takes.
//!
//! The voice is what the caller heard: covers and music are in it, and what a barge-in cleared is not.
//! The caller is as received: what nobody was given because of a hold or a mute is in it, too. A pause is
//! written as silence of the same length in both channels, so nothing after it moves.
//!
//! Nothing is recorded without a [`RecordingOrder`], and there is none without a [`Consent`] that covers it.
//!
//! An order may also ask the carrier to record ([`RecordingPlace::Carrier`]): then nothing of this timeline is
//! made, the steps go out as [`Operation::Record`](crate::transfer::Operation::Record), and what the carrier
//! makes of them comes back as [`RecordNews`] and, once it is over, as [`Filed`].

mod caller;
mod carrier;
mod recorder;
mod track;
mod voice;

use std::time::Duration;

use bytes::Bytes;

use crate::audio::AudioFormat;
use crate::consent::{Consent, ConsentError, Revocation, Use};
use crate::time::MonoTime;

pub use carrier::{Filed, RecordNews, RecordStep, RecordingPlace, RecordingRefusal, SavedRecording};
pub use recorder::Recorder;

/// Leave to record a call. The only way to one is a consent that covers recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingOrder {
    consent: Consent,
    place: RecordingPlace,
}

impl RecordingOrder {
    /// An order that stands on this consent, for a recording of our own.
    ///
    /// # Errors
    /// If the consent does not cover recording, or was revoked.
    pub fn new(consent: Consent) -> Result<Self, ConsentError> {
        consent.check(Use::Recording)?;
        Ok(Self { consent, place: RecordingPlace::Server })
    }

    /// The same, to be written down there.
    #[must_use]
    pub fn at(self, place: RecordingPlace) -> Self {
        Self { place, ..self }
    }

    /// On what it stands.
    pub const fn consent(&self) -> &Consent {
        &self.consent
    }

    /// Who is to write it down.
    pub const fn place(&self) -> RecordingPlace {
        self.place
    }
}

/// What somebody may want of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordCommand {
    /// Begin. While a recording runs this means nothing; the one that runs goes on. While the carrier is still
    /// ending one, it is refused ([`RecordingRefusal::Ending`]): there are never two at once.
    Start(RecordingOrder),
    /// Write silence instead of what is said: for a card number, say.
    Pause,
    /// Write again what is said.
    Resume,
    /// End it.
    Stop,
    /// The consent was taken back: end it at once.
    Revoke(Revocation),
    /// Whoever writes it had no room for so much; they wrote silence.
    Lost(Duration),
    /// Whoever writes it cannot go on.
    Failed,
    /// What came of what the carrier was asked, from whoever asked it
    /// ([`Operation::Record`](crate::transfer::Operation::Record)).
    Ordered {
        /// Of which order.
        order: u64,
        /// What.
        news: RecordNews,
    },
    /// The carrier says what it has of a recording. The same once more means nothing.
    Filed(Filed),
    /// The same from a carrier that does not say of which recording: the name is that of its news.
    FiledUnnamed(Filed),
}

/// What a call gives to whoever writes its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// A recording begins.
    Began(RecordingStart),
    /// The next 20 ms.
    Block(Block),
    /// It is over; nothing more comes before the next `Began`.
    Ended {
        /// Why.
        reason: RecordingEnd,
        /// From beginning to end.
        length: Duration,
    },
}

/// How a recording begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingStart {
    /// What both channels are written in.
    pub format: AudioFormat,
    /// The time of the first sample.
    pub at: MonoTime,
    /// On what it stands.
    pub consent: Consent,
}

/// 20 ms of both channels. Blocks follow each other without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// From the recording's beginning to this block's.
    pub at: Duration,
    /// What the caller said.
    pub caller: Bytes,
    /// What the caller heard.
    pub voice: Bytes,
}

/// Why a recording is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingEnd {
    /// Somebody ordered it.
    Ordered,
    /// The consent was taken back.
    Revoked,
    /// The call is over.
    CallOver,
    /// It could not be written.
    Failed,
    /// The server that wrote it died. If the call comes back, another one begins.
    Interrupted,
    /// The carrier that wrote it has ended it.
    Carrier,
    /// The caller is led to somebody else, who agreed to nothing. If they come back, another one begins.
    Transfer,
}

impl RecordingEnd {
    /// A short, stable name for the API, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Revoked => "revoked",
            Self::CallOver => "call_over",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Carrier => "carrier",
            Self::Transfer => "transfer",
        }
    }
}

#[cfg(test)]
mod tests;
