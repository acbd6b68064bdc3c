//! What the kernel says of the system under test, and on which core it runs.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// In its own code.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
    /// Resident memory now, in bytes.
    pub resident: u64,
}

impl Usage {
    /// Of this process; `None` once it is gone, or where there is no `/proc`.
    pub fn of(process: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name of the program may hold spaces; it ends with the last parenthesis.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let page = 4096;
        Some(Self {
            user: Duration::from_millis(ticks(11)? * TICK_MS),
            system: Duration::from_millis(ticks(12)? * TICK_MS),
            resident: ticks(21)? * page,
        })
    }

    /// What was used since then.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            resident: self.resident,
        }
    }

    /// Both kinds of time.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

/// Files and sockets that a process has open; none where there is no `/proc`.
pub fn open_files(process: u32) -> u64 {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, |files| files.count() as u64)
}

/// The value of a metric without labels that the server tells of itself, if it can be had.
pub async fn metric(address: SocketAddr, name: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse::<f64>().ok().map(|value| value as u64)
}

/// `/proc` counts in hundredths of a second on every Linux we know.
const TICK_MS: u64 = 10;

/// Keeps a process, all its threads, on one core. Whether that could be done.
pub fn pin(process: u32, core: usize) -> bool {
    Command::new("taskset")
        .args(["-a", "-p", "-c", &core.to_string(), &process.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// This program on one core from its first moment, so that it makes as many threads as it would on such a
/// machine; on any core where there is no `taskset`.
pub fn on_core(core: usize, program: PathBuf) -> Command {
    let has_taskset = Command::new("taskset").arg("-V").stdout(Stdio::null()).status().is_ok();
    if !has_taskset {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// Whether this process may run on one core only.
pub fn is_pinned(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    allowed.is_some_and(|list| list.trim().parse::<usize>().is_ok())
}

/// The machine in a line.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{name}, {cores} cores")
}
