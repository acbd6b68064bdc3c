//! What came of simulated calls, as one JSON object.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use voice_core::id::CallId;
use voice_core::record::{CallEvent, Entry, Reader};
use voice_telephony::sim::CallReport;

use super::millis;

/// A caller has hung up; the server knows it as soon as the network has told it.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of a demonstration.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Whether every call did what it should.
    pub(crate) ok: bool,
    /// What went wrong, in words.
    pub(crate) failures: Vec<String>,
    /// As the server recorded them, in the order in which they began.
    pub(crate) calls: Vec<CallSummary>,
    /// As the callers heard them.
    pub(crate) callers: Vec<CallerSummary>,
}

/// One call as the server recorded it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CallSummary {
    call: String,
    /// Who answered it, and who took over, in order.
    providers: Vec<String>,
    end: Option<&'static str>,
    duration_ms: u64,
    /// Tools that were called.
    tools: Vec<String>,
    barge_ins: Vec<BargeInSummary>,
    latencies_ms: Vec<u64>,
    frames_in: u64,
    frames_out: u64,
    frames_lost: u64,
    problems: Vec<&'static str>,
    transcript: Vec<TurnSummary>,
}

/// An interruption.
#[derive(Debug, Serialize)]
struct BargeInSummary {
    heard_ms: u64,
    unheard_ms: u64,
}

/// Who said what.
#[derive(Debug, Serialize)]
struct TurnSummary {
    who: &'static str,
    text: String,
    /// How much of it reached the caller's ear; the caller's own words have no such figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_ms: Option<u64>,
    cut: bool,
}

/// One call as the caller heard it.
#[derive(Debug, Serialize)]
pub(crate) struct CallerSummary {
    completed: bool,
    failure: Option<String>,
    said: Vec<String>,
    heard: Vec<&'static str>,
    latencies_ms: Vec<u64>,
    /// From the caller's first sound until the voice was silent; null if it did not stop.
    reactions_ms: Vec<Option<u64>>,
    /// Audio that came after the queue was cleared.
    residue_ms: u64,
    frames_sent: u64,
    frames_received: u64,
    gap_ticks: u64,
}

/// Keeps what a summary needs of every call.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    calls: Mutex<BTreeMap<CallId, CallSummary>>,
    /// How many calls are over.
    ended: watch::Sender<usize>,
}

impl Reader for Collector {
    fn read(&self, call: CallId, entry: &Entry) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .entry(call)
            .or_insert_with(|| CallSummary { call: call.to_string(), ..CallSummary::default() })
            .add(&entry.event);
        if matches!(entry.event, CallEvent::Ended { .. }) {
            self.ended.send_modify(|count| *count += 1);
        }
    }
}

impl Collector {
    /// Until so many calls are over; the carrier hears of it a little earlier than the record.
    pub(crate) async fn all_ended(&self, calls: usize) {
        let mut ended = self.ended.subscribe();
        let _given_up = tokio::time::timeout(END_TIMEOUT, ended.wait_for(|count| *count >= calls)).await;
    }

    /// The summary of calls that are over, with what their callers say.
    pub(crate) fn conclude(&self, reports: &[CallReport]) -> Summary {
        let calls: Vec<_> = std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
            .into_values()
            .collect();
        let callers: Vec<_> = reports.iter().map(CallerSummary::from).collect();
        let failures = failures(&calls, &callers);
        Summary { ok: failures.is_empty(), failures, calls, callers }
    }
}

fn failures(calls: &[CallSummary], callers: &[CallerSummary]) -> Vec<String> {
    let mut failures = Vec::new();
    if calls.len() != callers.len() {
        failures.push(format!("{} calls were placed, {} were taken", callers.len(), calls.len()));
    }
    for (number, caller) in (1..).zip(callers) {
        if let Some(failure) = &caller.failure {
            failures.push(format!("caller {number}: {failure}"));
        } else if !caller.completed {
            failures.push(format!("caller {number}: the call broke off"));
        }
    }
    for call in calls {
        let name = &call.call;
        if call.end != Some("caller_hung_up") {
            failures.push(format!("call {name}: ended with {}", call.end.unwrap_or("nothing")));
        }
        if call.tools.is_empty() {
            failures.push(format!("call {name}: the voice called no tool"));
        }
        if call.frames_lost > 0 {
            failures.push(format!("call {name}: {} frames of the caller were lost", call.frames_lost));
        }
        if call.barge_ins.is_empty() {
            failures.push(format!("call {name}: the caller's interruption was not noticed"));
        }
        failures.extend(call.problems.iter().map(|problem| format!("call {name}: {problem}")));
    }
    failures
}

impl CallSummary {
    fn add(&mut self, event: &CallEvent) {
        if let CallEvent::CallerSaid { text, .. } = event {
            let text = text.expose().clone();
            self.transcript.push(TurnSummary { who: "caller", text, heard_ms: None, cut: false });
        } else if let CallEvent::ReplyHeard { text, heard, cut, .. } = event {
            let (text, heard_ms) = (text.expose().clone(), Some(millis(*heard)));
            self.transcript.push(TurnSummary { who: "voice", text, heard_ms, cut: *cut });
        } else if let CallEvent::ReplyStarted { latency: Some(latency), .. } = event {
            self.latencies_ms.push(millis(*latency));
        } else if let CallEvent::BargeIn { heard, unheard, .. } = event {
            self.barge_ins.push(BargeInSummary { heard_ms: millis(*heard), unheard_ms: millis(*unheard) });
        } else if let CallEvent::Assigned { provider, .. } = event {
            self.providers.push(provider.to_string());
        } else if let CallEvent::ToolCalled(tool) = event {
            self.tools.push(tool.name.clone());
        } else if let CallEvent::Problem { failure, .. } = event {
            if failure.verdict() != voice_core::failure::Verdict::Ignore {
                self.problems.push(failure.kind());
            }
        } else if let CallEvent::Ended { reason, totals } = event {
            self.end = Some(reason.kind());
            self.duration_ms = millis(totals.duration);
            (self.frames_in, self.frames_out) = (totals.frames_in, totals.frames_out);
            self.frames_lost = totals.frames_lost;
        }
    }
}

impl From<&CallReport> for CallerSummary {
    fn from(report: &CallReport) -> Self {
        Self {
            completed: report.completed,
            failure: report.failure.clone(),
            said: report.said.clone(),
            heard: report.clips_heard(),
            latencies_ms: report.latencies.iter().copied().map(millis).collect(),
            reactions_ms: report.barge_ins.iter().map(|barge_in| barge_in.reaction.map(millis)).collect(),
            residue_ms: report.barge_ins.iter().map(|barge_in| millis(barge_in.residue)).sum(),
            frames_sent: report.traffic.frames_sent,
            frames_received: report.traffic.frames_received,
            gap_ticks: report.traffic.gap_ticks,
        }
    }
}
