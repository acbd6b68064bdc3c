//! Counts the lines of the log, whether or not they are written.

use std::fmt;

use metrics::counter;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::metrics_names as names;

const SERVICE: &str = env!("CARGO_PKG_NAME");

/// What an error is called where it does not say.
const OTHER: &str = "other";

/// The kinds of errors that are told apart; whatever else calls itself something is `other`, for a label must
/// not take a value that a peer chose.
pub(super) const ERROR_TYPES: [&str; 6] =
    ["journal_lost", "recording_failed", "carrier_key_missing", "configuration", "call_bug", OTHER];

/// A layer of the log that writes nothing.
pub(super) struct CountLines;

impl<S: Subscriber> Layer<S> for CountLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let (level, module) = (level(metadata.level()), module(metadata));
        counter!(names::LOG_EVENTS, "level" => level, "service" => SERVICE, "module" => module).increment(1);
        if *metadata.level() == Level::ERROR {
            let mut kind = ErrorType(OTHER);
            event.record(&mut kind);
            counter!(names::LOG_ERRORS, "service" => SERVICE, "module" => module, "error_type" => kind.0)
                .increment(1);
        }
    }
}

const fn level(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// The crate and the first module below it: targets are written in code, so there are few.
fn module(metadata: &'static Metadata<'static>) -> &'static str {
    let target = metadata.target();
    let mut ends = target.match_indices("::").map(|(at, _)| at);
    match ends.nth(1) {
        Some(end) => &target[..end],
        None => target,
    }
}

/// The field that says what kind of error it is.
struct ErrorType(&'static str);

impl Visit for ErrorType {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "error_type" {
            self.0 = ERROR_TYPES.into_iter().find(|known| *known == value).unwrap_or(OTHER);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_are_counted_by_level_and_errors_by_what_we_call_them() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(CountLines), || {
                tracing::debug!("nobody reads this");
                tracing::warn!("one");
                tracing::error!(error_type = "journal_lost", "two");
                tracing::error!(error_type = "a peer's own words", "three");
            });
        });
        let text = recorder.handle().render();
        let line = |level| {
            let service = "service=\"voice-bin\",module=\"voice_bin::telemetry\"";
            format!("log_events_total{{level=\"{level}\",{service}}}")
        };
        for expected in [
            format!("{} 1", line("debug")),
            format!("{} 1", line("warning")),
            format!("{} 2", line("error")),
            "error_type=\"journal_lost\"} 1".to_owned(),
            "error_type=\"other\"} 1".to_owned(),
        ] {
            assert!(text.contains(&expected), "{expected} in {text}");
        }
    }
}
