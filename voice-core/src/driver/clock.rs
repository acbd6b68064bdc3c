//! The one place in this crate that reads a clock.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::time::{MonoTime, UnixMillis};

/// A wall clock that went otherwise by less than this was not set: it is kept right a little at a time.
const STEP_MIN: Duration = Duration::from_secs(1);

/// Turns the machine's clocks into [`MonoTime`] and back. Copies share the origin.
///
/// Calls live by the steady clock, and their records are written by it: a wall clock that is set in the
/// middle of a call changes neither its timers nor the order of what it tells. What peers sign is another
/// matter, for they look at the wall; see [`Clock::wall`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    unix: UnixMillis,
    /// The same moment by the machine's steady clock, which tokio's may leave in tests.
    started: std::time::Instant,
}

impl Clock {
    /// A clock whose origin is now.
    #[allow(clippy::disallowed_methods, reason = "this is the place where clocks are read")]
    pub fn start() -> Self {
        let unix = UnixMillis(wall_millis());
        Self { origin: Instant::now(), unix, started: std::time::Instant::now() }
    }

    /// Now.
    #[allow(clippy::disallowed_methods, reason = "this is the place where clocks are read")]
    pub fn now(&self) -> MonoTime {
        let micros = Instant::now().saturating_duration_since(self.origin).as_micros();
        MonoTime::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Wall-clock time of a point; does not follow a clock that was set meanwhile.
    pub fn unix(&self, at: MonoTime) -> UnixMillis {
        self.unix + at.since(MonoTime::ZERO)
    }

    /// The time on the wall, wherever its hands were put since the start: set by somebody, or moved while the
    /// machine slept. For comparing with what peers wrote on what they sent.
    #[allow(clippy::disallowed_methods, reason = "this is the place where clocks are read")]
    pub fn wall(&self) -> UnixMillis {
        let steady = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.on_wall(wall_millis().saturating_sub(self.unix.0).saturating_sub(steady))
    }

    /// The earlier of the two times it may be: for what was good until some moment, and must not end because a
    /// clock was set.
    pub fn earliest(&self) -> UnixMillis {
        self.wall().min(self.unix(self.now()))
    }

    /// Now, if the wall clock has gone so much further than the steady one.
    fn on_wall(&self, step_millis: i64) -> UnixMillis {
        let now = self.unix(self.now());
        let is_step = u128::from(step_millis.unsigned_abs()) >= STEP_MIN.as_millis();
        if is_step { UnixMillis(now.0.saturating_add(step_millis)) } else { now }
    }

    /// The point as tokio's timers want it.
    pub fn instant(&self, at: MonoTime) -> Instant {
        self.origin + at.since(MonoTime::ZERO)
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the place where clocks are read")]
fn wall_millis() -> i64 {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_is_followed_and_one_that_is_kept_right_is_not() {
        let clock = Clock::start();
        tokio::time::advance(Duration::from_secs(60)).await;
        let now = clock.unix(clock.now());
        assert_eq!(clock.wall(), now, "nobody has set the clock of this machine");
        for (step, wall) in [(0, 0), (999, 0), (-999, 0), (1_000, 1_000), (-3_600_000, -3_600_000)] {
            assert_eq!(clock.on_wall(step).0 - now.0, wall, "{step} ms");
        }
    }
}
