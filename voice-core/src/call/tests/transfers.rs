//! The caller is led to somebody else, or comes back; keys are pressed for them.

use super::*;
use crate::call::tests::covers::prompts;
use crate::carrier::Digits;
use crate::transfer::{TransferFailure, TransferId, TransferKind, TransferNews};

const T1: TransferId = TransferId(1);

fn talking() -> Rig {
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).prompts(prompts()));
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None }).said.clear();
    rig.now = at(10_000);
    rig
}

fn order(rig: &mut Rig, control: Control) -> Vec<String> {
    rig.give(Input::Control(control)).wanted()
}

fn transfer(rig: &mut Rig) -> Vec<String> {
    let order = TransferOrder::new(TransferKind::Warm, "support", "+15550177");
    rig.give(Input::Control(Control::Transfer(order))).wanted()
}

fn news(rig: &mut Rig, news: TransferNews) -> Vec<String> {
    order(rig, Control::Transferred(T1, news))
}

#[test]
fn the_caller_hears_the_sentence_then_music_and_is_led_elsewhere() {
    let mut rig = talking();
    rig.speech(reply(A1, 1), 50);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.pass(ms(100)).said.clear();
    assert_eq!(transfer(&mut rig), ["· transferring", "operate 1 warm -"]);
    rig.pass(ms(880));
    assert_eq!(rig.wanted(), [""; 0], "the sentence is not over");
    rig.pass(ms(40));
    assert_eq!(rig.wanted(), ["· heard r1.1 \"\" 1000+0", "· held"]);
    assert_eq!(news(&mut rig, TransferNews::Answered), ["· transferanswered"]);
    assert_eq!(news(&mut rig, TransferNews::Answered), [""; 0], "once");
    assert_eq!(rig.call.status().transfer.map(|stage| stage.name()), Some("answered"));
    assert_eq!(news(&mut rig, TransferNews::Joining), ["Proceed(TransferId(1))"]);
    let over = news(&mut rig, TransferNews::Done);
    assert_eq!(over.last().map(String::as_str), Some("· ended transfer"));
    assert!(!over.contains(&"carrier HangUp".to_owned()), "their line stands");
    assert_eq!(rig.finished, Some(EndReason::Transfer { to: "+15550177".into() }));
}

#[test]
fn who_cannot_be_reached_gives_the_caller_back_and_the_voice_knows_why() {
    let mut rig = talking();
    transfer(&mut rig);
    rig.pass(ms(2_000)).said.clear();
    let back = news(&mut rig, TransferNews::Failed(TransferFailure::Busy));
    assert_eq!(back[0], "· transfer 1 failed Busy");
    assert!(back[1] == "· noted" && back[2].starts_with("tell a1 Note"), "{back:?}");
    assert_eq!(back[3..6], ["· cued", "carrier Clear", "· resumed 2000 false"]);
    assert!(back[6].starts_with("tell a1 Speak { cue: Some(\"The transfer failed"), "{back:?}");
    assert_eq!(back.len(), 7);
    // What comes late of it means nothing, and another one may be tried.
    assert_eq!(news(&mut rig, TransferNews::Done), [""; 0]);
    assert_eq!(transfer(&mut rig), ["· transferring", "operate 2 warm -"]);
}

#[test]
fn a_voice_that_goes_on_talking_is_put_on_hold_after_ten_seconds() {
    let mut rig = talking();
    rig.speech(reply(A1, 1), 1_000);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed }).said.clear();
    transfer(&mut rig);
    rig.pass(ms(9_980));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(20));
    assert_eq!(rig.wanted()[0], "· held");
}

