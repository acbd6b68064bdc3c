//! A whole conversation with every rudeness there is: what must still be true of it.

use voice_core::provider::{ProviderEvent, ReplyEnd};
use voice_core::sim::speech;
use voice_providers::sim::gemini::{FakeGeminiConfig, Profile, Rudeness};

use crate::world::{World, reply, settings, setup};

/// The caller asks three things, whatever comes of it.
fn conversation(config: FakeGeminiConfig, model: &str) -> World {
    let mut world = World::with(config, settings().model(model), setup(Vec::new()));
    world.switch_mic(true);
    world.run(1_000);
    world.speak(None);
    for clip in ["hello", "order", "delivery", "price"] {
        world.run(8_000);
        world.say(clip);
    }
    world.run(20_000);
    world
}

#[test]
fn nothing_breaks_the_rules_of_a_session() {
    let mut failed = 0;
    for (n, rudeness) in Rudeness::ALL.iter().enumerate() {
        for model in ["gemini-2.5-native-audio", "gemini-3.1-flash-live-preview", "gemini-3.8-live"] {
            // The world checks the rules: nothing after the end, nothing of a reply after its end.
            let config = FakeGeminiConfig::new(n as u64).rude(*rudeness);
            let world = conversation(config, model);
            failed += usize::from(world.failure().is_some());
            if world.failure().is_none() && *rudeness != Rudeness::Mute {
                assert!(world.ends().len() >= 3, "{rudeness} {model}: {:#?}", world.told());
            }
            let closes = world.seen().closes;
            let ours = closes.iter().find(|(_, reason)| reason.contains("invalid argument: "));
            let allowed = *rudeness == Rudeness::RefuseResume;
            assert!(ours.is_none() || allowed, "{rudeness} {model}: we were wrong: {closes:?}");
        }
    }
    assert!(failed >= 15, "some of them are fatal: {failed}");
}

#[test]
fn two_at_once_break_them_neither() {
    for (n, one) in Rudeness::ALL.iter().enumerate() {
        let other = Rudeness::ALL[(n * 7 + 5) % Rudeness::ALL.len()];
        conversation(FakeGeminiConfig::new(n as u64).rude(*one).rude(other), "gemini-3.8-live");
    }
}

fn talk(rudeness: Rudeness) -> World {
    let mut world = World::ready(FakeGeminiConfig::new(9).rude(rudeness));
    world.say("hours");
    world.until_replies(1);
    world
}

fn whole(world: &World, number: u32) {
    let clip = speech::voice("hours").expect("it is there");
    assert_eq!(world.words(reply(number)), clip.text);
    let missing = clip.duration().saturating_sub(world.spoken(reply(number)));
    assert!(missing.as_millis() < 10, "{missing:?}");
}

#[test]
fn no_audio_is_lost_beside_other_keys_empty_content_and_garbage() {
    for rudeness in [
        Rudeness::EmptyContent,
        Rudeness::TextFrames,
        Rudeness::OddBytes,
        Rudeness::OtherRate,
        Rudeness::BadBase64,
        Rudeness::Garbage,
        Rudeness::HugeMessage,
        Rudeness::SlowAudio,
        Rudeness::LateWords,
    ] {
        let world = talk(rudeness);
        whole(&world, 1);
        assert_eq!(world.ends(), [(reply(1), ReplyEnd::Completed)], "{rudeness}");
        assert_eq!(world.failure(), None);
    }
}

#[test]
fn garbage_is_counted() {
    let world = talk(Rudeness::Garbage);
    let unknown: Vec<String> = world.told().into_iter().filter(|line| line.starts_with("unknown")).collect();
    assert_eq!(unknown, ["unknown unreadable", "unknown newsOfTheDay"]);
}

#[test]
fn a_reply_ends_with_its_turn_if_nothing_else_ends_it() {
    let mut world = talk(Rudeness::NoGenerationComplete);
    whole(&world, 1);
    world.run(6_000);
    world.say("thanks");
    world.until_replies(2);
    assert!(world.words(reply(2)).contains("welcome"));
}

#[test]
fn a_voice_that_wants_to_hear_more_has_answered() {
    let world = talk(Rudeness::NeedMoreInput);
    assert_eq!(world.ends(), [(reply(1), ReplyEnd::Completed)]);
    assert_eq!(world.spoken(reply(1)).as_millis(), 0);
}

#[test]
fn a_rejected_answer_is_told_and_asked_for_again() {
    let mut world = talk(Rudeness::ResponseRejected);
    assert_eq!(world.ends(), [(reply(1), ReplyEnd::Incomplete)]);
    assert!(world.told().contains(&"unknown turnComplete.RESPONSE_REJECTED".to_owned()));
    world.until_replies(2);
    assert_eq!(world.seen().texts, ["[Please go on.]"]);
}

#[test]
fn a_voice_that_says_nothing_is_nudged() {
    let mut world = World::ready(FakeGeminiConfig::new(9).rude(Rudeness::Silent));
    let spoken = world.say("hours");
    world.until_replies(1);
    assert_eq!(world.seen().texts, ["[Please go on.]"]);
    let waited = world.now.since(voice_core::time::MonoTime::from_millis(1_000)) - spoken;
    assert!(waited.as_secs() < 15, "before the call gives up: {waited:?}");
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let run = || {
        let config = FakeGeminiConfig::new(42).profile(Profile::V3_8).rude(Rudeness::Garbage);
        conversation(config, "gemini-3.8-live").events
    };
    let (one, two) = (run(), run());
    assert_eq!(one, two);
    assert!(one.iter().any(|(_, event)| matches!(event, ProviderEvent::ToolCall(_))));
}
