//! Metrics: the recorder behind `/metrics`, and what is shown there beside what calls tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use metrics::gauge;
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use voice_core::call::Control;
use voice_core::driver::Clock;
use voice_core::id::{CallId, CarrierId};

use super::counting::MetricsReader;
use super::figures::{CallFigures, Figures};
use super::money::{Budget, Prices};
use super::process::publish_process;
use crate::metrics_names::{self as names, Kind};

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

/// The metrics of this process, and the figures of its calls.
#[derive(Clone)]
pub struct Metrics {
    is_on: bool,
    handle: PrometheusHandle,
    pub(super) shared: Arc<Shared>,
}

/// What readers of calls and those who ask share.
#[derive(Default)]
pub(super) struct Shared {
    /// Taken by every call for each entry of its record, about two a second, for a look-up and a few sums.
    figures: Mutex<Figures>,
    pub(super) prices: Prices,
    pub(super) budget: Option<Budget>,
    orders: OnceLock<Orders>,
    /// Taken by whoever reads the metrics. Series that have been shown: a gauge of something that is gone must fall to zero, not stand still.
    shown: Mutex<BTreeMap<(&'static str, String), u32>>,
}

/// How a call is ordered about.
type Orders = Box<dyn Fn(CallId, Control) -> bool + Send + Sync>;

impl Metrics {
    /// Takes all metrics of this process from now on. Only once.
    pub fn install() -> Result<Self, MetricsError> {
        let recorder = recorder()?;
        let handle = recorder.handle();
        ::metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Installed)?;
        names::describe();
        Ok(Self { is_on: true, handle, shared: Arc::default() })
    }

    /// Metrics that nobody feeds; for servers inside tests and other programs.
    pub fn unfed() -> Result<Self, MetricsError> {
        Ok(Self { is_on: true, handle: recorder()?.handle(), shared: Arc::default() })
    }

    /// No metrics: nobody feeds them, and `/metrics` says that there are none. What calls cost is reckoned all
    /// the same, for budgets hold without them.
    pub fn off() -> Result<Self, MetricsError> {
        Ok(Self { is_on: false, ..Self::unfed()? })
    }

    /// Whether they are shown.
    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// The same, knowing what providers ask and what a call may cost. Before anything else is done with it.
    #[must_use]
    pub fn with_budget(self, prices: Prices, budget: Option<Budget>) -> Self {
        Self { shared: Arc::new(Shared { prices, budget, ..Shared::default() }), ..self }
    }

