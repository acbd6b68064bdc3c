//! Metrics: the recorder behind `/metrics`, and the reader that counts calls.

use std::time::Duration;

use metrics::{counter, histogram};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use voice_core::failure::Blame;
use voice_core::id::CallId;
use voice_core::provider::Usage;
use voice_core::record::{CallEvent, CoverKind, Entry, Loss, Party, Reader, Totals};

use crate::metrics_names as names;

/// Histograms keep every value until somebody folds them into buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// The recorder cannot be built.
    #[error("metrics cannot be set up")]
    Build(#[from] BuildError),
    /// Somebody else already takes the metrics of this process.
    #[error("metrics were set up before")]
    Installed,
}

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Takes all metrics of this process from now on. Only once.
    pub fn install() -> Result<Self, MetricsError> {
        let recorder = recorder()?;
        let handle = recorder.handle();
        ::metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Installed)?;
        names::describe();
        Ok(Self(handle))
    }

    /// Metrics that nobody feeds; for servers inside tests and other programs.
    pub fn unfed() -> Result<Self, MetricsError> {
        Ok(Self(recorder()?.handle()))
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps histograms from growing; never returns.
    pub async fn upkeep(&self) {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            self.0.run_upkeep();
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn recorder() -> Result<PrometheusRecorder, MetricsError> {
    let full = |name: &str| Matcher::Full(name.to_owned());
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(full(names::REPLY_LATENCY), &names::LATENCY_BUCKETS)?
        .set_buckets_for_metric(full(names::ATTACH_DURATION), &names::LATENCY_BUCKETS)?
        .set_buckets_for_metric(full(names::SWITCH_GAP), &names::LATENCY_BUCKETS)?
        .set_buckets_for_metric(full(names::CALL_DURATION), &names::DURATION_BUCKETS)?
        .build_recorder())
}

/// Counts what the records of calls tell.
#[derive(Clone, Copy, Debug)]
pub struct MetricsReader;

impl Reader for MetricsReader {
    fn read(&self, _call: CallId, entry: &Entry) {
        let event = &entry.event;
        if let CallEvent::Started { carrier, .. } = event {
            counter!(names::CALLS_STARTED, "carrier" => carrier.to_string()).increment(1);
        } else if let CallEvent::Ended { reason, totals } = event {
            counter!(names::CALLS_ENDED, "reason" => reason.kind()).increment(1);
            count_totals(totals);
        } else if let CallEvent::Ready { took, .. } = event {
            histogram!(names::ATTACH_DURATION).record(took.as_secs_f64());
        } else if let CallEvent::ReplyStarted { latency: Some(latency), .. } = event {
            histogram!(names::REPLY_LATENCY).record(latency.as_secs_f64());
        } else if let CallEvent::BargeIn { .. } = event {
            counter!(names::BARGE_INS).increment(1);
        } else if let CallEvent::Problem { failure, .. } = event {
            let blame = blame(failure.blame());
            counter!(names::PROVIDER_PROBLEMS, "kind" => failure.kind(), "blame" => blame).increment(1);
        } else if let CallEvent::AudioLost { what, duration } = event {
            let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            counter!(names::AUDIO_LOST, "place" => place(*what)).increment(millis);
        } else if let CallEvent::CarrierOddity { oddity, .. } = event {
            counter!(names::ODDITIES, "peer" => "carrier", "kind" => oddity.name()).increment(1);
        } else if let CallEvent::ProviderOddity { .. } = event {
            // The kind is the peer's own word: no label, or a peer could fill our memory.
            counter!(names::ODDITIES, "peer" => "provider", "kind" => "unknown").increment(1);
        } else if let CallEvent::ToolAnswered { failed, .. } = event {
            let outcome = if *failed { "failed" } else { "answered" };
            counter!(names::TOOLS, "outcome" => outcome).increment(1);
        } else if let CallEvent::Used { usage, .. } = event {
            count_tokens(usage);
        } else {
            count_gaps(event);
        }
    }
}

/// What is done so that callers are not left alone.
fn count_gaps(event: &CallEvent) {
    if let CallEvent::Switched(switch) = event {
        histogram!(names::SWITCH_GAP, "why" => switch.why.name()).record(switch.gap.as_secs_f64());
    } else if let CallEvent::Covered { kind } = event {
        counter!(names::COVERS, "kind" => cover(*kind)).increment(1);
    } else if let CallEvent::Retrying { .. } = event {
        counter!(names::RETRIES).increment(1);
    } else if let CallEvent::Silence { of, over: None } = event {
        let of = match of {
            Party::Caller => "caller",
            Party::Provider => "provider",
        };
        counter!(names::SILENCES, "of" => of).increment(1);
    }
}

const fn cover(kind: CoverKind) -> &'static str {
    match kind {
        CoverKind::Moment => "moment",
        CoverKind::Still => "still",
        CoverKind::Unavailable => "unavailable",
        CoverKind::Music => "music",
    }
}

fn count_totals(totals: &Totals) {
    histogram!(names::CALL_DURATION).record(totals.duration.as_secs_f64());
    counter!(names::SWITCHES).increment(totals.switches.into());
    let directions = [
        ("in", totals.frames_in),
        ("heard", totals.frames_heard),
        ("lost", totals.frames_lost),
        ("out", totals.frames_out),
    ];
    for (direction, frames) in directions {
        counter!(names::FRAMES, "direction" => direction).increment(frames);
    }
}

fn count_tokens(usage: &Usage) {
    let kinds = [
        ("text_in", usage.text_in),
        ("audio_in", usage.audio_in),
        ("cached_in", usage.cached_in),
        ("text_out", usage.text_out),
        ("audio_out", usage.audio_out),
    ];
    for (kind, tokens) in kinds {
        counter!(names::TOKENS, "kind" => kind).increment(tokens.into());
    }
}

const fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Provider => "provider",
        Blame::Us => "us",
        Blame::Nobody => "nobody",
    }
}

const fn place(loss: Loss) -> &'static str {
    match loss {
        Loss::Carrier => "carrier",
        Loss::Held => "held",
        Loss::Unheard => "unheard",
        Loss::Playout => "playout",
        Loss::Withheld => "withheld",
        Loss::Recording => "recording",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples;

    #[test]
    fn every_kind_of_event_is_counted_without_private_labels() {
        let recorder = recorder().unwrap();
        let handle = recorder.handle();
        ::metrics::with_local_recorder(&recorder, || {
            names::describe();
            for (seq, event) in (1..).zip(samples::events()) {
                MetricsReader
                    .read(CallId::from_u128(7), &Entry { seq, at: voice_core::time::MonoTime::ZERO, event });
            }
        });
        let text = handle.render();
        let ended = samples::events().iter().filter(|event| matches!(event, CallEvent::Ended { .. })).count();
        let frames_in = format!("voice_frames_total{{direction=\"in\"}} {}", ended * 1_500);
        for expected in [
            "voice_calls_started_total{carrier=\"twilio\"} 1",
            "voice_calls_ended_total{reason=\"caller_hung_up\"} 1",
            frames_in.as_str(),
            "voice_provider_problems_total{kind=\"throttled\",blame=\"provider\"}",
            "voice_reply_latency_seconds_bucket{le=\"0.5\"} 1",
            "voice_switch_gap_seconds_count{why=",
            "voice_cover_prompts_total{kind=",
            "voice_provider_retries_total 1",
            "voice_silences_total{of=",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        for private in samples::PRIVATE {
            assert!(!text.contains(private), "{private:?} in {text}");
        }
    }
}
