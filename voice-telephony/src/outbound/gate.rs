//! What stands in front of a carrier: the breaker, which knows its health, and the pace it allows.

use std::num::NonZeroU32;

use voice_core::breaker::{Breaker, BreakerSnapshot, Permit, Refusal, Sample};
use voice_core::failure::Failure;
use voice_core::time::MonoTime;
use voice_core::wire::Unreachable;

use super::pacer::Pacer;
use crate::carrier_error::{CarrierError, Cause};
use crate::limits::PACED_CALLS_MAX;

/// The way to one carrier, shared by all calls.
#[derive(Debug)]
pub struct Gate {
    breaker: Breaker,
    pacer: Pacer,
}

/// Leave to ask a carrier, at this time.
#[derive(Debug)]
#[must_use = "a breaker waits for the outcome of what it permitted"]
pub struct Entry {
    /// Not before.
    pub at: MonoTime,
    permit: Permit,
}

impl Gate {
    /// A gate with this breaker, for a carrier that takes so many new calls a second.
    pub fn new(breaker: Breaker, calls_per_second: NonZeroU32) -> Self {
        Self { breaker, pacer: Pacer::new(calls_per_second, PACED_CALLS_MAX) }
    }

    /// Leave to place one call.
    ///
    /// # Errors
    /// The carrier is left alone, or too many calls wait for it; as if it had said so itself.
    pub fn enter(&mut self, now: MonoTime) -> Result<Entry, CarrierError> {
        let shut = |retry_after, why| CarrierError::refused(Cause::Throttled { retry_after }, Some(why));
        let permit =
            self.breaker.admit(now).map_err(|Refusal { retry_after }| shut(retry_after, "breaker"))?;
        match self.pacer.reserve(now) {
            Ok(at) => Ok(Entry { at, permit }),
            Err(wait) => {
                self.breaker.release(permit);
                Err(shut(Some(wait), "pace"))
            }
        }
    }

    /// What came of it. Our own mistakes, a wrong number or key, show nothing about the carrier's health.
    pub fn settle<T>(&mut self, now: MonoTime, entry: Entry, outcome: &Result<T, CarrierError>) {
        let failure = match outcome.as_ref().map_err(|error| (error.cause, error.may_have_happened)) {
            Ok(_) => return self.breaker.settle(now, entry.permit, Sample::Success),
            Err((Cause::Network, true)) => Failure::Cut,
            Err((Cause::Network, false)) => Failure::Unreachable(Unreachable::Tcp),
            Err((Cause::Server { status }, _)) => Failure::Refused { status },
            Err((Cause::Throttled { retry_after }, _)) => Failure::Throttled { retry_after },
            Err((
                Cause::Credentials | Cause::Number | Cause::Balance | Cause::CallGone | Cause::Invalid,
                _,
            )) => return self.breaker.settle(now, entry.permit, Sample::Unproven),
        };
        self.breaker.settle(now, entry.permit, Sample::Failure(&failure));
    }

    /// How the carrier does, for dashboards.
    pub fn snapshot(&self, now: MonoTime) -> BreakerSnapshot {
        self.breaker.snapshot(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::carrier_error::Reach;
    use voice_core::breaker::BreakerConfig;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

    /// A gate after these errors, two seconds apart; then what it says.
    fn after(errors: &[CarrierError]) -> (Result<(), Cause>, u64) {
        let config = BreakerConfig { failures_in_row: 2, ..BreakerConfig::default() };
        let mut gate = Gate::new(Breaker::new(config, 1), NonZeroU32::MIN);
        let mut at = 0;
        for error in errors {
            at += 2_000;
            let entry = gate.enter(AT(at)).expect("open so far");
            gate.settle::<()>(AT(at), entry, &Err(error.clone()));
        }
        at += 2_000;
        (gate.enter(AT(at)).map(|entry| assert_eq!(entry.at, AT(at))).map_err(|shut| shut.cause), at)
    }

    #[test]
    fn silence_shuts_a_gate() {
        let unanswered = [Reach::NeverSent, Reach::Unknown].map(CarrierError::unanswered);
        let (shut, _) = after(&unanswered);
        assert!(matches!(shut, Err(Cause::Throttled { retry_after: Some(_) })), "{shut:?}");
    }

    #[test]
    fn a_carrier_that_asks_to_wait_is_left_alone_for_that_long() {
        let retry_after = Some(Duration::from_secs(60));
        let throttled = CarrierError::refused(Cause::Throttled { retry_after }, None);
        assert!(matches!(after(&[throttled]).0, Err(Cause::Throttled { .. })));
    }

    #[test]
    fn our_own_mistakes_do_not_shut_it() {
        for cause in [Cause::Credentials, Cause::Number, Cause::Balance, Cause::Invalid, Cause::CallGone] {
            let refused = CarrierError::refused(cause, None);
            assert_eq!(after(&vec![refused; 5]).0, Ok(()), "{cause}");
        }
    }

    #[test]
    fn a_full_queue_keeps_no_permit() {
        let mut gate = Gate::new(Breaker::new(BreakerConfig::default(), 1), NonZeroU32::MIN);
        let admitted = (0..100).filter_map(|_| gate.enter(AT(0)).ok());
        let last = admitted.map(|entry| entry.at).max();
        assert_eq!(last, Some(AT(0) + Duration::from_secs(PACED_CALLS_MAX.into())));
    }
}
