//! Ten thousand calls in virtual time, every one of them with rude peers.
//!
//! `VOICE_SIM_CALLS=1000000` plays a million (some minutes in release mode); `VOICE_SIM_SEED=4711` plays
//! one call and prints what happened. A seed that failed once is kept in `seeds.txt` for ever.

use std::thread;

use voice_core::sim::call_world::{self, Stats, Violation};

/// All seeds of a run lie beside each other, from here.
const FIRST_SEED: u64 = 1;

#[test]
fn every_call_keeps_the_rules() {
    if let Ok(seed) = std::env::var("VOICE_SIM_SEED") {
        let seed = seed.parse().expect("VOICE_SIM_SEED is a number");
        println!("{:#?}", call_world::run(seed).unwrap_or_else(|broken| panic!("{broken}")));
        return;
    }
    let calls = std::env::var("VOICE_SIM_CALLS")
        .ok()
        .map_or(10_000, |n| n.parse().expect("VOICE_SIM_CALLS is a number"));
    let stats = play(FIRST_SEED..FIRST_SEED + calls).unwrap_or_else(|broken| {
        panic!(
            "{broken}\nreplay: VOICE_SIM_SEED={} cargo test -p voice-core --test simulated_calls",
            broken.seed
        )
    });
    for (what, count) in &stats.0 {
        println!("{count:>10} {what}");
    }
    everything_happened(&stats, calls);
}

#[test]
fn seeds_that_failed_once() {
    for line in include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#')) {
        let seed = line.split_whitespace().next().map(|seed| seed.parse().expect("a seed is a number"));
        if let Some(Err(broken)) = seed.map(call_world::run) {
            panic!("{broken}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_call() {
    for seed in 1..50 {
        assert_eq!(call_world::run(seed), call_world::run(seed));
    }
}

/// A call that does nothing breaks no rule: the interesting things must have happened, often.
fn everything_happened(stats: &Stats, calls: u64) {
    for (what, per_thousand) in [
        ("calls", 1_000),
        ("attachments", 1_200),
        ("barge-ins", 1_000),
        ("cut replies", 1_000),
        ("replies heard to the end", 1_000),
        ("switches", 300),
        ("takeovers with the whole context", 300),
        ("turns carried over", 500),
        ("problems", 500),
        ("catch-ups", 100),
        ("switches refused", 50),
        ("tool answers", 150),
        ("held frames lost", 20),
        ("caller_hung_up", 300),
        ("no_provider", 10),
        ("call_limit", 20),
        ("hung_up", 20),
        ("provider oddities", 10),
        ("covers in a gap", 80),
        ("covers while thinking", 100),
        ("left with a word", 20),
        ("transfer", 5),
        ("transfers", 100),
        ("transfers answered", 20),
        ("transfers failed", 50),
        ("transfers done", 10),
        ("waits", 100),
        ("holds", 80),
        ("holds resumed", 2),
        ("holds timed out", 40),
        ("mutes", 20),
        ("silent frames", 1_000),
        ("frames withheld", 200),
        ("silences of the carrier", 50),
        ("silences of the provider", 200),
        ("standbys wanted", 500),
        ("catch-ups of a standby", 100),
        ("failures without a gap", 50),
        ("failures with a gap", 50),
        ("rollovers without a gap", 20),
        ("wishes without a gap", 100),
        ("drains without a gap", 5),
        ("switches with a gap", 20),
        ("providers left", 10),
        ("session limits hit", 20),
        ("histories shortened", 1),
        ("found after waiting", 50),
        ("given up after waiting", 20),
        ("given up at once", 1),
        ("recordings", 500),
        ("recordings resumed", 200),
        ("recordings at the carrier", 100),
        ("recordings refused", 60),
        ("recordings filed", 50),
        ("returns", 200),
        ("returns to a voice", 100),
        ("replies lost with a server", 20),
        ("progress of replies", 500),
        ("folds compared", 10_000),
        ("frames of the caller recorded", 100_000),
        ("frames of the voice recorded", 50_000),
    ] {
        let count = stats.0.get(what).copied().unwrap_or_default();
        let least = least(calls * per_thousand / 1_000);
        assert!(count >= least, "only {count} {what} in {calls} calls, not {least}\n{stats:#?}");
    }
}

/// Of what is expected so often, chance leaves at least this (three standard deviations less): few calls
/// may see little of what is rare.
fn least(expected: u64) -> u64 {
    expected.saturating_sub(3 * expected.isqrt())
}

fn play(seeds: std::ops::Range<u64>) -> Result<Stats, Violation> {
    let workers = thread::available_parallelism().map_or(2, usize::from) as u64;
    let chunk = (seeds.end - seeds.start).div_ceil(workers).max(1);
    let parts: Vec<_> = (0..workers)
        .map(|n| (seeds.start + n * chunk).min(seeds.end)..(seeds.start + (n + 1) * chunk).min(seeds.end))
        .collect();
    thread::scope(|scope| {
        let running: Vec<_> = parts.into_iter().map(|part| scope.spawn(|| play_one_by_one(part))).collect();
        let mut all = Stats::default();
        for worker in running {
            all += worker.join().expect("a worker does not panic")?;
        }
        Ok(all)
    })
}

fn play_one_by_one(seeds: std::ops::Range<u64>) -> Result<Stats, Violation> {
    let mut stats = Stats::default();
    for seed in seeds {
        stats += call_world::run(seed)?;
    }
    Ok(stats)
}
