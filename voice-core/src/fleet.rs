//! Who talks with a caller: a port, the plainest implementation (a list in order of preference), and the
//! one for more than one provider (a [`Roster`] behind a lock).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::call::{CallConfig, CallStart, Outcome};
use crate::id::{CallId, ProviderId};
use crate::provider::Provider;
use crate::record::{CallEvent, Entry, Reader};
use crate::roster::{Candidate, Roster, RosterConfig, Settled};
use crate::time::MonoTime;

pub use crate::roster::{Assignment, Needs, StayId, StickyKey};

/// Chooses providers for all calls of a process. Called on the calls' own tasks: it answers at once.
pub trait Fleet: Send + Sync {
    /// Somebody who can take the call, or `None` when nobody is left.
    fn assign(
        &self,
        now: MonoTime,
        stay: StayId,
        wanted: &Assignment,
    ) -> Option<(ProviderId, Arc<dyn Provider>)>;

    /// How that went; once for each assignment, unless the process dies.
    fn settle(&self, now: MonoTime, stay: StayId, outcome: &Outcome);

    /// The roster behind it, if there is one: to be shown, and to be given orders.
    fn roster(&self) -> Option<&SharedRoster> {
        None
    }
}

/// A fixed list, best first.
#[derive(Clone, Default)]
pub struct InOrder {
    providers: Vec<(ProviderId, Arc<dyn Provider>)>,
}

impl InOrder {
    /// From a list, best first.
    pub fn new(providers: Vec<(ProviderId, Arc<dyn Provider>)>) -> Self {
        Self { providers }
    }

    /// Whether nobody is on the list.
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }
}

impl Fleet for InOrder {
    fn assign(
        &self,
        _now: MonoTime,
        _stay: StayId,
        wanted: &Assignment,
    ) -> Option<(ProviderId, Arc<dyn Provider>)> {
        let fresh = |id: &ProviderId| !wanted.tried.contains(id);
        if let Some(wish) = &wanted.wish {
            return self.providers.iter().find(|(id, _)| id == wish && fresh(id)).cloned();
        }
        let rather = |id: &ProviderId| fresh(id) && wanted.last_resort.as_ref() != Some(id);
        self.providers
            .iter()
            .find(|(id, _)| rather(id))
            .or_else(|| self.providers.iter().find(|(id, _)| fresh(id)))
            .cloned()
    }

    fn settle(&self, _now: MonoTime, _stay: StayId, _outcome: &Outcome) {}
}

/// A roster for all calls of a process, and their reader: give the same one to
/// [`World::fleet`](crate::driver::World::fleet) and to its readers.
///
/// It is behind the one lock on the way of a call. That is held for a few microseconds, some times in a
/// call's life and never for a frame, over no foreign code and no `await`.
///
/// ```
/// use std::sync::Arc;
/// use voice_core::fleet::{Assignment, Fleet, SharedRoster, StayId};
/// use voice_core::id::{AttachmentId, CallId, ProviderId};
/// use voice_core::call::Outcome;
/// use voice_core::failure::Failure;
/// use voice_core::provider::Provider;
/// use voice_core::roster::{Candidate, Order, RosterConfig, Strategy};
/// use voice_core::time::MonoTime;
///
/// # fn of(openai: Arc<dyn Provider>, gemini: Arc<dyn Provider>) {
/// let candidate = |id, provider: Arc<dyn Provider>| {
///     let capabilities = provider.capabilities().clone();
///     Candidate::new(ProviderId::from_static(id), provider).with_capabilities(&capabilities)
/// };
/// let config = RosterConfig { strategy: Strategy::LeastLatency, ..RosterConfig::default() };
/// let roster = SharedRoster::new(config, vec![candidate("openai", openai), candidate("gemini", gemini)]);
///
/// let now = MonoTime::ZERO; // in the driver: its clock
/// let stay = StayId { call: CallId::from_u128(7), attachment: AttachmentId(1) };
/// let wanted = Assignment::default();
/// let (who, _provider) = roster.assign(now, stay, &wanted).expect("nothing has failed yet");
/// roster.settle(now, stay, &Outcome::Failure(Failure::Cut));
///
/// roster.with(|roster| {
///     roster.order(now, &who, Order::Drain).expect("it is on the list");
///     for decision in roster.decisions() {
///         println!("{:?}: {} and not {:?}", decision.chosen, decision.reason.name(), decision.others);
///     }
/// });
/// # }
/// ```
pub struct SharedRoster {
    /// All calls choose from the same list, and learn from each other's failures.
    roster: Mutex<Roster<Arc<dyn Provider>>>,
    /// Whether this machine does not keep up with the calls that it has.
    overloaded: AtomicBool,
}

