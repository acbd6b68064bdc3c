//! The door stays shut, or the session is refused.

use voice_core::failure::Failure;
use voice_core::sensitive::Secret;
use voice_providers::openai::OpenAiSettings;
use voice_providers::sim::openai::FakeOpenAiConfig;

use super::world::{World, failures, secs, settings, setup};

#[test]
fn a_wrong_key_is_our_fault() {
    let wrong = OpenAiSettings::new(Secret::new("sk-wrong".to_owned())).url("ws://fake/v1/realtime");
    let mut world = World::with(FakeOpenAiConfig::new(50), wrong, setup());
    world.harness.run_for(secs(1));
    assert_eq!(failures(&world.harness.take_events()), [Failure::Credentials]);
}

#[test]
fn a_wrong_model_is_our_fault() {
    let mut world = World::with(FakeOpenAiConfig::new(51), settings().model("gpt-live-1"), setup());
    world.harness.run_for(secs(1));
    let failure = Failure::Settings { code: "invalid_model".into() };
    assert_eq!(failures(&world.harness.take_events()), [failure]);
}

#[test]
fn a_wrong_path_is_our_fault() {
    let settings = settings().url("ws://fake/v2/realtime");
    let mut world = World::with(FakeOpenAiConfig::new(52), settings, setup());
    world.harness.run_for(secs(1));
    let failure = Failure::Settings { code: "http_404".into() };
    assert_eq!(failures(&world.harness.take_events()), [failure]);
}

#[test]
fn a_setting_that_is_refused_is_named() {
    let mut world = World::with(FakeOpenAiConfig::new(53), settings().voice("nova"), setup());
    world.harness.run_for(secs(1));
    let failure = Failure::Settings { code: "session.audio.output.voice".into() };
    assert_eq!(failures(&world.harness.take_events()), [failure]);
    assert_eq!(world.harness.hung_up().len(), 1);
}
