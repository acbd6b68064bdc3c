//! Setup, greeting, questions and answers, history, and the voice's manners towards its service.

use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::audio::g711::linear_to_mulaw;
use voice_core::conversation::Turn;
use voice_core::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use voice_core::sim::speech::{recognise, voice};

use crate::world::{World, eager, listen, polite, settings};

fn text(name: &str) -> &'static str {
    voice(name).expect("the voice can say that").text
}

#[test]
fn ready_when_ears_and_voice_are_up_and_not_before() {
    let mut world = World::new(settings(), polite());
    world.run(Duration::from_millis(10));
    assert!(!world.ready, "flux has not said that it is there");
    world.run(Duration::from_millis(100));
    assert!(world.ready);
    assert_eq!(world.requests().len(), 0, "nobody is asked before somebody speaks");
}

#[test]
fn a_greeting_is_spoken_when_asked_for() {
    for ears in [None, Some(listen())] {
        let builder = settings();
        let builder = match ears {
            Some(model) => builder.ears(model),
            None => builder,
        };
        let mut world = World::connected(builder, polite());
        world.command(ProviderCommand::Speak { cue: Some("Greet the caller.".into()) });
        world.settle();
        assert_eq!(world.clips(), ["greeting"]);
        let (_, reply) = &world.replies[0];
        assert_eq!((reply.words.as_str(), reply.end), (text("greeting"), Some(ReplyEnd::Completed)));
        assert!(world.requests()[0].contains("Greet the caller."));
    }
}

#[test]
fn a_conversation_with_listen_and_with_flux() {
    for model in [listen(), eager(), voice_providers::deepgram::pipeline::EarsModel::flux("flux-general-en")]
    {
        let mut world = World::connected(settings().ears(model.clone()), polite());
        assert_eq!(world.exchange("hello"), text("hear"), "{model:?}");
        assert_eq!(world.exchange("hours"), text("hours"));
        assert_eq!(world.exchange("thanks"), text("welcome"));
        assert_eq!(world.clips(), ["hear", "hours", "welcome"]);
        assert_eq!(
            world.said(),
            ["Hello, can you hear me?", "What are your opening hours?", "Thank you very much."]
        );
        // The whole conversation is told each time, in the order in which it was spoken.
        let last = world.requests().pop().expect("it was asked");
        let order: Vec<_> =
            ["Hello, can", "Yes, I can hear", "What are your", "We are open", "Thank you very"]
                .iter()
                .map(|part| last.find(part).expect(part))
                .collect();
        assert!(order.is_sorted(), "{last}");
        assert!(world.failure.is_none());
    }
}

#[test]
fn the_first_clause_is_spoken_while_the_rest_is_being_written() {
    let mut world = World::connected(settings(), polite());
    world.exchange("delivery");
    let log = world.log("speak");
    let flush = log.iter().position(|entry| entry == "Flush").expect("it was flushed");
    assert_eq!(log[flush - 1], "Speak: We deliver to every town in the country.");
    assert!(log.len() > flush + 3, "{log:?}");
    let request = world.first_after(voice_core::time::MonoTime::ZERO, |event| {
        matches!(event, ProviderEvent::CallerPaused(_))
    });
    let first = world.replies[0].1.first_at.expect("it was spoken");
    assert!(first.since(request) < Duration::from_millis(1_300), "{:?}", first.since(request));
    assert_eq!(world.clips(), ["delivery"]);
    // Group by group, not all at once.
    assert!(world.count(|event| matches!(event, ProviderEvent::Words { .. })) >= 2);
}

#[test]
fn eagerness_thinks_ahead_but_speaks_in_time() {
    let said_after = |model| {
        let mut world = World::connected(settings().ears(model), polite());
        assert_eq!(world.exchange("hours"), text("hours"));
        let pause = world.first_after(voice_core::time::MonoTime::ZERO, |event| {
            matches!(event, ProviderEvent::CallerPaused(_))
        });
        let first = world.replies[0].1.first_at.expect("it was spoken");
        assert!(first > pause);
        assert_eq!(world.requests().len(), 1);
        first.since(pause)
    };
    let flux = voice_providers::deepgram::pipeline::EarsModel::flux("flux-general-en");
    assert!(said_after(eager()) + Duration::from_millis(100) < said_after(flux));
}

#[test]
fn a_guess_that_was_wrong_is_dropped() {
    let mut manners = polite();
    manners.ears = vec![voice_providers::sim::deepgram::SpeechRudeness::Resumed];
    let mut world = World::connected(settings().ears(eager()), manners);
    assert_eq!(world.exchange("hours"), text("hours"));
    assert_eq!(world.requests().len(), 2);
    assert_eq!(world.clips(), ["hours"]);
    assert_eq!(world.requests()[1].matches("opening hours").count(), 1, "it is remembered once");
}

#[test]
fn the_history_is_told_and_an_owed_answer_is_given() {
    let mut manners = polite();
    manners.history = vec![
        Turn::Caller { text: "Hello, can you hear me?".into() },
        Turn::Voice { text: "Yes, I can".into(), cut: true },
        Turn::Note { text: "The caller pressed 1.".into() },
        Turn::Caller { text: "How much does it cost? Sorry, stop. How much does it cost?".into() },
    ];
    let mut world = World::connected(settings(), manners);
    world.command(ProviderCommand::Speak { cue: None });
    world.settle();
    assert_eq!(world.clips(), ["price"]);
    let request = &world.requests()[0];
    assert!(request.contains("Yes, I can…") && request.contains("pressed 1"), "{request}");
    assert!(!request.contains("The caller is on the line"), "an answer is owed, so nothing is added");
}

