//! One thing at a time: which way to misbehave leads where.

use std::time::Duration;

use voice_core::time::MonoTime;
use voice_telephony::carrier_error::{CarrierError, Cause, Reach};
use voice_telephony::outbound::{
    Act, AnsweredBy, End, Input, News, OutboundCall, Output, Progress, Told, Voicemail,
};
use voice_telephony::sim::ApiRudeness;
use voice_telephony::status::FailReason;

use crate::world::{Story, UNIX, World};

/// What carriers were asked, in order, and how it ended, with these ways to misbehave at each.
fn check(first: &[ApiRudeness], second: &[ApiRudeness], voicemail: Voicemail) -> (Vec<String>, End, Story) {
    let mut world = World::new(7, [first.to_vec(), second.to_vec()], 100);
    let order = world.place(World::order(1, voicemail));
    world.run();
    assert_eq!(world.live(), 0, "nothing is left at a carrier");
    assert!(world.rang().values().all(|&times| times <= 1));
    let story = std::mem::take(&mut world.stories[order]);
    assert!(story.is_finished);
    let asked = story.told.iter().filter_map(|told| {
        let Progress::Placing(carrier) = told else { return None };
        Some(carrier.to_string())
    });
    (asked.collect(), story.ends[0].clone(), story)
}

fn route(first: &[ApiRudeness], second: &[ApiRudeness]) -> (Vec<String>, End) {
    let (asked, end, _) = check(first, second, Voicemail::GoOn);
    (asked, end)
}

fn over(asked: &[&str], end: End) -> (Vec<String>, End) {
    (asked.iter().map(|&name| name.to_owned()).collect(), end)
}

#[test]
fn a_call_is_placed_answered_and_over() {
    let (asked, end, story) = check(&[], &[], Voicemail::GoOn);
    assert_eq!((asked, end), over(&["one"], End::Completed));
    assert_eq!(story.talks, 1);
}

#[test]
fn a_refusal_that_proves_that_nothing_was_done_leads_to_the_other_carrier() {
    for rudeness in [ApiRudeness::Throttled, ApiRudeness::ThrottledWithTime, ApiRudeness::NumberRefused] {
        assert_eq!(route(&[rudeness], &[]), over(&["one", "two"], End::Completed), "{rudeness}");
    }
}

#[test]
fn an_uncertain_carrier_is_looked_at_before_another_is_asked() {
    // Nothing was done, which is found out by looking for it.
    let (asked, end, story) = check(&[ApiRudeness::CutsBefore], &[], Voicemail::GoOn);
    // The looks are cut off as well, so nothing is found out at all, and nothing is repeated.
    assert_eq!((asked, end), over(&["one"], End::Uncertain));
    assert!(story.told.iter().any(|told| matches!(told, Progress::Uncertain(_))));
}

#[test]
fn a_call_that_was_placed_in_secret_is_found_and_not_repeated() {
    for rudeness in
        [ApiRudeness::AcceptsThenCuts, ApiRudeness::AcceptsThenStalls, ApiRudeness::ServerErrorAfter]
    {
        assert_eq!(route(&[rudeness], &[]), over(&["one"], End::Completed), "{rudeness}");
        let behind = [rudeness, ApiRudeness::SlowList, ApiRudeness::NoCallbacks];
        assert_eq!(route(&behind, &[]), over(&["one"], End::Completed), "{rudeness}");
    }
}

#[test]
fn webhooks_before_the_answer_in_any_order_and_twice_do_not_matter() {
    let all = [ApiRudeness::SlowAnswers, ApiRudeness::DuplicateCallbacks, ApiRudeness::ShuffledCallbacks];
    assert_eq!(route(&all, &[]), over(&["one"], End::Completed));
    assert_eq!(route(&[ApiRudeness::LostCallbacks], &[]), over(&["one"], End::Completed));
    assert_eq!(route(&[ApiRudeness::NoCallbacks], &[]), over(&["one"], End::Completed));
}

#[test]
fn an_accepted_call_that_fails_is_not_tried_elsewhere() {
    for (rudeness, reason) in [
        (ApiRudeness::Busy, FailReason::Busy),
        (ApiRudeness::NoAnswer, FailReason::NoAnswer),
        (ApiRudeness::Failed, FailReason::Carrier),
    ] {
        assert_eq!(route(&[rudeness], &[]), over(&["one"], End::NotReached(reason)), "{rudeness}");
    }
    let silent = [ApiRudeness::NoAnswer, ApiRudeness::NoCallbacks];
    assert_eq!(route(&silent, &[]), over(&["one"], End::NotReached(FailReason::NoAnswer)));
}

#[test]
fn carriers_that_ask_to_wait_are_asked_again_three_times_in_all() {
    let (asked, end) = route(&[ApiRudeness::ThrottledWithTime], &[ApiRudeness::NumberRefused]);
    assert_eq!(asked, ["one", "two", "one", "one"]);
    assert!(matches!(end, End::NotPlaced(error) if matches!(error.cause, Cause::Throttled { .. })));
}

#[test]
fn nobody_takes_it() {
    let (asked, end) = route(&[ApiRudeness::NumberRefused], &[ApiRudeness::NumberRefused]);
    assert_eq!(asked, ["one", "two"]);
    assert!(matches!(end, End::NotPlaced(error) if error.cause == Cause::Number));
}

