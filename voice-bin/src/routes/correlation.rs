//! One id for a request and all that follows from it: the peer's own, if it is fit, or a new one.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use uuid::Uuid;
use voice_core::id::CorrelationId;

use super::problem::sign;

const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

pub(super) async fn correlate(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let id = given.unwrap_or_else(new_correlation);
    request.extensions_mut().insert(id.clone());
    let mut response = sign(next.run(request).await, &id).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn new_correlation() -> CorrelationId {
    Uuid::now_v7().to_string().parse().expect("a UUID is a valid correlation id")
}
