//! A polite conversation with each family of models.

use voice_core::audio::AudioFormat;
use voice_core::provider::{ProviderEvent, ReplyEnd};
use voice_core::sim::speech;
use voice_providers::sim::gemini::{FakeGeminiConfig, Profile};

use crate::world::{World, reply, settings, setup};

const MODELS: [(&str, Profile); 3] = [
    ("gemini-2.5-flash-native-audio-preview-12-2025", Profile::V2_5),
    ("gemini-3.1-flash-live-preview", Profile::V3_1),
    ("gemini-3.8-live", Profile::V3_8),
];

#[test]
fn a_greeting_and_an_answer() {
    for (model, _) in MODELS {
        let mut world = World::with(FakeGeminiConfig::new(1), settings().model(model), setup(Vec::new()));
        world.become_ready();
        world.speak(None);
        world.until_replies(1);
        let greeting = speech::voice("greeting").expect("it is there");
        assert_eq!(world.words(reply(1)), greeting.text, "{model}");
        let missing = greeting.duration().saturating_sub(world.spoken(reply(1)));
        assert!(missing.as_millis() < 5, "{model}: {missing:?} of the greeting are missing");
        world.run(7_000);
        world.say("hours");
        world.until_replies(2);
        world.run(8_000);
        let hours = speech::voice("hours").expect("it is there");
        assert_eq!(world.words(reply(2)), hours.text, "{model}");
        assert_eq!(world.ends(), [(reply(1), ReplyEnd::Completed), (reply(2), ReplyEnd::Completed)]);
        assert_eq!(world.said(), ["What are your opening hours?"], "{model}");
        assert_eq!(world.seen().heard, [Some("hours")]);
        assert!(world.seen().closes.is_empty(), "{:?}", world.seen().closes);
        assert_eq!(world.lines.len(), 1);
    }
}

#[test]
fn the_rate_of_the_audio_is_declared() {
    for (format, mime) in
        [(AudioFormat::PCM16_8K, "audio/pcm;rate=8000"), (AudioFormat::PCM16_16K, "audio/pcm;rate=16000")]
    {
        let mut setup = setup(Vec::new());
        setup.hears = format;
        let mut world = World::with(FakeGeminiConfig::new(2), settings(), setup);
        world.become_ready();
        world.say("thanks");
        world.until_replies(1);
        assert_eq!(world.seen().mime_types, [mime]);
        assert_eq!(world.seen().heard, [Some("thanks")]);
    }
}

#[test]
fn a_reply_is_done_long_before_its_turn_is_complete() {
    let mut world = World::ready(FakeGeminiConfig::new(3));
    world.say("delivery");
    world.until_replies(1);
    let done = world.now;
    let complete = |world: &World| {
        let sent = world.seen().sent;
        sent.iter().any(|message| message["serverContent"]["turnComplete"] == true)
    };
    assert!(!complete(&world));
    world.until(complete, 30);
    assert!(world.now.since(done).as_secs() >= 5, "the turn is over when it has been played");
    assert_eq!(world.ends(), [(reply(1), ReplyEnd::Completed)]);
}

#[test]
fn what_a_turn_cost_is_told() {
    let mut world = World::ready(FakeGeminiConfig::new(4));
    world.say("hello");
    world.until_replies(1);
    world.run(6_000);
    let used = world.events.iter().find_map(|(_, event)| match event {
        ProviderEvent::Used(usage) => Some(*usage),
        _ => None,
    });
    let used = used.expect("it is told");
    // 30 of the 300 tokens are in no detail; they count as text.
    assert_eq!((used.text_in, used.audio_in, used.cached_in), (180, 120, 0));
    assert!(used.audio_out > 25 && used.text_out == 0);
}

#[test]
fn a_muted_microphone_is_said_to_be_muted_once() {
    let mut world = World::ready(FakeGeminiConfig::new(5));
    world.run(500);
    world.switch_mic(false);
    world.run(900);
    assert_eq!(world.seen().stream_ends, 0);
    world.run(5_000);
    assert_eq!(world.seen().stream_ends, 1);
    world.switch_mic(true);
    world.say("hours");
    world.until_replies(1);
    assert_eq!(world.seen().heard, [Some("hours")]);
}

#[test]
fn whoever_is_told_to_speak_before_it_is_ready_speaks_then() {
    let mut world = World::new(FakeGeminiConfig::new(6));
    world.speak(None);
    world.become_ready();
    world.until_replies(1);
    assert!(world.words(reply(1)).starts_with("Good morning"));
}
