//! The conversation so far, in the form that each family of models takes.

use voice_core::conversation::{ToolCall, ToolResult, Turn};
use voice_core::id::{AttachmentId, ToolCallId};
use voice_core::provider::{ProviderCommand, ReplyEnd};
use voice_providers::sim::gemini::FakeGeminiConfig;

use crate::world::{World, reply, settings, setup};

const V2_5: &str = "gemini-2.5-flash-native-audio-preview-12-2025";
const V3_1: &str = "gemini-3.1-flash-live-preview";
const V3_8: &str = "gemini-3.8-live";

fn every_kind() -> Vec<Turn> {
    let id = ToolCallId::new(AttachmentId(1), 1);
    let call = ToolCall { id, name: "lookup_order".into(), arguments: r#"{"number":"427"}"#.into() };
    vec![
        Turn::Voice { text: "Good morning.".into(), cut: false },
        Turn::Caller { text: "Where is my order?".into() },
        Turn::Tool { call, result: Some(ToolResult { output: "on its way".into(), failed: false }) },
        Turn::Note { text: "the caller pressed 3".into() },
        Turn::Voice { text: "It will reach".into(), cut: true },
    ]
}

fn world(model: &str, history: Vec<Turn>) -> World {
    let mut world = World::with(FakeGeminiConfig::new(1), settings().model(model), setup(history));
    world.until(|world| world.is_ready(), 5);
    world
}

fn roles(world: &World) -> String {
    world.seen().turns.iter().map(|(role, _)| format!("{role} ")).collect()
}

#[test]
fn every_kind_of_turn_is_given_before_anything_else() {
    for model in [V2_5, V3_1, V3_8] {
        let mut world = world(model, every_kind());
        assert!(world.seen().turns.is_empty(), "not before it is known whether it is to speak");
        world.switch_mic(true);
        world.run(300);
        let seen = world.seen();
        assert_eq!(seen.turns[0], ("model".into(), "Good morning.".into()), "{model}");
        assert_eq!(
            seen.turns[1].1,
            "Where is my order? | [Note: the tool lookup_order was called with {\"number\":\"427\"} and \
             answered: on its way] | [Note: the caller pressed 3]"
        );
        assert_eq!(seen.turns[2], ("model".into(), "It will reach…".into()));
        assert!(seen.audio_ms > 200, "and then it hears");
        assert!(seen.closes.is_empty(), "{model}: {:?}", seen.closes);
        let announced = &seen.setups[0]["historyConfig"]["initialHistoryInClientContent"];
        assert_eq!(announced.as_bool(), (model != V2_5).then_some(true), "{model}");
    }
}

#[test]
fn the_oldest_family_is_given_a_last_word_of_the_caller() {
    let mut world = world(V2_5, every_kind());
    world.switch_mic(true);
    world.run(300);
    assert_eq!(roles(&world), "model user model user ");
    assert!(world.seen().turns[3].1.contains("Let them speak first"));
}

#[test]
fn whoever_is_to_speak_is_told_so_with_the_history() {
    let cue = "Say that you are back.";
    let mut world = world(V2_5, every_kind());
    world.switch_mic(true);
    world.speak(Some(cue));
    world.until_replies(1);
    let seen = world.seen();
    assert_eq!(seen.turns.last().map(|(_, text)| text.as_str()), Some(cue));
    assert!(seen.texts.is_empty());
    for model in [V3_1, V3_8] {
        let mut world = self::world(model, every_kind());
        world.switch_mic(true);
        world.speak(Some(cue));
        world.until_replies(1);
        assert_eq!(roles(&world), "model user model ", "{model}");
        assert_eq!(world.seen().texts, [cue]);
        assert_eq!(world.ends(), [(reply(1), ReplyEnd::Completed)]);
    }
}

#[test]
fn a_history_that_ends_with_the_caller_is_answered_by_the_oldest_family() {
    let mut world = world(V2_5, vec![Turn::Caller { text: "What are your opening hours?".into() }]);
    world.speak(None);
    world.until_replies(1);
    assert_eq!(roles(&world), "user ");
    world.run(3_000);
    assert_eq!(world.ends().len(), 1, "once");
}

#[test]
fn what_was_said_during_the_warm_up_joins_the_history() {
    for model in [V2_5, V3_1, V3_8] {
        let mut world = world(model, every_kind());
        world.command(ProviderCommand::CatchUp(vec![Turn::Caller { text: "Are you there?".into() }]));
        world.switch_mic(true);
        world.run(300);
        assert_eq!(roles(&world), "model user model user ", "{model}");
        assert_eq!(world.seen().turns[3].1, "Are you there?");
        assert!(world.seen().closes.is_empty());
    }
}

#[test]
fn without_a_history_none_is_announced() {
    for model in [V2_5, V3_1, V3_8] {
        let mut world = world(model, Vec::new());
        world.switch_mic(true);
        world.run(200);
        assert_eq!(world.seen().setups[0].get("historyConfig"), None);
        assert!(world.seen().turns.is_empty() && world.seen().audio_ms > 0);
    }
}

#[test]
fn turns_later_on_are_given_as_each_family_takes_them() {
    let late = || ProviderCommand::CatchUp(vec![Turn::Caller { text: "I pressed it.".into() }]);
    for (model, texts) in [(V2_5, 0), (V3_8, 0), (V3_1, 1)] {
        let mut world = world(model, Vec::new());
        world.switch_mic(true);
        world.speak(None);
        world.until_replies(1);
        world.run(7_000);
        let before = world.seen().texts.len();
        world.command(late());
        world.run(3_000);
        assert_eq!(world.seen().texts.len(), before, "{model}: a text would be answered");
        assert_eq!(world.ends().len(), 1, "{model}: nobody asked");
        world.say("hello");
        world.until_replies(2);
        world.run(7_000);
        assert_eq!(world.seen().texts.len() - before, texts, "{model}");
        assert_eq!(world.ends().len(), 2, "{model}: one turn, one answer");
        assert!(world.seen().closes.is_empty(), "{model}: {:?}", world.seen().closes);
    }
}

#[test]
fn a_note_does_not_interrupt_the_voice() {
    let mut world = world(V3_8, Vec::new());
    world.switch_mic(true);
    world.say("delivery");
    world.until(|world| world.spoken(reply(1)).as_millis() > 500, 20);
    world.command(ProviderCommand::Note("the caller pressed 3".to_owned().into()));
    world.run(200);
    assert!(world.seen().turns.is_empty(), "it waits");
    world.until(|world| !world.seen().turns.is_empty(), 20);
    assert_eq!(world.seen().turns[0].1, "[Note: the caller pressed 3]");
    assert_eq!(world.ends(), [(reply(1), ReplyEnd::Completed)]);
}
