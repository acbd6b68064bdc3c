//! Nobody is left in silence: stalls, noises, tools that answer late, providers that die at a bad moment.

use super::*;

#[test]
fn a_silent_provider_is_replaced_unless_a_tool_runs() {
    let mut rig = Rig::talking();
    rig.now = at(10_000);
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1))).said.clear();
    rig.pass(ms(9_980));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(20));
    assert_eq!(rig.wanted(), ["tell a1 Speak { cue: None }"], "it is reminded once");
    rig.pass(ms(10_000));
    assert_eq!(rig.wanted()[0], "· problem a1 stalled");
}

#[test]
fn a_noise_that_was_taken_for_the_caller_leaves_nobody_in_silence() {
    let mut rig = Rig::talking();
    rig.now = at(10_000);
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1))).said.clear();
    rig.listen(ms(5_000)).frame(0x10).said.clear();
    rig.listen(ms(9_980));
    assert_eq!(rig.wanted(), [""; 0], "the caller was heard meanwhile");
    rig.listen(ms(20));
    assert_eq!(rig.wanted(), ["tell a1 Speak { cue: None }"]);
    rig.listen(ms(10_000));
    assert_eq!(rig.wanted()[0], "· problem a1 stalled");
}

#[test]
fn a_tool_that_answers_while_nobody_is_live_is_told_to_whoever_comes() {
    let tool = ToolDefinition { name: "look".into(), description: String::new(), parameters: "{}".into() };
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).tools(vec![tool]));
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None });
    let id = ToolCallId::new(A1, 1);
    let call = ToolCall { id, name: "look".into(), arguments: "{}".into() };
    rig.speech(reply(A1, 1), 5).provider(A1, ProviderEvent::ToolCall(call));
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).assign(A2, "gemini");
    let result = ToolResult { output: "friday".into(), failed: false };
    rig.give(Input::Control(Control::ToolAnswered { id, result })).said.clear();
    rig.provider(A2, ProviderEvent::Ready { session: None, expires: None });
    let wanted = rig.wanted();
    assert_eq!(
        wanted[2..],
        ["catch up a2 1", "· switched openai gemini Failure 0-0 2", "tell a2 Speak { cue: None }"]
    );
}

#[test]
fn half_a_sentence_is_no_answer() {
    let mut rig = Rig::talking();
    rig.speech(reply(A1, 1), 5);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Failed });
    rig.provider(A1, ProviderEvent::Failed(Failure::Service { code: "server_error".into() }));
    rig.assign(A2, "gemini").said.clear();
    rig.provider(A2, ProviderEvent::Ready { session: None, expires: None });
    assert_eq!(rig.wanted().pop().as_deref(), Some("tell a2 Speak { cue: None }"));
}

#[test]
fn who_was_cut_off_in_mid_word_is_answered() {
    let mut rig = Rig::talking();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)))
        .provider(A1, ProviderEvent::Failed(Failure::Cut));
    rig.assign(A2, "gemini").said.clear();
    rig.provider(A2, ProviderEvent::Ready { session: None, expires: None });
    assert_eq!(rig.wanted().pop().as_deref(), Some("tell a2 Speak { cue: None }"));
}

#[test]
fn late_pieces_of_a_cut_reply_are_no_sign_of_life() {
    let mut rig = Rig::talking();
    rig.speech(reply(A1, 1), 50).provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1)));
    rig.speech(reply(A1, 1), 5);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed }).said.clear();
    rig.pass(ms(10_000));
    assert_eq!(rig.wanted(), ["tell a1 Speak { cue: None }"]);
}

#[test]
fn a_reply_that_hangs_in_the_middle_is_a_stall() {
    let mut rig = Rig::talking();
    rig.speech(reply(A1, 1), 50).pass(ms(10_000));
    assert!(rig.wanted().contains(&"· problem a1 stalled".to_owned()));
}

#[test]
fn the_greeting_survives_the_first_provider() {
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Voice(Some("say hello".into()))));
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None });
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).assign(A2, "gemini").said.clear();
    rig.provider(A2, ProviderEvent::Ready { session: None, expires: None });
    assert_eq!(rig.wanted().pop().as_deref(), Some("tell a2 Speak { cue: Some(\"say hello\") }"));
}

#[test]
fn what_is_to_be_said_is_said_before_hanging_up() {
    let mut rig = Rig::talking();
    rig.give(Input::Control(Control::Say { cue: "say goodbye".into() }));
    rig.give(Input::Control(Control::HangUpAfterReply)).pass(ms(500));
    assert_eq!(rig.finished, None);
    rig.speech(reply(A1, 1), 5);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed })
        .pass(ms(200));
    assert_eq!(rig.finished, Some(EndReason::HungUp));
}

#[test]
fn a_rollover_that_comes_to_nothing_is_tried_again() {
    let mut rig = Rig::new();
    rig.assign(A1, "openai");
    rig.provider(A1, ProviderEvent::Ready { session: None, expires: Some(at(100_000)) });
    rig.now = at(40_000);
    rig.give(Input::Tick).give(Input::Assigned(A2, None)).said.clear();
    rig.now = at(50_000);
    rig.give(Input::Tick);
    assert_eq!(rig.wanted(), ["· attaching", "attach a3 wish=None tried=[] last=None"]);
}

