//! Seeded randomness for simulations: SplitMix64, reproducible on every platform.

use std::ops::Range;
use std::time::Duration;

/// A small generator. The same seed gives the same sequence for ever.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator from a seed; any seed is fine.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in the range; the start of it if it is empty.
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        match range.end.checked_sub(range.start) {
            None | Some(0) => range.start,
            Some(width) => range.start + self.bits() % width,
        }
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.range(0..100) < chance
    }

    /// A duration between two, in milliseconds.
    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.range(range))
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is none to choose from.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        assert!(!of.is_empty(), "there is something to pick from");
        &of[self.range(0..of.len() as u64) as usize]
    }

    /// An independent generator for a part of the world, so that one part drawing more numbers does
    /// not change the others.
    pub fn fork(&mut self) -> Self {
        Self(self.bits())
    }
}
