//! Nobody can take the call: all are asked again, some times, and then it is given up.

use super::*;

/// Nobody can be had from now on; what the call wanted in that time, and when it gave up.
fn nobody_for(rig: &mut Rig, duration: Duration) -> Vec<String> {
    let (until, mut wanted) = (rig.now + duration, Vec::new());
    while rig.now < until && rig.finished.is_none() {
        for word in rig.wanted() {
            if word.starts_with("attach ") {
                let id = AttachmentId(rig.call.books.attachments);
                rig.give(Input::Assigned(id, None));
            }
            wanted.push(word);
        }
        rig.pass(FRAME);
    }
    wanted.extend(rig.wanted());
    wanted
}

#[test]
fn all_are_asked_again_five_times() {
    let limits = CallLimits { gap: Duration::from_secs(60), ..CallLimits::default() };
    let mut rig = Rig::with(CallConfig::builder("be kind").limits(limits));
    rig.said.retain(|word| word.starts_with("attach"));
    let wanted = nobody_for(&mut rig, Duration::from_secs(60));
    let retries = wanted.iter().filter(|word| word.starts_with("· retrying")).count();
    let asked = wanted.iter().filter(|word| word.starts_with("attach")).count();
    assert_eq!((retries, asked), (5, 6), "{wanted:?}");
    assert_eq!(rig.finished, Some(EndReason::NoProvider));
    assert!(rig.now > at(23_000) && rig.now < at(32_000), "{}", rig.now);
}

#[test]
fn a_call_is_not_kept_waiting_longer_than_allowed() {
    let limits = CallLimits { gap: Duration::from_secs(5), ..CallLimits::default() };
    let mut rig = Rig::with(CallConfig::builder("be kind").limits(limits));
    rig.said.retain(|word| word.starts_with("attach"));
    nobody_for(&mut rig, Duration::from_secs(60));
    assert_eq!(rig.finished, Some(EndReason::NoProvider));
    assert!(rig.now > at(4_700) && rig.now <= at(5_060), "{}", rig.now);
}

#[test]
fn who_was_away_for_a_moment_takes_the_call_again_with_all_that_was_said() {
    let mut rig = Rig::talking();
    rig.now = at(60_000);
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).frame(1);
    rig.assign(A2, "openai")
        .provider(A2, ProviderEvent::Failed(Failure::Refused { status: 503 }))
        .said
        .clear();
    rig.give(Input::Assigned(AttachmentId(3), None)).frame(2);
    assert_eq!(rig.wanted(), ["· retrying 1"]);
    rig.pass(ms(1_000));
    assert_eq!(rig.wanted(), ["· attaching", "attach a4 wish=None tried=[] last=None"]);
    rig.assign(AttachmentId(4), "openai").said.clear();
    rig.provider(AttachmentId(4), ProviderEvent::Ready { session: None, expires: None }).frame(3);
    assert_eq!(
        rig.wanted(),
        [
            "· ready",
            "· live a4 after 1000 ms",
            "· switched openai openai Failure 1000-0 0",
            "hear a4 1",
            "hear a4 2",
            "hear a4 3"
        ]
    );
}

#[test]
fn when_nothing_will_get_better_nobody_waits_for_long() {
    let mut rig = Rig::talking();
    rig.provider(A1, ProviderEvent::Failed(Failure::Credentials)).frame(1).said.clear();
    rig.nobody(2);
    assert_eq!(rig.wanted(), ["· lost Held 20", "carrier HangUp", "· ended no_provider"]);
}

#[test]
fn a_candidate_with_a_refused_key_is_not_asked_again() {
    let mut rig = Rig::new();
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Failed(Failure::Credentials));
    rig.assign(A2, "gemini").provider(A2, ProviderEvent::Failed(Failure::Cut)).said.clear();
    rig.give(Input::Assigned(AttachmentId(3), None));
    rig.pass(ms(1_000));
    assert_eq!(rig.wanted()[2], "attach a4 wish=None tried=[openai] last=None");
}

#[test]
fn a_wish_does_not_wait_for_the_next_round() {
    let mut rig = Rig::new();
    rig.give(Input::Assigned(A1, None)).said.clear();
    rig.give(Input::Control(Control::Switch(Some(ProviderId::from_static("gemini")))));
    assert_eq!(rig.wanted(), ["· attaching", "attach a2 wish=Some(gemini) tried=[] last=None"]);
    rig.pass(ms(2_000));
    assert_eq!(rig.wanted(), [""; 0], "nobody is asked twice");
}

