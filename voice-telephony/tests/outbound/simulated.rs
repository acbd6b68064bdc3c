//! Thousands of seeded worlds: whatever carriers do, nobody is called twice, and every call ends once.

use std::time::Duration;

use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;
use voice_telephony::outbound::{End, Progress, Voicemail};
use voice_telephony::sim::ApiRudeness;

use crate::world::World;

/// So many worlds, of one to four calls each.
const WORLDS: u64 = 4_000;

/// Things that must happen in a run for it to prove anything.
#[derive(Debug, Default)]
struct Tally {
    calls: u32,
    failovers: u32,
    found: u32,
    rounds: u32,
    canceled: u32,
    completed: u32,
    not_reached: u32,
    not_placed: u32,
    uncertain: u32,
    messages: u32,
    machines: u32,
}

#[test]
fn nobody_is_called_twice_and_every_call_ends_once() {
    // One seed, to look at it closely: VOICE_OUTBOUND_SEED=n.
    let only = std::env::var("VOICE_OUTBOUND_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..WORLDS, |seed: u64| seed..seed + 1);
    let mut tally = Tally::default();
    for seed in seeds {
        let world = run(seed);
        check(seed, &world);
        count(&mut tally, &world);
    }
    if only.is_some() {
        return;
    }
    let Tally { calls, failovers, found, rounds, canceled, completed, .. } = tally;
    let Tally { not_reached, not_placed, uncertain, messages, machines, .. } = tally;
    let all = [
        calls,
        failovers,
        found,
        rounds,
        canceled,
        completed,
        not_reached,
        not_placed,
        uncertain,
        messages,
        machines,
    ];
    assert!(all.iter().all(|&count| count >= 20), "a dull run: {tally:?}");
}

fn run(seed: u64) -> World {
    let mut rng = Rng::new(seed);
    let mut manners = || -> Vec<ApiRudeness> {
        let count = rng.range(0..5);
        (0..count).map(|_| *rng.pick(ApiRudeness::ALL)).collect()
    };
    let rudeness = [manners(), manners()];
    let chance = *rng.pick(&[20, 50, 100]);
    let mut world = World::new(rng.bits(), rudeness, chance);
    for number in 1..=rng.range(1..5) {
        let voicemail = match rng.range(0..3) {
            0 => Voicemail::GoOn,
            1 => Voicemail::HangUp,
            _ => Voicemail::LeaveMessage("Please call back.".into()),
        };
        let order = world.place(World::order(number.into(), voicemail));
        if rng.percent(20) {
            world.cancel_at(order, MonoTime::ZERO + rng.millis(0..60_000));
        }
    }
    world.run();
    world
}

fn check(seed: u64, world: &World) {
    let again =
        format!("VOICE_OUTBOUND_SEED={seed} cargo test -p voice-telephony --features sim --test outbound");
    let rang = world.rang();
    assert!(rang.values().all(|&times| times <= 1), "a telephone rang twice: {rang:?}; {again}");
    let mut left_behind = 0;
    for story in &world.stories {
        assert_eq!(story.ends.len(), 1, "one end: {story:?}; {again}");
        assert!(story.is_finished && story.talks <= 1, "{story:?}; {again}");
        assert!(story.messages.len() <= 1, "one message: {story:?}; {again}");
        let told_last = story.told.iter().rposition(|told| matches!(told, Progress::Ended(_)));
        let after = story.told.iter().skip(told_last.map_or(0, |at| at + 1));
        assert!(after.into_iter().all(|told| matches!(told, Progress::Stray(_))), "{story:?}; {again}");
        // Who may have been called and cannot be asked about is told so.
        let is_known = !matches!(story.ends[0], End::Uncertain);
        let is_left = story.told.iter().any(|told| matches!(told, Progress::LeftBehind(_)));
        left_behind += usize::from(is_left || !is_known);
    }
    assert!(world.live() <= left_behind, "calls that nobody knows of; {again}");
    assert!(world.now.since(MonoTime::ZERO) < Duration::from_secs(3_600), "it took for ever; {again}");
}

fn count(tally: &mut Tally, world: &World) {
    for story in &world.stories {
        let carriers: Vec<_> = story
            .told
            .iter()
            .filter_map(|told| if let Progress::Placing(carrier) = told { Some(carrier) } else { None })
            .collect();
        let has = |wanted: fn(&Progress) -> bool| u32::from(story.told.iter().any(wanted));
        tally.calls += 1;
        tally.failovers += u32::from(carriers.windows(2).any(|pair| pair[0] != pair[1]));
        tally.rounds += u32::from(carriers.len() > 2);
        tally.found += has(|told| matches!(told, Progress::Uncertain(_)))
            & has(|told| matches!(told, Progress::Accepted(..)));
        tally.machines += has(|told| matches!(told, Progress::Machine(_)));
        match &story.ends[0] {
            End::Completed => tally.completed += 1,
            End::Voicemail { message } => tally.messages += u32::from(*message),
            End::NotReached(_) => tally.not_reached += 1,
            End::NotPlaced(_) => tally.not_placed += 1,
            End::Uncertain => tally.uncertain += 1,
            End::Canceled => tally.canceled += 1,
            _ => {}
        }
    }
}
