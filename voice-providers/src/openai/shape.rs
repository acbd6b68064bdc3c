//! Our settings and the call's wishes in the service's form: where to dial, and `session.update`.

use std::time::Duration;

use voice_core::audio::{AudioFormat, Encoding};
use voice_core::conversation::ToolDefinition;
use voice_core::failure::Failure;
use voice_core::provider::Setup;
use voice_core::wire::Endpoint;

use super::settings::{
    Eagerness, Effort, NoiseReduction, OpenAiSettings, Transcription, Truncation, TurnDetection,
};
use super::wire::{
    self, AudioShape, DetectionShape, FormatShape, InputShape, NoiseShape, OutputShape, ReasoningShape,
    SessionShape, ToolShape, TranscriptionShape, TruncationShape, VoiceShape,
};

/// Where the service is. Never with the header `OpenAI-Beta`, which is answered with a close since the
/// beta ended (protocol notes, OpenAI Realtime §16).
pub(super) fn endpoint(settings: &OpenAiSettings, setup: &Setup) -> Endpoint {
    let address = &settings.endpoint;
    let url = format!("{}?model={}", address.url, settings.model);
    let mut endpoint = Endpoint::web_socket(url)
        .header("authorization", format!("Bearer {}", address.key.expose()))
        .header("x-client-request-id", setup.correlation.as_str());
    if let Some(organization) = &address.organization {
        endpoint = endpoint.header("openai-organization", organization);
    }
    if let Some(project) = &address.project {
        endpoint = endpoint.header("openai-project", project);
    }
    endpoint
}

/// A tool whose parameters are no JSON object: the settings cannot be sent at all.
pub(super) fn unusable_tool(setup: &Setup) -> Option<String> {
    let tool = setup.tools.iter().find(|tool| wire::raw_object(&tool.parameters).is_none())?;
    Some(Failure::clean_code(&format!("tools.{}", tool.name)))
}

/// The whole of `session.update`.
pub(super) fn session<'a>(settings: &'a OpenAiSettings, setup: &'a Setup) -> SessionShape<'a> {
    SessionShape {
        kind: "realtime",
        output_modalities: ["audio"],
        instructions: &setup.instructions,
        audio: AudioShape {
            input: InputShape {
                format: format(setup.hears),
                noise_reduction: settings.noise_reduction.map(noise_reduction),
                transcription: settings.transcription.as_ref().map(|t| transcription(t, setup)),
                turn_detection: turn_detection(settings),
            },
            output: OutputShape {
                format: format(setup.speaks),
                voice: voice(&settings.voice),
                speed: settings.speed,
            },
        },
        tools: tools(setup),
        max_output_tokens: settings.limits.output_tokens_max,
        truncation: truncation(settings.limits.truncation),
        reasoning: settings.limits.effort.map(|effort| ReasoningShape { effort: effort_name(effort) }),
        parallel_tool_calls: settings.limits.parallel_tool_calls,
    }
}

/// The service's name of a format. It takes three; anything else is a mistake of whoever made the
/// [`Setup`], which the service will refuse.
pub(super) fn format(format: AudioFormat) -> FormatShape {
    match format.encoding {
        Encoding::Mulaw => FormatShape { kind: "audio/pcmu", rate: None },
        Encoding::Alaw => FormatShape { kind: "audio/pcma", rate: None },
        Encoding::Pcm16 => FormatShape { kind: "audio/pcm", rate: Some(format.rate.hz()) },
    }
}

fn noise_reduction(reduction: NoiseReduction) -> NoiseShape {
    NoiseShape {
        kind: match reduction {
            NoiseReduction::NearField => "near_field",
            NoiseReduction::FarField => "far_field",
        },
    }
}

fn transcription<'a>(transcription: &'a Transcription, setup: &'a Setup) -> TranscriptionShape<'a> {
    // Only the language counts here, not the country.
    let of_call = setup.language.as_deref().and_then(|tag| tag.split(['-', '_']).next());
    TranscriptionShape {
        model: &transcription.model,
        language: of_call.filter(|tag| !tag.is_empty()).or(transcription.language.as_deref()),
        prompt: transcription.prompt.as_deref(),
    }
}

fn turn_detection(settings: &OpenAiSettings) -> DetectionShape {
    let interrupt_response = settings.interrupts;
    match &settings.turn_detection {
        TurnDetection::ServerVad { threshold, prefix_padding, silence, idle_timeout } => {
            DetectionShape::ServerVad {
                threshold: *threshold,
                prefix_padding_ms: millis(*prefix_padding),
                silence_duration_ms: millis(*silence),
                create_response: true,
                interrupt_response,
                idle_timeout_ms: idle_timeout.map(millis),
            }
        }
        TurnDetection::SemanticVad { eagerness } => DetectionShape::SemanticVad {
            eagerness: match eagerness {
                Eagerness::Low => "low",
                Eagerness::Medium => "medium",
                Eagerness::High => "high",
                Eagerness::Auto => "auto",
            },
            create_response: true,
            interrupt_response,
        },
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn voice(voice: &str) -> VoiceShape<'_> {
    if voice.starts_with("voice_") { VoiceShape::Custom { id: voice } } else { VoiceShape::Named(voice) }
}

fn tools(setup: &Setup) -> Vec<ToolShape<'_>> {
    setup.tools.iter().filter_map(tool).collect()
}

fn tool(tool: &ToolDefinition) -> Option<ToolShape<'_>> {
    Some(ToolShape {
        kind: "function",
        name: &tool.name,
        description: &tool.description,
        parameters: wire::raw_object(&tool.parameters)?,
    })
}

fn truncation(truncation: Truncation) -> TruncationShape {
    match truncation {
        Truncation::Auto => TruncationShape::Named("auto"),
        Truncation::Disabled => TruncationShape::Named("disabled"),
        Truncation::Retain { ratio } => {
            TruncationShape::Retention { kind: "retention_ratio", retention_ratio: ratio }
        }
    }
}

const fn effort_name(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::ExtraHigh => "xhigh",
    }
}
