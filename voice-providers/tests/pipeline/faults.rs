//! Ears and voices that refuse, vanish, fall silent or talk nonsense: always a defined outcome.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use voice_core::failure::{Failure, Verdict};
use voice_core::provider::ProviderEvent;
use voice_core::sim::rng::Rng;
use voice_core::wire::{LineEnd, WireMessage};
use voice_providers::sim::deepgram::SpeechRudeness;
use voice_providers::sim::llm::{LlmProfile, LlmRudeness};

use crate::network::Manners;
use crate::world::{World, eager, listen, polite, settings, spare};

fn ears(rudeness: SpeechRudeness) -> Manners {
    Manners { ears: vec![rudeness], ..polite() }
}

fn voice(rudeness: SpeechRudeness) -> Manners {
    Manners { voice: vec![rudeness], ..polite() }
}

/// What becomes of a call in which one question is asked.
fn outcome(builder: voice_providers::deepgram::pipeline::PipelineBuilder, manners: Manners) -> World {
    let mut world = World::new(builder, manners);
    world.run(Duration::from_millis(500));
    world.lift();
    world.say("delivery");
    world.run(Duration::from_secs(60));
    world
}

fn service(code: &str) -> Failure {
    Failure::Service { code: code.into() }
}

fn setting(code: &str) -> Failure {
    Failure::Settings { code: code.into() }
}

#[test]
fn every_refusal_has_its_verdict() {
    for (rudeness, failure) in [
        (SpeechRudeness::Refuse400, setting("INVALID_QUERY_PARAMETER")),
        (SpeechRudeness::Refuse401, Failure::Credentials),
        (SpeechRudeness::Refuse402, Failure::Quota),
        (SpeechRudeness::Refuse403, Failure::Credentials),
        (SpeechRudeness::Refuse429, Failure::Throttled { retry_after: None }),
        (SpeechRudeness::Refuse500, Failure::Refused { status: 500 }),
    ] {
        for manners in [ears(rudeness), voice(rudeness)] {
            let world = outcome(settings(), manners);
            assert!(!world.ready);
            assert_eq!(world.failure, Some(failure.clone()), "{rudeness}");
        }
    }
}

#[test]
fn every_end_in_the_middle_of_speech_has_its_verdict() {
    for (rudeness, failure) in [
        (SpeechRudeness::Cut, Failure::Cut),
        (SpeechRudeness::Net0000, service("NET-0000")),
        (SpeechRudeness::Data0000, setting("DATA-0000")),
        (SpeechRudeness::Net0003, Failure::SessionLimit),
        (SpeechRudeness::ErrorMessage, service("INTERNAL_SERVER_ERROR")),
    ] {
        for model in [listen(), eager()] {
            let world = outcome(settings().ears(model), ears(rudeness));
            assert!(world.ready);
            assert_eq!(world.failure, Some(failure.clone()), "ears, {rudeness}");
        }
        let world = outcome(settings(), voice(rudeness));
        assert_eq!(world.failure, Some(failure), "voice, {rudeness}");
    }
}

#[test]
fn silence_of_a_service_is_noticed() {
    let fifteen = Some(Failure::Stalled(Duration::from_secs(15)));
    assert_eq!(outcome(settings().ears(listen()), ears(SpeechRudeness::HalfOpen)).failure, fifteen);
    let five = Some(Failure::Stalled(Duration::from_secs(5)));
    for rudeness in [SpeechRudeness::Mute, SpeechRudeness::NoFlushed] {
        assert_eq!(outcome(settings(), voice(rudeness)).failure, five, "{rudeness}");
    }
    // Not ready is for the call to judge: it knows how long it will wait.
    for manners in [ears(SpeechRudeness::NoAnswer), voice(SpeechRudeness::NoAnswer)] {
        let world = outcome(settings(), manners);
        assert_eq!((world.ready, world.failure.clone()), (false, None));
    }
    let world = outcome(settings(), ears(SpeechRudeness::HalfOpen));
    assert_eq!((world.ready, world.failure.clone()), (false, None), "Flux never said Connected");
}