#[test]
fn orders_are_obeyed_while_nobody_is_there() {
    let mut rig = Rig::new();
    rig.give(Input::Assigned(A1, None));
    let five = Digit::new('5').expect("a key");
    rig.give(Input::Carrier(CarrierEvent::Digit(five)));
    assert_eq!(rig.call.transcript.all().0.len(), 1);
    rig.give(Input::Control(Control::HangUp));
    assert_eq!(rig.finished, Some(EndReason::HungUp));
}

#[test]
fn a_provider_that_flaps_is_given_up_in_the_end() {
    let mut rig = Rig::new();
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None });
    for _ in 0..100 {
        let id = AttachmentId(rig.call.books.attachments);
        rig.provider(id, ProviderEvent::Failed(Failure::Cut));
        let failed = rig.wanted();
        let last = failed.iter().rfind(|word| word.starts_with("attach")).cloned().unwrap_or_default();
        if last.contains("tried=[openai]") {
            rig.give(Input::Assigned(AttachmentId(rig.call.books.attachments), None));
            rig.pass(ms(16_000));
        }
        if rig.finished.is_some() {
            break;
        }
        let id = AttachmentId(rig.call.books.attachments);
        rig.assign(id, "openai").provider(id, ProviderEvent::Ready { session: None, expires: None });
    }
    assert_eq!(rig.finished, Some(EndReason::NoProvider));
    assert!(rig.call.books.attachments < 30, "{}", rig.call.books.attachments);
}

#[test]
fn a_tool_that_answers_between_two_rounds_is_told_once() {
    let tool = ToolDefinition { name: "look".into(), description: String::new(), parameters: "{}".into() };
    let mut rig = Rig::with(CallConfig::builder("be kind").greeting(Greeting::Caller).tools(vec![tool]));
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None });
    let id = ToolCallId::new(A1, 1);
    let call = ToolCall { id, name: "look".into(), arguments: "{}".into() };
    rig.provider(A1, ProviderEvent::ToolCall(call)).provider(A1, ProviderEvent::Failed(Failure::Cut));
    rig.give(Input::Assigned(A2, None));
    let result = ToolResult { output: "four".into(), failed: false };
    rig.give(Input::Control(Control::ToolAnswered { id, result }));
    rig.pass(ms(1_000)).said.clear();
    rig.assign(AttachmentId(3), "openai");
    assert_eq!(rig.wanted(), ["· assigned", "open a3 with 1 turns"]);
    rig.provider(AttachmentId(3), ProviderEvent::Ready { session: None, expires: None });
    assert_eq!(
        rig.wanted()[2..],
        ["· switched openai openai Failure 1000-0 1", "tell a3 Speak { cue: None }"]
    );
}

#[test]
fn wishes_do_not_use_up_the_rounds() {
    let mut rig = Rig::new();
    rig.give(Input::Assigned(A1, None));
    for n in 2..20 {
        rig.give(Input::Control(Control::Switch(Some(ProviderId::from_static("away")))));
        rig.give(Input::Assigned(AttachmentId(n), None));
    }
    assert_eq!(rig.finished, None);
    assert_eq!(rig.wanted().last().map(String::as_str), Some("· retrying 1"));
}

#[test]
fn who_has_answered_was_no_bad_choice_however_short_they_stayed() {
    let mut rig = Rig::new();
    rig.now = at(60_000);
    let mut id = A1;
    for _ in 0..6 {
        rig.said.clear();
        rig.assign(id, "openai").provider(id, ProviderEvent::Ready { session: None, expires: None });
        rig.speech(reply(id, 1), 5);
        rig.provider(id, ProviderEvent::ReplyDone { reply: reply(id, 1), end: ReplyEnd::Completed });
        rig.pass(ms(1_000)).said.clear();
        rig.provider(id, ProviderEvent::Failed(Failure::Cut));
        id = AttachmentId(id.0 + 1);
        let asked = format!("attach {id} wish=None tried=[] last=Some(openai)");
        assert_eq!(rig.wanted().pop(), Some(asked), "it may be asked once more");
    }
}
