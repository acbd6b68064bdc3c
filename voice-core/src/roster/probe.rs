//! When providers are looked at without a call: each every thirty seconds, not all at once.

use std::time::Duration;

use crate::breaker::Jitter;
use crate::id::ProviderId;
use crate::time::MonoTime;

/// How often a provider is looked at.
pub const PROBE_EVERY: Duration = Duration::from_secs(30);

/// How long a look may take.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Who is to be looked at when. The first looks are spread over a whole round, and each round is up to a
/// tenth longer at random, so that servers that start together do not ask together.
#[derive(Clone, Debug)]
pub struct ProbePlan {
    every: Duration,
    due: Vec<(MonoTime, ProviderId)>,
    jitter: Jitter,
}

impl ProbePlan {
    /// A plan for these providers.
    pub fn new(now: MonoTime, every: Duration, providers: Vec<ProviderId>, seed: u64) -> Self {
        let mut jitter = Jitter::new(seed);
        let mut first = |_: &ProviderId| {
            let parts = u32::try_from(jitter.bits() % 1_000).unwrap_or(0);
            now + every / 1_000 * parts
        };
        let due = providers.into_iter().map(|id| (first(&id), id)).collect();
        Self { every, due, jitter }
    }

    /// Somebody who is due now, if anybody is.
    pub fn take(&mut self, now: MonoTime) -> Option<ProviderId> {
        let (at, id) = self.due.iter_mut().filter(|(at, _)| *at <= now).min_by_key(|(at, _)| *at)?;
        *at = now + self.jitter.stretch(self.every);
        Some(id.clone())
    }

    /// When to look here again.
    pub fn next(&self) -> Option<MonoTime> {
        self.due.iter().map(|(at, _)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_their_turn_and_not_together() {
        let names = ["a", "b", "c", "d"];
        let ids = names.map(ProviderId::from_static).to_vec();
        let mut plan = ProbePlan::new(MonoTime::ZERO, PROBE_EVERY, ids, 3);
        let mut looks = std::collections::BTreeMap::<_, Vec<MonoTime>>::new();
        let mut now = MonoTime::ZERO;
        while now < MonoTime::from_millis(330_000) {
            now = plan.next().expect("there is always a next one");
            while let Some(id) = plan.take(now) {
                looks.entry(id).or_default().push(now);
            }
        }
        for (id, at) in &looks {
            assert!(at[0] < MonoTime::ZERO + PROBE_EVERY && (10..=12).contains(&at.len()), "{id} {at:?}");
            for pair in at.windows(2) {
                assert!((PROBE_EVERY..=PROBE_EVERY * 11 / 10).contains(&(pair[1] - pair[0])), "{id}");
            }
        }
        let firsts: std::collections::BTreeSet<_> = looks.values().map(|at| at[0]).collect();
        assert_eq!((looks.len(), firsts.len()), (4, 4));
    }
}
