//! The load harness: many calls through the server, and through bare relays as a yardstick.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool: this is its output")]

use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use benches::load::caller::{self, WARM_UP};
use benches::load::echo::{self, Service};
use benches::load::first::{self, FirstReport};
use benches::load::relay;
use benches::load::report::{CallFigures, Cost, Report};
use benches::load::soak::{self, Sample, Soak};
use benches::load::system::{self, Usage};
use benches::load::tls::Authority;
use benches::load::under_test::{self, Surroundings, System, UnderTest};
use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use tokio::task::JoinSet;
use voice_core::driver::Clock;

/// Drives many calls through one server and says what they cost.
///
/// The system under test runs in a process of its own, on a core of its own where `taskset` is there;
/// the callers and the service share the other cores. Nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "load", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Mode {
    Soak(SoakArguments),
    First(First),
}

// Without a word for it: what calls cost that all speak at once, and how late their sound is.
#[derive(Debug, Args)]
struct Load {
    /// Calls at the same time; several numbers are run one after another.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "10,50")]
    calls: Vec<usize>,
    /// How long each is counted, after three seconds that are not.
    #[arg(long, value_name = "S", default_value_t = 15)]
    seconds: u64,
    /// Also the server without metrics and without a log, to see what those cost.
    #[arg(long)]
    blind: bool,
    #[command(flatten)]
    systems: Systems,
    #[command(flatten)]
    common: Common,
}

/// Lets calls come and go through one server for hours, and says whether it keeps anything of them.
///
/// Callers speak, are answered, interrupt, and hang up; one in eight is cut off. All calls together last as
/// long as is asked for: with 100 at once, two hours take 72 seconds. Fails if a call does, if resident memory
/// grows, or if files or tasks of calls are left open at the end.
#[derive(Debug, Args)]
struct SoakArguments {
    /// Calls at the same time.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    calls: u64,
    /// How long all calls last, one after the other.
    #[arg(long, value_name = "H", default_value_t = 2.0)]
    hours: f64,
    /// How long a call lasts, in seconds: the shortest and the longest.
    #[arg(long, value_name = "S-S", default_value = "10-30", value_parser = lengths)]
    each: (u64, u64),
    /// By how much memory may grow from the first half to the second, after a warm-up.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    growth: f64,
    /// Which service talks: openai or gemini.
    #[arg(long, value_name = "NAME", default_value = "openai")]
    provider: Service,
    #[command(flatten)]
    common: Common,
}

/// Calls one after another, and what is added between a service's first sound and the caller's ear.
///
/// The service greets when it is asked to (on the other side of a relay, when it is reached). Time counts from
/// whichever came last: the service's first sound, or the caller's open stream.
#[derive(Debug, Args)]
struct First {
    /// Calls that are counted, after one that is not.
    #[arg(long, value_name = "N", default_value_t = 50)]
    calls: u64,
    #[command(flatten)]
    systems: Systems,
    #[command(flatten)]
    common: Common,
}

// What is measured.
#[derive(Debug, Args)]
struct Systems {
    /// Which service is on the other side: openai (mu-law all the way) or gemini (transcoded both ways).
    #[arg(long, value_name = "NAME", default_value = "openai")]
    provider: Vec<Service>,
    /// A bare relay as a yardstick, besides the server: raw or tungstenite.
    #[arg(long, value_name = "KIND")]
    relay: Vec<relay::Kind>,
    /// Only the relays.
    #[arg(long)]
    no_server: bool,
}

fn lengths(text: &str) -> Result<(u64, u64), String> {
    let lengths = text.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    lengths.filter(|(from, to)| (1..=*to).contains(from)).ok_or_else(|| "write it as 10-30".to_owned())
}

impl Systems {
    fn all(&self) -> Vec<System> {
        let relays = self.relay.iter().map(|kind| System::Relay(*kind));
        relays.chain((!self.no_server).then_some(System::Voice)).collect()
    }
}

