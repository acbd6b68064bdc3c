//! Reads a WAV file into mu-law at 8 kHz, so that a caller can say anything.

use thiserror::Error;

/// Why a file cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WavError {
    /// Not a WAV file, or cut short before its audio.
    #[error("not a wav file")]
    NotWav,
    /// Anything but 16-bit PCM or mu-law.
    #[error("neither 16-bit pcm nor mu-law")]
    Encoding,
    /// More than one channel.
    #[error("more than one channel")]
    Channels,
    /// A rate that the telephone does not know how to reach.
    #[error("a rate other than 8, 16, 24 or 48 kHz")]
    Rate,
}
