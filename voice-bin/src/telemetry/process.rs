//! What the system knows of this process, where it tells (Linux): memory, processors, open files.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{counter, gauge};

use crate::metrics_names as names;

/// Parts of a second in which Linux counts a process's time, on every system that this server runs on.
const TICKS_PER_SECOND: u64 = 100;

/// Bytes of a page, likewise.
const PAGE_BYTES: u64 = 4_096;

/// Writes down how the process stands. Where the system does not tell, nothing is.
pub(super) fn publish_process() {
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::read(&text)) {
        counter!(names::CPU).absolute(stat.cpu_millis);
        gauge!(names::MEMORY).set(stat.resident_bytes as f64);
        if let Some(started) = started(stat.started) {
            gauge!(names::STARTED_AT).set(started.as_secs_f64().round());
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge!(names::OPEN_FILES).set(open.count() as f64);
    }
    if let Some(limit) = fs::read_to_string("/proc/self/limits").ok().and_then(|text| files_limit(&text)) {
        gauge!(names::FILES_LIMIT).set(limit as f64);
    }
}

/// What is of use in `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_millis: u64,
    resident_bytes: u64,
    /// Since the machine began.
    started: Duration,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name may hold anything, so count from its end; state is the first field after it.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let ticks = number(11)? + number(12)?;
        Some(Self {
            cpu_millis: ticks * 1_000 / TICKS_PER_SECOND,
            started: Duration::from_millis(number(19)? * 1_000 / TICKS_PER_SECOND),
            resident_bytes: number(21)? * PAGE_BYTES,
        })
    }
}

/// Since 1970, from the time since the machine began.
fn started(after_boot: Duration) -> Option<Duration> {
    let up = fs::read_to_string("/proc/uptime").ok()?;
    let up = Duration::try_from_secs_f64(up.split_ascii_whitespace().next()?.parse().ok()?).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(up.saturating_sub(after_boot)))
}

fn files_limit(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_ascii_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_end_of_the_name() {
        let text = "7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 1200 20 3 22";
        let stat = Stat::read(text).unwrap();
        let started = Duration::from_secs(12);
        assert_eq!(stat, Stat { cpu_millis: 3_000, resident_bytes: 3 * PAGE_BYTES, started });
        assert_eq!(Stat::read("7 (a) S 1"), None);
        assert_eq!(files_limit("Limit\nMax open files  1024  4096  files\n"), Some(1_024));
    }
}
