//! Taking over in the middle of a conversation.

use expect_test::expect;
use voice_core::conversation::{ToolCall, ToolResult, Turn};
use voice_core::id::{AttachmentId, ToolCallId};
use voice_core::provider::{ProviderCommand, ProviderEvent};
use voice_core::sim::speech;
use voice_core::time::MonoTime;
use voice_providers::sim::openai::{FakeOpenAiConfig, Rudeness};

use super::world::{World, said, secs, settings, setup};

fn history() -> Vec<Turn> {
    let call = |n| ToolCall {
        id: ToolCallId::new(AttachmentId(0), n),
        name: "lookup_order".into(),
        arguments: r#"{"number":"427"}"#.into(),
    };
    let result = ToolResult { output: "on its way".into(), failed: false };
    vec![
        Turn::Voice { text: "Good morning.".into(), cut: false },
        Turn::Caller { text: "".into() },
        Turn::Voice { text: "We deliver to every".into(), cut: true },
        Turn::Voice { text: " ".into(), cut: true },
        Turn::Note { text: "The caller pressed 5.".into() },
        Turn::Tool { call: call(1), result: Some(result) },
        Turn::Tool { call: call(2), result: None },
        Turn::Caller { text: "What are your opening hours?".into() },
    ]
}

fn world(config: FakeOpenAiConfig) -> World {
    let mut setup = setup();
    setup.history = history();
    World::with(config, settings(), setup)
}

#[test]
fn every_kind_of_turn_is_told_in_the_form_the_service_takes() {
    let mut world = world(FakeOpenAiConfig::new(40)).ready();
    assert_eq!(world.errors(), [] as [&str; 0]);
    expect![[r#"
        {"content":[{"text":"Good morning.","type":"output_text"}],"id":"told_1_1","role":"assistant","type":"message"}
        {"content":[{"text":"[something that could not be understood]","type":"input_text"}],"id":"told_1_2","role":"user","type":"message"}
        {"content":[{"text":"We deliver to every…","type":"output_text"}],"id":"told_1_3","role":"assistant","type":"message"}
        {"content":[{"text":"The caller pressed 5.","type":"input_text"}],"id":"told_1_4","role":"system","type":"message"}
        {"arguments":"{\"number\":\"427\"}","call_id":"call_0_1","id":"told_1_5","name":"lookup_order","type":"function_call"}
        {"call_id":"call_0_1","id":"told_1_6","output":"on its way","type":"function_call_output"}
        {"arguments":"{\"number\":\"427\"}","call_id":"call_0_2","id":"told_1_7","name":"lookup_order","type":"function_call"}
        {"call_id":"call_0_2","id":"told_1_8","output":"Still running. The result will be told as soon as it is known.","type":"function_call_output"}
        {"content":[{"text":"What are your opening hours?","type":"input_text"}],"id":"told_1_9","role":"user","type":"message"}"#]].assert_eq(&world.seen().items.join("\n"));
    // Everything was acknowledged when it became ready: three rounds of 60 ms.
    assert!(world.harness.now() < MonoTime::from_millis(300), "{}", world.harness.now());
    world.harness.command(ProviderCommand::Speak { cue: None });
    world.harness.run_for(secs(4));
    assert_eq!(said(&world.harness.take_events())[0].0, speech::voice("hours").expect("recorded").text);
}

#[test]
fn a_service_that_acknowledges_nothing_is_trusted_after_a_second() {
    let world = world(FakeOpenAiConfig::new(41).rude(Rudeness::NoAcks)).ready();
    assert!(world.harness.now() > MonoTime::from_millis(1_000));
    assert!(world.harness.now() < MonoTime::from_millis(1_500), "{}", world.harness.now());
}

#[test]
fn what_was_said_since_is_told_before_the_caller_is_heard() {
    let mut world = world(FakeOpenAiConfig::new(42)).ready();
    let before = world.seen().items.len();
    let late = ToolCall {
        id: ToolCallId::new(AttachmentId(0), 2),
        name: "lookup_order".into(),
        arguments: "{}".into(),
    };
    let result = ToolResult { output: "lost".into(), failed: true };
    world.harness.command(ProviderCommand::CatchUp(vec![
        Turn::Tool { call: late, result: Some(result) },
        Turn::Caller { text: "Thank you very much.".into() },
    ]));
    world.harness.command(ProviderCommand::Note("The caller is on hold.".to_owned().into()));
    world.harness.run_for(secs(1));
    assert_eq!(world.errors(), [] as [&str; 0]);
    let told = world.seen().items[before..].join("\n");
    assert_eq!(world.seen().items.len(), before + 3);
    assert!(told.contains("has now answered: lost") && told.contains("on hold"), "{told}");
    assert!(!world.harness.take_events().iter().any(|event| matches!(event, ProviderEvent::Failed(_))));
}