#[test]
fn who_was_put_aside_by_a_wish_may_still_be_needed() {
    let mut rig = Rig::talking();
    rig.now = at(60_000);
    rig.give(Input::Control(Control::Switch(None))).assign(A2, "gemini");
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).said.clear();
    rig.provider(A2, ProviderEvent::Failed(Failure::Cut));
    assert_eq!(rig.wanted().pop().as_deref(), Some("attach a3 wish=None tried=[gemini] last=None"));
}

#[test]
fn a_silent_provider_is_told_from_a_silent_carrier() {
    let mut rig = Rig::talking();
    rig.now = at(10_000);
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1))).listen(ms(1_480));
    assert_eq!(rig.silences(), [""; 0]);
    rig.listen(ms(20));
    assert_eq!(rig.silences(), ["· silence Provider None"]);
    rig.speech(reply(A1, 1), 200).listen(ms(5_000));
    assert_eq!(rig.silences(), ["· silence Provider Some(1500)"], "what is being heard hides the next");
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.listen(ms(10_000));
    assert_eq!(rig.silences(), [""; 0]);
    rig.pass(ms(1_480));
    assert_eq!(rig.silences(), [""; 0]);
    rig.pass(ms(1_000));
    assert_eq!(rig.silences(), ["· silence Caller None"]);
    rig.listen(FRAME);
    assert_eq!(rig.silences(), ["· silence Caller Some(2500)"]);
    rig.pass(ms(2_000));
    assert_eq!(rig.silences(), ["· silence Caller None"], "and the next is noticed too");
}

#[test]
fn a_carrier_that_sends_nothing_is_not_the_fault_of_the_provider() {
    let mut rig = Rig::talking();
    rig.listen(ms(1_000));
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1))).said.clear();
    rig.pass(ms(60_000));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.listen(ms(25_000));
    assert!(rig.wanted().contains(&"· problem a1 stalled".to_owned()));
}

#[test]
fn a_reply_without_a_sound_does_not_end_the_watch_over_a_noise() {
    let mut rig = Rig::talking();
    rig.now = at(10_000);
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.said.clear();
    rig.listen(ms(10_000));
    assert_eq!(rig.wanted(), ["tell a1 Speak { cue: None }"]);
}

#[test]
fn a_provider_that_is_deaf_to_the_caller_is_reminded_and_then_left() {
    let quiet = CallConfig::builder("be kind").greeting(Greeting::Caller).prompts(covers::prompts());
    let mut rig = Rig::with(quiet);
    let ready = ProviderEvent::Ready { session: None, expires: None };
    rig.assign(A1, "openai").provider(A1, ready).said.clear();
    for _ in 0..100 {
        rig.now += FRAME;
        rig.frame(0x10);
    }
    rig.listen(ms(25_000));
    rig.said.retain(|word| !word.starts_with("hear "));
    let told = rig.wanted();
    let at = |what: &str| told.iter().position(|word| word.contains(what));
    let (reminded, left) = (at("Speak"), at("detach a1"));
    assert!(reminded.is_some() && reminded < left, "{told:?}");
}

/// When the call doubted, in milliseconds from now on.
fn doubts(rig: &mut Rig, voice: u8, lasts: u64) -> Vec<u64> {
    let begun = rig.now;
    let mut doubts = Vec::new();
    while rig.now.since(begun) < ms(lasts) {
        rig.now += FRAME;
        rig.frame(voice);
        let asked = rig.said.iter().filter(|word| *word == "doubt a1").count();
        doubts.extend(vec![rig.now.since(begun).as_millis() as u64; asked]);
        rig.said.clear();
    }
    doubts
}

#[test]
fn who_owes_an_answer_is_doubted_before_the_caller_notices() {
    let mut rig = Rig::talking();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1)));
    assert_eq!(doubts(&mut rig, 0xff, 2_600), [500, 1_500, 2_500]);
    rig.speech(reply(A1, 1), 5)
        .provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    assert_eq!(doubts(&mut rig, 0xff, 20_000), [0; 0], "nothing is due any more");
}

#[test]
fn who_does_not_heed_a_caller_is_doubted_while_they_speak() {
    let mut rig = Rig::talking();
    assert_eq!(doubts(&mut rig, 0x10, 2_500), [1_000, 2_000]);
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    assert_eq!(doubts(&mut rig, 0x10, 900), [0; 0]);
}

#[test]
fn a_reply_that_breaks_off_is_doubted_once_it_is_not_heard_any_more() {
    let mut rig = Rig::talking();
    rig.speech(reply(A1, 1), 50);
    assert_eq!(doubts(&mut rig, 0xff, 2_000).first(), Some(&1_500));
}

#[test]
fn nobody_is_doubted_for_the_silence_of_others() {
    let mut rig = Rig::talking();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1)));
    rig.give(Input::Control(Control::Hold { music: false }));
    assert_eq!(doubts(&mut rig, 0x10, 5_000), [0; 0], "the caller is on hold");
}
