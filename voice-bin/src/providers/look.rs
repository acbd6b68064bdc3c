//! Whether the services answer and take our keys, found out before the first caller does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, info, warn};
use voice_core::driver::{Dial, ask};
use voice_core::failure::Failure;

use super::{Configured, Kind};

/// A service that takes longer is not there for a caller either.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of a look at one service.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Which service.
    pub(crate) name: String,
    /// What it said; no failure means that it takes the key.
    pub(crate) answer: Result<(), Failure>,
    /// The setting that holds the key.
    key: &'static str,
}

/// Asks each service that has a free question for it (see [`voice_core::provider::Provider::probes`]), all at
/// once, in five seconds at most.
pub(crate) async fn look(providers: &[Configured], dial: Arc<dyn Dial>) -> Vec<Seen> {
    let mut looks = JoinSet::new();
    for (place, one) in providers.iter().enumerate() {
        let endpoints = one.provider.probes();
        if endpoints.is_empty() {
            continue;
        }
        let (name, dial) = (one.id.to_string(), dial.clone());
        let key = Kind::named(&name).map_or("its key", |kind| kind.key.env);
        // Side by side, because one that hangs must not delay the others.
        looks.spawn(async move {
            let answer = timeout(PATIENCE, ask(dial.as_ref(), endpoints)).await;
            let answer = answer.unwrap_or(Err(Failure::NotReady(PATIENCE)));
            (place, Seen { name, answer, key })
        });
    }
    let mut seen = looks.join_all().await;
    seen.sort_by_key(|(place, _)| *place);
    seen.into_iter().map(|(_, seen)| seen).collect()
}

impl Seen {
    /// Tells the log.
    pub(crate) fn log(&self) {
        match &self.answer {
            Ok(()) => info!(provider = self.name, "{self}"),
            Err(Failure::Credentials) => error!(provider = self.name, setting = self.key, "{self}"),
            Err(_) => warn!(provider = self.name, "{self}"),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, answer, key } = self;
        match answer {
            Ok(()) => write!(f, "{name} answers and takes the key"),
            Err(Failure::Credentials) => write!(f, "{name} refuses the key; see {key}"),
            Err(failure) => write!(f, "{name} cannot be asked: {failure}"),
        }
    }
}
