//! A thousand hang-ups over Twilio, in calls that talk, are on hold, or are led to somebody else: whoever hangs up,
//! the other side is ended, once, and within a second.

use std::time::Duration;

use voice_core::sim::rng::Rng;
use voice_telephony::sim::{CallReport, Rudeness, Script, Step};

use crate::exchange::{Seen, converse, plan};
use crate::voice::{Who, Wishes};

const SECOND: Duration = Duration::from_secs(1);

fn play(seed: u64, who: Who) -> (CallReport, Seen) {
    let mut rng = Rng::new(seed);
    let (at, wishes) = Wishes::until(seed, &mut rng, who);
    let stays = if who == Who::Caller { at } else { Duration::from_secs(60) };
    let script = Script::new(vec![Step::Pause(stays), Step::HangUp]);
    let mut rude: Vec<Rudeness> = match rng.range(0..4) {
        0 => vec![],
        1 => vec![Rudeness::LateStatus],
        2 => vec![Rudeness::NoStop],
        _ => vec![Rudeness::LostMarks],
    };
    rude.extend((who == Who::Socket).then_some(Rudeness::Cut));
    converse(plan(&rude).with_seed(seed).with_script(script), wishes)
}

#[test]
fn whoever_hangs_up_ends_the_other_side_once_within_a_second() {
    let (mut held, mut transferring, mut led) = (0, 0, 0);
    for seed in 0..1_000_u64 {
        let who = Who::of(seed);
        let (report, seen) = play(seed, who);
        let story = seen.story.clone().expect("there was a call");
        held += u32::from(story.was_on_hold);
        transferring += u32::from(story.was_transferring);
        led += u32::from(story.was_led_on);
        let (ended, why) = story.ended.expect("it ended");
        let left = seen.left_at.expect("the carrier's side is over");
        assert!(story.ends == 1 && seen.after_end == 0, "{seed}: {story:?}");
        // Whoever was called on the caller's behalf is let go once, unless they have the caller.
        assert!(story.leg_ends.len() <= 1, "{seed}: {story:?}");
        assert!(story.was_led_on || !story.leg_is_up, "{seed}: {story:?}");
        assert!(!story.leg_ends.iter().any(|at| *at > ended + SECOND), "{seed}: {story:?}");
        if story.was_led_on {
            continue;
        }
        match who {
            Who::We => {
                let ordered = story.ordered_at.expect("it was ordered");
                assert_eq!((why, report.closed.len()), ("hung_up", 1), "{seed}: {report:?}");
                assert!(left.since(ordered) < SECOND, "{seed}: {ordered:?} {left:?}");
            }
            Who::Caller => {
                assert!(report.closed.is_empty(), "{seed}: nobody hangs up on who has hung up: {report:?}");
                assert!(ended.since(left) < SECOND, "{seed}: {left:?} {ended:?}");
            }
            Who::Socket => {
                assert_eq!(why, "carrier_line_down", "{seed}");
                assert!(ended.since(left) < SECOND, "{seed}: {left:?} {ended:?}");
            }
        }
    }
    assert!(held > 300 && transferring > 300 && led > 20, "{held} {transferring} {led}");
}
