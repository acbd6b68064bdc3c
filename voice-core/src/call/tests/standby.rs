//! Somebody stands by: a failure costs one message.

use super::*;

const A3: AttachmentId = AttachmentId(3);

fn ready(expires: Option<MonoTime>) -> ProviderEvent {
    ProviderEvent::Ready { session: None, expires }
}

/// `openai` talks as `A1`, and somebody is wanted to stand by as `A2`.
fn wanted_to_stand_by(standby: Standby) -> Rig {
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).standby(standby));
    rig.assign(A1, "openai").provider(A1, ready(None)).said.clear();
    rig.pass(ms(1_000));
    assert_eq!(rig.wanted(), ["· attaching", "attach a2 wish=None tried=[] last=Some(openai)"]);
    rig
}

fn standing_by(standby: Standby) -> Rig {
    let mut rig = wanted_to_stand_by(standby);
    rig.assign(A2, "gemini").provider(A2, ready(None)).pass(ms(60_000)).said.clear();
    rig
}

fn said(rig: &mut Rig, n: u32, text: &str) {
    let utterance = utterance(n);
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance))
        .provider(A1, ProviderEvent::CallerPaused(utterance))
        .provider(A1, ProviderEvent::CallerSaid { utterance, text: text.into() });
}

#[test]
fn a_failure_costs_no_time_at_all() {
    let mut rig = standing_by(Standby::Ready);
    said(&mut rig, 1, "hello");
    rig.frame(1);
    assert!(rig.wanted().iter().all(|word| !word.contains("a2")), "it hears and knows nothing yet");
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).frame(2);
    let wanted = rig.wanted();
    assert_eq!(
        wanted,
        [
            "· problem a1 cut",
            "outcome a1 Failure(Cut)",
            "detach a1",
            "· detached",
            "· live a2 after 0 ms",
            "catch up a2 1",
            "· switched openai gemini Failure 0-0 1",
            "tell a2 Speak { cue: None }",
            "hear a2 2",
        ]
    );
    rig.pass(ms(1_000));
    assert_eq!(rig.wanted(), ["· attaching", "attach a3 wish=None tried=[] last=Some(gemini)"]);
}

#[test]
fn who_is_fed_knows_every_turn_as_soon_as_it_is_certain() {
    let mut rig = standing_by(Standby::Fed);
    said(&mut rig, 1, "hello");
    assert_eq!(rig.wanted().pop().as_deref(), Some("catch up a2 1"));
    rig.speech(reply(A1, 1), 5);
    rig.give(Input::Control(Control::Note("vip".into())));
    assert!(!rig.wanted().iter().any(|word| word.contains("a2")), "the reply may still be cut");
    rig.provider(A1, ProviderEvent::Words { reply: reply(A1, 1), text: "hi".into() });
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.pass(ms(200));
    assert_eq!(rig.wanted().pop().as_deref(), Some("catch up a2 2"));
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut));
    assert_eq!(rig.wanted().pop().as_deref(), Some("· switched openai gemini Failure 0-0 3"));
}

#[test]
fn who_cannot_stand_by_is_replaced_after_a_while() {
    let mut rig = standing_by(Standby::Ready);
    rig.provider(A2, ProviderEvent::Failed(Failure::Cut));
    assert_eq!(rig.wanted(), ["· problem a2 cut", "outcome a2 Failure(Cut)", "detach a2", "· detached"]);
    rig.pass(ms(740));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(260));
    assert_eq!(rig.wanted(), ["· attaching", "attach a3 wish=None tried=[] last=Some(openai)"]);
    rig.give(Input::Assigned(A3, None)).pass(ms(1_480));
    assert_eq!(rig.wanted(), [""; 0], "nobody is refused anything, and nobody is in a hurry");
    rig.pass(ms(520));
    assert_eq!(rig.wanted()[1], "attach a4 wish=None tried=[] last=Some(openai)");
}

#[test]
fn who_is_still_connecting_when_it_is_needed_takes_the_call() {
    let mut rig = wanted_to_stand_by(Standby::Ready);
    rig.assign(A2, "gemini").provider(A1, ProviderEvent::Failed(Failure::Cut)).frame(1).said.clear();
    rig.provider(A2, ready(None));
    assert_eq!(
        rig.wanted()[1..],
        ["· live a2 after 0 ms", "· switched openai gemini Failure 0-0 0", "hear a2 1"]
    );
}

#[test]
fn a_session_that_ends_while_it_stands_by_is_replaced_before() {
    let mut rig = wanted_to_stand_by(Standby::Ready);
    rig.assign(A2, "gemini").provider(A2, ready(Some(at(100_000)))).said.clear();
    rig.pass(ms(38_980));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(20));
    assert_eq!(
        rig.wanted(),
        [
            "outcome a2 Unproven",
            "detach a2",
            "· detached",
            "· attaching",
            "attach a3 wish=None tried=[] last=Some(openai)",
        ]
    );
}

