//! Errors of the log, reported to Sentry. Nothing that is anybody's goes there: what happened, in which module,
//! to which call by its id; no field that a peer had a part in, no address, no name of this machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Request};
use sentry_core::protocol::Event;
use sentry_core::types::Dsn;
use sentry_core::{Client, ClientOptions, Envelope, Level, Transport};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use voice_telephony::rest::HttpSend;

use super::event_types::of_module;
use super::lines::Fields;

/// Reports that may wait: errors come in floods, of which the first ones tell enough.
const QUEUE_MAX: usize = 64;

/// How long the last reports may take when the server stops.
const PATIENCE: Duration = Duration::from_secs(3);

/// Of all that a line says, what a report repeats.
const TAGS: [&str; 6] = ["event_type", "error_type", "call_id", "correlation_id", "provider", "carrier"];

/// Sends reports, beside everything else.
pub(crate) struct Reports {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// The layer that reports, and whoever sends what it says. `None` if the DSN is none.
pub(crate) fn report<S>(
    dsn: &str,
    environment: &str,
    http: Arc<dyn HttpSend>,
) -> Option<(Box<dyn Layer<S> + Send + Sync>, Reports)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let dsn: Dsn = dsn.parse().ok()?;
    let (queue, waiting) = channel(QUEUE_MAX);
    let mut options = ClientOptions::new();
    options.dsn = Some(dsn.clone());
    options.release = Some(concat!(env!("CARGO_PKG_NAME"), "@", env!("CARGO_PKG_VERSION")).into());
    options.environment = Some(environment.to_owned().into());
    options.max_breadcrumbs = 0;
    let transport = Arc::new(Queue(queue));
    options.transport = Some(Arc::new(transport));
    let reporter = Reporter(Client::with_options(options));
    let stop = CancellationToken::new();
    // Beside the calls, which wait for no report.
    let task = tokio::spawn(send_all(dsn, http, waiting, stop.clone()));
    Some((reporter.with_filter(LevelFilter::ERROR).boxed(), Reports { task, stop }))
}

impl Reports {
    /// Sends what there is, and ends.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        let _done_or_late = tokio::time::timeout(PATIENCE, self.task).await;
    }
}

struct Reporter(Client);

impl<S> Layer<S> for Reporter
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let target = event.metadata().target();
        let fields = Fields::of(event, &context);
        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        tags.insert("event_type".to_owned(), of_module(target).to_owned());
        for name in TAGS {
            if let Some(value) = fields.find(name) {
                tags.insert(name.to_owned(), value.to_owned());
            }
        }
        let report = Event {
            message: fields.find("message").map(str::to_owned),
            level: Level::Error,
            logger: Some(target.to_owned()),
            tags,
            ..Event::default()
        };
        self.0.capture_event(report, None);
    }
}

/// The library's way out: it is called where the error is, and must not wait.
struct Queue(Sender<Envelope>);

impl Transport for Queue {
    fn send_envelope(&self, envelope: Envelope) {
        let _sent_or_one_of_too_many = self.0.try_send(envelope);
    }
}

async fn send_all(
    dsn: Dsn,
    http: Arc<dyn HttpSend>,
    mut waiting: Receiver<Envelope>,
    stop: CancellationToken,
) {
    loop {
        let envelope = tokio::select! {
            biased;
            envelope = waiting.recv() => envelope,
            () = stop.cancelled() => None,
        };
        let Some(envelope) = envelope else { return };
        let mut body = Vec::new();
        let auth = dsn.to_auth(Some(concat!("voice/", env!("CARGO_PKG_VERSION")))).to_string();
        let request = envelope.to_writer(&mut body).ok().and_then(|()| {
            Request::post(dsn.envelope_api_url().as_str())
                .header(CONTENT_TYPE, "application/x-sentry-envelope")
                .header(HeaderName::from_static("x-sentry-auth"), auth)
                .body(Bytes::from(body))
                .ok()
        });
        if let Some(request) = request {
            // Whoever cannot be told of errors cannot be told of this one.
            let _told_or_not = http.send(request).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use http::Response;
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt;
    use voice_telephony::rest::RestError;

    use super::*;
    use crate::config::LogFormat;
    use crate::telemetry::lines::Lines;

    #[derive(Default)]
    struct Seen(Mutex<Vec<Request<Bytes>>>);

    #[async_trait]
    impl HttpSend for Seen {
        async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
            self.0.lock().unwrap().push(request);
            Ok(Response::new(Bytes::new()))
        }
    }

    #[tokio::test]
    async fn an_error_is_reported_with_its_call_and_nothing_that_is_anybodys() {
        let seen = Arc::new(Seen::default());
        let dsn = "https://key@sentry.test/42";
        let (layer, reports) = report(dsn, "test", seen.clone()).unwrap();
        let lines = Lines::new(LogFormat::Json, false, std::io::sink);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines).with(layer), || {
            let span = tracing::error_span!("call", correlation = "c-1", call = "7");
            span.in_scope(|| {
                tracing::warn!("no error");
                tracing::error!(
                    error_type = "call_bug",
                    error = "said +15550100",
                    client = "192.0.2.1",
                    "a bug"
                );
            });
        });
        reports.close().await;
        let requests = seen.0.lock().unwrap();
        let [request] = &requests[..] else { panic!("one report: {requests:?}") };
        assert_eq!(request.uri(), "https://sentry.test/api/42/envelope/");
        assert!(request.headers()["x-sentry-auth"].to_str().unwrap().contains("sentry_key=key"));
        let body = std::str::from_utf8(request.body()).unwrap();
        let event: Value = serde_json::from_str(body.lines().nth(2).unwrap()).unwrap();
        assert_eq!((&event["message"], &event["level"]), (&"a bug".into(), &Value::Null), "{body}");
        let tags = serde_json::json!({
            "event_type": "server", "error_type": "call_bug", "call_id": "7", "correlation_id": "c-1",
        });
        assert_eq!((&event["tags"], &event["environment"]), (&tags, &"test".into()));
        for absent in ["+15550100", "192.0.2.1", "server_name", "user"] {
            assert!(!body.contains(absent), "{absent} in {body}");
        }
    }
}
