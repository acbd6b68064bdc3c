//! A conversation in which nobody misbehaves.

use std::time::Duration;

use expect_test::expect;
use voice_core::audio::AudioFormat;
use voice_core::conversation::ToolDefinition;
use voice_core::failure::Failure;
use voice_core::provider::{ProviderCommand, ProviderEvent, ReplyEnd, Usage};
use voice_core::sim::speech;
use voice_core::time::MonoTime;
use voice_providers::openai::{Eagerness, NoiseReduction, Transcription, Truncation, TurnDetection};
use voice_providers::sim::openai::{FakeOpenAiConfig, Rudeness};

use super::world::{World, failures, heard, said, secs, settings, setup, speech_ms};

#[test]
fn a_session_is_set_up_in_the_shape_of_today() {
    let mut world = World::polite(1).ready();
    let update: serde_json::Value = serde_json::from_str(&world.seen().updates[0]).expect("json");
    let shown = serde_json::to_string_pretty(&update).expect("json");
    expect![[r#"
        {
          "audio": {
            "input": {
              "format": {
                "type": "audio/pcmu"
              },
              "noise_reduction": null,
              "transcription": {
                "language": "en",
                "model": "gpt-live-transcribe"
              },
              "turn_detection": {
                "create_response": true,
                "interrupt_response": true,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
                "threshold": 0.5,
                "type": "server_vad"
              }
            },
            "output": {
              "format": {
                "type": "audio/pcmu"
              },
              "speed": 1.0,
              "voice": "marin"
            }
          },
          "instructions": "You answer the phone of a book shop.",
          "output_modalities": [
            "audio"
          ],
          "tools": [
            {
              "description": "Finds an order by its number.",
              "name": "lookup_order",
              "parameters": {
                "properties": {
                  "number": {
                    "type": "string"
                  }
                },
                "required": [
                  "number"
                ],
                "type": "object"
              },
              "type": "function"
            }
          ],
          "truncation": "auto",
          "type": "realtime"
        }"#]]
    .assert_eq(&shown);
    assert_eq!(world.errors(), [] as [&str; 0]);
    let hour = secs(3_600);
    let expires = world.harness.take_events().into_iter().find_map(|event| match event {
        ProviderEvent::Ready { expires, session } => {
            assert_eq!(session.as_deref(), Some("sess_fake"));
            expires
        }
        _ => None,
    });
    assert_eq!(expires, Some(MonoTime::ZERO + hour));
}

#[test]
fn every_setting_is_accepted() {
    let semantic = TurnDetection::SemanticVad { eagerness: Eagerness::High };
    let idle = TurnDetection::ServerVad {
        threshold: 0.6,
        prefix_padding: Duration::from_millis(200),
        silence: Duration::from_millis(700),
        idle_timeout: Some(secs(10)),
    };
    let mut spanish = Transcription::new("gpt-4o-transcribe");
    spanish.language = Some("es".into());
    for settings in [
        settings().turn_detection(semantic).interrupts(false).speed(1.2).voice("voice_abc"),
        settings().turn_detection(idle).transcription(Some(spanish)).output_tokens_max(Some(900)),
        settings().transcription(None).noise_reduction(Some(NoiseReduction::FarField)),
        settings().truncation(Truncation::Retain { ratio: 0.8 }).parallel_tool_calls(Some(false)),
        settings().truncation(Truncation::Disabled).effort(Some(voice_providers::openai::Effort::ExtraHigh)),
        settings().model("gpt-realtime-1.5"),
    ] {
        let world = World::with(FakeOpenAiConfig::new(2), settings, setup()).ready();
        assert_eq!(world.errors(), [] as [&str; 0]);
    }
}

#[test]
fn the_caller_is_heard_and_answered_in_every_format() {
    for format in [AudioFormat::MULAW_8K, AudioFormat::ALAW_8K, AudioFormat::PCM16_24K] {
        let mut setup = setup();
        (setup.hears, setup.speaks) = (format, format);
        let mut world = World::with(FakeOpenAiConfig::new(3), settings(), setup).ready();
        world.says("hours", secs(4));
        let events = world.harness.take_events();
        let clip = speech::voice("hours").expect("recorded");
        assert_eq!(said(&events), [(clip.text.to_owned(), Some(ReplyEnd::Completed))], "{format}");
        assert_eq!(speech_ms(&events, 1, format), clip.duration().as_millis() as u64, "{format}");
        assert_eq!(heard(&events), ["What are your opening hours?"], "{format}");
        assert_eq!(world.errors(), [] as [&str; 0]);
    }
}

#[test]
fn a_turn_is_told_in_order() {
    let mut world = World::rude(4, Rudeness::LateTranscript).ready();
    world.says("thanks", secs(4));
    let order: Vec<&str> = world
        .harness
        .events()
        .filter_map(|event| match event {
            ProviderEvent::CallerSpoke(_) => Some("spoke"),
            ProviderEvent::CallerPaused(_) => Some("paused"),
            ProviderEvent::CallerSaid { .. } => Some("said"),
            ProviderEvent::ReplyDone { .. } => Some("reply done"),
            ProviderEvent::Used(_) => Some("used"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["spoke", "paused", "reply done", "used", "said"]);
}

#[test]
fn the_voice_speaks_when_asked_and_still_knows_who_it_is() {
    let mut world = World::polite(5).ready();
    world.harness.command(ProviderCommand::Speak { cue: Some("Greet the caller.".into()) });
    world.harness.run_for(secs(4));
    let cue = "You answer the phone of a book shop.\n\nGreet the caller.";
    assert_eq!(world.seen().cues, [Some(cue.to_owned())]);
    let events = world.harness.take_events();
    let greeting = speech::voice("greeting").expect("recorded").text;
    assert_eq!(said(&events), [(greeting.to_owned(), Some(ReplyEnd::Completed))]);
}

#[test]
fn two_wishes_to_speak_are_granted_one_after_the_other() {
    let mut world = World::polite(6).ready();
    world.harness.command(ProviderCommand::Speak { cue: Some("Greet.".into()) });
    world.harness.run_for(Duration::from_millis(100));
    world.harness.command(ProviderCommand::Speak { cue: None });
    world.harness.command(ProviderCommand::Speak { cue: Some("Say goodbye.".into()) });
    world.harness.run_for(secs(10));
    assert_eq!(world.seen().responses, ["completed", "completed"]);
    assert_eq!(world.errors(), [] as [&str; 0]);
    assert!(world.seen().cues[1].as_ref().is_some_and(|cue| cue.ends_with("Say goodbye.")));
}

#[test]
fn a_wish_that_crosses_an_answer_is_granted_later() {
    let mut world = World::polite(7).ready();
    world.begins_to_say("hours");
    // The service begins to answer while this is on its way to it.
    let spoke_up = |world: &World| !world.seen().turns.is_empty();
    while !spoke_up(&world) {
        world.harness.hear_silence(world.format, Duration::from_millis(20));
    }
    world.harness.command(ProviderCommand::Speak { cue: None });
    world.harness.run_for(secs(8));
    let events = world.harness.take_events();
    assert_eq!(failures(&events), [], "it is the service's turn, so nothing is asked for in between");
    assert_eq!(world.seen().responses, ["completed", "completed"]);
}

#[test]
fn what_is_used_is_told_with_the_cache_apart() {
    let mut world = World::polite(8).ready();
    world.says("hello", secs(4));
    world.says("hours", secs(4));
    world.says("price", secs(4));
    let used: Vec<Usage> = world
        .harness
        .events()
        .filter_map(|event| match event {
            ProviderEvent::Used(usage) => Some(*usage),
            _ => None,
        })
        .collect();
    assert_eq!(used.len(), 3);
    assert_eq!(used[0].cached_in, 0);
    assert!(used[2].cached_in >= 64, "{used:?}");
    assert!(used.iter().all(|usage| usage.audio_out > 20 && usage.text_out > 5), "{used:?}");
}

#[test]
fn after_the_close_nothing_comes() {
    let mut world = World::polite(9).ready();
    world.says("delivery", secs(1));
    world.harness.take_events();
    world.harness.command(ProviderCommand::Close);
    world.harness.command(ProviderCommand::Close);
    world.harness.run_for(secs(20));
    assert_eq!(world.harness.take_events(), []);
    assert_eq!(world.harness.hung_up().len(), 1);
}

#[test]
fn a_session_that_is_closed_before_it_began_dials_nobody() {
    let mut world = World::polite(10);
    world.harness.command(ProviderCommand::Close);
    world.harness.run_for(secs(2));
    assert_eq!(world.harness.take_events(), []);
}

#[test]
fn the_hour_is_over() {
    let mut config = FakeOpenAiConfig::new(11);
    config.session_secs = 90;
    let mut world = World::new(config).ready();
    let ready = world.harness.take_events();
    let Some(ProviderEvent::Ready { expires: Some(expires), .. }) = ready.first() else {
        panic!("{ready:?}")
    };
    assert_eq!(*expires, MonoTime::from_millis(90_000));
    world.harness.run_for(secs(100));
    assert_eq!(failures(&world.harness.take_events()), [Failure::SessionLimit]);
}

#[test]
fn tools_that_cannot_be_told_are_refused_at_once() {
    let mut setup = setup();
    let tool = ToolDefinition { name: "bad".into(), description: String::new(), parameters: "[1]".into() };
    setup.tools = [tool].into();
    let mut world = World::with(FakeOpenAiConfig::new(12), settings(), setup);
    let failure = Failure::Settings { code: "tools.bad".into() };
    assert_eq!(failures(&world.harness.take_events()), [failure]);
}
