//! One channel: sound in order, from which whole blocks are taken at the front.

use bytes::{Bytes, BytesMut};

use crate::audio::AudioFormat;
use crate::time::MonoTime;

/// A place on the timeline, in samples; below zero is before the recording began.
pub(super) type Place = i64;

/// What the timeline counts in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) format: AudioFormat,
    pub(super) origin: MonoTime,
}

impl Grid {
    /// Where a moment lies.
    pub(super) fn place(&self, at: MonoTime) -> Place {
        let samples = |time: std::time::Duration| {
            (time.as_micros() * u128::from(self.format.rate.hz()) / 1_000_000) as Place
        };
        if at >= self.origin { samples(at.since(self.origin)) } else { -samples(self.origin.since(at)) }
    }

    /// Samples of 20 ms.
    pub(super) fn frame(&self) -> Place {
        self.samples(self.format.frame_bytes())
    }

    pub(super) fn samples(&self, bytes: usize) -> Place {
        (bytes / self.format.encoding.bytes_per_sample()) as Place
    }

    pub(super) fn bytes(&self, samples: Place) -> usize {
        usize::try_from(samples).unwrap_or_default() * self.format.encoding.bytes_per_sample()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Track {
    grid: Grid,
    /// Settled, not taken yet.
    bytes: BytesMut,
    end: Place,
}

impl Track {
    pub(super) fn new(grid: Grid) -> Self {
        Self { grid, bytes: BytesMut::new(), end: 0 }
    }

    /// Where the next sound goes, if nothing is put before it.
    pub(super) const fn end(&self) -> Place {
        self.end
    }

    /// Sound that begins here: after silence up to it. Of what lies before the end, nothing is kept.
    pub(super) fn put(&mut self, at: Place, sound: &[u8]) {
        let skipped = self.grid.bytes((self.end - at).max(0)).min(sound.len());
        self.fill(at);
        let sound = &sound[skipped..];
        self.bytes.extend_from_slice(sound);
        self.end += self.grid.samples(sound.len());
    }

    /// Silence up to here.
    pub(super) fn fill(&mut self, until: Place) {
        if until > self.end {
            let silence = self.grid.format.encoding.silence_byte();
            self.bytes.resize(self.bytes.len() + self.grid.bytes(until - self.end), silence);
            self.end = until;
        }
    }

    /// The next 20 ms, which must be there.
    pub(super) fn take(&mut self) -> BytesMut {
        let frame = self.grid.format.frame_bytes();
        self.bytes.split_to(frame.min(self.bytes.len()))
    }
}

/// As much silence as this sound is long.
pub(super) fn silence_like(sound: &Bytes, format: AudioFormat) -> Bytes {
    vec![format.encoding.silence_byte(); sound.len()].into()
}
