//! How long to wait before trying again: growing pauses, with a jitter that comes from a seed.

use std::time::Duration;

/// Pauses between attempts: 1, 2, 4, 8, 16 seconds, each up to a tenth longer at random; then no more.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    attempts_max: u32,
    attempts: u32,
    jitter: Jitter,
}

impl Backoff {
    /// Five attempts, the first after a second. Calls of different seeds do not come back together.
    pub const fn new(seed: u64) -> Self {
        Self::with(Duration::from_secs(1), 5, seed)
    }

    /// So many attempts, the first after this pause, each pause twice the one before.
    pub const fn with(first: Duration, attempts_max: u32, seed: u64) -> Self {
        Self { first, attempts_max, attempts: 0, jitter: Jitter::new(seed) }
    }

    /// The pause before the next attempt; `None` when all attempts are used up.
    pub fn pause(&mut self) -> Option<Duration> {
        if self.attempts >= self.attempts_max {
            return None;
        }
        let growth = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        self.attempts += 1;
        Some(self.jitter.stretch(self.first.saturating_mul(growth)))
    }

    /// Attempts begun since the last success.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// It worked: the next trouble begins with the shortest pause.
    pub const fn succeeded(&mut self) {
        self.attempts = 0;
    }
}

/// A little chance, from a seed: one step of SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// This long and up to a tenth longer: never earlier than was promised.
    pub(crate) fn stretch(&mut self, by: Duration) -> Duration {
        let parts = u32::try_from(self.bits() % 1_001).unwrap_or(0);
        by.saturating_add((by / 10_000).saturating_mul(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        for seed in 0..50 {
            let mut backoff = Backoff::new(seed);
            for secs in [1, 2, 4, 8, 16] {
                let pause = backoff.pause().expect("an attempt is left");
                let least = Duration::from_secs(secs);
                assert!(pause >= least && pause <= least * 11 / 10, "{pause:?} for {least:?}");
            }
            assert_eq!(backoff.pause(), None);
            assert_eq!(backoff.attempts(), 5);
            backoff.succeeded();
            assert!(backoff.pause().is_some_and(|pause| pause < Duration::from_secs(2)));
        }
    }

    #[test]
    fn the_same_seed_waits_the_same_and_others_do_not() {
        let pause = |seed| Backoff::new(seed).pause();
        assert_eq!(pause(1), pause(1));
        assert_ne!(pause(1), pause(2));
        assert_eq!(Jitter::new(3).stretch(Duration::ZERO), Duration::ZERO);
    }
}