impl SharedRoster {
    /// From a list, best first.
    pub fn new(config: RosterConfig, candidates: Vec<Candidate<Arc<dyn Provider>>>) -> Self {
        Self { roster: Mutex::new(Roster::new(config, candidates)), overloaded: AtomicBool::new(false) }
    }

    /// Whether a call that came now should be let in: the machine keeps up, and somebody could serve it.
    /// The door asks this; calls that are in are served in any case.
    pub fn can_take(&self, now: MonoTime) -> bool {
        !self.is_overloaded() && self.lock().can_serve(now)
    }

    /// Whether it was told that this machine does not keep up.
    pub fn is_overloaded(&self) -> bool {
        self.overloaded.load(Ordering::Relaxed)
    }

    /// Tells whether this machine keeps up; see [`crate::roster::Load`].
    pub fn set_overloaded(&self, overloaded: bool) {
        self.overloaded.store(overloaded, Ordering::Relaxed);
    }

    /// Asks or changes the roster. Nobody is assigned meanwhile: be quick, and wait for nothing.
    pub fn with<R>(&self, act: impl FnOnce(&mut Roster<Arc<dyn Provider>>) -> R) -> R {
        act(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Roster<Arc<dyn Provider>>> {
        // A bug in one call must not end all others: a roster is whole between any two of its steps.
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet for SharedRoster {
    fn assign(
        &self,
        now: MonoTime,
        stay: StayId,
        wanted: &Assignment,
    ) -> Option<(ProviderId, Arc<dyn Provider>)> {
        let mut roster = self.lock();
        let (id, provider) = roster.assign(now, stay, wanted)?;
        Some((id.clone(), Arc::clone(provider)))
    }

    fn settle(&self, now: MonoTime, stay: StayId, outcome: &Outcome) {
        let settled = match outcome {
            Outcome::Success => Settled::Success,
            Outcome::Failure(failure) => Settled::Failure(failure),
            Outcome::Unproven => Settled::Unproven,
        };
        self.lock().settle(now, stay, settled);
    }

    fn roster(&self) -> Option<&SharedRoster> {
        Some(self)
    }
}

/// How long sessions take to be ready, and voices to answer.
impl Reader for SharedRoster {
    fn read(&self, call: CallId, entry: &Entry) {
        let stay = |attachment| StayId { call, attachment };
        if let CallEvent::Ready { attachment, took, .. } = &entry.event {
            self.lock().ready(entry.at, stay(*attachment), *took);
        } else if let CallEvent::ReplyStarted { reply, latency } = &entry.event {
            self.lock().replied(entry.at, stay(reply.attachment()), *latency);
        }
    }
}

impl Needs {
    /// What a call needs, as far as its settings and its beginning tell.
    pub fn of(config: &CallConfig, start: &CallStart) -> Self {
        Self {
            language: config.language().map(str::to_owned),
            tools: !config.tools().is_empty(),
            caller: Some(StickyKey::of(start.from.expose())),
            agent: Some(StickyKey::of(config.instructions())),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Capabilities, ProviderSession, Setup};

    struct Nobody(Capabilities);

    impl Provider for Nobody {
        fn capabilities(&self) -> &Capabilities {
            &self.0
        }

        fn open(&self, _: Setup) -> Box<dyn ProviderSession> {
            unreachable!("nobody opens it here")
        }
    }

    fn stay() -> StayId {
        StayId { call: CallId::from_u128(1), attachment: crate::id::AttachmentId(1) }
    }

    #[test]
    fn the_first_that_has_not_failed_takes_the_call() {
        let id = ProviderId::from_static;
        let nobody: Arc<dyn Provider> = Arc::new(Nobody(Capabilities::new(vec![], vec![])));
        let fleet = InOrder::new(vec![(id("a"), nobody.clone()), (id("b"), nobody)]);
        let pick = |wish: Option<&'static str>, tried: &[&'static str], last: Option<&'static str>| {
            let wanted = Assignment {
                wish: wish.map(id),
                tried: tried.iter().map(|t| id(t)).collect(),
                last_resort: last.map(id),
                needs: Needs::default(),
            };
            fleet.assign(MonoTime::ZERO, stay(), &wanted).map(|(id, _)| id.to_string())
        };
        assert_eq!(pick(None, &[], None).as_deref(), Some("a"));
        assert_eq!(pick(None, &[], Some("a")).as_deref(), Some("b"));
        assert_eq!(pick(None, &["b"], Some("a")).as_deref(), Some("a"));
        assert_eq!(pick(None, &["a", "b"], None), None);
        assert_eq!(pick(Some("b"), &[], None).as_deref(), Some("b"));
        assert_eq!(pick(Some("c"), &[], None), None);
    }
}
