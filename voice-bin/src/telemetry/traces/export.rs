//! Sends spans to a collector: OTLP over HTTP, by the standard's own exporter and this server's own HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use metrics::counter;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, Protocol, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use voice_telephony::rest::HttpSend;

use super::{Kind, Span, Value};
use crate::metrics_names as names;
use crate::telemetry::event_types::SERVER;

/// Spans that are sent at once; as the standard has it by default.
const BATCH_MAX: usize = 512;

/// Spans are sent after this long if they are fewer.
const EVERY: Duration = Duration::from_secs(2);

/// A collector that does not answer keeps the rest waiting no longer than this.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who is told in traces where `OTEL_SERVICE_NAME` names nobody.
const SERVICE: &str = "voice-server";

/// Sends what comes in, beside everything else.
pub(crate) struct Export {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Export {
    /// To a collector with this address, to which the standard adds `/v1/traces`.
    ///
    /// # Errors
    /// If it is no address, or the standard's own settings (`OTEL_EXPORTER_OTLP_HEADERS` and so on) are wrong.
    pub(crate) fn start(
        endpoint: &str,
        http: Arc<dyn HttpSend>,
        environment: &str,
        spans: Receiver<Span>,
    ) -> Result<Self, ExporterBuildError> {
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Ours(http))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(TIMEOUT)
            // Without it a collector that is away would keep spans until there are too many of them.
            .with_retry_policy(RetryPolicy::disabled())
            .build()?;
        exporter.set_resource(&resource(environment));
        let stop = CancellationToken::new();
        // Beside the calls, which wait for no collector.
        let task = tokio::spawn(run(exporter, spans, stop.clone()));
        Ok(Self { task, stop })
    }

    /// Sends what there is, and ends.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        let _done_or_late = tokio::time::timeout(TIMEOUT, self.task).await;
    }
}

async fn run(exporter: opentelemetry_otlp::SpanExporter, mut spans: Receiver<Span>, stop: CancellationToken) {
    let scope = InstrumentationScope::builder("voice").with_version(env!("CARGO_PKG_VERSION")).build();
    let mut is_well = true;
    loop {
        let is_last = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let mut batch = Vec::new();
        while let Ok(span) = spans.try_recv() {
            batch.push(data(span, &scope));
            if batch.len() >= BATCH_MAX {
                is_well = send(&exporter, std::mem::take(&mut batch), is_well).await;
            }
        }
        if !batch.is_empty() {
            is_well = send(&exporter, batch, is_well).await;
        }
        if is_last {
            return;
        }
    }
}

/// Whether it could be sent. That it cannot any more is told once.
async fn send(exporter: &opentelemetry_otlp::SpanExporter, batch: Vec<SpanData>, was_well: bool) -> bool {
    let spans = batch.len() as u64;
    let sent = exporter.export(batch).await;
    let outcome = if sent.is_ok() { "sent" } else { "failed" };
    counter!(names::TRACE_SPANS, "outcome" => outcome).increment(spans);
    match &sent {
        Err(error) if was_well => warn!(event_type = SERVER, %error, "traces cannot be sent"),
        Err(error) => debug!(event_type = SERVER, %error, spans, "traces still cannot be sent"),
        Ok(()) => {}
    }
    sent.is_ok()
}

/// What sends, with what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say.
fn resource(environment: &str) -> Resource {
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("deployment.environment.name", environment.to_owned()),
    ];
    let found = Resource::builder().with_attributes(own);
    let is_named = ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"].map(std::env::var_os);
    let has_name = is_named.iter().flatten().any(|text| !text.is_empty());
    if has_name { found.build() } else { found.with_service_name(SERVICE).build() }
}

fn data(span: Span, scope: &InstrumentationScope) -> SpanData {
    let trace = TraceId::from(span.trace.as_u128());
    let context = SpanContext::new(
        trace,
        SpanId::from(span.id.as_u64()),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    let at = |since: Duration| SystemTime::UNIX_EPOCH + since;
    let mut events = SpanEvents::default();
    events.events =
        span.events.into_iter().map(|(name, when)| Event::new(name, at(when), Vec::new(), 0)).collect();
    let (parent, parent_span_is_remote) =
        span.parent.map_or((SpanId::INVALID, false), |(id, remote)| (SpanId::from(id.as_u64()), remote));
    SpanData {
        span_context: context,
        parent_span_id: parent,
        parent_span_is_remote,
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        },
        name: span.name.into(),
        start_time: at(span.time.0),
        end_time: at(span.time.1),
        attributes: span.fields.into_iter().map(|(name, value)| KeyValue::new(name, plain(value))).collect(),
        dropped_attributes_count: 0,
        events,
        links: SpanLinks::default(),
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

fn plain(value: Value) -> opentelemetry::Value {
    match value {
        Value::Text(text) => text.into(),
        Value::Whole(number) => number.into(),
        Value::Flag(flag) => flag.into(),
    }
}

/// The exporter's requests over the server's own HTTP, which needs no second set of libraries.
struct Ours(Arc<dyn HttpSend>);

impl std::fmt::Debug for Ours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ours")
    }
}

#[async_trait]
impl HttpClient for Ours {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(self.0.send(request).await?)
    }
}
