//! The one place in this crate that reads a clock.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::time::{MonoTime, UnixMillis};

/// Turns the machine's clocks into [`MonoTime`] and back. Copies share the origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    unix: UnixMillis,
}

impl Clock {
    /// A clock whose origin is now.
    #[allow(clippy::disallowed_methods, reason = "this is the place where clocks are read")]
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), unix: UnixMillis(i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)) }
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

    /// The point as tokio's timers want it.
    pub fn instant(&self, at: MonoTime) -> Instant {
        self.origin + at.since(MonoTime::ZERO)
    }
}
