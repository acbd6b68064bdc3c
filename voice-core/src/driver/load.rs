//! Measures whether this machine keeps up: how late timers fire.

use std::time::Duration;

use crate::fleet::SharedRoster;
use crate::roster::Load;

use super::clock::Clock;

/// Ten times a second: often enough to see a hiccup, cheap enough to forget.
const EVERY: Duration = Duration::from_millis(100);

/// Measures for ever, and tells the roster; drop the future to stop.
pub async fn watch_load(roster: &SharedRoster, clock: Clock, mut load: Load) {
    loop {
        let due = clock.now() + EVERY;
        tokio::time::sleep_until(clock.instant(due)).await;
        load.note(clock.now().since(due));
        roster.set_overloaded(load.is_over());
    }
}