#[test]
fn a_machine_is_hung_up_on_or_left_a_message_or_talked_to() {
    let machine = [ApiRudeness::Machine];
    let (_, end, _) = check(&machine, &[], Voicemail::HangUp);
    assert_eq!(end, End::Voicemail { message: false });

    let (_, end, story) = check(&machine, &[], Voicemail::LeaveMessage("Please call back.".into()));
    assert_eq!(end, End::Voicemail { message: true });
    assert!(story.messages.len() == 1 && story.messages[0].contains("<Say>Please call back.</Say><Hangup/>"));

    let (_, end, _) = check(&machine, &[], Voicemail::GoOn);
    assert_eq!(end, End::Completed);
}

#[test]
fn a_fax_is_hung_up_on_and_a_person_is_not() {
    let (_, end, _) = check(&[ApiRudeness::Fax], &[], Voicemail::LeaveMessage("Hello.".into()));
    assert_eq!(end, End::Voicemail { message: false });
    for rudeness in [&[][..], &[ApiRudeness::NobodyKnows]] {
        let (_, end, story) = check(rudeness, &[], Voicemail::HangUp);
        assert_eq!(end, End::Completed);
        let known = if rudeness.is_empty() { AnsweredBy::Human } else { AnsweredBy::Unknown };
        // A conversation that ends before the verdict has none.
        let verdict = story.told.iter().find_map(|told| {
            let Progress::Machine(by) = told else { return None };
            Some(*by)
        });
        assert!(verdict.is_none_or(|by| by == known));
    }
}

#[test]
fn whenever_a_call_is_canceled_nothing_is_left() {
    let rude = [
        vec![],
        vec![ApiRudeness::AcceptsThenCuts, ApiRudeness::SlowList],
        vec![ApiRudeness::AcceptsThenStalls],
        vec![ApiRudeness::SlowAnswers],
        vec![ApiRudeness::ThrottledWithTime],
    ];
    for (seed, rudeness) in (0_u64..60).zip(rude.iter().cycle()) {
        let mut world = World::new(seed, [rudeness.clone(), rudeness.clone()], 100);
        let order = world.place(World::order(1, Voicemail::GoOn));
        world.cancel_at(order, MonoTime::ZERO + Duration::from_millis(seed * 331));
        world.run();
        assert_eq!((world.live(), world.stories[order].ends.len()), (0, 1), "{seed} {rudeness:?}");
    }
}

/// A call that its carrier has, and whose hang-up is answered like this each time.
fn hang_up(error: &CarrierError) -> (u32, Vec<Progress>, MonoTime) {
    let mut now = MonoTime::ZERO;
    let mut call = OutboundCall::new(now, UNIX, World::order(1, Voicemail::GoOn));
    call.handle(now, Input::Placed(0, Ok("CA1".to_owned())));
    call.handle(now, Input::HangUp);
    let (mut tries, mut told) = (0, Vec::new());
    loop {
        match call.poll() {
            Output::Act(attempt, _, _, act) => {
                tries += 1;
                call.handle(now, Input::Acted(attempt, act, Err(error.clone())));
            }
            Output::Report(progress) => told.push(progress),
            Output::WaitUntil(at) => {
                now = at;
                call.handle(now, Input::Tick);
            }
            Output::Place(..) | Output::Look(..) => {}
            Output::Finished(_) => return (tries, told, now),
        }
    }
}

#[test]
fn a_hang_up_is_repeated_while_it_makes_sense() {
    let (tries, told, at) = hang_up(&CarrierError::unanswered(Reach::Unknown));
    assert_eq!((tries, at), (5, MonoTime::from_millis(15_000)));
    assert!(told.iter().any(|told| matches!(told, Progress::LeftBehind(_))));
    let (tries, told, _) = hang_up(&CarrierError::refused(Cause::CallGone, None));
    assert!(tries == 1 && !told.iter().any(|told| matches!(told, Progress::LeftBehind(_))));
    let (tries, told, _) = hang_up(&CarrierError::refused(Cause::Credentials, None));
    assert!(tries == 1 && told.iter().any(|told| matches!(told, Progress::LeftBehind(_))));
}

#[test]
fn a_call_that_was_given_up_and_turns_up_is_hung_up() {
    let mut now = MonoTime::ZERO;
    let mut call = OutboundCall::new(now, UNIX, World::order(1, Voicemail::GoOn));
    let mut placed = Vec::new();
    let mut acts = Vec::new();
    while placed.len() < 2 {
        match call.poll() {
            Output::Place(attempt, route) => {
                placed.push(route.carrier.to_string());
                if attempt == 0 {
                    call.handle(now, Input::Placed(0, Err(CarrierError::unanswered(Reach::Unknown))));
                }
            }
            Output::Look(attempt, _) => call.handle(now, Input::Found(attempt, Ok(Vec::new()))),
            Output::WaitUntil(at) => {
                now = at;
                call.handle(now, Input::Tick);
            }
            Output::Report(_) => {}
            Output::Act(..) | Output::Finished(_) => panic!("too early"),
        }
    }
    assert!(now >= MonoTime::from_millis(26_000), "it was looked for long enough: {now}");
    assert!(!call.is_welcome(0) && call.is_welcome(1));
    let late = Told { carrier_call: "CA0".to_owned(), news: News::Answered };
    call.handle(now, Input::Told(0, late));
    call.handle(now, Input::Placed(1, Ok("CA1".to_owned())));
    loop {
        match call.poll() {
            Output::Act(_, carrier, name, Act::HangUp) => acts.push((carrier.to_string(), name)),
            Output::Report(_) => {}
            Output::Place(..) | Output::Look(..) | Output::Act(..) => panic!("nothing else is asked"),
            Output::WaitUntil(_) | Output::Finished(_) => break,
        }
    }
    assert_eq!(acts, [("one".to_owned(), "CA0".to_owned())]);
    assert!(call.is_welcome(1), "the second goes on");
}
