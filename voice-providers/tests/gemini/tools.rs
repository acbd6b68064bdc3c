//! Tools: one, several, twice the same, none at all; cancelled, failed, unknown, without an id.

use voice_core::conversation::ToolResult;
use voice_core::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use voice_providers::gemini::{Scheduling, ToolBehaviour};
use voice_providers::sim::gemini::{FakeGeminiConfig, Profile, Rudeness};

use crate::world::{World, reply, settings, setup};

const BLOCKING: &str = "gemini-3.1-flash-live-preview";

fn calls(world: &World) -> Vec<String> {
    world.told().into_iter().filter(|line| line.contains("lookup_order(")).collect()
}

fn blocking(config: FakeGeminiConfig) -> World {
    let mut world = World::with(config, settings().model(BLOCKING), setup(Vec::new()));
    world.become_ready();
    world
}

#[test]
fn a_tool_is_called_and_its_answer_spoken() {
    for mut world in [World::ready(FakeGeminiConfig::new(1)), blocking(FakeGeminiConfig::new(1))] {
        world.say("order");
        world.until_replies(2);
        assert_eq!(calls(&world), [r#"t3.1 lookup_order({"number":"427"})"#]);
        assert_eq!(world.words(reply(1)), "One moment, let me look that up.");
        assert!(world.words(reply(2)).starts_with("Your order left"));
        let answers = world.seen().answers;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0]["response"]["output"]["eta"], "Friday");
        assert_eq!(answers[0]["name"], "lookup_order");
        assert_eq!(world.ends()[0], (reply(1), ReplyEnd::Completed));
        assert_eq!(world.said(), ["Where is my order, number four two seven?"]);
    }
}

#[test]
fn no_audio_is_sent_while_a_model_waits_for_its_tool() {
    let mut world = blocking(FakeGeminiConfig::new(2));
    world.tool = None;
    world.say("order");
    world.until(|world| !calls(world).is_empty(), 20);
    world.run(100);
    let before = world.seen().audio_ms;
    world.run(3_000);
    assert_eq!(world.seen().audio_ms, before, "it would close with 1008");
    let id = world.events.iter().find_map(|(_, event)| match event {
        ProviderEvent::ToolCall(call) => Some(call.id),
        _ => None,
    });
    let result = ToolResult { output: "on Friday".into(), failed: false };
    world.command(ProviderCommand::Answer { id: id.expect("it was called"), result });
    world.run(1_000);
    assert!(world.seen().audio_ms >= before + 4_000, "what was held is given, and what came since");
    world.until_replies(2);
    assert!(world.seen().closes.is_empty());
}

#[test]
fn a_model_that_does_not_wait_goes_on_hearing() {
    let mut world = World::ready(FakeGeminiConfig::new(3));
    world.tool = None;
    world.say("order");
    world.until(|world| !calls(world).is_empty(), 20);
    let before = world.seen().audio_ms;
    world.run(1_000);
    assert!(world.seen().audio_ms >= before + 960);
}

#[test]
fn parallel_calls_are_answered_one_by_one() {
    for mut world in [
        World::ready(FakeGeminiConfig::new(4).rude(Rudeness::ToolsParallel)),
        blocking(FakeGeminiConfig::new(4).rude(Rudeness::ToolsParallel)),
    ] {
        world.say("order");
        world.until_replies(2);
        assert_eq!(calls(&world).len(), 3);
        assert_eq!(world.seen().answers.len(), 3);
        assert!(world.seen().closes.is_empty(), "{:?}", world.seen().closes);
    }
}

#[test]
fn the_same_call_twice_runs_once_and_both_are_answered() {
    let mut world = blocking(FakeGeminiConfig::new(5).rude(Rudeness::ToolTwice));
    world.say("order");
    world.until_replies(2);
    assert_eq!(calls(&world).len(), 1);
    assert_eq!(world.seen().answers.len(), 2);
    assert!(world.seen().closes.is_empty(), "{:?}", world.seen().closes);
}

#[test]
fn a_call_without_an_id_is_answered_by_name() {
    let mut world = blocking(FakeGeminiConfig::new(6).rude(Rudeness::ToolWithoutId));
    world.say("order");
    world.until_replies(2);
    assert_eq!(world.seen().answers[0].get("id"), None);
    assert!(world.seen().closes.is_empty(), "{:?}", world.seen().closes);
}

#[test]
fn a_tool_that_does_not_exist_is_the_calls_business() {
    let mut world = blocking(FakeGeminiConfig::new(7).rude(Rudeness::ToolUnknown));
    world.tool = Some(ToolResult { output: "there is no such tool".into(), failed: true });
    world.say("order");
    world.until_replies(2);
    assert!(world.told().iter().any(|line| line.contains("open_the_pod_bay_doors")));
    assert_eq!(world.seen().answers[0]["response"]["error"], "there is no such tool");
    assert!(world.words(reply(2)).starts_with("I am sorry"));
}

#[test]
fn a_cancelled_call_is_told_and_its_late_answer_dropped() {
    let mut world = blocking(FakeGeminiConfig::new(8).rude(Rudeness::ToolCancelled));
    world.tool = None;
    world.say("order");
    world.until(|world| world.told().contains(&"t3.1 cancelled".to_owned()), 20);
    let id = voice_core::id::ToolCallId::new(voice_core::id::AttachmentId(3), 1);
    let result = ToolResult { output: "late".into(), failed: false };
    world.command(ProviderCommand::Answer { id, result });
    world.run(1_000);
    assert!(world.seen().answers.is_empty());
    assert!(world.seen().closes.is_empty());
}

#[test]
fn a_barge_in_cancels_what_the_model_waits_for() {
    let mut world = World::ready(FakeGeminiConfig::new(9));
    world.tool = None;
    world.say("order");
    world.until(|world| !calls(world).is_empty(), 20);
    world.say("price");
    world.until(|world| world.told().contains(&"t3.1 cancelled".to_owned()), 10);
}

#[test]
fn answers_are_scheduled_as_set() {
    let settings = settings().tool_behaviour(ToolBehaviour::NonBlocking).scheduling(Scheduling::Interrupt);
    let config = FakeGeminiConfig::new(10).profile(Profile::V3_8);
    let mut world = World::with(config, settings, setup(Vec::new()));
    world.become_ready();
    world.say("order");
    world.until_replies(2);
    assert_eq!(world.seen().answers[0]["scheduling"], "INTERRUPT");
}

#[test]
fn a_tool_that_never_answers_leaves_the_conversation_alone() {
    let mut world = World::ready(FakeGeminiConfig::new(11));
    world.tool = None;
    world.say("order");
    world.until(|world| !calls(world).is_empty(), 20);
    world.run(6_000);
    world.say("thanks");
    world.until(|world| world.ends().len() >= 2, 20);
    assert!(world.words(reply(2)).contains("welcome"));
}
