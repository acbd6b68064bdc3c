//! One id for a request and all that follows from it: the peer's own, if it is fit, or a new one. And the trace
//! that it belongs to, if the peer says so.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tracing::{Instrument, error_span};
use uuid::Uuid;
use voice_core::id::CorrelationId;

use super::problem::sign;
use crate::server::{App, TRACE_PARENT};

const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

pub(super) async fn correlate(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let above = request.headers().get(TRACE_PARENT).and_then(|value| value.to_str().ok()?.parse().ok());
    let id = given.unwrap_or_else(new_correlation);
    if let (Some(traces), Some(above)) = (&app.parts.traces, above) {
        traces.remember(&id, above);
    }
    request.extensions_mut().insert(id.clone());
    // Of the highest level, so that no filter takes away what its warnings are about.
    let span = error_span!("request", correlation = %id);
    let mut response = sign(next.run(request).instrument(span).await, &id).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn new_correlation() -> CorrelationId {
    Uuid::now_v7().to_string().parse().expect("a UUID is a valid correlation id")
}
