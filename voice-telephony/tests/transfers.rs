//! Transfers under whatever a carrier may tell: late, twice, in any order, of legs that nobody knows, or not at
//! all. Each is told once how it went, and no leg is left behind.

use std::collections::BTreeMap;
use std::time::Duration;

use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;
use voice_core::transfer::{TransferFailure, TransferKind, TransferNews, TransferOrder};
use voice_telephony::carrier_error::{CarrierError, Cause, Reach};
use voice_telephony::status::FailReason;
use voice_telephony::transfer::{Abilities, Act, Conferences, Input, LegEnd, LegNews, Output, Transfer};

const LEG: &str = "leg-1";

/// What became of one transfer.
#[derive(Debug, Default)]
struct Story {
    done: u32,
    failed: u32,
    withdrawn: bool,
    /// Somebody's telephone rings, or they talk.
    leg_is_up: bool,
    /// How often its end was asked for, and carried out.
    ends: u32,
    ends_tried: u32,
    /// The caller was led to the leg.
    joined: bool,
}

fn refusal(rng: &mut Rng) -> CarrierError {
    match rng.range(0..4) {
        0 => CarrierError::unanswered(Reach::NeverSent),
        1 => CarrierError::refused(Cause::Number, Some("21211")),
        2 => CarrierError::refused(Cause::Throttled { retry_after: None }, None),
        _ => CarrierError::refused(Cause::Credentials, None),
    }
}

fn garbage(rng: &mut Rng) -> LegNews {
    let ends = [
        LegEnd::HungUp,
        LegEnd::Declined,
        LegEnd::Failed(FailReason::Busy),
        LegEnd::Failed(FailReason::NoAnswer),
    ];
    match rng.range(0..8) {
        0 | 1 => LegNews::Answered,
        2 => LegNews::Said,
        3 => LegNews::Key(Some(*rng.pick(&['1', '2']))),
        4 => LegNews::Key(None),
        5 => LegNews::Machine,
        6 => LegNews::Bridged,
        _ => LegNews::Over(*rng.pick(&ends)),
    }
}

fn play(seed: u64) -> Story {
    let mut rng = Rng::new(seed);
    let kind = *rng.pick(&[TransferKind::Warm, TransferKind::Blind, TransferKind::Conference]);
    let mut order = TransferOrder::new(kind, "support", "+15005550006");
    order.accept = rng.percent(50);
    let conferences = *rng.pick(&[Conferences::None, Conferences::ByName, Conferences::ByLooking]);
    let abilities = Abilities { conferences, tells_bridged: rng.percent(50) };
    let mut now = MonoTime::from_millis(1);
    let mut transfer = Transfer::new(now, &order, abilities);
    let mut story = Story::default();
    let mut later: BTreeMap<(MonoTime, u64), Input> = BTreeMap::new();
    let mut count = 0;
    for _ in 0..rng.range(0..12) {
        count += 1;
        // A key is signed with the address or the state that carries it: only our own leg has it.
        let leg = LEG;
        later.insert((now + rng.millis(100..90_000), count), Input::Told(leg.to_owned(), garbage(&mut rng)));
    }
    if rng.percent(25) {
        count += 1;
        later.insert((now + rng.millis(0..60_000), count), Input::Withdraw);
    }
    for _ in 0..10_000 {
        let wake = loop {
            match transfer.poll() {
                Output::Tell(TransferNews::Done) => story.done += 1,
                Output::Tell(TransferNews::Failed(_)) => story.failed += 1,
                Output::Tell(TransferNews::Joining) => {
                    // Some calls never say that they have made way.
                    if rng.percent(80) {
                        count += 1;
                        later.insert((now + rng.millis(1..1_500), count), Input::Proceed);
                    }
                }
                Output::Tell(_) => {}
                Output::Dial => {
                    count += 1;
                    let answer = if rng.percent(60) {
                        story.leg_is_up = true;
                        if rng.percent(80) {
                            Ok(LEG.to_owned())
                        } else {
                            Err(CarrierError::unanswered(Reach::Unknown))
                        }
                    } else {
                        Err(refusal(&mut rng))
                    };
                    let at = now + rng.millis(10..20_000);
                    if answer.as_ref().is_err_and(|error| error.may_have_happened) {
                        // A leg that exists is told of, sooner or later.
                        let at = at + rng.millis(0..40_000);
                        later.insert((at, count + 1_000), Input::Told(LEG.to_owned(), LegNews::Answered));
                    }
                    later.insert((at, count), Input::Dialled(answer));
                }
                Output::Find => {
                    count += 1;
                    let found = rng.percent(50).then(|| "conference-1".to_owned());
                    let answer = if rng.percent(75) { Ok(found) } else { Err(refusal(&mut rng)) };
                    later.insert((now + rng.millis(10..9_000), count), Input::Found(answer));
                }
                Output::Act(act) => {
                    count += 1;
                    let works = rng.percent(75);
                    match act {
                        Act::EndLeg => {
                            story.ends_tried += 1;
                            story.ends += u32::from(works);
                            if works {
                                assert!(story.ends <= 1, "seed {seed}: ended twice");
                            }
                        }
                        Act::Join => story.joined |= works,
                        Act::Speak | Act::BringBack => {}
                    }
                    let answer = if works { Ok(()) } else { Err(refusal(&mut rng)) };
                    later.insert((now + rng.millis(10..9_000), count), Input::Acted(act, answer));
                }
                Output::WaitUntil(at) => break Some(at),
                Output::Finished => break None,
            }
        };
        let Some(wake) = wake else { return story };
        let next = later.first_key_value().map(|((at, _), _)| *at);
        if next.is_some_and(|next| next <= wake) {
            let ((at, _), input) = later.pop_first().expect("it was there just now");
            now = now.max(at);
            match &input {
                Input::Told(leg, LegNews::Over(_)) if leg == LEG => story.leg_is_up = false,
                Input::Withdraw => story.withdrawn = true,
                Input::Told(..)
                | Input::Dialled(_)
                | Input::Found(_)
                | Input::Acted(..)
                | Input::Proceed
                | Input::Superseded
                | Input::Tick => {}
            }
            transfer.handle(now, input);
        } else {
            now = now.max(wake) + Duration::from_millis(1);
            transfer.handle(now, Input::Tick);
        }
    }
    panic!("seed {seed} never ends: {story:?}");
}

