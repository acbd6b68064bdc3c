//! What orchestrators and dashboards ask.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::server::App;
use crate::telemetry::database::{publish_health, publish_pool};
use crate::telemetry::publish_roster;

/// A disk that needs longer to answer is not ready.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// The answer of `/health`.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    calls: usize,
}

/// The answer of `/ready`.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    /// Why not.
    reasons: Vec<&'static str>,
}

pub(super) async fn health(State(app): State<Arc<App>>) -> impl IntoResponse {
    let status = if app.calls.is_draining() { "draining" } else { "ok" };
    Json(Health { status, version: env!("CARGO_PKG_VERSION"), calls: app.calls.running() })
}

/// The process answers: all that a liveness probe should ask.
pub(super) async fn live() -> &'static str {
    "ok"
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
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

pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
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
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.parts.metrics.render())
}
