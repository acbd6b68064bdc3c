//! A thousand hang-ups over Telnyx, in calls that talk, are on hold, or are led to somebody else: whoever hangs up,
//! the other side is ended, once, and within a second.

use std::time::Duration;

use voice_core::sim::rng::Rng;
use voice_telephony::sim::{Script, Step, TelnyxRudeness};
use voice_telephony::telnyx::{Codec, End};

use crate::exchange::{Manner, Seen, plan, run_with};
use crate::voice::{Who, Wishes};

const SECOND: Duration = Duration::from_secs(1);

fn play(seed: u64, who: Who) -> Seen {
    let mut rng = Rng::new(seed);
    let (at, wishes) = Wishes::until(seed, &mut rng, who);
    // Where the socket breaks, the caller hangs up after that.
    let stays = if who == Who::We { Duration::from_secs(60) } else { at };
    let script = Script::new(vec![Step::Pause(stays), Step::HangUp]);
    let mut rude: Vec<TelnyxRudeness> = match rng.range(0..4) {
        0 => vec![],
        1 => vec![TelnyxRudeness::DoubledWebhooks],
        2 => vec![TelnyxRudeness::DisorderedWebhooks],
        _ => vec![TelnyxRudeness::NoStop],
    };
    rude.extend((who == Who::Socket).then_some(TelnyxRudeness::Cut));
    let codec = if rng.percent(50) { Codec::Pcmu } else { Codec::Pcma };
    let manner = Manner { codec, wishes: Some(wishes), ..Manner::default() };
    run_with(plan(&rude).with_seed(seed).with_script(script), manner).1
}

/// Whoever was called on the caller's behalf is let go once, unless they have the caller.
fn check_leg(seed: u64, seen: &Seen) {
    let story = seen.story.as_ref().expect("there was a call");
    assert!(story.leg_ends.len() <= 1, "{seed}: {story:?}");
    assert!(story.was_led_on || !story.leg_is_up, "{seed}: nobody is left on a line: {story:?}");
    assert!(!story.was_led_on || story.leg_ends.is_empty(), "{seed}: {story:?}");
    let (ended, _) = story.ended.expect("it ended");
    // A leg that has no name yet is ended as soon as it has one.
    let late = story.leg_ends.iter().any(|at| *at > ended + SECOND);
    assert!(!late, "{seed}: {story:?}");
}

#[test]
fn whoever_hangs_up_ends_the_other_side_once_within_a_second() {
    let (mut held, mut transferring, mut led) = (0, 0, 0);
    for seed in 0..1_000_u64 {
        let who = Who::of(seed);
        let seen = play(seed, who);
        let Some(story) = seen.story.clone() else {
            // They hung up before any media came.
            assert!(who != Who::We && seen.end.is_some(), "{seed}: {seen:?}");
            continue;
        };
        held += u32::from(story.was_on_hold);
        transferring += u32::from(story.was_transferring);
        led += u32::from(story.was_led_on);
        check_leg(seed, &seen);
        let hang_ups = seen.carried_out.iter().filter(|name| *name == "hangup").count();
        let (ended, why) = story.ended.expect("it ended");
        let left = seen.left_at.expect("the carrier's side is over");
        assert_eq!(story.ends, 1, "{seed}: {story:?}");
        assert!(matches!(seen.end, Some(End::HungUp(_) | End::Gone)), "{seed}: {:?}", seen.end);
        assert!(seen.after_end == 0 && hang_ups <= 1, "{seed}: {seen:?}");
        match who {
            Who::We if !story.was_led_on => {
                let ordered = story.ordered_at.expect("it was ordered");
                assert_eq!((hang_ups, why), (1, "hung_up"), "{seed}");
                assert!(left.since(ordered) < SECOND, "{seed}: {ordered:?} {left:?}");
            }
            Who::Caller if !story.was_led_on => {
                assert_eq!(hang_ups, 0, "{seed}: nobody hangs up on who has hung up");
                assert!(ended.since(left) < SECOND, "{seed}: {left:?} {ended:?}");
            }
            Who::Caller | Who::We | Who::Socket => {}
        }
    }
    assert!(held > 300 && transferring > 300 && led > 20, "{held} {transferring} {led}");
}
