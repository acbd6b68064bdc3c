//! A server is killed with `kill -9` under its calls, again and again: every caller is talked with again, the
//! whole conversation is brought along, and the records are whole.
//!
//! A few calls in the ordinary run; `scripts/survive` has fifty on each carrier, and kills twenty times.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is a failure like any other")]
#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

mod balancer;
mod ear;
mod memory;
mod servers;
mod stage;
mod stepped;
mod thousand;
mod two;

use std::time::Duration;

use stage::{Round, Stage};

/// A number that `scripts/survive` may set.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlive_a_server_that_is_killed() {
    let (calls, kills) = (setting("SURVIVE_CALLS", 3) as usize, setting("SURVIVE_KILLS", 2));
    // Machines that test many things at once are slow; the script says three seconds.
    let within = Duration::from_millis(setting("SURVIVE_WITHIN_MS", 30_000));
    let mut stage = Stage::set(calls, calls).await.unwrap();
    println!("{calls} calls on each carrier, {kills} kills");
    println!(
        "{:>5} {:>9} {:>20} {:>20} {:>5}",
        "kill", "start", "twilio p50 / max", "telnyx p50 / max", "lost"
    );
    let mut worst = Duration::ZERO;
    for kill in 1..=kills {
        tokio::time::sleep(Duration::from_millis(2_600 + kill % 7 * 130)).await;
        let round = stage.kill(Duration::from_millis(500), within * 2).await.unwrap();
        worst = worst.max(round.silent.last().map_or(Duration::MAX, |(_, silent)| *silent));
        println!(
            "{kill:>5} {:>6} ms {:>20} {:>20} {:>5}",
            round.started.as_millis(),
            figures(&round, "twilio"),
            figures(&round, "telnyx"),
            round.lost
        );
        assert_eq!(round.lost, 0, "calls are lost");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let round = stage.hand_over(within * 2).await.unwrap();
    println!(
        " term {:>6} ms {:>20} {:>20} {:>5}",
        round.started.as_millis(),
        figures(&round, "twilio"),
        figures(&round, "telnyx"),
        round.lost
    );
    assert_eq!(round.lost, 0, "calls are lost in a hand-over");
    // What was brought along the last time is looked at, too.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let found = stage.memory.found();
    let records = stage.records().await.unwrap();
    let (began, resumed, turns) = (found.began, found.resumed, found.turns);
    println!("{began} conversations, taken up again {resumed} times, with {turns} turns");
    println!("{} records, {} entries, {} returns", records.calls, records.entries, records.returns);
    assert!(found.missing.is_empty(), "not brought along: {:?}", found.missing);
    assert!(found.twice.is_empty(), "brought along twice: {:?}", found.twice);
    assert_eq!(records.torn, 0, "records have gaps");
    assert_eq!((records.calls, began as usize), (2 * calls, 2 * calls), "each call is one");
    assert!(u64::from(resumed) >= kills * 2 * calls as u64 && turns > 0, "{found:?}");
    assert!(worst <= within, "a caller waited for {worst:?}");
}

fn figures(round: &Round, carrier: &str) -> String {
    let of: Vec<u128> =
        round.silent.iter().filter(|(name, _)| *name == carrier).map(|(_, s)| s.as_millis()).collect();
    match (of.get(of.len() / 2), of.last()) {
        (Some(half), Some(most)) => format!("{half} / {most} ms"),
        (_, _) => "none".to_owned(),
    }
}
