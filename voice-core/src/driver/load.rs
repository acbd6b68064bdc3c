//! Measures whether this machine keeps up: how late timers fire.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::roster::Load;

use super::clock::Clock;

/// Ten times a second: often enough to see a hiccup, cheap enough to forget.
const EVERY: Duration = Duration::from_millis(100);

/// What the door asks before it lets another call in. Somebody must run [`Self::watch`].
#[derive(Debug, Default)]
pub struct LoadMeter {
    over: AtomicBool,
    lateness_micros: AtomicU64,
}

impl LoadMeter {
    /// Measures for ever; drop the future to stop.
    pub async fn watch(&self, clock: Clock, mut load: Load) {
        loop {
            let due = clock.now() + EVERY;
            tokio::time::sleep_until(clock.instant(due)).await;
            load.note(clock.now().since(due));
            self.over.store(load.is_over(), Ordering::Relaxed);
            let micros = u64::try_from(load.lateness().as_micros()).unwrap_or(u64::MAX);
            self.lateness_micros.store(micros, Ordering::Relaxed);
        }
    }

    /// Whether another call should be refused.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// How late timers fire, smoothed.
    pub fn lateness(&self) -> Duration {
        Duration::from_micros(self.lateness_micros.load(Ordering::Relaxed))
    }
}
