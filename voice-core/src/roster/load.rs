//! Whether this machine keeps up: a call that cannot be served well is better refused.

use std::time::Duration;

/// Judges by how late timers fire. A runtime that is late by half a frame, again and again, makes
/// everybody's audio stutter; one more call would only make it worse.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    limit: Duration,
    smoothed: Duration,
    over: bool,
}

impl Load {
    /// Over the limit, calls are refused until the lateness has fallen to half of it.
    pub const fn new(limit: Duration) -> Self {
        Self { limit, smoothed: Duration::ZERO, over: false }
    }

    /// A timer fired this much later than it should have.
    pub fn note(&mut self, late: Duration) {
        self.smoothed = self.smoothed - self.smoothed / 4 + late / 4;
        self.over = self.smoothed > if self.over { self.limit / 2 } else { self.limit };
    }

    /// Whether another call should be refused.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// How late timers fire, smoothed.
    pub const fn lateness(&self) -> Duration {
        self.smoothed
    }
}

impl Default for Load {
    /// Twenty milliseconds, the length of a frame.
    fn default() -> Self {
        Self::new(Duration::from_millis(20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hiccup_is_no_overload_and_recovery_takes_a_while() {
        let mut load = Load::default();
        load.note(Duration::from_millis(70));
        assert!(!load.is_over());
        load.note(Duration::from_millis(70));
        assert!(load.is_over());
        load.note(Duration::ZERO);
        load.note(Duration::from_millis(10));
        assert!(load.is_over(), "{:?}", load.lateness());
        (0..5).for_each(|_| load.note(Duration::ZERO));
        assert!(!load.is_over());
    }
}
