//! What came of a run.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::system::Usage;

/// What one caller counted.
#[derive(Clone, Debug, Default)]
pub struct CallFigures {
    /// Frames of the caller.
    pub frames_sent: u64,
    /// Frames that came back.
    pub frames_received: u64,
    /// Marked frames that never came back.
    pub marks_lost: u64,
    /// From a marked frame's way out to its way back in.
    pub latencies: Vec<Duration>,
}

/// A run in figures.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was measured.
    pub system: String,
    /// Which protocol the echo spoke.
    pub service: &'static str,
    /// Calls at the same time.
    pub calls: usize,
    /// Calls that could not be set up or broke.
    pub failed: usize,
    /// CPU milliseconds per call and second.
    pub cpu_ms: f64,
    /// Of them, in the system's own code.
    pub user_ms: f64,
    /// Resident KiB per call, without what it had after one that came and went.
    pub kib_per_call: f64,
    /// Frames that came back late by at least 20 ms, in percent of the marked ones.
    pub late_percent: f64,
    /// Frames sent that did not come back, in percent.
    pub lost_percent: f64,
    /// Added latency in milliseconds: median.
    pub latency_p50_ms: f64,
    /// 99th percentile.
    pub latency_p99_ms: f64,
    /// The worst.
    pub latency_max_ms: f64,
    /// Why calls failed, the first few.
    pub failures: Vec<String>,
}

/// A marked frame that takes longer than this came too late to be played in its turn.
const LATE: Duration = Duration::from_millis(20);

impl Report {
    /// From what the callers counted and what the kernel says.
    pub fn new(
        system: String,
        service: &'static str,
        calls: &[Result<CallFigures, std::io::Error>],
        cost: Cost,
    ) -> Self {
        let figures: Vec<&CallFigures> = calls.iter().filter_map(|call| call.as_ref().ok()).collect();
        let mut latencies: Vec<Duration> =
            figures.iter().flat_map(|call| call.latencies.iter().copied()).collect();
        latencies.sort_unstable();
        let at = |share: f64| millis(at(&latencies, share));
        let sum = |count: fn(&CallFigures) -> u64| figures.iter().map(|call| count(call)).sum::<u64>() as f64;
        let (sent, received) = (sum(|call| call.frames_sent), sum(|call| call.frames_received));
        let late = latencies.iter().filter(|latency| **latency >= LATE).count() as f64;
        let call_seconds = calls.len() as f64 * cost.window.as_secs_f64();
        let per_call_second = |time: Duration| time.as_secs_f64() * 1e3 / call_seconds;
        Self {
            system,
            service,
            calls: calls.len(),
            failed: calls.len() - figures.len(),
            cpu_ms: per_call_second(cost.used.cpu()),
            user_ms: per_call_second(cost.used.user),
            kib_per_call: cost.used.resident.saturating_sub(cost.resident_before) as f64
                / 1024.0
                / calls.len() as f64,
            late_percent: 100.0 * late / (latencies.len() as f64).max(1.0),
            lost_percent: 100.0 * (sent - received).max(0.0) / sent.max(1.0),
            latency_p50_ms: at(0.5),
            latency_p99_ms: at(0.99),
            latency_max_ms: at(1.0),
            failures: failures(calls),
        }
    }

    /// The heads of the columns of [`Self`]'s lines.
    pub fn heads() -> String {
        format!(
            "{:<30} {:>6} {:>6} {:>8} {:>8} {:>9} {:>8} {:>8} {:>8} {:>7} {:>7}",
            "system",
            "calls",
            "failed",
            "cpu ms",
            "user ms",
            "KiB/call",
            "p50 ms",
            "p99 ms",
            "max ms",
            "late %",
            "lost %"
        )
    }
}

/// That share of the way through what is sorted: 0.5 is the median. The default of nothing.
pub(crate) fn at<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Why calls failed, the first few.
pub(super) fn failures<T>(calls: &[std::io::Result<T>]) -> Vec<String> {
    calls.iter().filter_map(|call| call.as_ref().err()).take(3).map(ToString::to_string).collect()
}

/// What the kernel says of the system during the counted seconds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Used within them; resident at their end.
    pub used: Usage,
    /// Resident before the calls, when one had come and gone.
    pub resident_before: u64,
    /// How long they were.
    pub window: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<30} {:>6} {:>6} {:>8.2} {:>8.2} {:>9.1} {:>8.2} {:>8.2} {:>8.1} {:>7.2} {:>7.2}",
            self.system,
            self.calls,
            self.failed,
            self.cpu_ms,
            self.user_ms,
            self.kib_per_call,
            self.latency_p50_ms,
            self.latency_p99_ms,
            self.latency_max_ms,
            self.late_percent,
            self.lost_percent
        )?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n    failed: {failure}"))
    }
}
