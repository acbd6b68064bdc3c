//! Peers who misbehave without failing, and nonsense of every kind.

use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use voice_core::failure::{Failure, Verdict};
use voice_core::provider::{ProviderCommand, ProviderEvent};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::voice;
use voice_core::wire::{LineEnd, WireMessage};
use voice_providers::sim::deepgram::agent::Rudeness;

use crate::harness::Rig;

fn asked(rudeness: Rudeness) -> Rig {
    let mut rig = Rig::rude(rudeness).ready();
    rig.ask("hours");
    rig
}

#[test]
fn every_rudeness_has_a_defined_outcome() {
    for &rudeness in Rudeness::ALL {
        let mut rig = Rig::rude(rudeness);
        rig.run(500);
        if rig.is_ready() && rig.failure().is_none() {
            rig = rig.ready();
            for sentence in ["hello", "order", "price"] {
                if rig.failure().is_none() {
                    rig.ask(sentence);
                }
            }
        }
        rig.run(20_000);
        rig.command(ProviderCommand::Close);
    }
}

#[test]
fn slow_thoughts_are_waited_for() {
    let mut rig = asked(Rudeness::SlowThink);
    rig.run(10_000);
    assert!(rig.script().ends_with("Completed\n"), "{}", rig.script());
}

#[test]
fn a_mind_that_falls_back_is_a_warning() {
    let script = asked(Rudeness::ThinkFallsBack).script();
    assert!(
        script.contains("harmless (THINK_REQUEST_FAILED), Ignore") && script.ends_with("Completed\n"),
        "{script}"
    );
}

#[test]
fn a_reply_that_nobody_ends_is_ended_here() {
    let mut rig = asked(Rudeness::NoAudioDone);
    rig.run(3_000);
    assert!(rig.script().ends_with("r1.1 Completed\n"), "{}", rig.script());
    rig.ask("price");
    rig.run(3_000);
    assert!(rig.script().ends_with("r1.2 Completed\n"), "{}", rig.script());
}

#[test]
fn words_without_sound_are_a_reply() {
    let script = asked(Rudeness::WordsWithoutAudio).script();
    assert!(!script.contains("sound") && script.ends_with("r1.1 Completed\n"), "{script}");
}

#[test]
fn a_line_that_is_half_open_is_for_the_call_to_notice() {
    let mut rig = asked(Rudeness::HalfOpen);
    rig.ask("price");
    assert!(
        rig.script().ends_with("How much does it cost?\"\n") && rig.failure().is_none(),
        "{}",
        rig.script()
    );
}

