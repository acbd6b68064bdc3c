//! Servers die, and calls come back: the record is folded all the time, compared with the call, and now and
//! then it is all that is left of it.

use std::sync::Arc;
use std::time::Duration;

use crate::call::{Call, CallConfig, CallStart, Past, Return};
use crate::carrier::{CarrierEnd, CarrierEvent};
use crate::record::{Away, EndReason, Entry};
use crate::sim::rng::Rng;

use super::line::CarrierModel;
use super::{What, World};

/// In so many of a hundred steps the fold is compared: all would take most of the time.
const COMPARED: u64 = 1;

/// What is known of the call from its record alone.
pub(super) struct Comebacks {
    /// Numbers of its own, so that calls with a seed stay what they were.
    rng: Rng,
    config: Arc<CallConfig>,
    start: CallStart,
    past: Option<Past>,
    /// The server has just died.
    killed: bool,
    /// Times that the call may still come back.
    left: u64,
}

impl Comebacks {
    pub(super) fn new(seed: u64, config: Arc<CallConfig>, start: CallStart) -> Self {
        let mut rng = Rng::new(seed.rotate_left(32) ^ 0x5eed);
        let left = if rng.percent(30) { rng.range(1..4) } else { 0 };
        Self { rng, config, start, past: None, killed: false, left }
    }

    pub(super) fn read(&mut self, entry: &Entry) {
        match &mut self.past {
            Some(past) => past.apply(entry),
            None => self.past = Past::begin(entry),
        }
    }

    pub(super) fn kill(&mut self) {
        self.killed = true;
    }
}

impl World {
    pub(super) fn plan_kills(&mut self) {
        for _ in 0..self.comebacks.left {
            let delay = self.comebacks.rng.millis(0..30_000);
            self.after(delay, What::Killed);
        }
    }

    /// The fold of the record holds what the call holds.
    pub(super) fn compare(&mut self) -> Result<(), String> {
        if self.checks.finished() || !self.comebacks.rng.percent(COMPARED) {
            return Ok(());
        }
        let past = self.comebacks.past.as_ref().ok_or("told nothing")?;
        self.checks.count("folds compared");
        self.call.differs_from(past).map_or(Ok(()), Err)
    }

    /// The call is gone, and comes back.
    pub(super) fn comes_back(&mut self) -> bool {
        let killed = std::mem::take(&mut self.comebacks.killed);
        let Some(past) = self.comebacks.past.clone() else { return false };
        let broken = matches!(past.ended(), Some(EndReason::Carrier(CarrierEnd::LineDown(_))));
        if self.comebacks.left == 0 || !past.may_return() || !(killed || broken) {
            return false;
        }
        self.comebacks.left -= 1;
        let after = self.comebacks.rng.millis(0..4_000);
        self.now += after;
        self.forget_the_server();
        self.checks.returned(self.now, self.frames);
        let leg = past.leg() + 1;
        let why = if broken { Away::LineDown } else { Away::Restart };
        // The last entry may be older than the death.
        let after = self.now.since(past.last_at());
        let (config, start) = (self.comebacks.config.clone(), self.comebacks.start.clone());
        self.call = Call::resume(self.now, config, &start, Return { past, leg, after, why });
        true
    }

    /// Nothing of what was under way arrives.
    fn forget_the_server(&mut self) {
        self.voices.clear();
        self.line = CarrierModel::new(self.comebacks.rng.fork());
        let now = self.now;
        let kept = std::mem::take(&mut self.schedule).into_iter().filter(|((at, _), what)| match what {
            What::CallerFrame => true,
            What::Carrier(CarrierEvent::Ended(_)) => *at > now,
            What::Control(_) | What::CarrierPauses(_) | What::Killed => *at > now,
            What::Carrier(event) => *at > now && !matches!(event, CarrierEvent::Played(_)),
            What::AtCarrier(_) | What::Assigned(..) | What::Provider(..) | What::Tool(_) => false,
        });
        self.schedule = kept.map(|((at, number), what)| ((at.max(now), number), what)).collect();
        // Somebody who came back hangs up in the end.
        let end = What::Carrier(CarrierEvent::Ended(CarrierEnd::Stopped));
        let later = Duration::from_secs(1) + self.comebacks.rng.millis(0..30_000);
        self.after(later, end);
    }
}
