//! A breaker for many threads, in which those who succeed do not meet.
//!
//! Everything that decides is the plain [`Breaker`], behind a lock. But nearly always it is *calm*:
//! closed, with no failure in a row. Then a success changes nothing but a count, and admitting means
//! reading one word. So threads note their successes in stripes of their own, each labelled with period
//! and slice of time, and whoever takes the lock next folds them in, exactly where they belong. A stripe
//! with another label, a failure, a slow sample, or a breaker that is not calm takes the lock, for well
//! under a microsecond, and never over foreign code.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::time::MonoTime;

use super::{Breaker, BreakerConfig, BreakerSnapshot, Gate, Permit, Refusal, Sample, Slot};

const STRIPES: usize = 16;

/// The lower half of a stripe's word counts, the upper half is its label.
const COUNT: u64 = u32::MAX as u64;

/// One breaker, shared by all calls of a process.
#[derive(Debug)]
pub struct SharedBreaker {
    /// The period, and in the lowest bit whether it is calm.
    word: AtomicU64,
    stripes: [Stripe; STRIPES],
    /// Everything that decides; held for a few additions.
    breaker: Mutex<Breaker>,
    slice_micros: u64,
}

/// Two cache lines, so that neighbours do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    /// Successes, labelled with the period and the slice in which they happened.
    successes: AtomicU64,
    granted: AtomicU64,
    last: AtomicU64,
}

/// A [`Permit`] that is given back when it is dropped.
#[derive(Debug)]
#[must_use = "a pass that is dropped proves nothing"]
pub struct Pass {
    breaker: Arc<SharedBreaker>,
    permit: Option<Permit>,
}

impl SharedBreaker {
    /// A closed breaker; see [`Breaker::new`].
    pub fn new(config: BreakerConfig, seed: u64) -> Self {
        let breaker = Breaker::new(config, seed);
        Self {
            word: AtomicU64::new(word(&breaker)),
            stripes: Default::default(),
            slice_micros: breaker.window.slice_micros(),
            breaker: Mutex::new(breaker),
        }
    }

    /// As [`Breaker::admit`].
    pub fn admit(&self, now: MonoTime) -> Result<Permit, Refusal> {
        let word = self.word.load(Ordering::Acquire);
        if word & 1 == 1 {
            self.stripe().granted.fetch_add(1, Ordering::Relaxed);
            return Ok(Permit { period: word >> 1, slot: Slot::None });
        }
        self.with(now, |breaker| breaker.admit(now))
    }

    /// As [`Self::admit`]; the pass settles itself as unproven if it is dropped.
    pub fn pass(self: &Arc<Self>, now: MonoTime) -> Result<Pass, Refusal> {
        let permit = self.admit(now)?;
        Ok(Pass { breaker: Arc::clone(self), permit: Some(permit) })
    }

    /// As [`Breaker::settle`].
    pub fn settle(&self, now: MonoTime, permit: Permit, sample: Sample<'_>) {
        let calm = permit.period << 1 | 1;
        if sample == Sample::Success
            && permit.slot == Slot::None
            && self.word.load(Ordering::Acquire) == calm
            && self.note_success(now, permit.period)
        {
            return;
        }
        self.with(now, |breaker| breaker.settle(now, permit, sample));
    }

    /// Anything else a [`Breaker`] can do: reset it, force it, insist.
    pub fn with<T>(&self, now: MonoTime, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.lock();
        self.fold(&mut breaker, now);
        let answer = act(&mut breaker);
        let label = label(breaker.period, self.slice(now));
        // Whoever else uses this stripe finds it labelled for this slice; what it counted was folded.
        let stripe = self.stripe();
        let successes = stripe.successes.swap(label << 32, Ordering::Relaxed);
        self.absorb(&mut breaker, now, successes, stripe.last.load(Ordering::Relaxed));
        self.word.store(word(&breaker), Ordering::Release);
        answer
    }

    /// Everything that can be told about it.
    pub fn snapshot(&self, now: MonoTime) -> BreakerSnapshot {
        self.with(now, |breaker| breaker.snapshot(now))
    }

    /// Counts a success in this thread's stripe, if that is labelled for this moment.
    fn note_success(&self, now: MonoTime, period: u64) -> bool {
        let label = label(period, self.slice(now));
        let stripe = self.stripe();
        let noted = stripe.successes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            (word >> 32 == label && word & COUNT < COUNT).then_some(word + 1)
        });
        if noted.is_ok() {
            stripe.last.store(now.as_micros(), Ordering::Relaxed);
        }
        noted.is_ok()
    }

    fn fold(&self, breaker: &mut Breaker, now: MonoTime) {
        for stripe in &self.stripes {
            breaker.totals.granted += stripe.granted.swap(0, Ordering::Relaxed);
            let successes = stripe.successes.fetch_and(!COUNT, Ordering::Relaxed);
            self.absorb(breaker, now, successes, stripe.last.load(Ordering::Relaxed));
        }
    }

    fn absorb(&self, breaker: &mut Breaker, now: MonoTime, successes: u64, last: u64) {
        let count = successes & COUNT;
        if count == 0 {
            return;
        }
        if (successes >> 48) != breaker.period & 0xffff {
            breaker.totals.late += count;
            return;
        }
        // The label holds the lowest bits of the slice: it is the youngest one that has them.
        let current = self.slice(now);
        let age = current.wrapping_sub(successes >> 32) & 0xffff;
        let count_fits = u32::try_from(count).unwrap_or(u32::MAX);
        breaker.totals.successful += count;
        breaker.successes_in_row = breaker.successes_in_row.saturating_add(count_fits);
        breaker.times.success = breaker.times.success.max(Some(MonoTime::from_micros(last)));
        breaker.window.note_successes(current.saturating_sub(age), count_fits);
    }

    const fn slice(&self, now: MonoTime) -> u64 {
        now.as_micros() / self.slice_micros
    }

    fn stripe(&self) -> &Stripe {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
        }
        &self.stripes[MINE.with(|mine| *mine)]
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// As [`Breaker::settle`].
    pub fn settle(mut self, now: MonoTime, sample: Sample<'_>) {
        if let Some(permit) = self.permit.take() {
            self.breaker.settle(now, permit, sample);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.breaker.lock().release(permit);
        }
    }
}