#[test]
fn whoever_wants_the_caller_back_has_them_unless_they_are_being_joined() {
    let mut rig = talking();
    transfer(&mut rig);
    let back = order(&mut rig, Control::Resume);
    assert_eq!(back[..2], ["Withdraw(TransferId(1))", "· transfer 1 failed Withdrawn"]);
    let mut rig = talking();
    transfer(&mut rig);
    news(&mut rig, TransferNews::Joining);
    assert_eq!(order(&mut rig, Control::Resume), [""; 0]);
    rig.give(Input::Carrier(CarrierEvent::Ended(CarrierEnd::Stopped)));
    assert_eq!(rig.finished, None, "the stream ended with the joining, or the caller hung up");
    news(&mut rig, TransferNews::Done);
    assert_eq!(rig.finished, Some(EndReason::Transfer { to: "+15550177".into() }));
}

#[test]
fn a_caller_who_hangs_up_ends_the_transfer_once() {
    let mut rig = talking();
    transfer(&mut rig);
    rig.said.clear();
    let gone = rig.give(Input::Carrier(CarrierEvent::Ended(CarrierEnd::Stopped))).wanted();
    assert_eq!(gone[..2], ["Withdraw(TransferId(1))", "· transfer 1 failed CallOver"]);
    // While they are joined, the verdict says which it was.
    let mut rig = talking();
    transfer(&mut rig);
    news(&mut rig, TransferNews::Joining);
    rig.give(Input::Carrier(CarrierEvent::Ended(CarrierEnd::Stopped))).said.clear();
    let gone = news(&mut rig, TransferNews::Failed(TransferFailure::Carrier));
    assert_eq!(gone.last().map(String::as_str), Some("· ended caller_hung_up"));
}

#[test]
fn an_operator_who_says_nothing_is_not_waited_for_for_ever() {
    let mut rig = talking();
    transfer(&mut rig);
    rig.pass(ms(180_000));
    let wanted = rig.wanted();
    assert!(wanted.contains(&"Withdraw(TransferId(1))".to_owned()), "{wanted:?}");
    assert!(wanted.contains(&"· transfer 1 failed Timeout".to_owned()), "{wanted:?}");
    let mut rig = talking();
    transfer(&mut rig);
    news(&mut rig, TransferNews::Joining);
    rig.give(Input::Carrier(CarrierEvent::Ended(CarrierEnd::Stopped)));
    rig.pass(ms(20_000));
    assert_eq!(rig.finished, Some(EndReason::Carrier(CarrierEnd::Stopped)));
}

#[test]
fn two_transfers_at_once_are_one_too_many() {
    let mut rig = talking();
    transfer(&mut rig);
    assert_eq!(transfer(&mut rig), ["· transferring", "· transfer 2 failed UnderWay"]);
    assert!(rig.call.status().transfer.is_some(), "the first goes on");
}

#[test]
fn they_are_told_what_it_is_about() {
    let mut rig = talking();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerSaid { utterance: utterance(1), text: "My cat is ill.".into() });
    rig.said.clear();
    assert_eq!(transfer(&mut rig)[1], "operate 1 warm The caller said: My cat is ill.");
    let mut rig = talking();
    order(&mut rig, Control::Summary("About a cat.".into()));
    assert_eq!(transfer(&mut rig)[1], "operate 1 warm About a cat.");
}

#[test]
fn keys_sound_after_the_sentence_and_no_menu_interrupts_them() {
    let mut rig = talking();
    rig.speech(reply(A1, 1), 5);
    let digits = Digits::new("1w2").expect("keys");
    order(&mut rig, Control::SendDigits(digits));
    rig.pass(ms(500));
    assert!(rig.call.playout.is_dry(), "the sentence may go on");
    rig.said.clear();
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.pass(ms(100)).provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    assert_eq!(rig.said.iter().filter(|word| *word == "carrier Clear").count(), 0);
    rig.pass(ms(1_000));
    let played = rig.said.iter().filter(|word| *word == "play").count();
    assert_eq!(played, 2 * 10 + 25, "two keys of 200 ms and half a second between them");
    assert!(!rig.call.covers.keys.are_pressed(), "from here on the voice can be interrupted again");
}
