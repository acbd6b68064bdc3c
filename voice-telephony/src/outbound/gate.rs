//! What stands in front of a carrier: the breaker, which knows its health, and the pace it allows.

use std::num::NonZeroU32;
use std::time::Duration;

use voice_core::time::MonoTime;

use super::pacer::Pacer;
use crate::carrier_error::{CarrierError, Cause};
use crate::limits::PACED_CALLS_MAX;

/// Leave to ask a carrier once. The number is the breaker's own.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a breaker waits for the outcome of what it permitted"]
pub struct Permit(pub u64);

/// What a breaker learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The carrier works.
    Success,
    /// The carrier is to blame.
    Failure,
    /// Nothing can be learned: it was our fault, or nobody's.
    Nothing,
}

/// Keeps requests away from a carrier that does not answer.
pub trait Breaker: Send {
    /// Leave to ask now.
    ///
    /// # Errors
    /// After how long to ask for leave again.
    fn may(&mut self, now: MonoTime) -> Result<Permit, Duration>;

    /// What came of it.
    fn settle(&mut self, now: MonoTime, permit: Permit, outcome: Outcome);
}

/// The simplest breaker: so many failures in a row shut it for a while; then one request may try.
#[derive(Clone, Copy, Debug)]
pub struct InARow {
    failures_max: u32,
    shut_for: Duration,
    failures: u32,
    /// Shut until then; after it one probe goes, which moves this on.
    shut_until: Option<MonoTime>,
    /// Rises whenever the breaker shuts or opens, so that old permits prove nothing.
    period: u64,
}

impl InARow {
    /// Shuts after so many failures in a row (at least one), for so long.
    pub const fn new(failures_max: u32, shut_for: Duration) -> Self {
        Self { failures_max, shut_for, failures: 0, shut_until: None, period: 0 }
    }
}

/// Five in a row for half a minute.
impl Default for InARow {
    fn default() -> Self {
        Self::new(5, Duration::from_secs(30))
    }
}

impl Breaker for InARow {
    fn may(&mut self, now: MonoTime) -> Result<Permit, Duration> {
        if let Some(until) = self.shut_until {
            if now < until {
                return Err(until.since(now));
            }
            // One at a time: the next probe has to wait for this one, or as long again.
            self.shut_until = Some(now + self.shut_for);
        }
        Ok(Permit(self.period))
    }

    fn settle(&mut self, now: MonoTime, permit: Permit, outcome: Outcome) {
        if permit.0 != self.period {
            return;
        }
        match outcome {
            Outcome::Success => {
                self.failures = 0;
                if self.shut_until.take().is_some() {
                    self.period += 1;
                }
            }
            Outcome::Failure => {
                self.failures += 1;
                if self.failures >= self.failures_max {
                    self.period += u64::from(self.shut_until.is_none());
                    self.shut_until = Some(now + self.shut_for);
                }
            }
            Outcome::Nothing => {}
        }
    }
}

/// The way to one carrier, shared by all calls.
pub struct Gate {
    breaker: Box<dyn Breaker>,
    pacer: Pacer,
}

/// Leave to ask a carrier, at this time.
#[derive(Debug)]
pub struct Entry {
    /// Not before.
    pub at: MonoTime,
    permit: Permit,
}

impl Gate {
    /// A gate with this breaker, for a carrier that takes so many new calls a second.
    pub fn new(breaker: Box<dyn Breaker>, calls_per_second: NonZeroU32) -> Self {
        Self { breaker, pacer: Pacer::new(calls_per_second, PACED_CALLS_MAX) }
    }

