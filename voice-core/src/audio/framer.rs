//! temporary
use super::AudioFormat;
use bytes::{Bytes, BytesMut};
/// t
pub struct Framer {
    size: usize,
    silence: u8,
    rest: BytesMut,
    chunk: Bytes,
}
impl Framer {
    /// t
    pub fn new(format: AudioFormat) -> Self {
        Self {
            size: format.frame_bytes(),
            silence: format.encoding.silence_byte(),
            rest: BytesMut::new(),
            chunk: Bytes::new(),
        }
    }
    /// t
    pub fn push(&mut self, chunk: Bytes) {
        if self.rest.is_empty() {
            self.chunk = chunk;
        } else {
            self.rest.extend_from_slice(&chunk);
            self.chunk = self.rest.split().freeze();
        }
    }
    /// t
    pub fn next(&mut self) -> Option<Bytes> {
        if self.chunk.len() >= self.size {
            return Some(self.chunk.split_to(self.size));
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.rest.extend_from_slice(&chunk);
        None
    }
    /// t
    pub fn flush(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            return None;
        }
        self.rest.resize(self.size, self.silence);
        Some(self.rest.split().freeze())
    }
    /// t
    pub fn clear(&mut self) {
        self.rest.clear();
        self.chunk = Bytes::new();
    }
}
