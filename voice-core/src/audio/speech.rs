//! temporary
use super::AudioFormat;
/// t
pub struct SpeechDetector;
/// t
pub enum SpeechEvent {
    /// t
    Began,
    /// t
    Ended,
}
impl SpeechDetector {
    /// t
    pub fn new(_: AudioFormat) -> Self {
        Self
    }
    /// t
    pub fn push(&mut self, _: &[u8]) -> Option<SpeechEvent> {
        None
    }
}
