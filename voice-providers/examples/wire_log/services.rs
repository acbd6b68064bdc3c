//! Every provider with settings of every kind, and the fakes that answer it.

use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::sensitive::Secret;
use voice_providers::deepgram::Credential;
use voice_providers::deepgram::agent::{
    Agent, AgentSettings, Flux, Listen, Nova, Speak, StageEndpoint, Think,
};
use voice_providers::deepgram::pipeline::{EarsModel, Pipeline, PipelineSettings};
use voice_providers::gemini::{
    Detection, Gemini, GeminiSettings, GeminiSettingsBuilder, Scheduling, Sensitivity, Thinking,
    ToolBehaviour,
};
use voice_providers::llm::{ChatEndpoint, TokenLimit};
use voice_providers::openai::{
    Eagerness, Effort, NoiseReduction, OpenAi, OpenAiSettings, OpenAiSettingsBuilder, Truncation,
    TurnDetection,
};
use voice_providers::sim::deepgram::FakeDeepgram;
use voice_providers::sim::gemini::{FakeGemini, FakeGeminiConfig, FakeGeminiMemory};
use voice_providers::sim::llm::{FakeLlm, LlmProfile};
use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig, Rudeness};

use crate::talk::talk;
use crate::tap::{Log, Tapped};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn key() -> Secret<String> {
    Secret::new("sk-example".to_owned())
}

pub(crate) fn openai(log: &Log) -> Outcome {
    let settings = || OpenAiSettings::new(key()).url("ws://fake/v1/realtime");
    let other = settings()
        .turn_detection(TurnDetection::SemanticVad { eagerness: Eagerness::High })
        .interrupts(false)
        .noise_reduction(Some(NoiseReduction::FarField))
        .truncation(Truncation::Retain { ratio: 0.8 })
        .effort(Some(Effort::Low))
        .parallel_tool_calls(Some(true))
        .output_tokens_max(Some(2_000));
    let one = |config: FakeOpenAiConfig, settings: OpenAiSettingsBuilder, format| -> Outcome {
        let (log, mut config) = (log.clone(), Some(config));
        talk(&OpenAi::new(settings.build()?), format, move |_, _| {
            let config = config.take().expect("a session dials once");
            Box::new(Tapped::new("openai", FakeOpenAi::new(config), &log))
        });
        Ok(())
    };
    one(FakeOpenAiConfig::new(1), settings(), AudioFormat::MULAW_8K)?;
    let deaf = FakeOpenAiConfig::new(2).rude(Rudeness::TranscriptionFails);
    one(deaf, other, AudioFormat::PCM16_24K)?;
    let broken = FakeOpenAiConfig::new(3).rude(Rudeness::FailServer).rude_from(3);
    one(broken, settings(), AudioFormat::ALAW_8K)
}

pub(crate) fn gemini(log: &Log) -> Outcome {
    let settings = || GeminiSettings::new(key()).url("ws://fake.example");
    let detection = Detection {
        start: Some(Sensitivity::Low),
        end: Some(Sensitivity::High),
        speech_needed: Some(Duration::from_millis(40)),
        silence: Some(Duration::from_millis(400)),
    };
    let newest = settings()
        .voice("Puck")
        .temperature(0.7)
        .top_p(0.9)
        .output_tokens_max(2_000)
        .detection(detection)
        .tool_behaviour(ToolBehaviour::NonBlocking)
        .scheduling(Scheduling::WhenIdle)
        .compress_at(60_000, 30_000);
    let middle = settings().model("gemini-3.1-flash-live-preview").thinking(Thinking::Low);
    let oldest = settings()
        .model("gemini-2.5-flash-native-audio-preview-12-2025")
        .thinking(Thinking::Budget(0))
        .affective_dialog(true)
        .proactive_audio(true);
    let one = |settings: GeminiSettingsBuilder, seed: u64| -> Outcome {
        let (log, memory, mut lines) = (log.clone(), FakeGeminiMemory::default(), 0);
        // So short that a session is resumed on the way.
        let config = FakeGeminiConfig::new(seed).go_away(Duration::from_secs(20), Duration::from_secs(5));
        talk(&Gemini::new(settings.build()?), AudioFormat::PCM16_16K, move |_, _| {
            lines += 1;
            let config = if lines < 3 { config.clone() } else { FakeGeminiConfig::new(seed + lines) };
            Box::new(Tapped::new("gemini", FakeGemini::new(config, memory.clone()), &log))
        });
        Ok(())
    };
    one(settings(), 1)?;
    one(newest, 2)?;
    one(middle, 3)?;
    one(oldest, 4)
}

