//! temporary
use super::AudioFormat;
use bytes::Bytes;
/// t
pub struct Converter {
    same: bool,
}
impl Converter {
    /// t
    pub fn new(from: AudioFormat, to: AudioFormat) -> Self {
        Self { same: from == to }
    }
    /// t
    pub fn is_identity(&self) -> bool {
        self.same
    }
    /// t
    pub fn convert(&mut self, b: Bytes) -> Bytes {
        b
    }
    /// t
    pub fn reset(&mut self) {}
}
