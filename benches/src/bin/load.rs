//! The load harness: many calls through the server, and through bare relays as a yardstick.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool: this is its output")]

use std::io;
use std::net::SocketAddr;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use benches::load::caller::{self, Target, WARM_UP};
use benches::load::echo::{self, Service};
use benches::load::relay;
use benches::load::report::{Cost, Report};
use benches::load::system::{self, Usage};
use clap::Parser;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use voice_core::driver::Clock;

/// In this variable the harness tells a copy of itself what to be.
const ROLE: &str = "VOICE_LOAD_ROLE";

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Drives many calls through one server and says what they cost.
///
/// The system under test runs in a process of its own, on a core of its own where `taskset` is there;
/// the callers and the echoing service share the other cores. Nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
struct Arguments {
    /// Calls at the same time; several numbers are run one after another.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "10,50")]
    calls: Vec<usize>,
    /// How long each is counted, after three seconds that are not.
    #[arg(long, value_name = "S", default_value_t = 15)]
    seconds: u64,
    /// Which service echoes: openai (mu-law all the way) or gemini (transcoded both ways).
    #[arg(long, value_name = "NAME", default_value = "openai")]
    provider: Vec<Service>,
    /// A bare relay as a yardstick, besides the server: raw or tungstenite.
    #[arg(long, value_name = "KIND")]
    relay: Vec<relay::Kind>,
    /// Only the relays.
    #[arg(long)]
    no_server: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => return voice_bin::cli::main(),
        Ok(role) => return be_relay(role),
        Err(_) => {}
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
enum System {
    Voice,
    Relay(relay::Kind),
}

async fn run(arguments: &Arguments) -> io::Result<bool> {
    if !arguments.json {
        println!("{}; CPU in ms per call and second, latency added", system::machine());
        println!("{}", Report::heads());
    }
    let mut systems: Vec<System> = arguments.relay.iter().map(|kind| System::Relay(*kind)).collect();
    if !arguments.no_server {
        systems.push(System::Voice);
    }
    let mut all_went_well = true;
    for &service in &arguments.provider {
        for &calls in &arguments.calls {
            for &system in &systems {
                if matches!(system, System::Relay(_)) && service != Service::OpenAi {
                    continue;
                }
                let report = measure(system, service, calls, arguments.seconds).await?;
                all_went_well &= report.failed == 0;
                if arguments.json {
                    println!("{}", serde_json::to_string(&report).map_err(io::Error::other)?);
                } else {
                    println!("{report}");
                }
            }
        }
    }
    Ok(all_went_well)
}

async fn measure(system: System, service: Service, calls: usize, seconds: u64) -> io::Result<Report> {
    let echo = echo::start(service).await?;
    let address = free_address()?;
    let directory = tempfile::tempdir()?;
    let mut server = start(system, service, address, echo, directory.path())?;
    let pinned = system::pin(std::process::id(), 1) && system::is_pinned(server.id());
    let reached = reachable(address, &mut server).await;
    let measured = match reached {
        Ok(()) => drive(system, address, server.id(), calls, seconds).await,
        Err(error) => Err(error),
    };
    let _already_gone = server.kill();
    server.wait()?;
    let (figures, cost) = measured?;
    let mut name = match system {
        System::Voice => format!("voice ({})", service.name()),
        System::Relay(relay::Kind::Raw) => "relay, raw".to_owned(),
        System::Relay(relay::Kind::Tungstenite) => "relay, tungstenite".to_owned(),
    };
    if !pinned {
        name.push_str(" unpinned");
    }
    Ok(Report::new(name, service.name(), &figures, cost))
}

/// Where within the 20 ms of a frame a caller speaks: spread evenly, however many there are (the golden
/// ratio does that), as telephones do. All at once would measure a queue of the harness's own making.
fn phase(number: u64) -> Duration {
    Duration::from_micros(number.wrapping_mul(12_361) % 20_000)
}

type Measured = (Vec<io::Result<benches::load::report::CallFigures>>, Cost);

async fn drive(
    system: System,
    address: SocketAddr,
    process: u32,
    calls: usize,
    seconds: u64,
) -> io::Result<Measured> {
    let gone = || io::Error::other("the system under test is gone");
    let target = match system {
        System::Voice => Target::Voice { address, token: TOKEN.to_owned() },
        System::Relay(_) => Target::Relay(address),
    };
    let clock = Clock::start();
    // What a process takes for its first call it takes once: code is read from disk, pools are filled.
    caller::call(target.clone(), calls as u64, Duration::from_secs(1), clock).await?;
    let before = Usage::of(process).ok_or_else(gone)?;
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
    let first = Usage::of(process).ok_or_else(gone)?;
    tokio::time::sleep(window).await;
    let last = Usage::of(process).ok_or_else(gone)?;
    let cost = Cost { used: last.since(&first), resident_before: before.resident, window };
    Ok((callers.join_all().await, cost))
}

fn start(
    system: System,
    service: Service,
    address: SocketAddr,
    echo: SocketAddr,
    directory: &std::path::Path,
) -> io::Result<Child> {
    let mut command = system::on_core(0, std::env::current_exe()?);
    command
        .env_clear()
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let System::Relay(kind) = system {
        let kind = if kind == relay::Kind::Raw { "raw" } else { "tungstenite" };
        return command.env(ROLE, format!("{kind} {address} {echo}")).spawn();
    }
    command
        .arg("serve")
        .env(ROLE, "server")
        .env("PORT", address.port().to_string())
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .env("MAX_CALLS", "10000")
        .env("AGENT_GREETING", "off")
        .envs(service.settings(echo));
    command.spawn()
}

fn be_relay(role: &str) -> ExitCode {
    let parts: Vec<&str> = role.split(' ').collect();
    let &[kind, address, echo] = parts.as_slice() else { return ExitCode::FAILURE };
    let (Ok(kind), Ok(address), Ok(echo)) =
        (kind.parse(), address.parse::<SocketAddr>(), echo.parse::<SocketAddr>())
    else {
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind(address).await?;
            relay::serve(kind, listener, echo).await
        })
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A port that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

async fn reachable(address: SocketAddr, server: &mut Child) -> io::Result<()> {
    for _ in 0..500 {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        if let Some(status) = server.try_wait()? {
            return Err(io::Error::other(format!("the system under test ended with {status}")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(io::Error::other("the system under test does not listen"))
}
