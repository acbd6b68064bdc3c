//! Who can take a call: a port, and the plainest implementation, a list in order of preference.

use std::sync::Arc;

use crate::call::Outcome;
use crate::id::{CallId, ProviderId};
use crate::provider::Provider;

/// What a call asks for.
#[derive(Clone, Debug, Default)]
pub struct Assignment {
    /// By name.
    pub wish: Option<ProviderId>,
    /// Not these: they have failed for this call just now.
    pub tried: Vec<ProviderId>,
    /// Only if nobody else can.
    pub last_resort: Option<ProviderId>,
}

/// Chooses providers for all calls of a process. Called on the calls' own tasks: it answers at once.
pub trait Fleet: Send + Sync {
    /// Somebody who can take the call, or `None` when nobody is left.
    fn assign(&self, call: CallId, wanted: &Assignment) -> Option<(ProviderId, Arc<dyn Provider>)>;

    /// How that went; once for each assignment, unless the process dies.
    fn settle(&self, call: CallId, provider: &ProviderId, outcome: &Outcome);
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
    fn assign(&self, _call: CallId, wanted: &Assignment) -> Option<(ProviderId, Arc<dyn Provider>)> {
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

    fn settle(&self, _call: CallId, _provider: &ProviderId, _outcome: &Outcome) {}
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
            };
            fleet.assign(CallId::from_u128(1), &wanted).map(|(id, _)| id.to_string())
        };
        assert_eq!(pick(None, &[], None).as_deref(), Some("a"));
        assert_eq!(pick(None, &[], Some("a")).as_deref(), Some("b"));
        assert_eq!(pick(None, &["b"], Some("a")).as_deref(), Some("a"));
        assert_eq!(pick(None, &["a", "b"], None), None);
        assert_eq!(pick(Some("b"), &[], None).as_deref(), Some("b"));
        assert_eq!(pick(Some("c"), &[], None), None);
    }
}
