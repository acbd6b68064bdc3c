//! What the record tells of measurements: how long an answer took, and how well sound got through.

use std::time::Duration;

use crate::audio::quality::{Rating, Reading};
use crate::id::{AttachmentId, ReplyId};

/// From the caller's last word to the first sound of the answer at their ear, and in whose hands it was.
///
/// What lies between telephone and carrier is not in it: nobody tells us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoiceToVoice {
    /// Which answer.
    pub reply: ReplyId,
    /// From the last voiced frame, by our own ear, until it was known that the caller had finished.
    pub detection: Duration,
    /// From then until the first sound of the answer came from the provider.
    pub provider: Duration,
    /// From then until it was sent: behind a prompt, or the end of something else.
    pub pacing: Duration,
    /// From then until it was heard: the carrier's mark, less the sound in between. The mark's way back is in
    /// it, so it is rather too long.
    pub network: Duration,
}

impl VoiceToVoice {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.detection + self.provider + self.pacing + self.network
    }
}

/// How well sound got through in some stretch of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Whoever heard the caller last.
    pub attachment: Option<AttachmentId>,
    /// How long the stretch was.
    pub span: Duration,
    /// What arrived of the caller.
    pub line: Reading,
    /// From sending until the carrier's mark comes back, beyond the length of the sound in between: the way
    /// there and back, and what the carrier buffers.
    pub way: Duration,
    /// What a listener would make of it; `None` if less than a second passed.
    pub rating: Option<Rating>,
    /// Frames given to providers.
    pub to_provider: u32,
    /// Frames that came from providers.
    pub from_provider: u32,
}
