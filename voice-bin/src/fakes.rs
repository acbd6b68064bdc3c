//! The fakes of the libraries, ready to be put on sockets: the one place that makes them.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use voice_core::driver::Clock;
use voice_core::sim::peer::FakeService;
use voice_providers::sim::deepgram::{DeepgramRudeness, FakeDeepgram};
use voice_providers::sim::gemini::{self, FakeGemini, FakeGeminiConfig, FakeGeminiMemory};
use voice_providers::sim::llm::{FakeLlm, LlmProfile, LlmRudeness};
use voice_providers::sim::openai::{self, FakeOpenAi, FakeOpenAiConfig};

use crate::sim_net::MakeService;

/// What all fakes have in common.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    /// Every connection draws its chance from another seed, counted from this one.
    pub(crate) seed: u64,
    /// The key that is let in; `None` lets everybody in who shows one.
    pub(crate) key: Option<String>,
    /// The clock of those who wait for them.
    pub(crate) clock: Clock,
}

impl Manners {
    /// Takes any key.
    pub(crate) fn new(seed: u64, clock: Clock) -> Self {
        Self { seed, key: None, clock }
    }
}

/// A fake OpenAI Realtime (`/v1/realtime`).
pub(crate) fn openai(rude: &[openai::Rudeness], manners: Manners) -> MakeService {
    let rude = rude.to_vec();
    each_with_its_seed(manners.seed, move |seed| {
        let mut config = FakeOpenAiConfig::new(seed);
        config.key.clone_from(&manners.key);
        config.unix = manners.clock.unix(manners.clock.now());
        config.rudeness.clone_from(&rude);
        FakeOpenAi::new(config)
    })
}

/// A fake Gemini Live; its connections share the handles that sessions are resumed with.
pub(crate) fn gemini(rude: &[gemini::Rudeness], manners: Manners) -> MakeService {
    let (rude, memory) = (rude.to_vec(), FakeGeminiMemory::default());
    each_with_its_seed(manners.seed, move |seed| {
        let mut config = FakeGeminiConfig::new(seed);
        config.key.clone_from(&manners.key);
        config.rudeness.clone_from(&rude);
        FakeGemini::new(config, memory.clone())
    })
}

/// A fake Deepgram: Voice Agent, Listen, Flux and Speak, by their paths.
pub(crate) fn deepgram(rude: &[DeepgramRudeness], manners: Manners) -> MakeService {
    let rude = rude.to_vec();
    each_with_its_seed(manners.seed, move |seed| FakeDeepgram::new(seed, manners.key.clone(), &rude))
}

/// A fake language model (`/v1/chat/completions`) with the habits of such a server.
pub(crate) fn llm(profile: LlmProfile, rude: &[LlmRudeness], manners: Manners) -> MakeService {
    let rude = rude.to_vec();
    each_with_its_seed(manners.seed, move |seed| {
        let fake = FakeLlm::new(seed, profile, &rude);
        match &manners.key {
            Some(key) => fake.key(key),
            None => fake,
        }
    })
}

/// Ways to misbehave, from their names.
///
/// # Errors
/// Names the ones there are where one is unknown.
pub(crate) fn rudeness<R: FromStr>(names: &[String], known: &[&str]) -> anyhow::Result<Vec<R>> {
    let parse = |name: &String| {
        let Ok(rude) = name.parse() else {
            bail!("there is no {name:?}; there are {}", known.join(", "));
        };
        Ok(rude)
    };
    names.iter().map(parse).collect::<anyhow::Result<_>>().context("--rude")
}

fn each_with_its_seed<F: FakeService + 'static>(
    seed: u64,
    make: impl Fn(u64) -> F + Send + Sync + 'static,
) -> MakeService {
    let connections = AtomicU64::new(0);
    Arc::new(move || Box::new(make(seed.wrapping_add(connections.fetch_add(1, Ordering::Relaxed)))))
}