fn word(breaker: &Breaker) -> u64 {
    let open = matches!(breaker.gate, Gate::HalfOpen { .. } | Gate::Open { .. });
    breaker.period << 1 | u64::from(!open && breaker.failures_in_row == 0)
}

const fn label(period: u64, slice: u64) -> u64 {
    (period & 0xffff) << 16 | slice & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::State;
    use crate::failure::Failure;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_millis(millis)
    }

    #[test]
    fn shared_and_plain_say_the_same_on_one_thread() {
        let shared = SharedBreaker::new(BreakerConfig::default(), 5);
        let mut plain = Breaker::new(BreakerConfig::default(), 5);
        let mut state = 9_u64;
        let mut now = 0;
        for step in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now += state >> 54;
            let sample = match state >> 40 & 63 {
                0..22 => Sample::Failure(&Failure::Cut),
                22..25 => Sample::Slow,
                25 => Sample::Unproven,
                _ => Sample::Success,
            };
            let (a, b) = (shared.admit(at(now)), plain.admit(at(now)));
            assert_eq!(a.is_ok(), b.is_ok(), "step {step}");
            if let (Ok(a), Ok(b)) = (a, b) {
                shared.settle(at(now), a, sample);
                plain.settle(at(now), b, sample);
            }
            if step % 7 == 0 {
                assert_eq!(shared.snapshot(at(now)), plain.snapshot(at(now)), "step {step}");
            }
        }
        assert!(plain.snapshot(at(now)).totals.changes() > 10);
    }

    #[test]
    fn many_threads_lose_no_count() {
        let shared = Arc::new(SharedBreaker::new(BreakerConfig::default(), 1));
        let rounds = 2_000;
        std::thread::scope(|scope| {
            for thread in 0..16_u64 {
                let shared = shared.clone();
                scope.spawn(move || {
                    for round in 0..rounds {
                        let now = at(round * 10);
                        let Ok(permit) = shared.admit(now) else { continue };
                        let bad = thread == 0 && round % 50 == 0;
                        let sample = if bad { Sample::Failure(&Failure::Cut) } else { Sample::Success };
                        shared.settle(now, permit, sample);
                    }
                });
            }
        });
        let snapshot = shared.snapshot(at(rounds * 10));
        let totals = snapshot.totals;
        assert_eq!(totals.granted, totals.successful + totals.failed + totals.late);
        assert_eq!(totals.granted + totals.rejected, 16 * rounds);
        assert_eq!(totals.failed, rounds / 50);
        assert_eq!(snapshot.state, State::Closed);
    }

    #[test]
    fn a_dropped_pass_frees_its_slot() {
        let breaker = Arc::new(SharedBreaker::new(BreakerConfig::default(), 1));
        let pass = breaker.pass(at(0)).expect("closed");
        pass.settle(at(0), Sample::Failure(&Failure::Throttled { retry_after: None }));
        assert!(breaker.pass(at(5)).is_err());
        let probes: Vec<_> = (0..3).map(|_| breaker.pass(at(12_000)).expect("a probe")).collect();
        assert!(breaker.pass(at(12_000)).is_err());
        drop(probes);
        let pass = breaker.pass(at(12_001)).expect("the slots are free again");
        pass.settle(at(12_001), Sample::Success);
        let totals = breaker.snapshot(at(12_001)).totals;
        assert_eq!((totals.unproven, totals.successful, totals.rejected), (3, 1, 2));
    }

    #[test]
    fn a_success_of_an_old_period_is_late_even_from_a_stripe() {
        let breaker = SharedBreaker::new(BreakerConfig::default(), 1);
        let old = breaker.admit(at(0)).expect("closed");
        breaker.with(at(1), |breaker| breaker.reset(at(1)));
        breaker.settle(at(2), old, Sample::Success);
        let totals = breaker.snapshot(at(3)).totals;
        assert_eq!((totals.late, totals.successful), (1, 0));
        // Noted by another thread while this one is at it.
        let breaker = SharedBreaker::new(BreakerConfig::default(), 1);
        breaker.with(at(1), |plain| {
            assert!(breaker.note_success(at(1), 0));
            plain.reset(at(1));
        });
        let totals = breaker.snapshot(at(3)).totals;
        assert_eq!((totals.late, totals.successful), (1, 0));
    }
}
