//! Calls of tools.

use voice_core::conversation::{ToolCall, ToolResult};
use voice_core::id::{AttachmentId, ToolCallId};
use voice_core::provider::{ProviderCommand, ProviderEvent};
use voice_core::sim::speech;

use super::world::{World, said, secs};

fn calls(events: &[ProviderEvent]) -> Vec<ToolCall> {
    let call = |event: &ProviderEvent| match event {
        ProviderEvent::ToolCall(call) => Some(call.clone()),
        _ => None,
    };
    events.iter().filter_map(call).collect()
}

fn answer(id: ToolCallId) -> ProviderCommand {
    ProviderCommand::Answer { id, result: ToolResult { output: r#"{"eta":"Friday"}"#.into(), failed: false } }
}

#[test]
fn a_tool_is_called_once_answered_and_told() {
    let mut world = World::polite(30).ready();
    world.says("order", secs(3));
    let events = world.harness.take_events();
    let calls = calls(&events);
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (calls[0].name.as_str(), calls[0].arguments.expose().as_str()),
        ("lookup_order", r#"{"number":"427"}"#)
    );
    assert_eq!(said(&events)[0].0, "One moment, let me look that up.");
    world.harness.command(answer(calls[0].id));
    // Twice, and to a call that nobody made: nothing happens.
    world.harness.command(answer(calls[0].id));
    world.harness.command(answer(ToolCallId::new(AttachmentId(1), 99)));
    world.harness.run_for(secs(4));
    let order = speech::voice("order").expect("recorded").text;
    assert_eq!(said(&world.harness.take_events())[0].0, order);
    let seen = world.seen();
    assert_eq!((seen.items.len(), seen.cues.len()), (1, 1));
    assert!(seen.items[0].contains(r#""output":"{\"eta\":\"Friday\"}""#), "{:?}", seen.items);
    assert_eq!(world.errors(), [] as [&str; 0]);
}

#[test]
fn a_quick_answer_waits_until_the_response_is_done() {
    let mut world = World::polite(31).ready();
    world.begins_to_say("order");
    world.harness.hear_silence(world.format, std::time::Duration::from_millis(560));
    assert!(world.wait(|event| matches!(event, ProviderEvent::ToolCall(_))));
    let id = calls(&world.harness.take_events())[0].id;
    world.harness.command(answer(id));
    world.harness.run_for(secs(4));
    assert_eq!(world.seen().responses, ["completed", "completed"]);
    assert_eq!(world.errors(), [] as [&str; 0]);
}

#[test]
fn an_answer_during_the_callers_speech_waits_for_their_turn_to_end() {
    let mut world = World::polite(33).ready();
    world.says("order", secs(3));
    let id = calls(&world.harness.take_events())[0].id;
    let hello = speech::caller("hello").expect("recorded").mulaw;
    let (first, rest) = hello.split_at(160 * 40);
    world.harness.hear(world.format, first);
    world.harness.command(answer(id));
    world.harness.hear(world.format, rest);
    world.harness.hear_silence(world.format, secs(8));
    let seen = world.seen();
    assert_eq!(
        seen.cues,
        [] as [Option<String>; 0],
        "the service answers by itself, and knows the tool's answer"
    );
    assert_eq!(seen.items.len(), 1);
    assert_eq!(world.errors(), [] as [&str; 0]);
    assert_eq!(said(&world.harness.take_events()).len(), 1, "one answer to what the caller said");
}
