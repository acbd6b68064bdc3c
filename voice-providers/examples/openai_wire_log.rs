//! Prints every message of some simulated conversations with OpenAI Realtime, one JSON object a line:
//! `{"from": "session" or "service", "event": …}`. `scripts/check-openai-sdk` compares them with the types
//! of the official SDK.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::conversation::{Heard, ToolCall, ToolDefinition, ToolResult, Turn};
use voice_core::id::{AttachmentId, CorrelationId, ReplyId, ToolCallId};
use voice_core::provider::{Provider, ProviderCommand, ProviderEvent, Setup};
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{FakeService, ServiceInput, ServiceOutput};
use voice_core::sim::speech;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::WireMessage;
use voice_providers::openai::{
    Eagerness, Effort, NoiseReduction, OpenAi, OpenAiSettings, Truncation, TurnDetection,
};
use voice_providers::openai::{OpenAiSettingsBuilder, SettingsError};
use voice_providers::sim::harness::Harness;
use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig, Rudeness};

/// What both sides said, in order.
type Log = Arc<Mutex<Vec<(&'static str, WireMessage)>>>;

/// A fake whose every message is written down.
struct Tapped(FakeOpenAi, Log);

impl FakeService for Tapped {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        if let ServiceInput::Wire(message) = input {
            note(&self.1, "session", message);
        }
        self.0.handle(now, input);
    }

    fn poll(&mut self) -> ServiceOutput {
        let output = self.0.poll();
        if let ServiceOutput::Send(message) = &output {
            note(&self.1, "service", message);
        }
        output
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = Log::default();
    let plain = settings();
    let semantic = TurnDetection::SemanticVad { eagerness: Eagerness::High };
    let other = settings()
        .turn_detection(semantic)
        .interrupts(false)
        .noise_reduction(Some(NoiseReduction::FarField))
        .truncation(Truncation::Retain { ratio: 0.8 })
        .effort(Some(Effort::Low))
        .parallel_tool_calls(Some(true))
        .output_tokens_max(Some(2_000));
    talk(&log, FakeOpenAiConfig::new(1), plain, AudioFormat::MULAW_8K)?;
    talk(&log, FakeOpenAiConfig::new(2).rude(Rudeness::TranscriptionFails), other, AudioFormat::PCM16_24K)?;
    talk(
        &log,
        FakeOpenAiConfig::new(3).rude(Rudeness::FailServer).rude_from(3),
        settings(),
        AudioFormat::ALAW_8K,
    )?;
    let mut out = io::stdout().lock();
    for (from, message) in log.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let text = String::from_utf8_lossy(message.as_bytes());
        writeln!(out, r#"{{"from":"{from}","event":{text}}}"#)?;
    }
    Ok(())
}

fn note(log: &Log, from: &'static str, message: &WireMessage) {
    log.lock().unwrap_or_else(PoisonError::into_inner).push((from, message.clone()));
}

fn settings() -> OpenAiSettingsBuilder {
    OpenAiSettings::new(Secret::new("sk-example".to_owned())).url("ws://fake/v1/realtime")
}

/// A greeting, a question, a tool, two interruptions.
fn talk(
    log: &Log,
    config: FakeOpenAiConfig,
    settings: OpenAiSettingsBuilder,
    format: AudioFormat,
) -> Result<(), SettingsError> {
    let session = OpenAi::new(settings.build()?).open(setup(format));
    let mut fake = Some(Tapped(FakeOpenAi::new(config), Arc::clone(log)));
    let mut harness = Harness::new(AttachmentId(1), session, Duration::from_millis(30), move |_, _| {
        Box::new(fake.take().expect("a session dials once"))
    });
    let limit = Duration::from_secs(5);
    harness.run_until(limit, |event| matches!(event, ProviderEvent::Ready { .. }));
    harness.command(ProviderCommand::Speak { cue: Some("Greet the caller.".to_owned()) });
    harness.run_for(limit);
    for (name, then) in [("order", 3_000), ("delivery", 1_900), ("price", 3_000), ("thanks", 1_500)] {
        let clip = speech::caller(name).map_or(&[][..], |clip| clip.mulaw);
        let bytes_per_sample = format.bytes_per_ms() / 8;
        let audio: Vec<u8> =
            clip.iter().flat_map(|code| std::iter::repeat_n(*code, bytes_per_sample)).collect();
        harness.hear(format, &audio);
        harness.hear_silence(format, Duration::from_millis(then));
        for event in harness.take_events() {
            if let ProviderEvent::ToolCall(call) = event {
                let result = ToolResult { output: "on its way".into(), failed: false };
                harness.command(ProviderCommand::Answer { id: call.id, result });
            } else if let ProviderEvent::Speech { reply, .. } = event {
                interrupt(&mut harness, reply);
            }
        }
    }
    harness.command(ProviderCommand::Note("The caller pressed 5.".to_owned().into()));
    harness.run_for(limit);
    Ok(())
}

/// Of every second reply the caller heard half a second, of the others nothing.
fn interrupt(harness: &mut Harness, reply: ReplyId) {
    let heard = Duration::from_millis(u64::from(reply.number() % 2) * 500);
    let heard = Heard { reply, heard, unheard: Duration::from_secs(1) };
    harness.command(ProviderCommand::Interrupt(vec![heard]));
}

fn setup(format: AudioFormat) -> Setup {
    let call = ToolCall {
        id: ToolCallId::new(AttachmentId(0), 1),
        name: "lookup_order".to_owned(),
        arguments: r#"{"number":"427"}"#.into(),
    };
    let lookup = ToolDefinition {
        name: "lookup_order".to_owned(),
        description: "Finds an order by its number.".to_owned(),
        parameters: r#"{"type":"object","properties":{"number":{"type":"string"}}}"#.to_owned(),
    };
    Setup {
        attachment: AttachmentId(1),
        correlation: CorrelationId::from_static("example"),
        instructions: "You answer the phone of a book shop.".into(),
        tools: Arc::new([lookup]),
        history: vec![
            Turn::Voice { text: "Good morning.".into(), cut: false },
            Turn::Tool { call, result: None },
            Turn::Note { text: "The caller is a regular.".into() },
        ],
        hears: format,
        speaks: format,
        language: Some("en".to_owned()),
        unix: UnixMillis(1_795_230_000_000),
    }
}