    /// Says what runs here, and where.
    pub fn name_server(&self, environment: &str) {
        let labels = [
            ("name", env!("CARGO_PKG_NAME").to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("environment", environment.to_owned()),
        ];
        gauge!(names::APP_INFO, &labels).set(1.0);
    }

    /// Counts what the records of calls tell.
    pub fn reader(&self) -> MetricsReader {
        MetricsReader::new(self.shared.clone())
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        self.show_calls();
        publish_process();
        self.handle.render()
    }

    /// Keeps histograms from growing, and measures how late timers fire; never returns.
    pub async fn upkeep(&self, clock: Clock) {
        loop {
            let due = clock.now() + UPKEEP_INTERVAL;
            tokio::time::sleep_until(clock.instant(due)).await;
            ::metrics::histogram!(names::LATENESS).record(clock.now().since(due).as_secs_f64());
            self.handle.run_upkeep();
        }
    }

    /// This is how calls are ordered about when a budget is spent. The first one to say so is believed.
    pub(crate) fn orders_by(&self, orders: impl Fn(CallId, Control) -> bool + Send + Sync + 'static) {
        let _somebody_was_first = self.shared.orders.set(Box::new(orders));
    }

    /// This call, which is about to begin, is one that we place.
    pub(crate) fn placed(&self, call: CallId) {
        self.shared.figures().placed(call);
    }

    /// This call is about to go on, of which nothing may be known here: another server had it.
    pub(crate) fn returning(&self, call: CallId, carrier: &CarrierId) {
        self.shared.figures().returning(call, carrier);
    }

    /// This call runs no more, whether or not its record came to an end.
    pub(crate) fn over(&self, call: CallId) {
        self.shared.figures().close(call);
    }

    /// What is known of a call.
    pub(crate) fn call(&self, call: CallId) -> Option<CallFigures> {
        self.shared.figures().find(call).cloned()
    }

    /// What providers ask.
    pub(crate) fn prices(&self) -> &Prices {
        &self.shared.prices
    }

    /// Gauges of what runs now.
    fn show_calls(&self) {
        let mut now: BTreeMap<(&'static str, String), u32> = BTreeMap::new();
        let mut count = |name, label: String| *now.entry((name, label)).or_default() += 1;
        for call in self.shared.figures().running() {
            count(names::CALLS_RUNNING, call.carrier.clone());
            count(names::CALL_STATES, call.status.to_owned());
            for stay in &call.stays {
                let Some(provider) = &stay.provider else { continue };
                count(names::AI_SESSIONS, provider.to_string());
                if stay.live.is_some() {
                    count(names::SESSIONS_ACTIVE, provider.to_string());
                }
            }
        }
        let mut shown = self.shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.values_mut().for_each(|count| *count = 0);
        shown.extend(now);
        for ((name, label), count) in shown.iter() {
            let key = match *name {
                names::CALL_STATES => "status",
                names::SESSIONS_ACTIVE => "provider_type",
                _ => "provider",
            };
            gauge!(*name, key => label.clone()).set(f64::from(*count));
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Shared {
    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn order(&self, call: CallId, control: Control) -> bool {
        self.orders.get().is_some_and(|orders| orders(call, control))
    }
}

fn recorder() -> Result<PrometheusRecorder, MetricsError> {
    let mut builder = PrometheusBuilder::new();
    for metric in names::TABLE {
        if let Kind::Histogram(_, bounds) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
        }
    }
    Ok(builder.build_recorder())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use voice_core::record::{CallEvent, Entry, Reader};
    use voice_core::time::MonoTime;

    use super::*;
    use crate::store::samples;

    fn unfed() -> (Metrics, PrometheusRecorder) {
        let recorder = recorder().unwrap();
        let handle = recorder.handle();
        (Metrics { is_on: true, handle, shared: Arc::default() }, recorder)
    }

    fn read_all(metrics: &Metrics) {
        let reader = metrics.reader();
        for (seq, event) in (1..).zip(samples::events()) {
            reader.read(CallId::from_u128(7), &Entry { seq, at: MonoTime::from_millis(seq), event });
        }
    }

    #[test]
    fn every_kind_of_event_is_counted_without_private_labels() {
        let (metrics, recorder) = unfed();
        let text = ::metrics::with_local_recorder(&recorder, || {
            names::describe();
            read_all(&metrics);
            metrics.render()
        });
        let ended = samples::events().iter().filter(|event| matches!(event, CallEvent::Ended { .. })).count();
        let frames_in = format!("voice_frames_total{{direction=\"in\"}} {}", ended * 1_500);
        for expected in [
            "call_started_total{provider=\"twilio\",direction=\"inbound\"} 1",
            "call_ended_total{provider=\"twilio\",reason=\"caller_hung_up\"} 1",
            frames_in.as_str(),
            "voice_provider_problems_total{kind=\"throttled\",blame=\"provider\"}",
            "voice_reply_latency_seconds_bucket{provider=\"openai\",le=\"0.5\"} 1",
            "voice_to_voice_latency_seconds_sum{provider=\"openai\"} 1.04",
            "voice_to_voice_part_seconds_sum{part=\"network\"} 0.14",
            "audio_quality_jitter_ms_sum{provider=\"openai\",carrier=\"twilio\"} 4.6",
            "audio_quality_mos_score_count{provider=\"openai\",carrier=\"twilio\"} 1",
            "ai_token_usage_total{provider=\"openai\",kind=\"audio_out\"} 5",
            "ai_cost_unknown_total{provider=\"openai\"} 1",
            "voice_switch_gap_seconds_count{why=",
            "voice_cover_prompts_total{kind=",
            "voice_provider_retries_total 1",
            "voice_silences_total{of=",
            "# HELP call_ended_total Calls that are over, by carrier and reason",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        for private in samples::PRIVATE {
            assert!(!text.contains(private), "{private:?} in {text}");
        }
    }

    /// What a peer says is no label: a provider's own words, codes and kinds cannot make new series.
    #[test]
    fn a_hostile_peer_makes_no_series() {
        let (metrics, recorder) = unfed();
        let series = |metrics: &Metrics| {
            let text = metrics.render();
            let names = text.lines().filter(|line| !line.starts_with('#'));
            names
                .filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name.to_owned()))
                .collect::<BTreeSet<_>>()
        };
        ::metrics::with_local_recorder(&recorder, || {
            read_all(&metrics);
            let before = series(&metrics);
            let reader = metrics.reader();
            for n in 0..1_000_u32 {
                let kind = format!("kind-{n}");
                let attachment = voice_core::id::AttachmentId(1);
                for event in [
                    CallEvent::ProviderOddity { attachment, kind: kind.clone(), count: n },
                    CallEvent::Problem {
                        attachment,
                        failure: voice_core::failure::Failure::Service { code: kind.clone() },
                    },
                    CallEvent::Problem {
                        attachment,
                        failure: voice_core::failure::Failure::Settings { code: kind.clone() },
                    },
                    CallEvent::Problem {
                        attachment,
                        failure: voice_core::failure::Failure::Closed { code: n as u16 },
                    },
                ] {
                    let entry = Entry { seq: u64::from(n), at: MonoTime::ZERO, event };
                    reader.read(CallId::from_u128(u128::from(n % 10)), &entry);
                }
            }
            let after = series(&metrics);
            let new: Vec<_> = after.difference(&before).filter(|name| name.contains("kind-")).collect();
            assert_eq!(new, Vec::<&String>::new());
            assert!(after.len() < before.len() + 40, "{} and then {}", before.len(), after.len());
        });
    }
}