#[test]
fn what_is_odd_does_not_stop_a_call() {
    for rudeness in [
        SpeechRudeness::UnknownMessages,
        SpeechRudeness::Garbage,
        SpeechRudeness::StrayBinary,
        SpeechRudeness::NoSpeechFinal,
        SpeechRudeness::Warnings,
        SpeechRudeness::Resumed,
        SpeechRudeness::DoubledFlushed,
    ] {
        for model in [listen(), eager()] {
            for manners in [ears(rudeness), voice(rudeness)] {
                let world = outcome(settings().ears(model.clone()), manners);
                assert_eq!(world.failure, None, "{rudeness} {model:?}");
                assert_eq!(world.clips(), ["delivery"], "{rudeness} {model:?}");
            }
        }
    }
    let world = outcome(settings(), ears(SpeechRudeness::UnknownMessages));
    assert!(world.count(|e| matches!(e, ProviderEvent::Unknown { kind } if kind == "Horoscope")) > 0);
    let world = outcome(settings(), voice(SpeechRudeness::Warnings));
    assert!(world.harmless().iter().any(|code| code == "SLOW_DAY"));
}

#[test]
fn a_turn_that_listen_never_ends_is_ended() {
    let world = outcome(settings().ears(listen()), ears(SpeechRudeness::NoEnd));
    assert!(world.log("listen").iter().any(|entry| entry == "Finalize"));
    assert_eq!(world.said().len(), 1, "with whatever was understood of it");
    assert_eq!((world.clips(), world.failure.clone()), (vec!["sorry"], None));
}

#[test]
fn a_line_of_the_voice_that_is_cut_while_idle_is_made_anew() {
    let mut world = World::connected(settings(), polite());
    world.run(Duration::from_secs(40));
    world.end_line("speak", LineEnd::Cut);
    assert_eq!(world.failure, None);
    world.exchange("hours");
    assert_eq!((world.clips(), world.dials("speak")), (vec!["hours"], 2));
    assert_eq!(world.harmless(), ["voice.redial.cut"]);
    // But not one that goes as soon as it has come.
    world.end_line("speak", LineEnd::Cut);
    assert_eq!(world.failure, Some(Failure::Cut));
}

#[test]
fn every_end_of_the_ears_is_a_failure() {
    for (end, kind) in [
        (LineEnd::Cut, "cut"),
        (LineEnd::Broken, "unreadable"),
        (LineEnd::Clogged, "clogged"),
        (LineEnd::Closed { code: 1000, reason: String::new() }, "closed"),
        (LineEnd::Closed { code: 1011, reason: "NET-0001 nothing came".into() }, "service"),
        (LineEnd::Closed { code: 1005, reason: String::new() }, "closed"),
    ] {
        let mut world = World::connected(settings(), polite());
        world.end_line("listen", end);
        assert_eq!(world.failure.as_ref().map(Failure::kind), Some(kind));
        world.run(Duration::from_secs(5));
    }
}

#[test]
fn a_peer_that_only_talks_nonsense_is_given_up() {
    for kind in ["listen", "speak"] {
        let mut world = World::connected(settings(), polite());
        for _ in 0..100 {
            world.inject(kind, WireMessage::text("{\"type\":"));
        }
        let failure = world.failure.clone().expect("it was given up");
        assert_eq!((failure.kind(), failure.verdict()), ("unreadable", Verdict::SwitchNow));
    }
}

