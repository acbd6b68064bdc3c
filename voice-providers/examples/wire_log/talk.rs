//! One conversation: a greeting, a question, a tool, two interruptions, a note.

use std::sync::Arc;
use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::audio::convert::Converter;
use voice_core::conversation::{Heard, ToolCall, ToolDefinition, ToolResult, Turn};
use voice_core::id::{AttachmentId, CorrelationId, LineId, ReplyId, ToolCallId};
use voice_core::provider::{CallerSpeech, Provider, ProviderCommand, ProviderEvent, Setup};
use voice_core::sim::peer::FakeService;
use voice_core::sim::speech;
use voice_core::time::UnixMillis;
use voice_core::wire::Endpoint;
use voice_providers::sim::harness::Harness;

/// Where one message ends and the next begins is none of the conversation's business.
const LIMIT: Duration = Duration::from_secs(8);

/// Talks, in the format that is heard and spoken; `fakes` answer its lines.
pub(crate) fn talk(
    provider: &dyn Provider,
    format: AudioFormat,
    fakes: impl FnMut(LineId, &Endpoint) -> Box<dyn FakeService> + 'static,
) {
    let session = provider.open(setup(format));
    let mut harness = Harness::new(AttachmentId(1), session, Duration::from_millis(30), fakes);
    if provider.capabilities().caller_speech != CallerSpeech::Told {
        harness = harness.caller_is_detected();
    }
    harness.run_until(LIMIT, |event| matches!(event, ProviderEvent::Ready { .. }));
    harness.command(ProviderCommand::Speak { cue: Some("Greet the caller.".to_owned()) });
    harness.run_for(LIMIT);
    for (name, then) in [("order", 6_000), ("delivery", 1_900), ("price", 3_000), ("thanks", 2_500)] {
        let clip = speech::caller(name).map_or(&[][..], |clip| clip.mulaw);
        let audio = Converter::new(AudioFormat::MULAW_8K, format).convert(clip.to_vec().into()).to_vec();
        harness.hear(format, &audio);
        listen(&mut harness, format, Duration::from_millis(then));
    }
    harness.command(ProviderCommand::Note("The caller pressed 5.".to_owned().into()));
    listen(&mut harness, format, Duration::from_secs(2));
    harness.command(ProviderCommand::Close);
    harness.run_for(Duration::from_secs(1));
}

/// The caller listens; tools are answered on the way, and replies are interrupted at its end.
fn listen(harness: &mut Harness, format: AudioFormat, duration: Duration) {
    let mut last = None;
    for _ in 0..duration.as_millis() / 100 {
        harness.hear_silence(format, Duration::from_millis(100));
        for event in harness.take_events() {
            if let ProviderEvent::ToolCall(call) = event {
                let result = ToolResult { output: r#"{"arrives":"Friday"}"#.into(), failed: false };
                harness.command(ProviderCommand::Answer { id: call.id, result });
            } else if let ProviderEvent::Speech { reply, .. } = event {
                last = Some(reply);
            }
        }
    }
    last.into_iter().for_each(|reply| interrupt(harness, reply));
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
    let result = ToolResult { output: r#"{"arrives":"Friday"}"#.into(), failed: false };
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
            Turn::Tool { call: call.clone(), result: Some(result) },
            Turn::Tool { call, result: None },
            Turn::Note { text: "The caller is a regular.".into() },
        ],
        hears: format,
        speaks: format,
        language: Some("en".to_owned()),
        unix: UnixMillis(1_795_230_000_000),
    }
}