#[test]
fn a_wish_is_granted_by_whoever_stands_by_if_they_will_do() {
    let mut rig = standing_by(Standby::Ready);
    rig.give(Input::Control(Control::Switch(None)));
    assert_eq!(rig.call.live(), Some(A2), "it was quiet");
    let mut rig = standing_by(Standby::Ready);
    rig.give(Input::Control(Control::Switch(Some(ProviderId::from_static("deepgram")))));
    assert_eq!(
        rig.wanted(),
        [
            "outcome a2 Unproven",
            "detach a2",
            "· detached",
            "· attaching",
            "attach a3 wish=Some(deepgram) tried=[] last=None",
        ]
    );
    rig.give(Input::Assigned(A3, None)).said.clear();
    rig.pass(ms(1_000));
    assert_eq!(rig.wanted()[1], "attach a4 wish=None tried=[] last=Some(openai)", "the place is free again");
}

#[test]
fn a_session_limit_is_no_reason_to_connect_a_third() {
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).standby(Standby::Ready));
    rig.assign(A1, "openai").provider(A1, ready(Some(at(100_000)))).pass(ms(1_000));
    rig.assign(A2, "openai").provider(A2, ready(None)).pass(ms(38_980)).said.clear();
    rig.pass(ms(40));
    let wanted = rig.wanted();
    assert_eq!(wanted[3..], ["· live a2 after 0 ms", "· switched openai openai SessionLimit 0-0 0"]);
}

#[test]
fn nobody_stands_by_unless_it_is_wanted() {
    let mut rig = Rig::talking();
    rig.pass(ms(400_000));
    assert_eq!(rig.wanted(), [""; 0]);
}

#[test]
fn who_is_fed_does_not_wait_for_words_that_never_come() {
    let mut rig = standing_by(Standby::Fed);
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1)));
    said(&mut rig, 2, "hello");
    assert_eq!(rig.wanted().pop().as_deref(), Some("catch up a2 1"));
    // They come after all.
    rig.provider(A1, ProviderEvent::CallerSaid { utterance: utterance(1), text: "hm".into() });
    assert_eq!(rig.wanted(), ["· callersaid", "catch up a2 1"]);
    for n in 3..6 {
        rig.provider(A1, ProviderEvent::CallerSpoke(utterance(n)));
        rig.provider(A1, ProviderEvent::CallerPaused(utterance(n)));
        rig.give(Input::Control(Control::Note("vip".into())));
    }
    assert_eq!(rig.wanted().iter().filter(|word| word.starts_with("catch up a2")).count(), 1);
    // Of two more that it was not told, one comes at the last moment.
    rig.provider(A1, ProviderEvent::CallerSaid { utterance: utterance(5), text: "are you there".into() });
    rig.said.clear();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(6)));
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut));
    assert_eq!(rig.wanted().iter().filter(|word| word.starts_with("· switched")).count(), 1);
}

#[test]
fn rather_another_service_stands_by_than_the_one_that_talks() {
    let mut rig = wanted_to_stand_by(Standby::Ready);
    rig.assign(A2, "openai").provider(A2, ready(None)).said.clear();
    rig.pass(ms(59_980));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(20));
    assert_eq!(rig.wanted(), ["· attaching", "attach a3 wish=None tried=[] last=Some(openai)"]);
    rig.assign(A3, "openai");
    assert_eq!(rig.wanted(), ["outcome a3 Unproven"], "there is nobody else: all stays as it is");
    rig.pass(ms(60_000)).said.clear();
    rig.assign(AttachmentId(4), "gemini");
    assert_eq!(
        rig.wanted(),
        ["outcome a2 Unproven", "detach a2", "· detached", "· assigned", "open a4 with 0 turns"]
    );
    rig.provider(AttachmentId(4), ready(None));
    rig.pass(ms(400_000));
    assert_eq!(rig.call.status().standby.map(|by| by.id), Some(AttachmentId(4)));
}

#[test]
fn who_talks_fails_while_another_is_asked_to_stand_by() {
    let mut rig = wanted_to_stand_by(Standby::Ready);
    rig.assign(A2, "openai").provider(A2, ready(None)).pass(ms(60_000)).said.clear();
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut));
    assert_eq!(rig.call.live(), Some(A2));
    rig.said.clear();
    rig.assign(A3, "gemini");
    assert_eq!(rig.wanted(), ["outcome a3 Unproven"], "that question is no longer asked");
}