#[test]
fn notes_and_what_was_said_meanwhile_are_told_without_an_answer() {
    let mut world = World::connected(settings(), polite());
    world.command(ProviderCommand::Note("The caller is angry.".into()));
    world.command(ProviderCommand::CatchUp(vec![Turn::Voice { text: "Good morning.".into(), cut: false }]));
    world.run(Duration::from_secs(2));
    assert_eq!(world.requests().len(), 0);
    world.exchange("hours");
    let request = &world.requests()[0];
    assert!(request.contains("angry") && request.contains("Good morning."), "{request}");
}

#[test]
fn held_speech_is_heard_in_order_and_not_all_at_once() {
    for model in [listen(), eager()] {
        let mut world = World::new(settings().ears(model), polite());
        world.run(Duration::from_millis(500));
        let clip = voice_core::sim::speech::caller("hours").expect("a clip");
        let silence = vec![0xff; 8_000];
        for frame in [clip.mulaw, silence.as_slice()].concat().chunks(160) {
            let frame = frame.to_vec().into();
            let frame = voice_core::audio::AudioFrame::new(AudioFormat::MULAW_8K, frame);
            world.command(ProviderCommand::Hear(frame));
        }
        let sent = |world: &World| {
            let log = world.log("listen");
            log.iter().filter_map(|entry| entry.strip_prefix("audio ")?.parse::<usize>().ok()).sum::<usize>()
        };
        assert!(sent(&world) < 10_000, "about half a second, and what the burst allows: {}", sent(&world));
        world.run(Duration::from_millis(1_600));
        assert!(sent(&world) >= clip.mulaw.len(), "twice as fast as it was said");
        world.lift();
        world.run(Duration::from_secs(6));
        assert_eq!(world.clips(), ["hours"]);
    }
}

#[test]
fn a_warm_session_stays_alive_without_audio() {
    let mut world = World::new(settings().ears(listen()), polite());
    world.run(Duration::from_secs(120));
    assert_eq!(world.failure, None);
    let log = world.log("listen");
    assert!(log.iter().filter(|entry| *entry == "KeepAlive").count() >= 25, "{log:?}");
    let mut world = World::new(settings(), polite());
    world.run(Duration::from_secs(120));
    assert_eq!(world.failure, None);
    assert!(!world.log("listen").iter().any(|entry| entry == "KeepAlive"), "Flux cannot bear it");
    world.lift();
    world.exchange("hours");
    assert_eq!(world.clips(), ["hours"]);
}

#[test]
fn a_turn_ends_although_the_callers_audio_stopped() {
    for model in [listen(), eager()] {
        let mut world = World::connected(settings().ears(model), polite());
        let clip = voice_core::sim::speech::caller("hours").expect("a clip");
        world.say("hours");
        world.run(clip.duration());
        world.mute();
        world.run(Duration::from_secs(14));
        assert_eq!(world.clips(), ["hours"]);
        assert_eq!(world.failure, None);
    }
}

#[test]
fn flushes_stay_within_what_the_service_takes() {
    let mut world = World::connected(settings(), polite());
    for _ in 0..24 {
        world.command(ProviderCommand::Speak { cue: Some("Say hello.".into()) });
        world.run(Duration::from_millis(2_400));
    }
    world.run(Duration::from_secs(60));
    assert_eq!(world.failure, None);
    assert!(!world.harmless().iter().any(|code| code.contains("FLUSH")), "{:?}", world.harmless());
    assert_eq!(world.replies.len(), 24);
    assert!(world.replies.iter().all(|(_, reply)| reply.end == Some(ReplyEnd::Completed)));
}

#[test]
fn the_voice_is_renewed_before_its_hour_is_over() {
    let mut world = World::new(settings(), polite());
    world.run(Duration::from_secs(3_700));
    assert_eq!((world.dials("speak"), world.failure.clone()), (2, None));
    assert!(world.harmless().is_empty(), "by ourselves, not because we were cut");
    world.lift();
    assert_eq!(world.exchange("hours"), text("hours"));
}

#[test]
fn other_formats_are_spoken_in_whole_samples() {
    let mut world = World::with_format(settings(), polite(), AudioFormat::PCM16_8K);
    world.run(Duration::from_millis(500));
    world.lift();
    world.exchange("hours");
    let (_, reply) = &world.replies[0];
    let samples = reply.audio.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    let mulaw: Vec<u8> = samples.map(linear_to_mulaw).collect();
    assert_eq!(recognise(&mulaw).map(|clip| clip.name), Some("hours"));
    let torn =
        |event: &ProviderEvent| matches!(event, ProviderEvent::Speech { audio, .. } if audio.len() % 2 == 1);
    assert_eq!(world.count(torn), 0);
}

#[test]
fn goodbye_is_said_to_everybody() {
    let mut world = World::connected(settings(), polite());
    world.exchange("hello");
    world.command(ProviderCommand::Close);
    assert_eq!(world.log("listen").last().map(String::as_str), Some("CloseStream"));
    assert_eq!(world.log("speak").last().map(String::as_str), Some("Close"));
    let before = world.events.len();
    world.run(Duration::from_secs(30));
    assert_eq!(world.events.len(), before);
}