#[test]
fn nonsense_never_panics() {
    let valid = [
        r#"{"type":"Results","is_final":true,"speech_final":true,"channel":{"alternatives":[{"transcript":"a"}]}}"#,
        r#"{"type":"TurnInfo","event":"StartOfTurn","transcript":"a"}"#,
        r#"{"type":"TurnInfo","event":"EndOfTurn","transcript":"a"}"#,
        r#"{"type":"TurnInfo","event":"EagerEndOfTurn","transcript":"ä"}"#,
        r#"{"type":"TurnInfo","event":"TurnResumed","transcript":"a"}"#,
        r#"{"type":"SpeechStarted"}"#,
        r#"{"type":"UtteranceEnd"}"#,
        r#"{"type":"Flushed","sequence_id":0}"#,
        r#"{"type":"Cleared","sequence_id":0}"#,
        r#"{"type":"Connected","request_id":"x"}"#,
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hello, my friend. \"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":-1,\"function\":{\"name\":\"x\"}}]}}]}\n\n",
        "data: {\"error\":{\"code\":\"server_error\"}}\n\n",
        "data: [DONE]\n\n",
    ];
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let model = if rng.percent(50) { listen() } else { eager() };
        let mut world = World::connected(settings().ears(model).fallback(spare()), polite());
        world.say("order");
        for _ in 0..60 {
            world.run(rng.millis(0..300));
            let mut bytes = rng.pick(&valid).as_bytes().to_vec();
            if rng.percent(30) {
                bytes.truncate(rng.range(0..bytes.len() as u64) as usize);
            }
            if rng.percent(20) {
                let at = rng.range(0..bytes.len().max(1) as u64) as usize;
                bytes.splice(at..at, [rng.bits() as u8]);
            }
            if rng.percent(2) {
                bytes = vec![b'x'; 2 << 20];
            }
            let bytes = Bytes::from(bytes);
            let message = match voice_core::wire::Text::from_utf8(bytes.clone()) {
                Ok(text) if rng.percent(70) => WireMessage::Text(text),
                _ => WireMessage::Binary(bytes),
            };
            world.inject(rng.pick::<&str>(&["listen", "speak", "llm"]), message);
        }
        world.run(Duration::from_secs(5));
    }
}

#[test]
fn any_mixture_of_rudeness_has_an_outcome() {
    let mut heard = 0;
    let mut failed = 0;
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let some = |rng: &mut Rng| match rng.percent(30) {
            true => vec![*rng.pick(SpeechRudeness::ALL)],
            false => vec![],
        };
        let minds = |rng: &mut Rng| {
            let one = |rng: &mut Rng| match rng.percent(40) {
                true => vec![*rng.pick(LlmRudeness::ALL)],
                false => vec![],
            };
            vec![one(rng), one(rng), one(rng), vec![]]
        };
        let profiles = [
            LlmProfile::OpenAi,
            LlmProfile::Gemini,
            LlmProfile::Ollama,
            LlmProfile::Vllm,
            LlmProfile::OpenRouter,
        ];
        let manners = Manners {
            seed,
            ears: some(&mut rng),
            voice: some(&mut rng),
            mind: minds(&mut rng),
            spare: minds(&mut rng),
            profile: *rng.pick(&profiles),
            tool_takes: Some(rng.millis(0..4_000)),
            ..polite()
        };
        let model = if rng.percent(50) { listen() } else { eager() };
        let mut world = World::new(settings().ears(model).fallback(spare()), manners);
        world.run(Duration::from_millis(500));
        world.lift();
        for clip in ["hello", "order", "delivery", "price", "goodbye"] {
            world.say(clip);
            world.run(rng.millis(2_000..9_000));
        }
        world.run(Duration::from_secs(40));
        heard += world.clips().len();
        failed += usize::from(world.failure.is_some());
        let open = world.replies.iter().filter(|(_, reply)| reply.end.is_none()).count();
        assert!(open == 0 || world.failure.is_some(), "seed {seed}: {open} replies never ended");
    }
    assert!(heard > 600 && failed > 20, "{heard} clips heard, {failed} sessions failed");
}

#[test]
fn rudeness_has_names() {
    for (rudeness, name) in SpeechRudeness::ALL.iter().zip(SpeechRudeness::NAMES) {
        assert_eq!(SpeechRudeness::from_str(name), Ok(*rudeness));
    }
    for (rudeness, name) in LlmRudeness::ALL.iter().zip(LlmRudeness::NAMES) {
        assert_eq!(LlmRudeness::from_str(name), Ok(*rudeness));
    }
    assert!(SpeechRudeness::from_str("polite").is_err() && LlmRudeness::from_str("polite").is_err());
}
