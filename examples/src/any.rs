//! Calls to the book shop with any of the four providers, one after another in the same call if need be.

use std::sync::Arc;
use std::time::Duration;

use voice_core::call::Control;
use voice_core::fleet::InOrder;
use voice_core::id::ProviderId;
use voice_core::provider::Provider;
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{FakeService, ServiceInput, ServiceOutput};
use voice_core::time::MonoTime;
use voice_core::wire::Endpoint;
use voice_providers::deepgram::Credential;
use voice_providers::deepgram::agent::{Agent, AgentSettings};
use voice_providers::deepgram::pipeline::{Pipeline, PipelineSettings};
use voice_providers::gemini::{Gemini, GeminiSettings};
use voice_providers::llm::ChatEndpoint;
use voice_providers::openai::{OpenAi, OpenAiSettings};
use voice_providers::sim::deepgram::agent::FakeAgent;
use voice_providers::sim::deepgram::flux::FakeFlux;
use voice_providers::sim::deepgram::speak::FakeSpeak;
use voice_providers::sim::gemini::{FakeGemini, FakeGeminiConfig, FakeGeminiMemory};
use voice_providers::sim::llm::{FakeLlm, LlmProfile};
use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig};
use voice_telephony::sim::world::{Played, TOKEN, WEBHOOK, World};
use voice_telephony::sim::{FakeTwilioCall, TwilioCallPlan};

/// The four, by the names under which they are configured here.
pub const PROVIDERS: [&str; 4] = ["openai", "gemini", "deepgram-agent", "deepgram-pipeline"];

const KEY: &str = "a-key-of-the-example";

/// Some fake, which may be cut off at some moment.
pub struct AnyFake {
    fake: Box<dyn FakeService>,
    cut_at: Option<MonoTime>,
    now: MonoTime,
}

impl FakeService for AnyFake {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        self.now = now;
        self.fake.handle(now, input);
    }

    fn poll(&mut self) -> ServiceOutput {
        let Some(at) = self.cut_at else { return self.fake.poll() };
        if at <= self.now {
            self.cut_at = None;
            return ServiceOutput::Cut;
        }
        let output = self.fake.poll();
        if let ServiceOutput::WaitUntil(wake) = output {
            return ServiceOutput::WaitUntil(Some(wake.map_or(at, |wake| wake.min(at))));
        }
        output
    }
}

/// What happens in the middle of a call, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Midway {
    /// Nothing.
    Nothing,
    /// Somebody asks for the second provider.
    Switch(Duration),
    /// The connections of the first provider are cut.
    Cut(Duration),
}

/// Calls the book shop, which has these providers in this order of preference.
///
/// # Panics
/// If the settings of this example do not fit together.
pub fn call_any(seed: u64, order: &[&str], midway: Midway) -> Played<FakeTwilioCall, AnyFake> {
    let id = |name: &str| -> ProviderId { name.parse().expect("a name like any other") };
    let fleet = InOrder::new(order.iter().map(|name| (id(name), provider(name))).collect());
    let plan = TwilioCallPlan::new(WEBHOOK, Secret::new(TOKEN.to_owned())).with_seed(seed);
    let caller = FakeTwilioCall::new(MonoTime::ZERO, plan);
    let memory = FakeGeminiMemory::default();
    let first = order.first().map(|name| mark(name)).unwrap_or_default();
    let mut lines = 0;
    let service = move |endpoint: &Endpoint| {
        lines += 1;
        let cut_at = match midway {
            Midway::Cut(at) if endpoint.url.contains(first) => Some(MonoTime::ZERO + at),
            Midway::Cut(_) | Midway::Switch(_) | Midway::Nothing => None,
        };
        let fake = fake(seed * 100 + lines, endpoint, &memory);
        AnyFake { fake, cut_at, now: MonoTime::ZERO }
    };
    let config = crate::book_shop().expect("the settings fit");
    let world = World::new(seed, caller, config, fleet, Box::new(service));
    match midway {
        Midway::Switch(at) => {
            let wish = Control::Switch(order.get(1).map(|name| id(name)));
            world.control(MonoTime::ZERO + at, wish).play()
        }
        Midway::Nothing | Midway::Cut(_) => world.play(),
    }
}

fn provider(name: &str) -> Arc<dyn Provider> {
    let key = || Secret::new(KEY.to_owned());
    match name {
        "openai" => Arc::new(OpenAi::new(OpenAiSettings::new(key()).build().expect("defaults"))),
        "gemini" => Arc::new(Gemini::new(GeminiSettings::new(key()).build().expect("defaults"))),
        "deepgram-agent" => {
            let settings = AgentSettings::new(Credential::ApiKey(key())).build();
            Arc::new(Agent::new(settings.expect("defaults")))
        }
        _ => {
            let mind = ChatEndpoint::new("https://mind.example/v1", "fake").expect("a good address");
            let settings = PipelineSettings::builder(Credential::ApiKey(key()), mind.bearer(key())).build();
            Arc::new(Pipeline::new(settings.expect("defaults")))
        }
    }
}

/// What stands in the addresses of this provider, and of no other. Of the pipeline it is the ears' line.
fn mark(name: &str) -> &'static str {
    match name {
        "openai" => "api.openai.com",
        "gemini" => "googleapis.com",
        "deepgram-agent" => "agent.deepgram.com",
        _ => "/v2/listen",
    }
}

fn fake(seed: u64, endpoint: &Endpoint, memory: &FakeGeminiMemory) -> Box<dyn FakeService> {
    let url = endpoint.url.as_str();
    let is = |name| url.contains(mark(name));
    if is("openai") {
        Box::new(FakeOpenAi::new(FakeOpenAiConfig::new(seed)))
    } else if is("gemini") {
        Box::new(FakeGemini::new(FakeGeminiConfig::new(seed), memory.clone()))
    } else if is("deepgram-agent") {
        Box::new(FakeAgent::new(KEY, seed))
    } else if is("deepgram-pipeline") {
        Box::new(FakeFlux::new(seed, &[]))
    } else if url.contains("/v1/speak") {
        Box::new(FakeSpeak::new(seed, &[]))
    } else {
        Box::new(FakeLlm::new(seed, LlmProfile::OpenAi, &[]))
    }
}