#[test]
fn what_is_said_twice_counts_once_where_that_can_be_told() {
    expect![[r#"
        ready, until Some(7200.050000s)
        u1.1 spoke
        u1.1 paused
        u1.1 said "What are your opening hours?"
        u1.1 said "What are your opening hours? What are your opening hours?"
        r1.1 words "We are open from nine to six, Monday to Saturday."
        r1.1 sound of 21812 bytes
        r1.1 Completed
    "#]]
    .assert_eq(&asked(Rudeness::SaysTwice).script());
}

#[test]
fn unknown_kinds_and_garbage_are_counted() {
    let unknown = asked(Rudeness::UnknownKinds).script();
    assert_eq!(unknown.matches("unknown").count(), 2, "{unknown}");
    let garbage = asked(Rudeness::Garbage);
    assert_eq!(garbage.script().matches("unknown unreadable").count(), 5, "{}", garbage.script());
    let sound: usize =
        garbage
            .events
            .iter()
            .filter_map(|(_, event)| {
                if let ProviderEvent::Speech { audio, .. } = event { Some(audio.len()) } else { None }
            })
            .sum();
    assert_eq!(sound, voice("hours").expect("known").mulaw.len());
}

#[test]
fn nothing_but_gibberish_is_a_failure() {
    let mut rig = Rig::rude(Rudeness::Gibberish);
    rig.run(2_000);
    assert_eq!(rig.failure().map(Failure::kind), Some("unreadable"));
}

#[test]
fn random_messages_never_break_anything() {
    let pieces = [
        r#"{"type":"Welcome","request_id":"r"}"#,
        r#"{"type":"SettingsApplied"}"#,
        r#"{"type":"UserStartedSpeaking"}"#,
        r#"{"type":"ConversationText","role":"user","content":"hi"}"#,
        r#"{"type":"ConversationText","role":"assistant","content":"hello"}"#,
        r#"{"type":"ConversationText","role":"system","content":""}"#,
        r#"{"type":"AgentAudioDone"}"#,
        r#"{"type":"FunctionCallRequest","functions":[{"id":"f","name":"lookup_order","arguments":"{}","client_side":true},{"id":"f","name":"x","arguments":"{"}]}"#,
        r#"{"type":"FunctionCallCancelled","functions":[{"id":"f","name":"x"}]}"#,
        r#"{"type":"InjectionRefused","message":""}"#,
        r#"{"type":"Warning","code":null,"description":""}"#,
        r#"{"type":"History","function_calls":[]}"#,
        "{}",
    ];
    let mut ends = 0;
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut rig = if seed % 3 == 0 { Rig::polite() } else { Rig::polite().ready() };
        for _ in 0..120 {
            if rig.failure().is_some() {
                ends += 1;
                break;
            }
            let text = *rng.pick(&pieces);
            match rng.range(0..10) {
                0 => rig.wire(&WireMessage::text(&text[..rng.range(0..text.len() as u64) as usize])),
                1 => rig.wire(&WireMessage::Binary(Bytes::copy_from_slice(text.as_bytes()))),
                2 => {
                    let noise: Vec<u8> = (0..rng.range(0..9)).map(|_| rng.bits() as u8).collect();
                    rig.wire(&WireMessage::Binary(noise.into()));
                }
                3 => rig.command(ProviderCommand::Speak { cue: None }),
                4 => rig.run(rng.range(1..900)),
                _ => rig.wire(&WireMessage::text(text)),
            }
        }
        rig.run(10_000);
        if rig.failure().is_none() {
            rig.line_down(LineEnd::Cut);
        }
        assert_ne!(rig.failure().expect("it is over").verdict(), Verdict::Ignore);
    }
    assert!(ends > 0 && ends < 300, "{ends}");
}

#[test]
fn huge_messages_are_cut() {
    let mut rig = Rig::polite().ready();
    let text = "ä".repeat(2 << 20);
    for role in ["user", "assistant"] {
        rig.wire(&WireMessage::text(format!(
            r#"{{"type":"ConversationText","role":"{role}","content":"{text}"}}"#
        )));
    }
    rig.wire(&WireMessage::text(format!(r#"{{"type":"{text}"}}"#)));
    rig.wire(&WireMessage::text("[".repeat(1 << 20)));
    let longest = rig.events.iter().map(|(_, event)| match event {
        ProviderEvent::CallerSaid { text, .. } | ProviderEvent::Words { text, .. } => text.expose().len(),
        ProviderEvent::Unknown { kind } => kind.len(),
        _ => 0,
    });
    assert_eq!(longest.max(), Some(voice_core::limits::TURN_TEXT_BYTES_MAX));
}

#[test]
fn thousands_of_pieces_of_a_turn_stay_bounded() {
    let mut rig = Rig::polite().ready();
    for n in 0..500 {
        let text = format!("{n} {}", "x".repeat(500));
        rig.wire(&WireMessage::text(format!(
            r#"{{"type":"ConversationText","role":"user","content":"{text}"}}"#
        )));
    }
    for (_, event) in &rig.events {
        if let ProviderEvent::CallerSaid { text, .. } = event {
            assert!(text.expose().len() <= voice_core::limits::TURN_TEXT_BYTES_MAX);
        }
    }
    assert!(rig.now > voice_core::time::MonoTime::ZERO + Duration::from_millis(400));
}
