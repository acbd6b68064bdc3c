//! Counts and times every request, by the route that took it.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use metrics::{counter, histogram};

use crate::metrics_names as names;
use crate::server::App;

/// A layer of all routes. The endpoint is the pattern of the route and never what was asked for, so that
/// nobody makes labels by asking.
pub(super) async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let clock = app.parts.world.clock;
    let (method, began) = (method(request.method()), clock.now());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let endpoint = || matched.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    let status = response.status().as_str().to_owned();
    counter!(names::HTTP_REQUESTS, "method" => method, "endpoint" => endpoint(), "status" => status)
        .increment(1);
    histogram!(names::HTTP_DURATION, "method" => method, "endpoint" => endpoint())
        .record(clock.now().since(began).as_secs_f64());
    response
}

/// Peers may invent methods.
fn method(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 6] = [
        (&Method::GET, "GET"),
        (&Method::POST, "POST"),
        (&Method::PUT, "PUT"),
        (&Method::DELETE, "DELETE"),
        (&Method::HEAD, "HEAD"),
        (&Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.into_iter().find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}
