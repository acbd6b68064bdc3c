//! Settings of those who are told about calls besides the log: a collector of traces, and Sentry.

use voice_core::sensitive::Secret;

use super::check::{Check, Wrong, is_local, parse};
use super::settings;
use crate::telemetry::Sampler;

/// Who else is told.
#[derive(Clone, Debug, Default)]
pub struct ObserveConfig {
    /// Whether there are metrics.
    pub metrics: bool,
    /// Where traces are sent (OTLP over HTTP); without it there are none.
    pub otlp_endpoint: Option<String>,
    /// Which traces are kept.
    pub sampler: Sampler,
    /// Where errors are reported; without it nowhere.
    pub sentry_dsn: Option<Secret<String>>,
}

impl Check {
    pub(super) fn observe(&mut self) -> ObserveConfig {
        let metrics = self.parse(&settings::ENABLE_METRICS, parse::on_or_off).unwrap_or(true);
        let otlp_endpoint = self.parse(&settings::OTEL_EXPORTER_OTLP_ENDPOINT, otlp_endpoint);
        let name = self.parse(&settings::OTEL_TRACES_SAMPLER, words);
        let share = self.parse(&settings::OTEL_TRACES_SAMPLER_ARG, words);
        let sampler = Sampler::new(name.as_deref(), share.as_deref());
        if sampler.is_none() {
            const FIX: &str = "use always_on, always_off or traceidratio, alone or behind parentbased_, and a share from 0 to 1";
            self.error(
                &settings::OTEL_TRACES_SAMPLER,
                "there is no sampler of this name with this share",
                FIX,
            );
        }
        let sentry_dsn = self.parse(&settings::SENTRY_DSN, sentry_dsn);
        if otlp_endpoint.is_some() && !cfg!(feature = "otel") {
            self.notice(
                &settings::OTEL_EXPORTER_OTLP_ENDPOINT,
                "has no effect: built without the feature otel",
            );
        }
        if sentry_dsn.is_some() && !cfg!(feature = "sentry") {
            self.notice(&settings::SENTRY_DSN, "has no effect: built without the feature sentry");
        }
        ObserveConfig { metrics, otlp_endpoint, sampler: sampler.unwrap_or_default(), sentry_dsn }
    }
}

fn otlp_endpoint(text: &str) -> Result<String, Wrong> {
    const FIX: &str = "write the collector's address without /v1/traces, like http://127.0.0.1:4318";
    let url = parse::address(text, &["http", "https"], FIX)?;
    if url.path().ends_with("/v1/traces") || url.query().is_some() {
        return Err(Wrong("it has more than scheme, host, port and path".to_owned(), FIX));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn words(text: &str) -> Result<String, Wrong> {
    Ok(text.to_owned())
}

/// `https://KEY@HOST/PROJECT`. Never repeated in an error, for the key is in it.
fn sentry_dsn(text: &str) -> Result<Secret<String>, Wrong> {
    let wrong = |what: &str| Wrong(what.to_owned(), "copy the DSN from the project's settings in Sentry");
    let url = url::Url::parse(text).map_err(|_| wrong("is not an address"))?;
    let project = url.path().rsplit('/').next().unwrap_or_default();
    if !matches!(url.scheme(), "http" | "https") || url.username().is_empty() || project.is_empty() {
        return Err(wrong("is not a DSN"));
    }
    if url.scheme() == "http" && !is_local(text) {
        return Err(wrong("would send errors unencrypted"));
    }
    Ok(Secret::new(text.to_owned()))
}
