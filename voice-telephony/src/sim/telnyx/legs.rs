//! Legs that are dialled, and legs that hear each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use voice_core::time::MonoTime;

use super::plan::Answers;
use super::{Effect, FakeTelnyxCall, Leg};

impl FakeTelnyxCall {
    pub(super) fn dialled(&mut self, now: MonoTime, ring: Duration, detects: bool) {
        self.leg = Leg::Ringing;
        let pause = self.rng.millis(20..200);
        self.later(now + pause, Effect::Initiated);
        let rings_for = Duration::from_secs(2);
        match self.plan.answers {
            Answers::Somebody | Answers::Machine => self.later(now + rings_for, Effect::Answered),
            Answers::Busy => {
                let effect = Effect::HungUp { cause: "user_busy", sip: "486", source: "callee" };
                self.later(now + rings_for, effect);
            }
            Answers::Nobody => {
                let effect = Effect::HungUp { cause: "timeout", sip: "unspecified", source: "unknown" };
                self.later(now + ring, effect);
            }
        }
        if detects && matches!(self.plan.answers, Answers::Somebody | Answers::Machine) {
            self.later(now + rings_for + Duration::from_secs(1), Effect::Detected);
        }
        if detects && self.plan.answers == Answers::Machine {
            self.later(now + rings_for + Duration::from_secs(3), Effect::GreetingEnded);
        }
    }
}

/// What two legs share that hear each other: when one is over, the other is.
#[derive(Clone, Debug, Default)]
pub(super) struct Tie(Arc<AtomicBool>);

impl Tie {
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