pub(crate) fn agent(log: &Log) -> Outcome {
    let settings =
        || AgentSettings::new(Credential::ApiKey(key())).url("ws://fake.example/v1/agent/converse");
    let flux = Flux {
        eot_threshold: Some(0.8),
        eager_eot_threshold: Some(0.4),
        eot_timeout: Some(Duration::from_secs(4)),
        keyterms: vec!["Ada".to_owned()],
        ..Flux::default()
    };
    let nova = Nova { smart_format: true, keyterms: vec!["Ada".to_owned()], ..Nova::default() };
    let own =
        StageEndpoint::new("https://mind.example/v1/chat/completions").header("authorization", "Bearer x");
    let labs = StageEndpoint::new("wss://voice.example/v1/stream").header("xi-api-key", "x");
    let rich = settings()
        .listen(Listen::Flux(flux))
        .think([
            Think::open_ai("gpt-4o-mini").temperature(0.5),
            Think::google("gemini-2.5-flash"),
            Think::open_ai("own").endpoint(own).context_length(20_000),
        ])
        .speak([
            Speak::deepgram("aura-2-thalia-en").speed(1.1),
            Speak::eleven_labs("eleven_turbo_v2_5").endpoint(labs),
        ])
        .tags(["pilot".to_owned()])
        .mip_opt_out(true);
    let plain = settings().listen(Listen::Nova(nova)).greeting("Good morning.").verbatim_cues(true);
    for (seed, settings) in [(1, settings()), (2, rich), (3, plain)] {
        let log = log.clone();
        talk(&Agent::new(settings.build()?), AudioFormat::MULAW_8K, move |_, _| {
            Box::new(Tapped::new("agent", FakeDeepgram::new(seed, None, &[]), &log))
        });
    }
    Ok(())
}

pub(crate) fn pipeline(log: &Log) -> Outcome {
    let mind = || -> Result<ChatEndpoint, Box<dyn std::error::Error>> {
        Ok(ChatEndpoint::new("https://mind.example/v1", "gpt-4.1-mini")?.bearer(key()))
    };
    let rich = mind()?
        .answer_tokens_max(TokenLimit::MaxCompletionTokens, 300)
        .temperature(0.4)
        .reasoning_effort("low");
    let flux = EarsModel::Flux {
        model: "flux-general-en".to_owned(),
        eot_threshold: 0.7,
        eager_eot_threshold: Some(0.4),
        eot_timeout: Duration::from_secs(5),
    };
    let listen = PipelineSettings::builder(Credential::ApiKey(key()), mind()?)
        .ears(EarsModel::listen("nova-3"))
        .keyterms(["Ada".to_owned()])
        .speed(1.1);
    let flux =
        PipelineSettings::builder(Credential::ApiKey(key()), rich).ears(flux).keyterms(["Ada".to_owned()]);
    for (seed, settings) in [(1, listen), (2, flux)] {
        let (log, mut lines) = (log.clone(), 0);
        talk(&Pipeline::new(settings.build()?), AudioFormat::MULAW_8K, move |_, endpoint| {
            lines += 1;
            let seed = seed + lines;
            let deepgram = FakeDeepgram::new(seed, None, &[]);
            Box::new(match endpoint.url.as_str() {
                url if url.contains("/v1/chat/") => {
                    Tapped::new("llm", FakeLlm::new(seed, LlmProfile::OpenAi, &[]), &log)
                }
                url if url.contains("/v1/speak") => Tapped::new("speak", deepgram, &log),
                url if url.contains("/v2/listen") => Tapped::new("flux", deepgram, &log),
                _ => Tapped::new("listen", deepgram, &log),
            })
        });
    }
    Ok(())
}
