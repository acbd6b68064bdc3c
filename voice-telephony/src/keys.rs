//! How many keys a caller can press.

use std::time::Duration;

use voice_core::time::MonoTime;

use crate::limits::KEYS_PER_SECOND_MAX;

/// Tells keys that a person or a dialling machine pressed from a stream that has lost its mind. Each key is
/// an entry of the call's record, and records are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keys {
    second: MonoTime,
    pressed: u32,
}

impl Keys {
    /// One more was pressed. False if that is more than can be.
    pub(crate) fn press(&mut self, now: MonoTime) -> bool {
        if now.since(self.second) >= Duration::from_secs(1) {
            *self = Self { second: now, pressed: 0 };
        }
        self.pressed = self.pressed.saturating_add(1);
        self.pressed <= KEYS_PER_SECOND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_may_dial_and_a_flood_is_cut_to_what_it_could() {
        let mut keys = Keys::default();
        let taken = |keys: &mut Keys, from: u64, step: u64| {
            let at = (from..from + 1_000).step_by(usize::try_from(step).expect("small"));
            at.filter(|at| keys.press(MonoTime::from_millis(*at))).count()
        };
        assert_eq!(taken(&mut keys, 0, 80), 13, "the quickest a dialling machine is");
        assert_eq!(taken(&mut keys, 5_000, 1), 16);
        assert_eq!(taken(&mut keys, 6_000, 80), 13, "the next second is a new one");
    }
}
