//! How long to wait before everybody is asked once more: longer each time, and not all calls at once.

use std::time::Duration;

/// So often all are asked again before a call is given up.
pub(crate) const ROUNDS_MAX: u32 = 5;

/// So often in all the gaps since somebody talked well: voices that come and go at once are no voices.
const ROUNDS_OF_BAD_LUCK_MAX: u32 = 2 * ROUNDS_MAX;

/// So often somebody who was not met yet is looked for, when all who were would only fail again.
pub(crate) const ROUNDS_FOR_STRANGERS: u32 = 1;

/// The first wait; it doubles each time.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(16);

/// Whether all were asked again often enough: in this gap, and since somebody last talked well. A gap that has
/// just begun gets a round even if the gap before it took all of them.
pub(crate) const fn is_enough(rounds: u32, in_this_gap: u32) -> bool {
    (rounds >= ROUNDS_MAX && in_this_gap > 0) || rounds >= ROUNDS_OF_BAD_LUCK_MAX
}

/// Before the `round`th time (from 0): 1, 2, 4, 8, 16 s, less up to a quarter.
///
/// Calls that lost the same provider at the same moment must not all come back at the same moment. The
/// difference is drawn from `seed`, so that a call can be replayed.
pub(crate) fn wait(round: u32, seed: u64) -> Duration {
    let full = (FIRST * 2_u32.saturating_pow(round)).min(LONGEST);
    let share = u32::from(mix(seed.wrapping_add(u64::from(round))).to_le_bytes()[0]);
    full - full / 4 * share / 256
}

/// A number for a call's name (FNV-1a): all that is wanted of it is that names differ.
pub(crate) fn seed(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Neighbouring numbers become strangers (the finaliser of SplitMix64).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_differ_between_calls() {
        for (round, secs) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (9, 16), (u32::MAX, 16)] {
            let full = Duration::from_secs(secs);
            let mut waits: Vec<Duration> =
                (0..100).map(|n| wait(round, seed(&format!("call-{n}")))).collect();
            assert!(waits.iter().all(|wait| *wait <= full && *wait > full * 3 / 4), "{waits:?}");
            waits.sort();
            waits.dedup();
            assert!(waits.len() > 50, "only {} different waits", waits.len());
            assert!(waits[waits.len() - 1] - waits[0] > full / 5, "they lie close together");
        }
        assert_eq!(wait(3, 7), wait(3, 7));
    }
}
