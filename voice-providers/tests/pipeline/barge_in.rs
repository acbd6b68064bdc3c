//! The caller interrupts: what stops, what is remembered, and what goes on after a cough.

use std::time::Duration;

use voice_core::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use voice_core::sim::speech::{caller, voice};
use voice_core::wire::WireMessage;
use voice_providers::sim::deepgram::SpeechRudeness;

use crate::world::{World, eager, listen, polite, settings};

/// A sound without words: a tenth of a second of somebody's voice.
fn cough() -> &'static [u8] {
    &caller("hello").expect("a clip").mulaw[..1_200]
}

/// A world in which the long answer has been heard for some three seconds.
fn in_the_middle(model: voice_providers::deepgram::pipeline::EarsModel) -> World {
    let mut world = World::connected(settings().ears(model), polite());
    world.say("delivery");
    world.run(Duration::from_millis(1_000));
    while world.replies.is_empty() {
        world.run(Duration::from_millis(100));
    }
    world.run(Duration::from_secs(3));
    world
}

#[test]
fn only_what_was_heard_is_remembered() {
    for model in [listen(), eager()] {
        let mut world = in_the_middle(model.clone());
        world.exchange("price");
        let (_, first) = &world.replies[0];
        let heard = first.cut.expect("it was cut");
        assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(&heard), "{heard:?}");
        let request = world.requests().pop().expect("it was asked");
        assert!(request.contains("We deliver to every town"), "{request}");
        assert!(request.contains('…') && !request.contains("post office"), "{request}");
        // In proportion to the sound, give or take two words.
        let said = request.split("\"content\":\"We deliver").nth(1).and_then(|rest| rest.split('"').next());
        let said = format!("We deliver{}", said.expect("it is in the request"));
        let whole = voice("delivery").expect("a clip");
        let expected = whole.text.len() as f64 * heard.as_secs_f64() / whole.duration().as_secs_f64();
        assert!((said.len() as f64 - expected).abs() < 20.0, "{said} of {heard:?}, expected {expected}");
        assert_eq!(world.clips(), ["delivery", "price"], "{model:?}");
    }
}

#[test]
fn mind_and_voice_stop_at_once() {
    let mut world = World::connected(settings(), polite());
    world.say("delivery");
    world.run(Duration::from_millis(1_000));
    while world.replies.is_empty() {
        world.run(Duration::from_millis(20));
    }
    // The mind is still writing, the voice still speaking.
    assert!(world.replies[0].1.end.is_none());
    let message = r#"{"type":"TurnInfo","event":"StartOfTurn","turn_index":1,"transcript":"Stop"}"#;
    world.inject("listen", WireMessage::text(message));
    assert_eq!(world.replies[0].1.end, Some(ReplyEnd::Cancelled));
    assert_eq!(world.log("speak").last().map(String::as_str), Some("Clear"));
    assert_eq!(world.log("llm").last().map(String::as_str), Some("gone"));
    let speech = world.count(|event| matches!(event, ProviderEvent::Speech { .. }));
    world.run(Duration::from_secs(3));
    let later = world.count(|event| matches!(event, ProviderEvent::Speech { .. }));
    assert_eq!(later, speech, "stray audio of the service is not passed on");
}

#[test]
fn a_reply_that_nobody_heard_anything_of_was_never_said() {
    let mut world = World::connected(settings().ears(listen()), polite());
    world.say("delivery");
    // Just after the turn has ended the mind is at work, and nothing has been said.
    while world.requests().is_empty() {
        world.run(Duration::from_millis(20));
    }
    world.run(Duration::from_millis(60));
    world.exchange("price");
    assert_eq!(world.clips(), ["price"]);
    let request = world.requests().pop().expect("it was asked");
    assert!(!request.contains("We deliver"), "{request}");
    assert!(request.contains("delivery service.\\nSorry, stop."), "both sentences are one turn: {request}");
}

#[test]
fn a_cough_while_thinking_changes_nothing() {
    let mut world = World::connected(settings().ears(listen()), polite());
    world.say("hours");
    while world.requests().is_empty() {
        world.run(Duration::from_millis(20));
    }
    world.say_audio(cough());
    world.run(Duration::from_secs(9));
    assert_eq!(world.clips(), ["hours"]);
    assert_eq!(world.requests().len(), 1, "the thought was held, not dropped");
    assert_eq!(world.said(), ["What are your opening hours?", ""]);
}

#[test]
fn a_cough_while_speaking_stops_the_voice_and_it_goes_on() {
    let mut world = in_the_middle(listen());
    world.say_audio(cough());
    world.run(Duration::from_secs(9));
    let request = world.requests().pop().expect("it was asked");
    assert!(request.contains("Go on from where you were cut off"), "{request}");
    assert_eq!(world.clips(), ["delivery", "price"], "the fake goes on with another clip");
}