#[derive(Clone, Copy, Debug, Args)]
struct Common {
    /// The service speaks TLS, with a certificate that is made for the run.
    #[arg(long)]
    tls: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Common {
    fn head(self, what: &str, columns: &str) {
        if !self.json {
            println!("{}; {what}", system::machine());
            println!("{columns}");
        }
    }

    fn line(self, report: &(impl Serialize + Display)) -> io::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(report).map_err(io::Error::other)?);
        } else {
            println!("{report}");
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    if let Some(code) = under_test::be_it() {
        return code;
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let went_well = runtime.and_then(|runtime| match &arguments.mode {
        None => runtime.block_on(load(&arguments.load)),
        Some(Mode::Soak(arguments)) => runtime.block_on(soak(arguments)),
        Some(Mode::First(arguments)) => runtime.block_on(first(arguments)),
    });
    match went_well {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn load(arguments: &Load) -> io::Result<bool> {
    arguments.common.head("CPU in ms per call and second, latency added", &Report::heads());
    let blind = arguments.blind.then_some(System::Blind);
    let systems: Vec<System> = arguments.systems.all().into_iter().chain(blind).collect();
    let mut all_went_well = true;
    for &service in &arguments.systems.provider {
        for &calls in &arguments.calls {
            for &system in systems.iter().filter(|system| system.knows(service)) {
                let report = measure(system, service, calls, arguments).await?;
                all_went_well &= report.failed == 0;
                arguments.common.line(&report)?;
            }
        }
    }
    Ok(all_went_well)
}

async fn soak(arguments: &SoakArguments) -> io::Result<bool> {
    let soak = Soak {
        service: arguments.provider,
        calls: arguments.calls,
        lasts: Duration::try_from_secs_f64(arguments.hours * 3_600.0).map_err(io::Error::other)?,
        each: arguments.each,
        is_tls: arguments.common.tls,
        growth: arguments.growth,
    };
    let what = format!("{} calls at once, {} hours of calls", arguments.calls, arguments.hours);
    arguments.common.head(&what, &Sample::heads());
    let mut told = Ok(());
    let report = soak::run(soak, |sample| told = arguments.common.line(sample)).await?;
    told?;
    arguments.common.line(&report)?;
    Ok(report.failed == 0 && report.is_flat)
}

async fn first(arguments: &First) -> io::Result<bool> {
    let what = "milliseconds: from the caller's open stream to the service (dialled) and to its first sound (spoke); from that to the caller's ear (added)";
    arguments.common.head(what, &FirstReport::heads());
    let mut all_went_well = true;
    for &service in &arguments.systems.provider {
        for system in arguments.systems.all().into_iter().filter(|system| system.knows(service)) {
            let report = first::measure(system, service, arguments.calls, arguments.common.tls).await?;
            all_went_well &= report.failed == 0;
            arguments.common.line(&report)?;
        }
    }
    Ok(all_went_well)
}

async fn measure(system: System, service: Service, calls: usize, arguments: &Load) -> io::Result<Report> {
    let authority = arguments.common.tls.then(Authority::new).transpose()?;
    let origin = echo::start(service, authority.as_ref()).await?;
    let around = Surroundings { service, origin, authority: authority.as_ref(), greets: false };
    let under_test = UnderTest::start(system, around).await?;
    let (figures, cost) = drive(&under_test, calls, arguments.seconds).await?;
    let mut name = system.name(service, arguments.common.tls);
    if !under_test.is_pinned() {
        name.push_str(" unpinned");
    }
    Ok(Report::new(name, service.name(), &figures, cost))
}

/// Where within the 20 ms of a frame a caller speaks: spread evenly, however many there are (the golden
/// ratio does that), as telephones do. All at once would measure a queue of the harness's own making.
fn phase(number: u64) -> Duration {
    Duration::from_micros(number.wrapping_mul(12_361) % 20_000)
}

type Measured = (Vec<io::Result<CallFigures>>, Cost);

async fn drive(under_test: &UnderTest, calls: usize, seconds: u64) -> io::Result<Measured> {
    let usage =
        || Usage::of(under_test.id()).ok_or_else(|| io::Error::other("the system under test is gone"));
    let (target, clock) = (under_test.target(), Clock::start());
    // What a process takes for its first call it takes once: code is read from disk, pools are filled.
    caller::call(target.clone(), calls as u64, Duration::from_secs(1), clock).await?;
    let before = usage()?;
    let window = Duration::from_secs(seconds);
    let mut callers = JoinSet::new();
    for number in 0..calls as u64 {
        let target = target.clone();
        // One task for each caller; they begin within a second.
        callers.spawn(async move {
            let offset = Duration::from_micros(number * 1_000_000 / calls as u64 / 20_000 * 20_000);
            let offset = offset + phase(number);
            tokio::time::sleep(offset).await;
            let rest = WARM_UP + window + Duration::from_secs(2);
            caller::call(target, number, rest - offset, clock).await
        });
    }
    tokio::time::sleep(WARM_UP).await;
    let first = usage()?;
    tokio::time::sleep(window).await;
    let last = usage()?;
    let cost = Cost { used: last.since(&first), resident_before: before.resident, window };
    Ok((callers.join_all().await, cost))
}
