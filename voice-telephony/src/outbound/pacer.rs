//! The pace that a carrier allows: so many new calls a second, and a bounded queue before it.

use std::num::NonZeroU32;
use std::time::Duration;

use voice_core::time::MonoTime;

/// Hands out times, one for each call, no faster than the carrier allows.
///
/// The queue is not a list: whoever is given a time in the future is in it. After a pause a second's
/// worth of calls may go at once, and not more.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use voice_core::time::MonoTime;
/// use voice_telephony::outbound::Pacer;
///
/// let now = MonoTime::from_millis(5_000);
/// let mut pacer = Pacer::new(NonZeroU32::MIN, 1);
/// assert_eq!(pacer.reserve(now), Ok(now));
/// assert_eq!(pacer.reserve(now), Ok(now + Duration::from_secs(1)));
/// assert_eq!(pacer.reserve(now), Err(Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    interval: Duration,
    /// Of calls that may go before their time because nobody called for a while.
    burst: Duration,
    queue: Duration,
    /// When the next call is due at a steady pace.
    due: MonoTime,
}

impl Pacer {
    /// So many calls a second, and so many that may wait.
    pub fn new(per_second: NonZeroU32, waiting_max: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.get();
        Self {
            interval,
            burst: interval * (per_second.get() - 1),
            queue: interval * waiting_max,
            due: MonoTime::ZERO,
        }
    }

    /// When one more call may be placed, at the earliest now. That time is then taken.
    ///
    /// # Errors
    /// So many wait already that it should be tried again after this long.
    pub fn reserve(&mut self, now: MonoTime) -> Result<MonoTime, Duration> {
        let earliest = self.due.saturating_sub(self.burst).max(now);
        let wait = earliest.since(now);
        if wait > self.queue {
            return Err(wait.saturating_sub(self.queue).max(Duration::from_millis(1)));
        }
        self.due = self.due.max(now) + self.interval;
        Ok(earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In no second begin more calls than twice the rate (a burst and its second), in the long run no
        /// more than the rate, in order, and the queue is bounded.
        #[test]
        fn the_pace_is_kept(rate in 1_u32..20, waiting in 0_u32..10, steps in proptest::collection::vec(0_u64..400, 1..200)) {
            let mut pacer = Pacer::new(NonZeroU32::new(rate).expect("not zero"), waiting);
            let (mut now, mut given) = (MonoTime::from_millis(1_000), Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                match pacer.reserve(now) {
                    Ok(at) => {
                        prop_assert!(at >= now && given.last().is_none_or(|&last| at >= last));
                        given.push(at);
                        let ahead = given.iter().filter(|&&at| at > now).count();
                        prop_assert!(ahead <= waiting as usize, "{} wait", ahead);
                    }
                    Err(wait) => prop_assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1)),
                }
            }
            for (index, &at) in given.iter().enumerate() {
                let within = given[index..].iter().take_while(|&&other| other.since(at) < Duration::from_secs(10));
                prop_assert!(within.count() <= (rate * 11) as usize);
            }
        }
    }
}
