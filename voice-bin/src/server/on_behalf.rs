//! For which call something is done: its id is on log lines, and on requests to carriers and of tools.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tracing::{Instrument, error_span};
use uuid::Uuid;
use voice_core::bridge::CORRELATION_HEADER;
use voice_core::conversation::{ToolCall, ToolResult};
use voice_core::driver::RunTool;
use voice_core::id::{CallId, CorrelationId};
use voice_telephony::rest::{HttpSend, RestError};

use crate::recovery::Pasts;
use crate::telemetry::{Span, SpanId, SpanKind, TraceParent, Traces};

/// The header of W3C Trace Context.
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    /// For whom the task at work works.
    static BEHALF: Arc<Behalf>;
}

/// A call, and where in it something is done.
#[derive(Debug)]
struct Behalf {
    correlation: CorrelationId,
    call: CallId,
    span: SpanId,
    traces: Option<Traces>,
}

/// What this does carries the ids of the call.
pub(crate) fn on_behalf<F: Future>(
    (correlation, call): (CorrelationId, CallId),
    traces: Option<Traces>,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    within(Arc::new(Behalf { correlation, call, span: SpanId::of_call(call), traces }), work)
}

/// What this does is done for the same call as what is done here, though in a task of its own.
pub(crate) fn inherited<F>(work: F) -> Pin<Box<dyn Future<Output = F::Output> + Send>>
where
    F: Future + Send + 'static,
{
    match BEHALF.try_with(Arc::clone) {
        Ok(behalf) => Box::pin(within(behalf, work)),
        Err(_of_no_call) => Box::pin(work),
    }
}

fn within<F: Future>(behalf: Arc<Behalf>, work: F) -> impl Future<Output = F::Output> + use<F> {
    // Of the highest level, so that no filter takes away what its warnings are about.
    let span = error_span!("call", correlation = %behalf.correlation, call = %behalf.call);
    BEHALF.scope(behalf, work).instrument(span)
}

/// What a request should carry that is made for the call at work: `X-Correlation-ID`, and `traceparent` where
/// traces are sent. Empty outside of a call.
///
/// For tools ([`RunTool`]) that ask somebody else over HTTP:
///
/// ```
/// # async fn tool() {
/// let mut request = http::Request::post("http://127.0.0.1:9/orders").body(()).expect("it is one");
/// request.headers_mut().extend(voice_bin::server::outgoing_headers());
/// # }
/// ```
pub fn outgoing_headers() -> HeaderMap {
    BEHALF.try_with(|behalf| behalf.headers(behalf.span)).unwrap_or_default()
}

impl Behalf {
    fn headers(&self, span: SpanId) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(id) = HeaderValue::from_str(self.correlation.as_str()) {
            headers.insert(HeaderName::from_static(CORRELATION_HEADER), id);
        }
        if let Some(traces) = &self.traces {
            let (trace, _, sampled) = traces.trace(&self.correlation);
            let parent = TraceParent { trace, span, sampled }.to_string();
            headers.extend(HeaderValue::from_str(&parent).map(|parent| (TRACE_PARENT, parent)).ok());
        }
        headers
    }
}

/// Writes the ids of whoever sends a request into it.
pub(crate) struct Correlated(pub(crate) Arc<dyn HttpSend>);

#[async_trait]
impl HttpSend for Correlated {
    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
        let Ok(behalf) = BEHALF.try_with(Arc::clone) else {
            return self.0.send(request).await;
        };
        let span = SpanId::of_part(behalf.call, "request", Uuid::now_v7().as_u64_pair().1);
        request.headers_mut().extend(behalf.headers(span));
        let Some(traces) = &behalf.traces else { return self.0.send(request).await };
        let began = traces.now();
        let mut fields = vec![("http.request.method", request.method().as_str().into())];
        // Not the path: it may name a number.
        fields.extend(request.uri().host().map(|host| ("server.address", host.into())));
        let answer = self.0.send(request).await;
        let (trace, _, is_kept) = traces.trace(&behalf.correlation);
        let error = match &answer {
            Ok(answer) => {
                fields.push(("http.response.status_code", u32::from(answer.status().as_u16()).into()));
                let status = answer.status();
                (status.is_client_error() || status.is_server_error()).then(|| status.as_u16().to_string())
            }
            Err(error) => Some(error.to_string()),
        };
        if is_kept {
            traces.send(Span {
                trace,
                id: span,
                parent: Some((behalf.span, false)),
                name: "request",
                kind: SpanKind::Client,
                time: (began, traces.now()),
                fields,
                events: Vec::new(),
                error,
            });
        }
        answer
    }
}

/// Lets tools know for which call they run.
pub(crate) struct ToolsOnBehalf {
    pub(crate) pasts: Arc<Pasts>,
    pub(crate) traces: Option<Traces>,
    pub(crate) tools: Arc<dyn RunTool>,
}

#[async_trait]
impl RunTool for ToolsOnBehalf {
    async fn run(&self, call: CallId, tool: ToolCall) -> ToolResult {
        let Some(known) = self.pasts.look(call) else { return self.tools.run(call, tool).await };
        let correlation = known.past.start().correlation.clone();
        let span = SpanId::of_part(call, "tool", tool.id.as_u64());
        let behalf = Behalf { correlation, call, span, traces: self.traces.clone() };
        within(Arc::new(behalf), self.tools.run(call, tool)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use voice_core::driver::Clock;

    use super::*;
    use crate::telemetry::Sampler;

    /// Answers with nothing, and remembers what was asked.
    #[derive(Default)]
    struct Deaf(Mutex<Vec<HeaderMap>>);

    #[async_trait]
    impl HttpSend for Deaf {
        async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
            self.0.lock().unwrap().push(request.headers().clone());
            Ok(Response::new(Bytes::new()))
        }
    }

    #[tokio::test]
    async fn a_request_carries_the_ids_of_the_call_that_it_is_for() {
        let deaf = Arc::new(Deaf::default());
        let http = Correlated(deaf.clone());
        let ask = || async { http.send(Request::new(Bytes::new())).await.map(|_| ()) };
        let who = || (CorrelationId::from_static("c-1"), CallId::from_u128(7));
        ask().await.unwrap();
        on_behalf(who(), None, ask()).await.unwrap();
        let (traces, mut spans) = Traces::new(Clock::start(), Sampler::default());
        on_behalf(who(), Some(traces), ask()).await.unwrap();
        let seen = deaf.0.lock().unwrap();
        assert!(seen[0].is_empty());
        assert_eq!((seen[1].len(), &seen[1][CORRELATION_HEADER]), (1, &HeaderValue::from_static("c-1")));
        let span = spans.try_recv().unwrap();
        let told: TraceParent = seen[2][TRACE_PARENT].to_str().unwrap().parse().unwrap();
        assert_eq!((told.trace, told.span, told.sampled), (span.trace, span.id, true));
        assert_eq!(span.parent, Some((SpanId::of_call(CallId::from_u128(7)), false)));
    }
}