#[test]
fn each_is_told_once_and_no_leg_is_left_behind() {
    let (mut done, mut failed, mut ended) = (0, 0, 0);
    for seed in 1..=20_000 {
        let story = play(seed);
        assert!(story.done + story.failed <= 1, "seed {seed}: {story:?}");
        assert!(story.done + story.failed == 1 || story.withdrawn, "seed {seed}: {story:?}");
        assert!(story.done == 0 || story.joined || story.ends == 0, "seed {seed}: {story:?}");
        // Nobody is left on a line who was not given the caller; the carrier may refuse to end it, in vain.
        let is_left = story.leg_is_up && story.done == 0 && story.ends_tried == 0;
        assert!(!is_left, "seed {seed}: {story:?}");
        done += story.done;
        failed += story.failed;
        ended += story.ends;
    }
    assert!(done > 1_000 && failed > 5_000 && ended > 2_000, "{done} {failed} {ended}");
}

/// A caller who is to join a conference, after it was looked for.
fn conference(found: Option<&str>) -> (Transfer, MonoTime) {
    let now = MonoTime::from_millis(1);
    let order = TransferOrder::new(TransferKind::Conference, "conference", "board room");
    let abilities = Abilities { conferences: Conferences::ByLooking, tells_bridged: true };
    let mut transfer = Transfer::new(now, &order, abilities);
    assert_eq!(transfer.poll(), Output::Find);
    assert!(matches!(transfer.poll(), Output::WaitUntil(_)));
    transfer.handle(now, Input::Found(Ok(found.map(str::to_owned))));
    assert_eq!(transfer.poll(), Output::Tell(TransferNews::Joining));
    assert!(matches!(transfer.poll(), Output::WaitUntil(_)), "the call makes way first");
    transfer.handle(now, Input::Proceed);
    assert_eq!(transfer.poll(), Output::Act(Act::Join));
    assert_eq!(transfer.leg(), found);
    (transfer, now)
}

#[test]
fn a_conference_that_is_there_is_joined_and_else_begun() {
    for found in [None, Some("conference-1")] {
        let (mut transfer, now) = conference(found);
        transfer.handle(now, Input::Acted(Act::Join, Ok(())));
        assert_eq!(transfer.poll(), Output::Tell(TransferNews::Done));
        assert_eq!(transfer.poll(), Output::Finished);
    }
}

#[test]
fn a_conference_that_began_or_ended_meanwhile_is_looked_for_again() {
    for (found, cause) in [(None, Cause::Invalid), (Some("conference-1"), Cause::CallGone)] {
        let (mut transfer, now) = conference(found);
        transfer.handle(now, Input::Acted(Act::Join, Err(CarrierError::refused(cause, None))));
        assert_eq!(transfer.poll(), Output::Find);
        transfer.handle(now, Input::Found(Ok(Some("conference-2".to_owned()))));
        assert_eq!((transfer.poll(), transfer.leg()), (Output::Act(Act::Join), Some("conference-2")));
    }
}

#[test]
fn a_caller_who_may_be_in_a_conference_leaves_it_before_they_are_ours_again() {
    let (mut transfer, mut now) = conference(Some("conference-1"));
    for _ in 0..4 {
        transfer.handle(now, Input::Acted(Act::Join, Err(CarrierError::unanswered(Reach::Unknown))));
        now += Duration::from_secs(1);
    }
    let told: Vec<Output> = (0..8).map(|_| transfer.poll()).collect();
    let carrier = Output::Tell(TransferNews::Failed(TransferFailure::Carrier));
    assert!(told.contains(&carrier) && told.contains(&Output::Act(Act::BringBack)), "{told:?}");
}

