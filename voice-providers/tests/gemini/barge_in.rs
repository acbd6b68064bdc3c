//! Interruptions: noticed by us, by the service, by both, by only one of them.

use voice_core::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use voice_providers::sim::gemini::{FakeGeminiConfig, Rudeness};

use crate::world::{World, reply};

fn spoke(world: &World) -> usize {
    world.events.iter().filter(|(_, event)| matches!(event, ProviderEvent::CallerSpoke(_))).count()
}

/// A world in which the voice is speaking of deliveries.
fn speaking(config: FakeGeminiConfig) -> World {
    let mut world = World::ready(config);
    world.say("delivery");
    world.until(|world| world.spoken(reply(1)).as_millis() > 3_000, 20);
    world
}

#[test]
fn the_reply_is_cancelled_and_the_next_one_answers() {
    let mut world = speaking(FakeGeminiConfig::new(1));
    world.say("price");
    world.run(60);
    // The bridge's detector is quicker than the service.
    world.interrupt(reply(1));
    world.until_replies(2);
    assert_eq!(world.ends(), [(reply(1), ReplyEnd::Cancelled), (reply(2), ReplyEnd::Completed)]);
    assert_eq!(spoke(&world), 0, "the call knew already");
    assert!(world.words(reply(2)).contains("three euros"));
    world.run(4_000);
    assert_eq!(
        world.said(),
        ["Please tell me about your delivery service.", "Sorry, stop. How much does it cost?"]
    );
}

#[test]
fn what_only_the_service_noticed_is_told_before_the_reply_ends() {
    let mut world = speaking(FakeGeminiConfig::new(2));
    world.say("price");
    world.until(|world| !world.ends().is_empty(), 10);
    let told = world.told();
    let end = told.iter().position(|line| line == "r3.1 Cancelled").expect("it is cancelled");
    assert_eq!(told[end - 2..end], ["u3.2 spoke", "u3.2 paused"]);
    world.run(5_000);
    let words = "u3.2 said: Sorry, stop. How much does it cost?".to_owned();
    assert!(world.told().contains(&words), "they belong to the utterance that was noticed");
}

#[test]
fn an_interruption_after_the_last_audio_is_told_too() {
    // The reply was generated in a third of the time that it takes to hear it.
    let mut world = World::ready(FakeGeminiConfig::new(3));
    world.say("delivery");
    world.until_replies(1);
    assert_eq!(world.ends(), [(reply(1), ReplyEnd::Completed)]);
    world.say("price");
    world.until_replies(2);
    assert_eq!(spoke(&world), 1);
    assert_eq!(world.ends()[1], (reply(2), ReplyEnd::Completed));
    assert_eq!(world.seen().interruptions, 1);
}

#[test]
fn a_false_interruption_is_passed_on_and_the_voice_is_asked_to_go_on() {
    let mut world = World::ready(FakeGeminiConfig::new(4).rude(Rudeness::FalseInterruption));
    world.say("delivery");
    world.until_replies(1);
    assert_eq!(world.ends(), [(reply(1), ReplyEnd::Cancelled)]);
    world.until_replies(2);
    assert_eq!(world.seen().texts, ["[Please go on.]"]);
}

#[test]
fn a_service_that_goes_on_talking_is_asked_once_the_caller_is_quiet() {
    let mut world = speaking(FakeGeminiConfig::new(5).rude(Rudeness::KeepsTalking));
    world.interrupt(reply(1));
    world.until_replies(1);
    assert_eq!(world.ends(), [(reply(1), ReplyEnd::Completed)], "its end is told; the call plays none of it");
    world.until(|world| !world.seen().texts.is_empty(), 20);
    world.until_replies(2);
}

#[test]
fn a_turn_that_is_never_completed_does_not_swallow_the_next() {
    let mut world = speaking(FakeGeminiConfig::new(6).rude(Rudeness::NoTurnComplete));
    world.say("price");
    world.until_replies(2);
    world.run(8_000);
    world.say("thanks");
    world.until_replies(3);
    world.run(5_000);
    assert_eq!(
        world.ends(),
        [(reply(1), ReplyEnd::Cancelled), (reply(2), ReplyEnd::Completed), (reply(3), ReplyEnd::Completed)]
    );
}

#[test]
fn nothing_is_sent_for_an_interruption() {
    let mut world = World::new(FakeGeminiConfig::new(7));
    world.until(|world| world.is_ready(), 5);
    world.speak(None);
    world.until(|world| world.spoken(reply(1)).as_millis() > 200, 5);
    let texts = world.seen().texts.len();
    world.command(ProviderCommand::Interrupt(Vec::new()));
    world.interrupt(reply(1));
    world.run(1_000);
    assert_eq!((world.seen().texts.len(), world.seen().turns.len()), (texts, 0));
}
