//! Every rudeness of the fake has a defined outcome, and none makes the session panic.

use std::time::Duration;

use voice_core::failure::Failure;
use voice_core::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use voice_providers::sim::openai::{FakeOpenAiConfig, Rudeness};

use super::world::{World, failures, heard, said, secs};

/// Greets, is asked twice, and once interrupted.
fn whole_call(mut world: World, patience: Duration) -> (World, Vec<ProviderEvent>) {
    if world.wait(|event| matches!(event, ProviderEvent::Ready { .. } | ProviderEvent::Failed(_))) {
        world.harness.command(ProviderCommand::Speak { cue: Some("Greet.".into()) });
        world.harness.run_for(patience);
        world.says("hours", patience);
        world.says("delivery", secs(2));
        let last = world.harness.events().filter_map(|event| match event {
            ProviderEvent::Speech { reply, .. } => Some(reply.number()),
            _ => None,
        });
        if let Some(last) = last.last() {
            world.interrupt(&[(last, 300)]);
        }
        world.says("price", patience);
    }
    world.harness.run_for(secs(12));
    let events = world.harness.take_events();
    (world, events)
}

/// How it must end: with this failure, or with the replies to all turns.
fn fatal(rudeness: Rudeness) -> Option<Failure> {
    match rudeness {
        Rudeness::Refuse401 | Rudeness::Refuse403 => Some(Failure::Credentials),
        Rudeness::Refuse429 => Some(Failure::Throttled { retry_after: Some(secs(7)) }),
        Rudeness::Refuse503 => Some(Failure::Refused { status: 503 }),
        Rudeness::NoQuota => Some(Failure::Quota),
        Rudeness::FailServer => Some(Failure::Service { code: "server_error".into() }),
        Rudeness::FailRateLimit => Some(Failure::Throttled { retry_after: None }),
        Rudeness::Expire => Some(Failure::SessionLimit),
        Rudeness::Cut => Some(Failure::Cut),
        Rudeness::Close1011 => Some(Failure::Closed { code: 1011 }),
        Rudeness::OnlyBadBase64 => Some(Failure::Unreadable("audio")),
        Rudeness::OtherFormat => Some(Failure::Settings { code: "audio.output.format".into() }),
        Rudeness::Mute
        | Rudeness::Slow
        | Rudeness::NoAnswer
        | Rudeness::Silent
        | Rudeness::StrayDelta
        | Rudeness::TwoItems
        | Rudeness::UnknownEvent
        | Rudeness::UnknownField
        | Rudeness::TranscriptionFails
        | Rudeness::LateTranscript
        | Rudeness::Newline
        | Rudeness::BadBase64
        | Rudeness::HugeEvent
        | Rudeness::NullUsage
        | Rudeness::NoAcks
        | Rudeness::KeepsTalking
        | Rudeness::BetaNames
        | Rudeness::Garbage => None,
    }
}

#[test]
fn every_rudeness_has_its_outcome() {
    for rudeness in Rudeness::ALL {
        for seed in 0..4 {
            let patience = secs(if *rudeness == Rudeness::Slow { 13 } else { 4 });
            let (world, events) = whole_call(World::rude(seed, *rudeness), patience);
            let fatal_ones: Vec<Failure> =
                failures(&events).into_iter().filter(|failure| failure.kind() != "harmless").collect();
            let expected: Vec<Failure> = fatal(*rudeness).into_iter().collect();
            assert_eq!(fatal_ones, expected, "{rudeness}, seed {seed}");
            let replies = said(&events);
            // These say nothing more; the call notices by the silence.
            let falls_silent = [Rudeness::Mute, Rudeness::NoAnswer, Rudeness::Silent];
            if expected.is_empty() && !falls_silent.contains(rudeness) {
                let whole = replies.iter().filter(|(_, end)| *end == Some(ReplyEnd::Completed)).count();
                assert!(whole >= 3, "{rudeness}, seed {seed}: {replies:?}");
                assert!(replies.iter().all(|(_, end)| end.is_some()), "{rudeness}, seed {seed}");
                assert_eq!(heard(&events).len(), 3, "{rudeness}, seed {seed}");
            }
            // Whoever does not say what it does makes us ask for what is done already.
            let secretive = [Rudeness::KeepsTalking, Rudeness::Silent];
            if expected.is_empty() && !secretive.contains(rudeness) {
                assert_eq!(world.errors(), [] as [&str; 0], "{rudeness}, seed {seed}");
            }
        }
    }
}

#[test]
fn what_is_not_understood_is_counted() {
    for (rudeness, kind) in [
        (Rudeness::UnknownEvent, "response.telepathy.delta"),
        (Rudeness::BadBase64, "unreadable"),
        (Rudeness::Garbage, "unreadable"),
    ] {
        let (_, events) = whole_call(World::rude(2, rudeness), secs(4));
        let unknown = ProviderEvent::Unknown { kind: kind.into() };
        assert!(events.contains(&unknown), "{rudeness}");
    }
}

#[test]
fn a_transcription_that_fails_is_an_empty_one() {
    let (_, events) = whole_call(World::rude(3, Rudeness::TranscriptionFails), secs(4));
    assert_eq!(heard(&events), ["", "", ""]);
}

#[test]
fn a_failure_may_come_late() {
    let config = FakeOpenAiConfig::new(5).rude(Rudeness::Cut).rude_from(3);
    let (_, events) = whole_call(World::new(config), secs(4));
    let whole = said(&events).iter().filter(|(_, end)| *end == Some(ReplyEnd::Completed)).count();
    assert_eq!((whole, failures(&events)), (2, vec![Failure::Cut]));
}

#[test]
fn all_at_once() {
    let all = Rudeness::ALL.iter().filter(|rudeness| {
        let harmless = fatal(**rudeness).is_none();
        harmless && ![Rudeness::Mute, Rudeness::NoAnswer, Rudeness::Silent].contains(rudeness)
    });
    for seed in 0..20 {
        let config = all.clone().fold(FakeOpenAiConfig::new(seed), |config, rudeness| config.rude(*rudeness));
        let (_, events) = whole_call(World::new(config), secs(4));
        assert!(!said(&events).is_empty(), "seed {seed}");
    }
}
