//! Time as an argument: points in monotonic and wall-clock time, and a small table of deadlines.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point in monotonic time, in microseconds since an origin that the driver chose.
///
/// Unlike `std::time::Instant` it can be written down: in tests, in a journal, in a failure message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonoTime(u64);

impl MonoTime {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// So many microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// So many milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This point moved back, not beyond the origin.
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Add<Duration> for MonoTime {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }
}

impl AddAssign<Duration> for MonoTime {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Sub for MonoTime {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for MonoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1_000_000, self.0 / 1_000 % 1_000)
    }
}

impl fmt::Debug for MonoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Wall-clock time in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds, as many protocols want it.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// From whole seconds; saturates instead of overflowing on nonsense from a peer.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000))
    }
}

impl Add<Duration> for UnixMillis {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// A handful of named deadlines. Setting one again moves it; nothing here allocates once it is warm.
#[derive(Clone, Debug)]
pub struct Timers<T> {
    set: Vec<(T, MonoTime)>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { set: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Timers<T> {
    /// Sets or moves a deadline.
    pub fn set(&mut self, timer: T, at: MonoTime) {
        match self.set.iter_mut().find(|(t, _)| *t == timer) {
            Some((_, due)) => *due = at,
            None => self.set.push((timer, at)),
        }
    }

    /// Forgets a deadline. No harm if it was not set.
    pub fn clear(&mut self, timer: T) {
        self.set.retain(|(t, _)| *t != timer);
    }

    /// Takes out one deadline that has passed, earliest first.
    pub fn expired(&mut self, now: MonoTime) -> Option<T> {
        let (timer, at) = self.next()?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<(T, MonoTime)> {
        self.set.iter().copied().min_by_key(|(_, at)| *at)
    }

    /// When this one is due.
    pub fn due(&self, timer: T) -> Option<MonoTime> {
        self.set.iter().find(|(t, _)| *t == timer).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_once_and_in_order() {
        let mut timers = Timers::default();
        timers.set('b', MonoTime::from_millis(20));
        timers.set('a', MonoTime::from_millis(10));
        timers.set('c', MonoTime::from_millis(5));
        timers.clear('c');
        assert_eq!(timers.next(), Some(('a', MonoTime::from_millis(10))));
        assert_eq!(timers.expired(MonoTime::from_millis(9)), None);
        assert_eq!(timers.expired(MonoTime::from_millis(25)), Some('a'));
        assert_eq!(timers.expired(MonoTime::from_millis(25)), Some('b'));
        assert_eq!(timers.expired(MonoTime::from_millis(25)), None);
    }

    #[test]
    fn time_never_wraps() {
        assert_eq!(MonoTime::ZERO.since(MonoTime::from_millis(1)), Duration::ZERO);
        assert_eq!(MonoTime::from_micros(u64::MAX) + Duration::MAX, MonoTime::from_micros(u64::MAX));
        assert_eq!(format!("{}", MonoTime::from_millis(1_240)), "1.240s");
        assert_eq!(UnixMillis::from_secs(i64::MAX).0, i64::MAX);
    }
}
