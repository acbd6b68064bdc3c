//! The switching harness: what callers hear when voices are switched, die, or are all gone.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool: this is its output")]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use benches::load::system;
use benches::switching::figures::Figure;
use benches::switching::scenarios;
use benches::switching::stage::{ROLE, Setting};
use clap::{Parser, ValueEnum};

/// Switches voices and kills them, and says what the callers heard.
///
/// The server runs in a process of its own, on a core of its own where `taskset` is there; callers and
/// two echoing services (one speaks OpenAI's protocol, one Gemini's) share the other cores. What is
/// promised has a target: a planned switch is not heard; a forced one with a standby is heard for less
/// than 100 ms, without for less than a second; if nobody is left, a prompt is heard within 300 ms of the
/// end of the caller's patience (300 ms). Nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "switching", version)]
struct Arguments {
    /// What is done: planned, warm, cold, outage, half-open; all of it by default.
    #[arg(value_enum)]
    scenario: Vec<Scenario>,
    /// Calls at the same time.
    #[arg(long, value_name = "N", default_value_t = 20)]
    calls: usize,
    /// How often it is done to each call (an outage a third as often, half-open once).
    #[arg(long, value_name = "N", default_value_t = 15)]
    rounds: u32,
    /// Between the server and its services: three of these to connect, one for each answer.
    #[arg(long, value_name = "MS", default_value_t = 40)]
    round_trip: u64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Fails if a target is missed.
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Planned,
    Warm,
    Cold,
    Outage,
    HalfOpen,
}

fn main() -> ExitCode {
    if std::env::var_os(ROLE).is_some() {
        return voice_bin::cli::main();
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(held) if held || !arguments.check => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("switching: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all targets held.
async fn run(arguments: &Arguments) -> io::Result<bool> {
    if !arguments.json {
        let Arguments { calls, round_trip, .. } = arguments;
        println!("{}; {calls} calls, round trip {round_trip} ms", system::machine());
        println!("{}", Figure::heads());
    }
    let all = Scenario::value_variants();
    let wanted = if arguments.scenario.is_empty() { all } else { &arguments.scenario };
    let round_trip = Duration::from_millis(arguments.round_trip);
    let with = |standby| Setting { calls: arguments.calls, round_trip, standby };
    let rounds = arguments.rounds;
    let mut held = true;
    for scenario in wanted {
        let figures = match scenario {
            Scenario::Planned => scenarios::planned(with("off"), rounds).await?,
            Scenario::Warm => scenarios::forced(with("fed"), rounds).await?,
            Scenario::Cold => scenarios::forced(with("off"), rounds).await?,
            Scenario::Outage => scenarios::outage(with("off"), rounds.div_ceil(3)).await?,
            Scenario::HalfOpen => scenarios::half_open(with("off")).await?,
        };
        for figure in figures {
            held &= figure.held;
            if arguments.json {
                println!("{}", serde_json::to_string(&figure).map_err(io::Error::other)?);
            } else {
                println!("{figure}");
            }
        }
    }
    Ok(held)
}
