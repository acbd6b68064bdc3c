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
use crate::wire::Endpoint;

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
        let can = providers.iter().filter(|(_, provider)| provider.probe().is_some());
        let can = can.map(|(id, _)| id.clone()).collect();
        let mut plan = ProbePlan::new(self.clock.now(), self.every, can, self.seed);
        let mut looks = JoinSet::new();
        while let Some(next) = plan.next() {
            tokio::time::sleep_until(self.clock.instant(next)).await;
            while looks.try_join_next().is_some() {}
            while let Some(id) = plan.take(self.clock.now()) {
                if let Some(endpoint) = providers.get(&id).and_then(|provider| provider.probe()) {
                    // A task of its own: one that hangs must not delay the others.
                    looks.spawn(look(self.roster.clone(), self.dial.clone(), self.clock, id, endpoint));
                }
            }
        }
    }
}

/// One look: the connection and the status of the answer, nothing more.
async fn look(
    roster: Arc<SharedRoster>,
    dial: Arc<dyn Dial>,
    clock: Clock,
    id: ProviderId,
    endpoint: Endpoint,
) {
    let begun = clock.now();
    let answer = timeout_at(clock.instant(begun + PROBE_TIMEOUT), dial.dial(endpoint)).await;
    let now = clock.now();
    let check = match answer {
        Ok(Ok(line)) => {
            line.close();
            Check::Passed(now.since(begun))
        }
        Ok(Err(end)) => Check::Failed(Failure::from_line_end(&end).kind()),
        Err(_) => Check::Failed(Failure::NotReady(PROBE_TIMEOUT).kind()),
    };
    roster.with(|roster| roster.probed(now, &id, check));
}
