//! The caller interrupts.

use std::time::Duration;

use voice_core::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use voice_core::sim::speech;
use voice_providers::sim::openai::{FakeOpenAiConfig, Rudeness, Truncated};

use super::world::{World, failures, reply, said, secs, settings, setup, speech_ms};

/// The caller asked for the long answer, 700 ms of it have come, and now the caller speaks again.
fn interrupted(world: &mut World) {
    world.begins_to_say("delivery");
    while received_ms(world) < 700 {
        world.harness.hear_silence(world.format, Duration::from_millis(20));
    }
    let price = speech::caller("price").expect("recorded").mulaw;
    for frame in price.chunks(160) {
        world.harness.hear(world.format, frame);
        if world.harness.events().filter(|event| matches!(event, ProviderEvent::CallerSpoke(_))).count() > 1 {
            return;
        }
    }
    panic!("the service notices that the caller speaks");
}

fn received_ms(world: &World) -> u64 {
    let events: Vec<ProviderEvent> = world.harness.events().cloned().collect();
    speech_ms(&events, 1, world.format)
}

#[test]
fn the_service_learns_what_was_heard_and_the_rest_is_dropped() {
    let mut world = World::polite(20).ready();
    interrupted(&mut world);
    let before = world.harness.take_events();
    let received = speech_ms(&before, 1, world.format);
    assert!(received > 700, "{received}");
    world.interrupt(&[(1, 640)]);
    world.harness.hear_silence(world.format, secs(5));
    let truncated = world.seen().truncated;
    assert_eq!(truncated.len(), 1);
    assert_eq!(truncated[0].audio_end_ms, 640);
    assert!(truncated[0].generated_ms >= received);
    // The service stopped by itself: nothing to cancel, and no error.
    assert!(!world.seen().kinds.contains(&"response.cancel".to_owned()));
    assert_eq!(world.errors(), [] as [&str; 0]);
    let after = world.harness.take_events();
    assert_eq!(speech_ms(&after, 1, world.format), 0, "late pieces are dropped");
    let done = ProviderEvent::ReplyDone { reply: reply(1), end: ReplyEnd::Cancelled };
    assert_eq!(before.iter().chain(&after).filter(|event| **event == done).count(), 1);
}

#[test]
fn never_more_than_was_received_is_claimed() {
    let settings = settings().interrupts(false);
    let mut world = World::with(FakeOpenAiConfig::new(21), settings, setup()).ready();
    interrupted(&mut world);
    let received = speech_ms(&world.harness.take_events(), 1, world.format);
    world.interrupt(&[(1, 60_000)]);
    world.harness.run_for(secs(2));
    assert_eq!(world.seen().truncated[0].audio_end_ms, received);
    assert_eq!(world.errors(), [] as [&str; 0]);
}

#[test]
fn what_nobody_heard_was_never_said() {
    let mut world = World::polite(22).ready();
    interrupted(&mut world);
    world.interrupt(&[(1, 0)]);
    world.harness.run_for(secs(2));
    let seen = world.seen();
    assert_eq!((seen.deleted.len(), seen.truncated), (1, vec![]));
    assert_eq!(world.errors(), [] as [&str; 0]);
}

#[test]
fn a_reply_that_was_heard_to_its_end_is_left_alone() {
    let mut world = World::polite(23).ready();
    world.says("thanks", secs(6));
    let clip = speech::voice("welcome").expect("recorded").duration().as_millis() as u64;
    world.harness.take_events();
    world.interrupt(&[(1, clip + 5), (77, 100)]);
    world.harness.run_for(secs(1));
    let seen = world.seen();
    assert!(seen.truncated.is_empty() && seen.deleted.is_empty());
    assert!(seen.kinds.iter().all(|kind| kind == "session.update"), "{:?}", seen.kinds);
}

#[test]
fn a_finished_reply_that_still_plays_is_truncated_without_a_cancel() {
    let mut world = World::polite(24).ready();
    world.says("thanks", secs(2));
    assert_eq!(world.seen().responses, ["completed"]);
    world.interrupt(&[(1, 500)]);
    world.harness.run_for(secs(1));
    let clip = speech::voice("welcome").expect("recorded").mulaw.len() as u64 / 8;
    let item = world.seen().spoken[0].0.clone();
    assert_eq!(world.seen().truncated, [Truncated { item, audio_end_ms: 500, generated_ms: clip }]);
    assert_eq!(world.errors(), [] as [&str; 0]);
}

