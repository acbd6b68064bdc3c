//! Talking: greeting, questions and answers, interruptions, cues, silence.

use std::time::Duration;

use expect_test::expect;
use voice_core::audio::AudioFormat;
use voice_core::conversation::{Heard, Turn};
use voice_core::id::{AttachmentId, ReplyId};
use voice_core::provider::{ProviderCommand, ProviderEvent};
use voice_core::sim::speech::voice;
use voice_core::wire::WireMessage;
use voice_providers::sim::deepgram::agent::{Rudeness, Seen};

use crate::harness::{Rig, settings, setup};

fn speak(cue: Option<&str>) -> ProviderCommand {
    ProviderCommand::Speak { cue: cue.map(str::to_owned) }
}

fn sound(rig: &Rig, n: u32) -> Vec<u8> {
    let wanted = ReplyId::new(AttachmentId(1), n);
    let of = |event: &ProviderEvent| match event {
        ProviderEvent::Speech { reply, audio } if *reply == wanted => audio.to_vec(),
        _ => Vec::new(),
    };
    rig.events.iter().flat_map(|(_, event)| of(event)).collect()
}

#[test]
fn a_conversation() {
    let mut rig = Rig::polite().ready();
    rig.command(speak(Some("Greet the caller.")));
    rig.run(4_000);
    rig.ask("hello");
    rig.ask("hours");
    expect![[r#"
        ready, until Some(7200.050000s)
        r1.1 words "Good morning, this is Ada from the book shop."
        r1.1 words " How can I help you?"
        r1.1 sound of 27838 bytes
        r1.1 Completed
        u1.1 spoke
        u1.1 paused
        u1.1 said "Hello, can you hear me?"
        r1.2 words "Yes, I can hear you well."
        r1.2 words " What can I do for you?"
        r1.2 sound of 23027 bytes
        r1.2 Completed
        u1.2 spoke
        u1.2 paused
        u1.2 said "What are your opening hours?"
        r1.3 words "We are open from nine to six, Monday to Saturday."
        r1.3 sound of 21812 bytes
        r1.3 Completed
    "#]]
    .assert_eq(&rig.script());
    // Mu-law goes through as it is.
    assert_eq!(sound(&rig, 1), voice("greeting").expect("known").mulaw);
    assert_eq!(rig.seen().last(), Some(&&Seen::Caller(Some("hours"))));
}

#[test]
fn every_other_format_is_declared_and_kept() {
    for (hears, speaks) in [
        (AudioFormat::ALAW_8K, AudioFormat::PCM16_8K),
        (AudioFormat::PCM16_16K, AudioFormat::PCM16_24K),
        (AudioFormat::PCM16_24K, AudioFormat::PCM16_48K),
    ] {
        let mut setup = setup();
        (setup.hears, setup.speaks) = (hears, speaks);
        let mut rig = Rig::new(settings(), setup, None).ready();
        rig.ask("hours");
        assert!(rig.seen().contains(&&Seen::Caller(Some("hours"))), "{hears}");
        let clip = voice("hours").expect("known");
        assert_eq!(speaks.duration_of(sound(&rig, 1).len()), clip.duration(), "{speaks}");
    }
}

#[test]
fn an_interruption_cuts_the_reply_and_its_tail() {
    let mut rig = Rig::rude(Rudeness::AudioAfterStart).ready();
    rig.say("delivery");
    while !rig.script().contains("words") {
        rig.run(20);
    }
    rig.say("price");
    rig.run(9_000);
    expect![[r#"
        ready, until Some(7200.050000s)
        u1.1 spoke
        u1.1 paused
        u1.1 said "Please tell me about your delivery service."
        r1.1 words "We deliver to every town in the country."
        u1.2 spoke
        r1.1 sound of 19439 bytes
        r1.1 Cancelled
        u1.2 paused
        u1.2 said "Sorry, stop. How much does it cost?"
        r1.2 words "A delivery costs three euros."
        r1.2 words " Above thirty euros it is free."
        r1.2 sound of 28111 bytes
        r1.2 Completed
    "#]]
    .assert_eq(&rig.script());
}

#[test]
fn an_interruption_after_the_last_byte_cuts_nothing_here() {
    let mut rig = Rig::polite().ready();
    rig.ask("hours");
    rig.ask("price");
    let script = rig.script();
    assert!(!script.contains("Cancelled") && script.matches("Completed").count() == 2, "{script}");
    // The call, which knows what was played, cuts the first; there is nothing to tell the service.
    let sent = rig.sent.len();
    let heard =
        Heard { reply: ReplyId::new(AttachmentId(1), 1), heard: Duration::ZERO, unheard: Duration::ZERO };
    rig.command(ProviderCommand::Interrupt(vec![heard]));
    assert_eq!(rig.sent.len(), sent);
}

#[test]
fn a_cut_by_the_call_ends_a_running_reply() {
    let mut rig = Rig::polite().ready();
    rig.say("delivery");
    while !rig.script().contains("words") {
        rig.run(20);
    }
    let heard =
        Heard { reply: ReplyId::new(AttachmentId(1), 1), heard: Duration::ZERO, unheard: Duration::ZERO };
    rig.command(ProviderCommand::Interrupt(vec![heard]));
    assert!(rig.script().ends_with("r1.1 Cancelled\n"), "{}", rig.script());
}

#[test]
fn a_greeting_in_the_settings_takes_the_place_of_the_first_cue() {
    let words = voice("greeting").expect("known").text;
    let mut rig = Rig::new(settings().greeting(words), setup(), None).ready();
    rig.command(speak(Some("Greet the caller.")));
    rig.run(4_000);
    assert_eq!(rig.settings()["agent"]["greeting"], words);
    assert_eq!(rig.seen(), Vec::<&Seen>::new());
    assert_eq!(sound(&rig, 1), voice("greeting").expect("known").mulaw);
    rig.command(speak(Some("Ask whether they are still there.")));
    rig.run(4_000);
    assert!(matches!(rig.seen()[..], [Seen::UserMessage(text)] if text.contains("still there")));
}

#[test]
fn a_greeting_is_not_said_in_the_middle_of_a_call() {
    let mut setup = setup();
    setup.history = vec![Turn::Caller { text: "What are your opening hours?".into() }];
    let mut rig = Rig::new(settings().greeting("Hello!"), setup, None).ready();
    assert!(rig.settings()["agent"]["greeting"].is_null());
    rig.command(speak(None));
    rig.run(4_000);
    // Whoever takes over answers what was asked last, and nobody said our own words.
    assert_eq!(sound(&rig, 1), voice("hours").expect("known").mulaw);
    assert!(!rig.script().contains("said"), "{}", rig.script());
}

#[test]
fn cues_may_be_spoken_word_for_word() {
    let mut rig = Rig::new(settings().verbatim_cues(true), setup(), None).ready();
    let words = voice("welcome").expect("known").text;
    rig.command(speak(Some(words)));
    rig.run(3_000);
    assert_eq!(rig.seen(), [&Seen::AgentMessage(words.into())]);
    assert_eq!(sound(&rig, 1), voice("welcome").expect("known").mulaw);
}

#[test]
fn a_cue_waits_for_the_reply_that_is_running() {
    let mut rig = Rig::polite().ready();
    rig.say("delivery");
    while !rig.script().contains("words") {
        rig.run(20);
    }
    rig.command(speak(Some("Say goodbye.")));
    rig.run(20);
    assert!(!rig.seen().iter().any(|seen| matches!(seen, Seen::UserMessage(_))));
    rig.run(9_000);
    assert!(rig.seen().iter().any(|seen| matches!(seen, Seen::UserMessage(_))));
}

#[test]
fn a_refused_cue_is_tried_again_after_the_next_reply() {
    let mut rig = Rig::rude(Rudeness::RefusesInjection).ready();
    rig.command(speak(Some("Greet the caller.")));
    rig.run(3_000);
    assert!(rig.script().ends_with("harmless (InjectionRefused), Ignore\n"), "{}", rig.script());
    rig.ask("hello");
    rig.run(3_000);
    let asked = rig.seen().into_iter().filter(|seen| matches!(seen, Seen::UserMessage(_))).count();
    assert_eq!(asked, 2);
}

#[test]
fn silence_takes_the_place_of_a_caller_who_is_not_there() {
    // A session that warms up hears nobody for long; nor is silence ever sent as a control message.
    let mut rig = Rig::polite();
    rig.run(60_000);
    assert_eq!(rig.failure(), None);
    assert!(rig.is_ready() && rig.seen().is_empty(), "{:?}", rig.seen());
    // A line without silence of its own: the ears still find the end of the turn.
    let mut rig = Rig::polite().ready();
    rig.say("hours");
    rig.run(2_700);
    rig.mute();
    rig.run(6_000);
    assert!(rig.seen().contains(&&Seen::Caller(Some("hours"))), "{:?}", rig.seen());
}

#[test]
fn nothing_is_added_to_a_caller_who_is_there() {
    let mut rig = Rig::polite().ready();
    rig.run(5_000);
    let sound: usize = rig
        .sent
        .iter()
        .filter_map(|message| if let WireMessage::Binary(bytes) = message { Some(bytes.len()) } else { None })
        .sum();
    // 20 ms more or less, for the frame at either end.
    assert!((39_840..=40_160).contains(&sound), "{sound}");
}

#[test]
fn what_happens_later_is_added_to_the_prompt() {
    let mut rig = Rig::polite().ready();
    rig.command(ProviderCommand::Note("The caller pressed 5.".into()));
    rig.command(ProviderCommand::CatchUp(vec![
        Turn::Caller { text: "And on Sunday?".into() },
        Turn::Voice { text: "Then we are".into(), cut: true },
    ]));
    rig.command(ProviderCommand::CatchUp(Vec::new()));
    rig.run(100);
    let prompts: Vec<&str> = rig
        .seen()
        .into_iter()
        .map(|seen| if let Seen::Prompt(prompt) = seen { prompt.as_str() } else { panic!("{seen:?}") })
        .collect();
    expect![[r#"
        A note about this call, which nobody said aloud: The caller pressed 5.
        --
        Meanwhile, in this same call:
        - The caller said: And on Sunday?
        - You said: Then we are…"#]]
    .assert_eq(&prompts.join("\n--\n"));
}

#[test]
fn the_end_is_polite() {
    let mut rig = Rig::polite().ready();
    rig.command(ProviderCommand::Close);
    rig.run(1_000);
    assert_eq!(rig.seen(), [&Seen::Gone]);
    assert!(rig.failure().is_none());
}