    /// Leave to place one call.
    ///
    /// # Errors
    /// The carrier is left alone, or too many calls wait for it; as if it had said so itself.
    pub fn enter(&mut self, now: MonoTime) -> Result<Entry, CarrierError> {
        let shut = |wait, why| CarrierError::refused(Cause::Throttled { retry_after: Some(wait) }, Some(why));
        let permit = self.breaker.may(now).map_err(|wait| shut(wait, "breaker"))?;
        match self.pacer.reserve(now) {
            Ok(at) => Ok(Entry { at, permit }),
            Err(wait) => {
                self.breaker.settle(now, permit, Outcome::Nothing);
                Err(shut(wait, "pace"))
            }
        }
    }

    /// What came of it.
    pub fn settle<T>(&mut self, now: MonoTime, entry: Entry, outcome: &Result<T, CarrierError>) {
        let outcome = match outcome.as_ref().map_err(|error| error.cause) {
            Ok(_) => Outcome::Success,
            Err(Cause::Network | Cause::Server { .. } | Cause::Throttled { .. }) => Outcome::Failure,
            // The carrier is well; it is our key, number or request.
            Err(Cause::Credentials | Cause::Number | Cause::Balance | Cause::CallGone | Cause::Invalid) => {
                Outcome::Nothing
            }
        };
        self.breaker.settle(now, entry.permit, outcome);
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("pacer", &self.pacer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier_error::Reach;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

    fn fail(breaker: &mut InARow, at: u64) {
        let permit = breaker.may(AT(at)).expect("it is open");
        breaker.settle(AT(at), permit, Outcome::Failure);
    }

    #[test]
    fn failures_in_a_row_shut_it_and_one_probe_opens_it() {
        let mut breaker = InARow::new(3, Duration::from_secs(10));
        (0..3).for_each(|at| fail(&mut breaker, at));
        assert_eq!(breaker.may(AT(3)), Err(Duration::from_millis(9_999)));
        let probe = breaker.may(AT(10_002)).expect("one may try");
        assert!(breaker.may(AT(10_003)).is_err(), "one only");
        breaker.settle(AT(10_004), probe, Outcome::Success);
        assert!(breaker.may(AT(10_005)).is_ok());
    }

    #[test]
    fn a_success_between_failures_keeps_it_open() {
        let mut breaker = InARow::new(2, Duration::from_secs(10));
        for at in 0..10 {
            fail(&mut breaker, at);
            let permit = breaker.may(AT(at)).expect("it is open");
            breaker.settle(AT(at), permit, Outcome::Success);
        }
    }

    #[test]
    fn an_old_permit_proves_nothing() {
        let mut breaker = InARow::new(1, Duration::from_secs(10));
        let old = breaker.may(AT(0)).expect("it is open");
        fail(&mut breaker, 1);
        breaker.settle(AT(2), old, Outcome::Success);
        assert!(breaker.may(AT(3)).is_err());
    }

    #[test]
    fn a_probe_that_fails_keeps_it_shut() {
        let mut breaker = InARow::new(1, Duration::from_secs(10));
        fail(&mut breaker, 0);
        fail(&mut breaker, 10_000);
        assert_eq!(breaker.may(AT(10_001)), Err(Duration::from_millis(9_999)));
    }

    #[test]
    fn our_own_mistakes_do_not_shut_a_gate_and_silence_does() {
        let mut gate = Gate::new(Box::new(InARow::new(1, Duration::from_secs(10))), NonZeroU32::MIN);
        let mut enter = |at, error| {
            let entry = gate.enter(AT(at))?;
            gate.settle::<()>(AT(at), entry, &Err(error));
            Ok::<_, CarrierError>(())
        };
        enter(0, CarrierError::refused(Cause::Credentials, None)).expect("open");
        enter(2_000, CarrierError::refused(Cause::Number, None)).expect("open");
        enter(4_000, CarrierError::unanswered(Reach::NeverSent)).expect("open");
        let shut = enter(6_000, CarrierError::unanswered(Reach::NeverSent)).expect_err("shut");
        assert_eq!(shut.cause, Cause::Throttled { retry_after: Some(Duration::from_secs(8)) });
        assert!(!shut.may_have_happened);
    }
}
