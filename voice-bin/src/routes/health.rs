//! What orchestrators and dashboards ask.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::FailsWhenOff;
use super::problem::Problem;
use crate::cluster::Cluster;
use crate::server::App;
use crate::telemetry::database::{publish_health, publish_pool};
use crate::telemetry::publish_roster;

/// A disk that needs longer to answer is not ready.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(metrics))
}

/// The answer of `/health`.
#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
    version: &'static str,
    calls: usize,
    /// Servers on the same database that live, this one included.
    servers: usize,
    /// `up` or `down`; `off` where there is none.
    redis: &'static str,
}

/// The answer of `/ready`.
#[derive(Serialize, ToSchema)]
struct Ready {
    ready: bool,
    /// Why not.
    reasons: Vec<&'static str>,
}

/// What runs here.
#[utoipa::path(
    get, path = "/health", tag = "operation", operation_id = "health", security(()),
    responses((status = 200, body = Health)),
)]
async fn health(State(app): State<Arc<App>>) -> impl IntoResponse {
    let status = if app.calls.is_draining() { "draining" } else { "ok" };
    let cluster = app.parts.cluster.as_ref();
    let redis = match cluster.and_then(Cluster::redis_is_up) {
        Some(true) => "up",
        Some(false) => "down",
        None => "off",
    };
    let (servers, calls) = (cluster.map_or(1, Cluster::living), app.calls.running());
    Json(Health { status, version: env!("CARGO_PKG_VERSION"), calls, servers, redis })
}

/// The process answers: all that a liveness probe should ask.
#[utoipa::path(
    get, path = "/live", tag = "operation", operation_id = "live", security(()),
    responses((status = 200, body = str, content_type = "text/plain")),
)]
async fn live() -> &'static str {
    "ok"
}

/// Whether calls can be taken.
#[utoipa::path(
    get, path = "/ready", tag = "operation", operation_id = "ready", security(()),
    responses((status = 200, body = Ready), (status = 503, body = Ready)),
)]
async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    let mut reasons = Vec::new();
    if app.calls.is_draining() {
        reasons.push("draining");
    }
    if !app.has_room() {
        reasons.push("no_room_for_a_call");
    }
    if let Some(store) = &app.parts.store
        && !tokio::time::timeout(STORE_TIMEOUT, store.is_up()).await.unwrap_or(false)
    {
        reasons.push("database_down");
    }
    if let Some(store) = &app.parts.store
        && !tokio::time::timeout(STORE_TIMEOUT, store.can_write()).await.unwrap_or(false)
    {
        reasons.push("journal_not_written");
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready: reasons.is_empty(), reasons }))
}

/// Figures, in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics", security(()),
    responses(
        (status = 200, body = str, content_type = "text/plain; version=0.0.4; charset=utf-8"),
        FailsWhenOff,
    ),
)]
async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    if !app.parts.metrics.is_on() {
        return Err(Problem::not_found().detail("ENABLE_METRICS is off"));
    }
    let now = app.parts.world.clock.now();
    if let Some(roster) = app.parts.world.fleet.roster() {
        publish_roster(now, &roster.with(|roster| roster.snapshot(now)));
    }
    if let Some(store) = &app.parts.store {
        // Before the two questions, which wait for their turn like all others.
        publish_pool(store.pool());
        let is_up = tokio::time::timeout(STORE_TIMEOUT, store.is_up()).await.unwrap_or(false);
        let is_writable = tokio::time::timeout(STORE_TIMEOUT, store.can_write()).await.unwrap_or(false);
        publish_health(is_up, is_writable);
    }
    if let Some(cluster) = &app.parts.cluster {
        cluster.publish();
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.parts.metrics.render()))
}
