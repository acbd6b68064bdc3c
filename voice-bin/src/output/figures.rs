//! What many calls come to: counts, and the middle and the tail of what callers wait for.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use voice_telephony::sim::CallReport;

use super::millis;

/// Figures of all calls of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) calls: usize,
    pub(crate) completed: usize,
    pub(crate) failed: usize,
    /// Why calls failed, and how many for each reason.
    failures: BTreeMap<String, usize>,
    frames_sent: u64,
    frames_received: u64,
    /// Ticks of 20 ms in which nothing was there to be played in the middle of speech.
    gap_ticks: u64,
    barge_ins: usize,
    /// Barge-ins after which the voice did not stop.
    barge_ins_ignored: usize,
    /// Audio that came after the queue was cleared.
    residue_ms: u64,
    latency_ms: Spread,
    reaction_ms: Spread,
}

/// Half of the values are at most `p50`, 95 in 100 at most `p95`. Zero where there are none.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Spread {
    count: usize,
    p50: u64,
    p95: u64,
    max: u64,
}

impl Figures {
    pub(crate) fn of(reports: &[CallReport]) -> Self {
        let mut failures = BTreeMap::new();
        for report in reports.iter().filter(|report| !report.completed) {
            let reason = report.failure.clone().unwrap_or_else(|| "the call broke off".to_owned());
            *failures.entry(reason).or_insert(0) += 1;
        }
        let failed = failures.values().sum();
        let barge_ins = || reports.iter().flat_map(|report| &report.barge_ins);
        let sum = |count: fn(&CallReport) -> u64| reports.iter().map(count).sum();
        Self {
            calls: reports.len(),
            completed: reports.len() - failed,
            failed,
            failures,
            frames_sent: sum(|report| report.traffic.frames_sent),
            frames_received: sum(|report| report.traffic.frames_received),
            gap_ticks: sum(|report| report.traffic.gap_ticks),
            barge_ins: barge_ins().count(),
            barge_ins_ignored: barge_ins().filter(|barge_in| barge_in.reaction.is_none()).count(),
            residue_ms: barge_ins().map(|barge_in| millis(barge_in.residue)).sum(),
            latency_ms: Spread::of(reports.iter().flat_map(|report| report.latencies.iter().copied())),
            reaction_ms: Spread::of(barge_ins().filter_map(|barge_in| barge_in.reaction)),
        }
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = Duration>) -> Self {
        let mut values: Vec<u64> = values.map(millis).collect();
        values.sort_unstable();
        let Some(last) = values.len().checked_sub(1) else { return Self::default() };
        let at = |percent: usize| values[(values.len() * percent).div_ceil(100).clamp(1, last + 1) - 1];
        Self { count: values.len(), p50: at(50), p95: at(95), max: values[last] }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "calls          {:>8}   {} completed, {} failed",
            self.calls, self.completed, self.failed
        )?;
        for (reason, count) in &self.failures {
            writeln!(f, "               {count:>8}   {reason}")?;
        }
        let (sent, received) = (self.frames_sent, self.frames_received);
        writeln!(f, "frames         {sent:>8} sent, {received} received, {} gaps", self.gap_ticks)?;
        writeln!(
            f,
            "barge-ins      {:>8}   {} ignored, {} ms of old speech after",
            self.barge_ins, self.barge_ins_ignored, self.residue_ms
        )?;
        writeln!(f, "answer after   {}", self.latency_ms)?;
        write!(f, "silent after   {}", self.reaction_ms)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>5} ms in the middle, {} ms at 95 %, {} ms at most ({})",
            self.p50, self.p95, self.max, self.count
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_and_tail() {
        let spread = |values: &[u64]| Spread::of(values.iter().map(|ms| Duration::from_millis(*ms)));
        assert_eq!(spread(&[]), Spread::default());
        assert_eq!(spread(&[7]), Spread { count: 1, p50: 7, p95: 7, max: 7 });
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(spread(&hundred), Spread { count: 100, p50: 50, p95: 95, max: 100 });
    }

    #[test]
    fn a_failed_call_is_counted_with_its_reason() {
        let failed = CallReport { failure: Some("no answer".to_owned()), ..CallReport::default() };
        let fine = CallReport { completed: true, ..CallReport::default() };
        let figures = Figures::of(&[failed, fine]);
        assert_eq!((figures.calls, figures.completed, figures.failed), (2, 1, 1));
        assert_eq!(figures.failures, BTreeMap::from([("no answer".to_owned(), 1)]));
    }
}
