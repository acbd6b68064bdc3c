//! Twenty thousand calls in two hundred worlds, each with one roster and providers of bad weather.
//!
//! `VOICE_SIM_CALLS=1000000` plays a million; `VOICE_SIM_SEED=4711` plays one world and prints what
//! happened. A seed that failed once is kept in `fleet_seeds.txt` for ever.

use std::thread;

use voice_core::sim::call_world::{Stats, Violation};
use voice_core::sim::fleet_world::{self, CALLS};

#[test]
fn every_fleet_keeps_the_rules() {
    if let Ok(seed) = std::env::var("VOICE_SIM_SEED") {
        let seed = seed.parse().expect("VOICE_SIM_SEED is a number");
        println!("{:#?}", fleet_world::run(seed).unwrap_or_else(|broken| panic!("{broken}")));
        return;
    }
    let calls: u64 = std::env::var("VOICE_SIM_CALLS")
        .ok()
        .map_or(20_000, |n| n.parse().expect("VOICE_SIM_CALLS is a number"));
    let worlds = calls.div_ceil(CALLS);
    let stats = play(1..1 + worlds).unwrap_or_else(|broken| {
        panic!(
            "{broken}\nreplay: VOICE_SIM_SEED={} cargo test -p voice-core --test simulated_fleets",
            broken.seed
        )
    });
    for (what, count) in &stats.0 {
        println!("{count:>10} {what}");
    }
    let count = |what| stats.0.get(what).copied().unwrap_or_default();
    println!(
        "in {} calls {} takeovers, {} of them told {} turns and none lost; nobody dropped while one lived, nobody \
         in silence",
        count("calls"),
        count("taken over"),
        count("takeovers with all of the conversation"),
        count("turns carried over")
    );
    // What is promised is promised of ten thousand takeovers: a run that is to show it must have seen them.
    if calls >= 100_000 {
        assert!(count("takeovers with all of the conversation") >= 10_000, "{stats:#?}");
    }
    everything_happened(&stats, worlds);
}

#[test]
fn seeds_that_failed_once() {
    for line in include_str!("fleet_seeds.txt").lines().filter(|line| !line.starts_with('#')) {
        let seed = line.split_whitespace().next().map(|seed| seed.parse().expect("a seed is a number"));
        if let Some(Err(broken)) = seed.map(fleet_world::run) {
            panic!("{broken}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 1..5 {
        assert_eq!(fleet_world::run(seed), fleet_world::run(seed));
    }
}

/// A fleet in which nothing fails breaks no rule: the interesting things must have happened, often.
fn everything_happened(stats: &Stats, worlds: u64) {
    for (what, per_hundred) in [
        ("calls", 10_000),
        ("answered", 7_000),
        ("taken over", 1_000),
        ("takeovers with all of the conversation", 1_000),
        ("turns carried over", 2_000),
        ("doubts", 500),
        ("half-open found", 20),
        ("gaps", 1_000),
        ("prompts in a gap", 500),
        ("dropped while nobody lived", 1),
        ("caller_hung_up", 5_000),
        ("priority", 300),
        ("round_robin", 300),
        ("weighted", 300),
        ("least_latency", 300),
        ("least_loaded", 300),
        ("cheapest", 300),
        ("most_reliable", 300),
        ("sticky", 500),
        ("wish", 100),
        ("last_resort", 500),
        ("breaker_open", 300),
        ("ailing", 200),
        ("confidence", 200),
        ("cost", 200),
        ("full", 200),
        ("failures_in_row", 50),
        ("failure_rate", 5),
        ("slow_rate", 5),
        ("probe_failed", 20),
        ("throttled", 50),
        ("credentials", 30),
        ("half-open", 100),
        ("closed again", 50),
        ("not_ready", 50),
        ("stalled", 15),
        ("session_limit", 50),
        ("calls moved", 20),
        ("probes", 1_000),
    ] {
        let count = stats.0.get(what).copied().unwrap_or_default();
        // Chance leaves at least three standard deviations less.
        let expected = worlds * per_hundred / 100;
        let least = expected.saturating_sub(3 * expected.isqrt());
        assert!(count >= least, "only {count} {what} in {worlds} worlds, not {least}\n{stats:#?}");
    }
}

fn play(seeds: std::ops::Range<u64>) -> Result<Stats, Violation> {
    let workers = thread::available_parallelism().map_or(2, usize::from) as u64;
    thread::scope(|scope| {
        let running: Vec<_> = (0..workers)
            .map(|n| {
                let seeds = seeds.clone();
                scope.spawn(move || {
                    let mut stats = Stats::default();
                    for seed in seeds.skip(n as usize).step_by(workers as usize) {
                        stats += fleet_world::run(seed)?;
                    }
                    Ok(stats)
                })
            })
            .collect();
        let mut all = Stats::default();
        for worker in running {
            all += worker.join().expect("a worker does not panic")?;
        }
        Ok(all)
    })
}
