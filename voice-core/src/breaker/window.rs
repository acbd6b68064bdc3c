//! What happened lately, in ten slices of the span that is looked at.

use std::time::Duration;

use crate::time::MonoTime;

const SLICES: usize = 10;

/// One sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// Samples of the last while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// All of them.
    pub samples: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that were slow or stalled.
    pub slow: u32,
}

impl Sums {
    /// Of a hundred, how many did not fail; a hundred if there were none.
    pub fn success_percent(&self) -> f64 {
        if self.samples == 0 {
            return 100.0;
        }
        f64::from(self.samples - self.failed) * 100.0 / f64::from(self.samples)
    }

    fn add(&mut self, other: Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.failed = self.failed.saturating_add(other.failed);
        self.slow = self.slow.saturating_add(other.slow);
    }
}

/// A ring of slices. A sample is forgotten when its whole slice has left the span, so the window is
/// between nine and ten tenths of the span long.
#[derive(Clone, Debug)]
pub(super) struct Window {
    slice_micros: u64,
    /// Number of the newest slice since the origin of time; its place in the ring is the remainder.
    newest: u64,
    ring: [Sums; SLICES],
}

impl Window {
    pub(super) fn new(span: Duration) -> Self {
        let slice_micros = u64::try_from(span.as_micros() / SLICES as u128).unwrap_or(u64::MAX).max(1);
        Self { slice_micros, newest: 0, ring: [Sums::default(); SLICES] }
    }

    pub(super) const fn slice_micros(&self) -> u64 {
        self.slice_micros
    }

    const fn slice(&self, now: MonoTime) -> u64 {
        now.as_micros() / self.slice_micros
    }

    pub(super) fn note(&mut self, now: MonoTime, note: Note) {
        let slice = self.slice(now).max(self.newest);
        self.advance(slice);
        self.ring[(slice % SLICES as u64) as usize].add(Sums {
            samples: 1,
            failed: u32::from(note.failed),
            slow: u32::from(note.slow),
        });
    }

    /// Successes that were noted elsewhere while this slice was the newest.
    pub(super) fn note_successes(&mut self, slice: u64, count: u32) {
        self.advance(slice);
        if slice + SLICES as u64 > self.newest {
            let place = (slice % SLICES as u64) as usize;
            self.ring[place].add(Sums { samples: count, failed: 0, slow: 0 });
        }
    }

    pub(super) fn sums(&self, now: MonoTime) -> Sums {
        let current = self.slice(now).max(self.newest);
        let mut sums = Sums::default();
        for back in 0..(SLICES as u64).min(self.newest + 1) {
            let slice = self.newest - back;
            if slice + SLICES as u64 > current {
                sums.add(self.ring[(slice % SLICES as u64) as usize]);
            }
        }
        sums
    }

    pub(super) fn clear(&mut self) {
        self.ring = [Sums::default(); SLICES];
    }

    fn advance(&mut self, slice: u64) {
        if slice <= self.newest {
            return;
        }
        for step in 1..=(slice - self.newest).min(SLICES as u64) {
            self.ring[((self.newest + step) % SLICES as u64) as usize] = Sums::default();
        }
        if slice - self.newest > SLICES as u64 {
            self.ring = [Sums::default(); SLICES];
        }
        self.newest = slice;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Note = Note { failed: true, slow: false };

    #[test]
    fn samples_are_forgotten_with_their_slice() {
        let mut window = Window::new(Duration::from_secs(10));
        let at = |secs: u64| MonoTime::from_millis(secs * 1_000);
        window.note(at(100), FAILED);
        window.note(at(104), Note { failed: false, slow: true });
        assert_eq!(window.sums(at(104)), Sums { samples: 2, failed: 1, slow: 1 });
        assert_eq!(window.sums(at(109)), Sums { samples: 2, failed: 1, slow: 1 });
        assert_eq!(window.sums(at(110)), Sums { samples: 1, failed: 0, slow: 1 });
        assert_eq!(window.sums(at(114)), Sums::default());
        window.note(at(111), FAILED);
        assert_eq!(window.sums(at(111)), Sums { samples: 2, failed: 1, slow: 1 });
        window.note(at(1_000), FAILED);
        assert_eq!(window.sums(at(1_000)), Sums { samples: 1, failed: 1, slow: 0 });
    }

    #[test]
    fn what_comes_late_is_put_where_it_belongs_or_dropped() {
        let mut window = Window::new(Duration::from_secs(10));
        let at = |secs: u64| MonoTime::from_millis(secs * 1_000);
        window.note(at(20), FAILED);
        window.note_successes(15, 3);
        assert_eq!(window.sums(at(20)), Sums { samples: 4, failed: 1, slow: 0 });
        assert_eq!(window.sums(at(25)), Sums { samples: 1, failed: 1, slow: 0 });
        window.note_successes(10, 3);
        assert_eq!(window.sums(at(20)).samples, 4);
        // A clock that seems to go back cannot make old slices new.
        window.note(at(3), FAILED);
        assert_eq!(window.sums(at(20)).failed, 2);
    }
}
