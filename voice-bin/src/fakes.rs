//! The fakes of the libraries, ready to be put on sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use voice_core::driver::Clock;
use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig, Rudeness};

use crate::sim_net::MakeService;

/// A fake OpenAI Realtime; every connection draws its chance from another seed.
pub(crate) fn openai(rudeness: &[Rudeness], seed: u64, clock: Clock) -> MakeService {
    let rudeness = rudeness.to_vec();
    let connections = AtomicU64::new(0);
    Arc::new(move || {
        let number = connections.fetch_add(1, Ordering::Relaxed);
        let mut config = FakeOpenAiConfig::new(seed.wrapping_add(number));
        config.unix = clock.unix(clock.now());
        config.rudeness.clone_from(&rudeness);
        Box::new(FakeOpenAi::new(config))
    })
}

/// Ways to misbehave, from their names.
///
/// # Errors
/// Names the ones there are where one is unknown.
pub(crate) fn openai_rudeness(names: &[String]) -> anyhow::Result<Vec<Rudeness>> {
    let parse = |name: &String| {
        name.parse().with_context(|| {
            format!("--rude: there is no {name:?}; there are {}", Rudeness::NAMES.join(", "))
        })
    };
    names.iter().map(parse).collect()
}