/// Its name at the carrier was in the answer that was lost.
#[test]
fn a_conference_that_was_begun_perhaps_is_looked_for_and_left() {
    for found_at in [1, 3] {
        let (mut transfer, mut now) = conference(None);
        for _ in 0..4 {
            transfer.handle(now, Input::Acted(Act::Join, Err(CarrierError::unanswered(Reach::Unknown))));
            now += Duration::from_secs(1);
        }
        let mut looks = 0;
        let told = loop {
            match transfer.poll() {
                Output::Find => {
                    looks += 1;
                    let found = (looks == found_at).then(|| "conference-7".to_owned());
                    transfer.handle(now, Input::Found(Ok(found)));
                }
                Output::WaitUntil(at) => {
                    now = now.max(at);
                    transfer.handle(now, Input::Tick);
                }
                Output::Act(Act::BringBack) => break Some(transfer.leg().map(str::to_owned)),
                Output::Finished => break None,
                Output::Tell(_) | Output::Act(_) | Output::Dial => {}
            }
        };
        assert_eq!((told.flatten().as_deref(), looks), (Some("conference-7"), found_at));
    }
    let (mut transfer, mut now) = conference(None);
    let lost = CarrierError::unanswered(Reach::Unknown);
    (0..4).for_each(|_| transfer.handle(now, Input::Acted(Act::Join, Err(lost.clone()))));
    let mut looks = 0;
    // Bounded, for it must come to its end.
    for _ in 0..100 {
        match transfer.poll() {
            Output::Find => {
                looks += 1;
                transfer.handle(now, Input::Found(Ok(None)));
            }
            Output::WaitUntil(at) => {
                now = now.max(at);
                transfer.handle(now, Input::Tick);
            }
            Output::Tell(_) | Output::Act(_) | Output::Dial | Output::Finished => {}
        }
    }
    assert_eq!((looks, transfer.poll()), (4, Output::Finished), "it was never begun");
}

/// What is put out until it waits, or is over.
fn drained(transfer: &mut Transfer) -> Vec<Output> {
    let mut told = Vec::new();
    while !matches!(told.last(), Some(Output::WaitUntil(_) | Output::Finished)) {
        told.push(transfer.poll());
    }
    told
}

/// The caller may be in the conference by the later transfer, and talk.
#[test]
fn nobody_is_led_out_of_a_conference_for_a_transfer_that_is_of_before() {
    let lost = || Input::Acted(Act::Join, Err(CarrierError::unanswered(Reach::Unknown)));
    for input in [Input::Withdraw, Input::Superseded] {
        let (mut transfer, now) = conference(None);
        (0..4).for_each(|_| transfer.handle(now, lost()));
        assert!(drained(&mut transfer).contains(&Output::Find));
        transfer.handle(now, input);
        transfer.handle(now, Input::Found(Ok(Some("conference-7".to_owned()))));
        assert_eq!(transfer.poll(), Output::Finished);
    }
    let (mut transfer, now) = conference(Some("conference-1"));
    (0..4).for_each(|_| transfer.handle(now, lost()));
    assert!(drained(&mut transfer).contains(&Output::Act(Act::BringBack)));
    let again = CarrierError::unanswered(Reach::NeverSent);
    transfer.handle(now, Input::Acted(Act::BringBack, Err(again)));
    transfer.handle(now, Input::Superseded);
    assert_eq!(transfer.poll(), Output::Finished, "it is not repeated");

    // Nor is anybody led into one any more.
    for found in [None, Some("conference-1")] {
        let (mut transfer, now) = conference(found);
        transfer.handle(now, Input::Superseded);
        transfer.handle(now, lost());
        let failed = Output::Tell(TransferNews::Failed(TransferFailure::Carrier));
        assert_eq!(drained(&mut transfer), [failed, Output::Finished]);
    }
}

/// A call that says nothing must not keep two people apart.
#[test]
fn somebody_who_has_answered_waits_two_seconds_for_the_call_to_make_way() {
    let now = MonoTime::from_millis(1);
    let order = TransferOrder::new(TransferKind::Blind, "support", "+15005550006");
    let abilities = Abilities { conferences: Conferences::ByName, tells_bridged: false };
    let mut transfer = Transfer::new(now, &order, abilities);
    transfer.handle(now, Input::Dialled(Ok(LEG.to_owned())));
    transfer.handle(now, Input::Told(LEG.to_owned(), LegNews::Answered));
    let told: Vec<Output> = (0..3).map(|_| transfer.poll()).collect();
    assert_eq!(told[1..], [Output::Tell(TransferNews::Answered), Output::Tell(TransferNews::Joining)]);
    assert_eq!(transfer.poll(), Output::WaitUntil(now + Duration::from_secs(2)));
    transfer.handle(now + Duration::from_secs(2), Input::Tick);
    assert_eq!(transfer.poll(), Output::Act(Act::Join));
}

#[test]
fn a_conference_that_nobody_may_begin_is_given_up() {
    let (mut transfer, now) = conference(None);
    transfer.handle(now, Input::Acted(Act::Join, Err(CarrierError::refused(Cause::Credentials, None))));
    let told: Vec<Output> = (0..4).map(|_| transfer.poll()).collect();
    assert!(told.contains(&Output::Tell(TransferNews::Failed(TransferFailure::Carrier))), "{told:?}");
    assert_eq!(transfer.poll(), Output::Finished);
}