#[test]
fn each_item_of_a_response_is_cut_on_its_own() {
    let mut world = World::rude(25, Rudeness::TwoItems).ready();
    world.says("delivery", secs(5));
    let events = world.harness.take_events();
    let check = speech::voice("check").expect("recorded");
    let check_ms = check.duration().as_millis() as u64;
    assert_eq!(said(&events).len(), 2);
    assert_eq!(said(&events)[0].0, check.text);
    assert_eq!(speech_ms(&events, 1, world.format), check_ms);
    // The first was heard to its end, of the second 300 ms.
    world.interrupt(&[(1, check_ms + 1), (2, 300)]);
    world.harness.run_for(secs(2));
    let truncated = world.seen().truncated;
    assert_eq!(truncated.len(), 1);
    assert_eq!((truncated[0].audio_end_ms, &truncated[0].item), (300, &world.seen().spoken[1].0));
    assert_eq!(world.errors(), [] as [&str; 0]);
}

#[test]
fn a_service_that_does_not_stop_by_itself_is_stopped() {
    let config = FakeOpenAiConfig::new(26);
    let mut world = World::with(config, settings().interrupts(false), setup()).ready();
    interrupted(&mut world);
    world.harness.take_events();
    world.interrupt(&[(1, 400)]);
    world.interrupt(&[(1, 400)]);
    world.harness.run_for(secs(3));
    let kinds = world.seen().kinds;
    assert_eq!(kinds.iter().filter(|kind| *kind == "response.cancel").count(), 1, "{kinds:?}");
    assert_eq!(world.seen().truncated[0].audio_end_ms, 400);
    assert_eq!(speech_ms(&world.harness.take_events(), 1, world.format), 0);
    assert_eq!(world.errors(), [] as [&str; 0]);
}

#[test]
fn an_interruption_that_the_service_did_not_notice_stops_it_too() {
    let mut world = World::polite(27).ready();
    world.says("delivery", Duration::from_millis(1_900));
    world.interrupt(&[(1, 200)]);
    world.harness.run_for(secs(3));
    assert!(world.seen().kinds.contains(&"response.cancel".to_owned()));
    assert_eq!(world.seen().responses, ["cancelled"]);
    assert_eq!(world.errors(), [] as [&str; 0]);
}

#[test]
fn a_cancel_that_comes_too_late_is_harmless() {
    let mut world = World::polite(28).ready();
    world.says("thanks", Duration::from_millis(600));
    // The reply is complete at the service, and its end is still on the way to us.
    while world.seen().responses.is_empty() {
        world.harness.run_for(Duration::from_millis(1));
    }
    world.interrupt(&[(1, 100)]);
    world.harness.run_for(secs(2));
    assert_eq!(world.errors(), ["response_cancel_not_active"]);
    let failures = failures(&world.harness.take_events());
    assert!(failures.iter().all(|failure| failure.kind() == "harmless"), "{failures:?}");
    world.harness.command(ProviderCommand::Speak { cue: None });
    world.harness.run_for(secs(4));
    assert_eq!(world.seen().responses.len(), 2, "the session goes on");
}

#[test]
fn whoever_keeps_talking_is_not_heard() {
    let mut world = World::rude(29, Rudeness::KeepsTalking).ready();
    interrupted(&mut world);
    world.harness.take_events();
    world.interrupt(&[(1, 400)]);
    world.harness.run_for(secs(10));
    assert_eq!(speech_ms(&world.harness.take_events(), 1, world.format), 0);
}

#[test]
fn the_first_sound_of_a_reply_that_was_interrupted_before_it_is_not_heard() {
    let mut config = FakeOpenAiConfig::new(29);
    config.first_audio_ms = 1_500..1_501;
    let mut world = World::new(config).ready();
    world.says("hello", Duration::from_millis(1_200));
    let blip = r#"{"type":"input_audio_buffer.speech_started","item_id":"blip","audio_start_ms":1}"#;
    let blip = voice_core::wire::WireMessage::text(blip);
    assert!(world.harness.inject(voice_core::id::LineId(0), &blip));
    // The fake knows nothing of it, and its reply is as good as under way.
    world.harness.run_for(secs(8));
    let events = world.harness.take_events();
    assert!(said(&events).iter().all(|(words, _)| words.is_empty()), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, ProviderEvent::Speech { .. })));
}
