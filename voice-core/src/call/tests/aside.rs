//! The caller on hold, and muted.

use super::*;
use crate::call::tests::covers::prompts;

fn talking() -> Rig {
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).prompts(prompts()));
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None }).said.clear();
    rig.now = at(10_000);
    rig
}

fn order(rig: &mut Rig, control: Control) -> Vec<String> {
    rig.give(Input::Control(control)).wanted()
}

#[test]
fn on_hold_neither_hears_the_other() {
    let mut rig = talking();
    rig.speech(reply(A1, 1), 50).pass(ms(100)).said.clear();
    assert_eq!(
        order(&mut rig, Control::Hold { music: false }),
        ["· held", "carrier Clear", "· heard r1.1 \"\" 100+900 cut", "interrupt a1 r1.1 100+900"]
    );
    // For a second it hears silence, lest a turn stays open; then nothing.
    rig.frame(7);
    assert_eq!(rig.wanted(), ["hear a1 255"]);
    rig.pass(ms(1_000)).frame(8);
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    assert_eq!(rig.wanted(), ["· callerspoke"]);
    rig.speech(reply(A1, 2), 3);
    assert_eq!(rig.wanted(), ["interrupt a1 r1.2 0+20", "· heard r1.2 \"\" 0+20 cut"], "once");
    assert_eq!(
        order(&mut rig, Control::Resume),
        ["· lost Withheld 40", "· resumed 1000 false", "tell a1 Speak { cue: None }"]
    );
    rig.speech(reply(A1, 2), 3).frame(9).speech(reply(A1, 3), 1);
    assert_eq!(rig.wanted(), ["hear a1 9", "· starts r1.3 after None"], "what was refused stays refused");
}

#[test]
fn music_plays_until_the_end_of_the_hold() {
    let mut rig = talking();
    order(&mut rig, Control::Hold { music: true });
    rig.pass(ms(10_000));
    let played = rig.said.iter().filter(|word| *word == "play").count();
    assert_eq!(played, 500, "without a gap");
    assert_eq!(rig.wanted(), [""; 0], "music is no cover, and there is none either");
    assert_eq!(order(&mut rig, Control::Resume), ["carrier Clear", "· resumed 10000 false"]);
    rig.pass(ms(1_000));
    assert!(rig.said.is_empty());
}

#[test]
fn nobody_is_on_hold_for_ever() {
    let mut rig = talking();
    order(&mut rig, Control::Hold { music: false });
    rig.pass(ms(600_000));
    assert_eq!(rig.wanted(), ["· resumed 600000 true"]);
}

#[test]
fn a_provider_may_fail_behind_the_back_of_the_caller() {
    let mut rig = talking();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1)));
    order(&mut rig, Control::Hold { music: true });
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).assign(A2, "gemini").frame(1).said.clear();
    rig.provider(A2, ProviderEvent::Ready { session: None, expires: None });
    assert_eq!(
        rig.wanted(),
        ["· ready", "· live a2 after 0 ms", "· switched openai gemini Failure 0-0 0"],
        "it waits with its answer"
    );
    assert_eq!(
        order(&mut rig, Control::Resume).last().map(String::as_str),
        Some("tell a2 Speak { cue: None }")
    );
}

#[test]
fn a_hold_is_no_stall() {
    let mut rig = talking();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1)));
    order(&mut rig, Control::Hold { music: false });
    rig.pass(ms(60_000));
    assert_eq!(rig.wanted(), [""; 0]);
    order(&mut rig, Control::Resume);
    rig.pass(ms(10_000));
    assert!(rig.wanted().contains(&"tell a1 Speak { cue: None }".to_owned()), "now it is one");
}

#[test]
fn a_call_that_is_given_up_on_hold_is_given_up_aloud() {
    let mut rig = talking();
    order(&mut rig, Control::Hold { music: true });
    rig.provider(A1, ProviderEvent::Failed(Failure::Credentials)).frame(1).said.clear();
    rig.nobody(2);
    assert_eq!(
        rig.wanted(),
        ["carrier Clear", "· lost Withheld 20", "· resumed 1000 false", "· covered Unavailable"]
    );
}

#[test]
fn a_call_on_hold_can_be_ended() {
    let mut rig = talking();
    order(&mut rig, Control::Hold { music: true });
    order(&mut rig, Control::HangUpAfterReply);
    assert_eq!(rig.finished, Some(EndReason::HungUp));
}

#[test]
fn a_muted_caller_is_replaced_by_silence_and_hears_all() {
    let mut rig = talking();
    assert_eq!(order(&mut rig, Control::Mute(true)), ["· muted"]);
    assert_eq!(order(&mut rig, Control::Mute(true)), [""; 0]);
    rig.pass(ms(5_000)).frame(0x10).speech(reply(A1, 1), 1);
    assert_eq!(rig.wanted(), ["hear a1 255", "· starts r1.1 after None"]);
    assert!(rig.call.status().muted && !rig.call.status().on_hold);
    assert_eq!(order(&mut rig, Control::Mute(false)), ["· lost Withheld 20", "· muted"]);
    assert_eq!(rig.frame(3).wanted(), ["hear a1 3"]);
}

#[test]
fn what_is_to_be_said_waits_for_the_end_of_the_hold() {
    let mut rig = talking();
    order(&mut rig, Control::Hold { music: false });
    assert_eq!(order(&mut rig, Control::Say { cue: "thank them".into() }), ["· cued"]);
    let wanted = order(&mut rig, Control::Resume);
    assert_eq!(wanted.last().map(String::as_str), Some("tell a1 Speak { cue: Some(\"thank them\") }"));
}

#[test]
fn what_a_hold_cuts_off_in_a_gap_is_owed_by_whoever_comes() {
    let mut rig = talking();
    rig.speech(reply(A1, 1), 100);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.pass(ms(200)).provider(A1, ProviderEvent::Failed(Failure::Cut));
    order(&mut rig, Control::Hold { music: false });
    rig.assign(A2, "gemini").provider(A2, ProviderEvent::Ready { session: None, expires: None });
    rig.said.clear();
    let wanted = order(&mut rig, Control::Resume);
    assert_eq!(wanted.last().map(String::as_str), Some("tell a2 Speak { cue: None }"));
}
