//! Looks at providers without a call, so that an outage is known before somebody calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::failure::Failure;
use crate::fleet::SharedRoster;
use crate::id::ProviderId;
use crate::provider::Provider;
use crate::roster::{Check, PROBE_EVERY, PROBE_TIMEOUT, ProbePlan};
use crate::wire::{Endpoint, LineEnd};

use super::clock::Clock;
use super::line::Dial;

/// Looks at every provider that can be looked at ([`Provider::probe`](crate::provider::Provider::probe)).
pub struct Prober {
    roster: Arc<SharedRoster>,
    dial: Arc<dyn Dial>,
    clock: Clock,
    every: Duration,
    seed: u64,
}

impl Prober {
    /// Every thirty seconds. The seed spreads the looks of many servers.
    pub fn new(roster: Arc<SharedRoster>, dial: Arc<dyn Dial>, clock: Clock, seed: u64) -> Self {
        Self { roster, dial, clock, every: PROBE_EVERY, seed }
    }

    /// Another pause between two looks.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Looks for ever; drop the future to stop, which ends every look that is under way.
    pub async fn run(self) {
        // Asked for their probes outside the lock: providers are foreign code.
        let providers: BTreeMap<ProviderId, Arc<dyn Provider>> = self
            .roster
            .with(|roster| roster.iter().map(|(id, provider)| (id.clone(), Arc::clone(provider))).collect());
        let can = providers.iter().filter(|(_, provider)| !provider.probes().is_empty());
        let can = can.map(|(id, _)| id.clone()).collect();
        let mut plan = ProbePlan::new(self.clock.now(), self.every, can, self.seed);
        let mut looks = JoinSet::new();
        while let Some(next) = plan.next() {
            tokio::time::sleep_until(self.clock.instant(next)).await;
            while looks.try_join_next().is_some() {}
            while let Some(id) = plan.take(self.clock.now()) {
                let endpoints = providers.get(&id).map(|provider| provider.probes()).unwrap_or_default();
                // A task of its own: one that hangs must not delay the others.
                looks.spawn(look(self.roster.clone(), self.dial.clone(), self.clock, id, endpoints));
            }
        }
    }
}

/// One look: the connection and the status of each answer, nothing more. All must be there.
async fn look(
    roster: Arc<SharedRoster>,
    dial: Arc<dyn Dial>,
    clock: Clock,
    id: ProviderId,
    endpoints: Vec<Endpoint>,
) {
    let begun = clock.now();
    let answer = timeout_at(clock.instant(begun + PROBE_TIMEOUT), ask(dial.as_ref(), endpoints)).await;
    let now = clock.now();
    let check = match answer {
        Ok(Ok(())) => Check::Passed(now.since(begun)),
        Ok(Err(failure)) => Check::Failed(failure.kind()),
        Err(_) => Check::Failed(Failure::NotReady(PROBE_TIMEOUT).kind()),
    };
    roster.with(|roster| roster.probed(now, &id, check));
}

/// Puts the questions of [`Provider::probes`](crate::provider::Provider::probes), one after the other.
///
/// # Errors
/// What the first of the services said that is not there, or does not take our key.
pub async fn ask(dial: &dyn Dial, endpoints: Vec<Endpoint>) -> Result<(), Failure> {
    for (place, endpoint) in endpoints.into_iter().enumerate() {
        match dial.dial(endpoint).await {
            Ok(line) => line.close(),
            // It is there, and has looked at the key, or needs none.
            Err(LineEnd::Refused { status: 404 | 405, .. }) if place > 0 => {}
            Err(end) => return Err(Failure::from_line_end(&end)),
        }
    }
    Ok(())
}
