//! From pieces of any length to frames of 20 ms.

use bytes::{Bytes, BytesMut};

use super::AudioFormat;

/// Cuts a stream into frames. Push a piece, then take frames until there is none (it is an iterator).
///
/// Frames that lie within one piece are slices of it, without a copy; only a frame that begins in one
/// piece and ends in another is put together. Between pushes it holds less than one frame, provided
/// that the frames were taken.
///
/// ```
/// use bytes::Bytes;
/// use voice_core::audio::AudioFormat;
/// use voice_core::audio::framer::Framer;
///
/// let mut framer = Framer::new(AudioFormat::MULAW_8K);
/// framer.push(Bytes::from_static(&[0xff; 400]));
/// assert_eq!(framer.by_ref().map(|frame| frame.len()).collect::<Vec<_>>(), [160, 160]);
/// assert_eq!(framer.flush().map(|frame| frame.len()), Some(160));
/// assert_eq!(framer.flush(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Framer {
    format: AudioFormat,
    /// The beginning of a frame that the last piece did not finish.
    begun: BytesMut,
    /// What is left of the last piece.
    piece: Bytes,
}

impl Framer {
    /// A framer for a stream in this format.
    pub fn new(format: AudioFormat) -> Self {
        Self { format, begun: BytesMut::new(), piece: Bytes::new() }
    }

    /// Takes the next piece of the stream. If frames of the piece before were not taken, they stay in
    /// front, at the price of a copy.
    pub fn push(&mut self, piece: Bytes) {
        self.piece = if self.piece.is_empty() { piece } else { [&self.piece[..], &piece].concat().into() };
    }

    /// Ends the stream: a last frame, filled up with silence, if anything is left. Called after the
    /// whole frames have been taken; what was not taken comes first, so call it until it is `None`.
    pub fn flush(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.next() {
            return Some(frame);
        }
        // Half a sample would be a click.
        let whole = self.begun.len() - self.begun.len() % self.format.encoding.bytes_per_sample();
        let mut frame = self.begun.split();
        frame.truncate(whole);
        if frame.is_empty() {
            return None;
        }
        frame.resize(self.format.frame_bytes(), self.format.encoding.silence_byte());
        Some(frame.freeze())
    }

    /// Throws away what is held.
    pub fn clear(&mut self) {
        self.begun.clear();
        self.piece = Bytes::new();
    }

    /// Bytes held that have not been given out.
    pub fn held_bytes(&self) -> usize {
        self.begun.len() + self.piece.len()
    }
}

/// The frames that are complete. After `None` there may be more, once something was pushed.
impl Iterator for Framer {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let frame = self.format.frame_bytes();
        if self.begun.is_empty() && self.piece.len() >= frame {
            return Some(self.piece.split_to(frame));
        }
        if self.piece.is_empty() {
            return None;
        }
        let missing = self.piece.split_to((frame - self.begun.len()).min(self.piece.len()));
        if self.begun.is_empty() {
            self.begun.reserve(frame);
        }
        self.begun.extend_from_slice(&missing);
        (self.begun.len() == frame).then(|| self.begun.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_passes_as_it_is_and_slices_share_the_piece() {
        let mut framer = Framer::new(AudioFormat::MULAW_8K);
        let piece = Bytes::from(vec![1; 320]);
        framer.push(piece.clone());
        assert_eq!(framer.next().map(|frame| frame.as_ptr()), Some(piece.as_ptr()));
        assert_eq!(framer.next().map(|frame| frame.as_ptr()), Some(piece[160..].as_ptr()));
        assert_eq!(framer.next(), None);
        assert_eq!(framer.held_bytes(), 0);
    }

    #[test]
    fn the_rest_is_filled_with_the_silence_of_the_format() {
        for (format, silence) in
            [(AudioFormat::MULAW_8K, 0xff), (AudioFormat::ALAW_8K, 0xd5), (AudioFormat::PCM16_16K, 0)]
        {
            let mut framer = Framer::new(format);
            framer.push(Bytes::from_static(&[1; 11]));
            assert_eq!(framer.next(), None);
            let kept = 11 - 11 % format.encoding.bytes_per_sample();
            let frame = framer.flush().expect("something is left");
            assert_eq!(frame.len(), format.frame_bytes());
            assert!(
                frame[..kept].iter().all(|byte| *byte == 1)
                    && frame[kept..].iter().all(|byte| *byte == silence)
            );
            assert_eq!(framer.flush(), None);
        }
    }

    #[test]
    fn nothing_is_left_when_cleared() {
        let mut framer = Framer::new(AudioFormat::MULAW_8K);
        framer.push(Bytes::from_static(&[1; 100]));
        assert_eq!(framer.next(), None);
        framer.push(Bytes::from_static(&[1; 500]));
        framer.clear();
        assert_eq!((framer.next(), framer.flush(), framer.held_bytes()), (None, None, 0));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_whatever_the_pieces(pieces in prop::collection::vec(0..1_000_usize, 0..20), lazy: bool) {
            let total = pieces.iter().sum::<usize>();
            let stream: Bytes = (0..total).map(|n| (n / 3) as u8).collect();
            let mut framer = Framer::new(AudioFormat::MULAW_8K);
            let mut frames = Vec::new();
            let mut rest = stream.clone();
            for piece in pieces {
                framer.push(rest.split_to(piece));
                if !lazy {
                    frames.extend(framer.by_ref());
                    prop_assert!(framer.held_bytes() < 160);
                }
            }
            while let Some(frame) = framer.flush() {
                frames.push(frame);
            }
            prop_assert!(frames.iter().all(|frame| frame.len() == 160));
            prop_assert_eq!(frames.len(), total.div_ceil(160));
            prop_assert_eq!(&frames.concat()[..total], &stream[..]);
        }
    }
}