#[test]
fn a_cough_in_silence_is_answered_with_nothing() {
    let mut world = World::connected(settings().ears(listen()), polite());
    world.say_audio(cough());
    world.run(Duration::from_secs(4));
    assert_eq!(world.requests().len(), 0);
    assert_eq!(world.count(|event| matches!(event, ProviderEvent::CallerPaused(_))), 1);
    let ends: Vec<_> = world.replies.iter().map(|(_, reply)| (reply.end, reply.audio.len())).collect();
    assert_eq!(ends, [(Some(ReplyEnd::Completed), 0)], "so that nobody waits");
}

#[test]
fn mere_sound_need_not_interrupt() {
    let mut world = World::connected(settings().ears(listen()).barge_in_on_sound(false), polite());
    world.say_audio(cough());
    world.run(Duration::from_secs(4));
    assert_eq!(world.count(|event| matches!(event, ProviderEvent::CallerSpoke(_))), 0);
    world.exchange("hours");
    assert_eq!(world.clips(), ["hours"]);
}

#[test]
fn a_finished_reply_that_is_still_playing_is_cut_in_memory() {
    let mut world = in_the_middle(eager());
    world.run(Duration::from_secs(2));
    assert_eq!(world.replies[0].1.end, Some(ReplyEnd::Completed), "the service has sent it all");
    let clears = world.log("speak").iter().filter(|entry| *entry == "Clear").count();
    world.exchange("price");
    assert_eq!(world.log("speak").iter().filter(|entry| *entry == "Clear").count(), clears);
    let request = world.requests().pop().expect("it was asked");
    assert!(!request.contains("neighbour"), "{request}");
}

#[test]
fn a_voice_that_does_not_clear_is_replaced() {
    let mut manners = polite();
    manners.voice = vec![SpeechRudeness::NotCleared];
    let mut world = World::connected(settings(), manners);
    world.say("delivery");
    world.run(Duration::from_millis(1_000));
    while world.replies.is_empty() {
        world.run(Duration::from_millis(20));
    }
    world.exchange("price");
    assert_eq!(world.dials("speak"), 2);
    assert_eq!(world.failure, None);
    assert!(world.harmless().iter().any(|code| code.contains("not_cleared")), "{:?}", world.harmless());
    let last = &world.replies.last().expect("it answered").1;
    assert!(voice_core::sim::speech::recognise(&last.audio).is_some_and(|clip| clip.name == "price"));
}

/// The service hears this turn, whole, at once.
fn inject_turn(world: &mut World, text: &str) {
    for event in ["StartOfTurn", "EndOfTurn"] {
        let message = format!(r#"{{"type":"TurnInfo","event":"{event}","transcript":"{text}"}}"#);
        world.inject("listen", WireMessage::text(message));
    }
}

#[test]
fn sound_of_the_old_reply_is_not_taken_for_the_new_one() {
    let mut manners = polite();
    manners.voice = vec![SpeechRudeness::NotCleared];
    let mut world = World::connected(settings(), manners);
    world.say("delivery");
    // The service has all of it, and most of it still to send.
    while !world.log("speak").iter().any(|entry| entry.starts_with("Speak: You can follow")) {
        world.run(Duration::from_millis(20));
    }
    inject_turn(&mut world, "Sorry, stop. How much does it cost?");
    world.run(Duration::from_secs(9));
    assert_eq!(world.replies.len(), 2);
    let last = &world.replies[1].1;
    assert!(voice_core::sim::speech::recognise(&last.audio).is_some_and(|clip| clip.name == "price"));
}

#[test]
fn text_that_never_became_sound_was_never_said() {
    let mut world = World::connected(settings(), polite());
    world.say("delivery");
    while !world.log("speak").iter().any(|entry| entry == "Flush") {
        world.run(Duration::from_millis(5));
    }
    assert!(world.replies.is_empty(), "nothing has sounded yet");
    inject_turn(&mut world, "Sorry, stop. How much does it cost?");
    world.run(Duration::from_secs(9));
    assert_eq!(world.clips(), ["price"]);
    assert_eq!(world.replies.len(), 1, "of the other nobody ever knew");
    let request = world.requests().pop().expect("it was asked");
    assert!(!request.contains("We deliver"), "{request}");
}

#[test]
fn a_new_turn_takes_the_place_of_a_reply_that_was_not_interrupted() {
    let mut manners = polite();
    manners.never_interrupts = true;
    let mut world = World::connected(settings(), manners);
    world.say("delivery");
    while world.replies.is_empty() {
        world.run(Duration::from_millis(20));
    }
    inject_turn(&mut world, "Sorry, stop. How much does it cost?");
    world.run(Duration::from_secs(9));
    let ends: Vec<_> = world.replies.iter().map(|(_, reply)| reply.end).collect();
    assert_eq!(ends, [Some(ReplyEnd::Cancelled), Some(ReplyEnd::Completed)]);
    assert_eq!(world.clips(), ["price"]);
}

#[test]
fn an_interruption_of_what_is_unknown_does_no_harm() {
    let mut world = World::connected(settings(), polite());
    world.command(ProviderCommand::Interrupt(vec![]));
    world.exchange("hours");
    assert_eq!(world.clips(), ["hours"]);
}
