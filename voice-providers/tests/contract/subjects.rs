//! The four providers and their fakes, as the contract wants to see them.

use std::cell::Cell;
use std::sync::Arc;

use voice_core::id::LineId;
use voice_core::provider::Provider;
use voice_core::sensitive::Secret;
use voice_core::sim::contract::{Scene, Subject};
use voice_core::sim::harness::Answerer;
use voice_core::sim::peer::FakeService;
use voice_core::wire::Endpoint;
use voice_providers::deepgram::Credential;
use voice_providers::deepgram::agent::{Agent, AgentSettings};
use voice_providers::deepgram::pipeline::{EarsModel, Pipeline, PipelineSettings};
use voice_providers::gemini::{Gemini, GeminiSettings};
use voice_providers::llm::ChatEndpoint;
use voice_providers::openai::{OpenAi, OpenAiSettings};
use voice_providers::sim::deepgram::agent::{FakeAgent, Rudeness as AgentRudeness};
use voice_providers::sim::deepgram::flux::FakeFlux;
use voice_providers::sim::deepgram::listen::FakeListen;
use voice_providers::sim::deepgram::speak::FakeSpeak;
use voice_providers::sim::gemini::{
    FakeGemini, FakeGeminiConfig, FakeGeminiMemory, Rudeness as GeminiRudeness,
};
use voice_providers::sim::llm::{FakeLlm, LlmProfile, LlmRudeness};
use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig, Rudeness as OpenAiRudeness};

const KEY: &str = "a-key-for-the-contract";

fn key() -> Secret<String> {
    Secret::new(KEY.to_owned())
}

/// A fake for each line, each with chance of its own.
fn each(seed: u64, make: impl Fn(u64, &Endpoint) -> Box<dyn FakeService> + 'static) -> Option<Answerer> {
    let lines = Cell::new(0);
    Some(Box::new(move |_: LineId, endpoint: &Endpoint| {
        lines.set(lines.get() + 1);
        make(seed.wrapping_mul(1_000).wrapping_add(lines.get()), endpoint)
    }))
}

pub(crate) struct OnOpenAi;

impl Subject for OnOpenAi {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(OpenAi::new(OpenAiSettings::new(key()).build().expect("the defaults are fine")))
    }

    fn service(&self, seed: u64, scene: Scene) -> Option<Answerer> {
        let rude = match scene {
            Scene::Polite => None,
            Scene::LateTail => Some(OpenAiRudeness::StrayDelta),
            Scene::SessionEnds => Some(OpenAiRudeness::Expire),
            _ => return None,
        };
        each(seed, move |seed, _| {
            let mut config = FakeOpenAiConfig::new(seed).key(KEY);
            config.rudeness.extend(rude);
            Box::new(FakeOpenAi::new(config))
        })
    }
}

/// Gemini Live with this model.
pub(crate) struct OnGemini(pub(crate) &'static str);

impl Subject for OnGemini {
    fn provider(&self) -> Arc<dyn Provider> {
        let settings = GeminiSettings::new(key()).model(self.0).build();
        Arc::new(Gemini::new(settings.expect("the defaults are fine")))
    }

    fn service(&self, seed: u64, scene: Scene) -> Option<Answerer> {
        let rude = match scene {
            Scene::Polite => None,
            Scene::LateTail => Some(GeminiRudeness::KeepsTalking),
            Scene::ParallelTools => Some(GeminiRudeness::ToolsParallel),
            Scene::CancelledTool => Some(GeminiRudeness::ToolCancelled),
            Scene::SessionEnds => Some(GeminiRudeness::Deadline),
            _ => return None,
        };
        let memory = FakeGeminiMemory::default();
        each(seed, move |seed, _| {
            let mut config = FakeGeminiConfig::new(seed).key(KEY);
            config.rudeness.extend(rude);
            Box::new(FakeGemini::new(config, memory.clone()))
        })
    }
}

pub(crate) struct OnAgent;

impl Subject for OnAgent {
    fn provider(&self) -> Arc<dyn Provider> {
        let settings = AgentSettings::new(Credential::ApiKey(key())).build();
        Arc::new(Agent::new(settings.expect("the defaults are fine")))
    }

    fn service(&self, seed: u64, scene: Scene) -> Option<Answerer> {
        let rude = match scene {
            Scene::Polite => None,
            Scene::LateTail => Some(AgentRudeness::AudioAfterStart),
            Scene::ParallelTools => Some(AgentRudeness::ParallelTools),
            Scene::BadArguments => Some(AgentRudeness::BadArguments),
            Scene::CancelledTool => Some(AgentRudeness::CancelledTool),
            _ => return None,
        };
        each(seed, move |seed, _| Box::new(FakeAgent::new(KEY, seed).rude(rude)))
    }
}

/// The pipeline with Flux, or with Listen v1.
pub(crate) struct OnPipeline {
    pub(crate) flux: bool,
}

impl Subject for OnPipeline {
    fn provider(&self) -> Arc<dyn Provider> {
        let mind = ChatEndpoint::new("https://mind.example/v1", "fake").expect("a good address");
        let ears = if self.flux { EarsModel::flux("flux-general-en") } else { EarsModel::listen("nova-3") };
        let settings = PipelineSettings::builder(Credential::ApiKey(key()), mind.bearer(key())).ears(ears);
        Arc::new(Pipeline::new(settings.build().expect("good settings")))
    }

    fn service(&self, seed: u64, scene: Scene) -> Option<Answerer> {
        let rude: &[LlmRudeness] = match scene {
            // Speak goes on sending after `Clear` as it is; so does the real one.
            Scene::Polite | Scene::LateTail => &[],
            Scene::ParallelTools => &[LlmRudeness::TwoCalls],
            Scene::BadArguments => &[LlmRudeness::BadArguments],
            _ => return None,
        };
        each(seed, move |seed, endpoint| {
            let path = endpoint.url.split('?').next().unwrap_or_default();
            if path.ends_with("/v2/listen") {
                Box::new(FakeFlux::new(seed, &[]))
            } else if path.ends_with("/v1/listen") {
                Box::new(FakeListen::new(seed, &[]))
            } else if path.ends_with("/v1/speak") {
                Box::new(FakeSpeak::new(seed, &[]))
            } else {
                Box::new(FakeLlm::new(seed, LlmProfile::OpenAi, rude))
            }
        })
    }
}
