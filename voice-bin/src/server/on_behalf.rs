//! One id on everything that is done for a call: log lines, and requests to carriers.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use tracing::{Instrument, info_span};
use voice_core::bridge::CORRELATION_HEADER;
use voice_core::id::CorrelationId;
use voice_telephony::rest::{HttpSend, RestError};

tokio::task_local! {
    /// For whom the task at work works.
    static CORRELATION: CorrelationId;
}

/// What this does carries the id.
pub(crate) fn on_behalf<F: Future>(
    correlation: CorrelationId,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    let span = info_span!("call", %correlation);
    CORRELATION.scope(correlation, work).instrument(span)
}

/// Writes the id of whoever sends a request into it.
pub(crate) struct Correlated(pub(crate) Arc<dyn HttpSend>);

#[async_trait]
impl HttpSend for Correlated {
    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
        let id = CORRELATION.try_with(|id| HeaderValue::from_str(id.as_str()));
        if let Ok(Ok(id)) = id {
            request.headers_mut().insert(HeaderName::from_static(CORRELATION_HEADER), id);
        }
        self.0.send(request).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers with nothing, and remembers what was asked.
    #[derive(Default)]
    struct Deaf(Mutex<Vec<Option<HeaderValue>>>);

    #[async_trait]
    impl HttpSend for Deaf {
        async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
            self.0.lock().unwrap().push(request.headers().get(CORRELATION_HEADER).cloned());
            Ok(Response::new(Bytes::new()))
        }
    }

    #[tokio::test]
    async fn a_request_carries_the_id_of_the_call_that_it_is_for() {
        let deaf = Arc::new(Deaf::default());
        let http = Correlated(deaf.clone());
        let ask = || async { http.send(Request::new(Bytes::new())).await.map(|_| ()) };
        ask().await.unwrap();
        on_behalf(CorrelationId::from_static("c-1"), ask()).await.unwrap();
        assert_eq!(*deaf.0.lock().unwrap(), [None, Some(HeaderValue::from_static("c-1"))]);
    }
}
