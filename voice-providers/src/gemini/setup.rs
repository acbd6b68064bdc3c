//! The first message of a connection: everything the model is told about its task.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use voice_core::conversation::ToolDefinition;
use voice_core::failure::Failure;
use voice_core::wire::WireMessage;

use super::quirks::History;
use super::settings::{Detection, GeminiSettings, Scheduling, Sensitivity, Thinking, ToolBehaviour};
use super::wire::{
    ActivityDetection, Compression, Content, Empty, FunctionDeclaration, GenerationConfig, HistoryConfig,
    PrebuiltVoice, Proactivity, RealtimeInputConfig, SessionResumption, Setup, SlidingWindow, SpeechConfig,
    TextPart, ThinkingConfig, ToGemini, Tool, VoiceConfig,
};

/// What stays the same over all connections of one session.
#[derive(Debug)]
pub(super) struct Task {
    instructions: String,
    tools: Arc<[ToolDefinition]>,
    schemas: Vec<Box<RawValue>>,
}

impl Task {
    /// # Errors
    /// The parameters of a tool are not JSON.
    pub(super) fn new(
        instructions: &str,
        language: Option<&str>,
        tools: Arc<[ToolDefinition]>,
    ) -> Result<Self, Failure> {
        let schema = |tool: &ToolDefinition| {
            RawValue::from_string(tool.parameters.clone()).map_err(|_| Failure::Settings {
                code: Failure::clean_code(&format!("tools.{}.parameters", tool.name)),
            })
        };
        let schemas = tools.iter().map(schema).collect::<Result<_, _>>()?;
        let mut instructions = instructions.to_owned();
        // Some native-audio models refuse a language as a setting; all of them read.
        if let Some(language) = language {
            instructions.push_str("\n\nThe caller's language (BCP 47): ");
            instructions.push_str(language);
            instructions.push('.');
        }
        Ok(Self { instructions, tools, schemas })
    }

    /// The message. With a handle the session goes on where it was.
    pub(super) fn message(
        &self,
        settings: &GeminiSettings,
        handle: Option<&str>,
        has_history: bool,
    ) -> WireMessage {
        let announced = has_history && settings.quirks().history == History::Announced;
        let setup = Setup {
            model: settings.model_path(),
            generation_config: generation_config(settings),
            system_instruction: self.system_instruction(),
            tools: self.declarations(settings),
            realtime_input_config: realtime_input_config(&settings.detection),
            input_audio_transcription: settings.transcripts.caller.then_some(Empty {}),
            output_audio_transcription: settings.transcripts.voice.then_some(Empty {}),
            session_resumption: settings.resumes.then_some(SessionResumption { handle }),
            context_window_compression: settings.compression.map(|compression| Compression {
                trigger_tokens: compression.tokens.map(|(trigger, _)| trigger),
                sliding_window: SlidingWindow { target_tokens: compression.tokens.map(|(_, target)| target) },
            }),
            history_config: announced.then_some(HistoryConfig { initial_history_in_client_content: true }),
            proactivity: settings.generation.proactive.map(|proactive_audio| Proactivity { proactive_audio }),
        };
        ToGemini::Setup(Box::new(setup)).message()
    }

    fn system_instruction(&self) -> Option<Content> {
        let text = self.instructions.trim();
        let part = TextPart { text: text.to_owned() };
        (!text.is_empty()).then(|| Content { role: None, parts: vec![part] })
    }

    fn declarations(&self, settings: &GeminiSettings) -> Vec<Tool<'_>> {
        let behavior = settings.tools.behaviour.map(|behaviour| match behaviour {
            ToolBehaviour::Blocking => "BLOCKING",
            ToolBehaviour::NonBlocking => "NON_BLOCKING",
        });
        let function_declarations: Vec<_> = self
            .tools
            .iter()
            .zip(&self.schemas)
            .map(|(tool, schema)| FunctionDeclaration {
                name: &tool.name,
                description: &tool.description,
                parameters_json_schema: schema,
                behavior,
            })
            .collect();
        if function_declarations.is_empty() { Vec::new() } else { vec![Tool { function_declarations }] }
    }
}

/// What an answer that the model did not wait for is marked with.
pub(super) fn scheduling(settings: &GeminiSettings) -> Option<&'static str> {
    settings.tools.scheduling.map(|scheduling| match scheduling {
        Scheduling::Silent => "SILENT",
        Scheduling::WhenIdle => "WHEN_IDLE",
        Scheduling::Interrupt => "INTERRUPT",
    })
}

fn generation_config(settings: &GeminiSettings) -> GenerationConfig<'_> {
    let generation = &settings.generation;
    GenerationConfig {
        response_modalities: ["AUDIO"],
        temperature: generation.temperature,
        top_p: generation.top_p,
        max_output_tokens: generation.output_tokens_max,
        speech_config: SpeechConfig {
            voice_config: VoiceConfig {
                prebuilt_voice_config: PrebuiltVoice { voice_name: &settings.voice },
            },
        },
        thinking_config: generation.thinking.map(thinking_config),
        enable_affective_dialog: generation.affective.then_some(true),
    }
}

fn thinking_config(thinking: Thinking) -> ThinkingConfig {
    let level = |level| ThinkingConfig { thinking_budget: None, thinking_level: Some(level) };
    match thinking {
        Thinking::Budget(tokens) => ThinkingConfig { thinking_budget: Some(tokens), thinking_level: None },
        Thinking::Minimal => level("MINIMAL"),
        Thinking::Low => level("LOW"),
        Thinking::Medium => level("MEDIUM"),
        Thinking::High => level("HIGH"),
    }
}

fn realtime_input_config(detection: &Detection) -> Option<RealtimeInputConfig> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let automatic_activity_detection = ActivityDetection {
        start_of_speech_sensitivity: detection.start.map(|sensitivity| match sensitivity {
            Sensitivity::Low => "START_SENSITIVITY_LOW",
            Sensitivity::High => "START_SENSITIVITY_HIGH",
        }),
        end_of_speech_sensitivity: detection.end.map(|sensitivity| match sensitivity {
            Sensitivity::Low => "END_SENSITIVITY_LOW",
            Sensitivity::High => "END_SENSITIVITY_HIGH",
        }),
        prefix_padding_ms: detection.speech_needed.map(millis),
        silence_duration_ms: detection.silence.map(millis),
    };
    (automatic_activity_detection != ActivityDetection::default())
        .then_some(RealtimeInputConfig { automatic_activity_detection })
}
