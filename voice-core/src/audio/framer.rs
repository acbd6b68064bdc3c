//! Pieces of any length to frames of 20 ms.

use bytes::{Bytes, BytesMut};

use super::AudioFormat;

/// Cuts a stream into frames. Take out all frames after each piece: then less than one frame is ever
/// held back.
///
/// A piece that is exactly a frame passes through as the same bytes; from longer ones frames are cut
/// without a copy.
///
/// ```
/// use bytes::Bytes;
/// use voice_core::audio::AudioFormat;
/// use voice_core::audio::framer::Framer;
///
/// let mut framer = Framer::new(AudioFormat::MULAW_8K);
/// framer.push(Bytes::from(vec![0x10; 200]));
/// assert_eq!(framer.pop().map(|frame| frame.len()), Some(160));
/// assert_eq!(framer.pop(), None);
/// let last = framer.flush().expect("40 bytes are left");
/// assert_eq!((last.len(), last[39], last[40]), (160, 0x10, 0xff));
/// ```
#[derive(Clone, Debug)]
pub struct Framer {
    frame_bytes: usize,
    silence: u8,
    /// Less than a frame, from pieces before.
    rest: BytesMut,
    /// What is left of the last piece; meaningful only while `rest` is empty.
    piece: Bytes,
}

impl Framer {
    /// A framer for a stream in this format.
    pub fn new(format: AudioFormat) -> Self {
        Self {
            frame_bytes: format.frame_bytes(),
            silence: format.encoding.silence_byte(),
            rest: BytesMut::new(),
            piece: Bytes::new(),
        }
    }

    /// Takes a piece of any length.
    pub fn push(&mut self, piece: Bytes) {
        self.settle();
        if self.rest.is_empty() {
            self.piece = piece;
            return;
        }
        // What was begun is filled up by copying; the rest of the piece is cut without.
        let missing = (self.frame_bytes - self.rest.len() % self.frame_bytes).min(piece.len());
        self.rest.extend_from_slice(&piece[..missing]);
        self.piece = piece.slice(missing..);
    }

    /// The next whole frame.
    pub fn pop(&mut self) -> Option<Bytes> {
        if self.rest.len() >= self.frame_bytes {
            return Some(self.rest.split_to(self.frame_bytes).freeze());
        }
        if self.rest.is_empty() && self.piece.len() >= self.frame_bytes {
            return Some(self.piece.split_to(self.frame_bytes));
        }
        self.settle();
        None
    }

    /// What is left, made up to a frame with silence. `None` if nothing is.
    pub fn flush(&mut self) -> Option<Bytes> {
        self.settle();
        if self.rest.is_empty() {
            return None;
        }
        let frames = self.rest.len().div_ceil(self.frame_bytes);
        self.rest.resize(frames * self.frame_bytes, self.silence);
        Some(self.rest.split().freeze())
    }

    /// Forgets what is left.
    pub fn clear(&mut self) {
        self.rest.clear();
        self.piece = Bytes::new();
    }

    fn settle(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        self.rest.extend_from_slice(&piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(sizes: &[usize]) -> (Vec<u8>, Vec<usize>, Option<usize>) {
        let mut framer = Framer::new(AudioFormat::MULAW_8K);
        let (mut bytes, mut frames, mut next) = (Vec::new(), Vec::new(), 0_u8);
        for size in sizes {
            let piece: Vec<u8> = (0..*size)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            framer.push(Bytes::from(piece));
            while let Some(frame) = framer.pop() {
                frames.push(frame.len());
                bytes.extend_from_slice(&frame);
            }
        }
        (bytes, frames, framer.flush().map(|last| last.len()))
    }

    #[test]
    fn any_pieces_make_the_same_stream() {
        for sizes in [&[160, 160, 160][..], &[480], &[1; 480], &[159, 2, 319], &[0, 80, 400, 0], &[479, 1]] {
            let (bytes, frames, last) = cut(sizes);
            let expected: Vec<u8> = (1..=480_u32).map(|n| n as u8).collect();
            assert_eq!(bytes, expected, "{sizes:?}");
            assert_eq!((frames, last), (vec![160; 3], None), "{sizes:?}");
        }
        assert_eq!(cut(&[161]).2, Some(160));
        assert_eq!(cut(&[150]).1, [0; 0]);
    }

    #[test]
    fn a_frame_is_not_copied() {
        let mut framer = Framer::new(AudioFormat::MULAW_8K);
        let piece = Bytes::from(vec![7; 320]);
        framer.push(piece.clone());
        assert_eq!(framer.pop().map(|f| f.as_ptr()), Some(piece.as_ptr()));
        assert_eq!(framer.pop().map(|f| f.as_ptr()), Some(piece[160..].as_ptr()));
    }

    #[test]
    fn what_is_forgotten_does_not_come_back() {
        let mut framer = Framer::new(AudioFormat::MULAW_8K);
        framer.push(Bytes::from(vec![7; 100]));
        framer.clear();
        assert_eq!(framer.flush(), None);
        framer.push(Bytes::from(vec![8; 160]));
        assert_eq!(framer.pop().map(|f| f[0]), Some(8));
    }
}
