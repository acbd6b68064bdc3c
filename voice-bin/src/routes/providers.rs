//! How the AI services fare, for people and dashboards.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use voice_core::breaker::BreakerSnapshot;
use voice_core::id::ProviderId;
use voice_core::roster::{HealthSlice, MemberSnapshot, Order};
use voice_core::time::MonoTime;

use super::answers::{Fails, FailsForOne, FailsToOrderOne};
use super::problem::{Problem, understood, yes};
use crate::output::millis;
use crate::server::{App, provider_news};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(one))
        .routes(routes!(breaker_order))
        .routes(routes!(drain))
}

/// What is wanted of both breakers of a provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BreakerWish {
    action: BreakerAction,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BreakerAction {
    Reset,
    ForceOpen,
    ForceClosed,
}

/// Whether a provider is to run empty: it takes no new calls, and leaves those it is in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DrainWish {
    #[serde(default = "yes")]
    drain: bool,
}

/// All of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Providers)]
struct All {
    providers: Vec<Provider>,
}

/// One of them, with its day.
#[derive(Serialize, ToSchema)]
#[schema(as = ProviderDay)]
struct One {
    #[serde(flatten)]
    provider: Provider,
    /// Slices of five minutes, oldest first; the last one is still running.
    history: Vec<Checks>,
}

#[derive(Serialize, ToSchema)]
struct Provider {
    provider_id: String,
    status: &'static str,
    /// 0 to 100.
    confidence: u8,
    live_calls: u32,
    drained: bool,
    consecutive_failures: u32,
    /// The last quarter of an hour.
    recent: Checks,
    /// The last day.
    day: Checks,
    last_check_seconds_ago: Option<f64>,
    last_success_seconds_ago: Option<f64>,
    last_failure_seconds_ago: Option<f64>,
    last_error: Option<&'static str>,
    /// From the caller's last word to the first sound; of live calls of the last ten minutes.
    reply_latency_ms: Option<Latency>,
    breakers: Vec<Breaker>,
}

#[derive(Serialize, ToSchema)]
struct Checks {
    checks: u32,
    failed: u32,
    success_rate: f64,
    latency_mean_ms: Option<u64>,
    latency_max_ms: u64,
}

#[derive(Serialize, ToSchema)]
struct Latency {
    smoothed: u64,
    p50: u64,
    p95: u64,
}

#[derive(Serialize, ToSchema)]
struct Breaker {
    name: &'static str,
    state: &'static str,
    forced: bool,
    reason: Option<&'static str>,
    retry_after_seconds: Option<f64>,
    consecutive_failures: u32,
    consecutive_successes: u32,
    success_rate: f64,
    total: u64,
    successful: u64,
    failed: u64,
    rejected: u64,
    transitions: u64,
}

/// How all providers fare.
#[utoipa::path(
    get, path = "/api/v1/providers/health", tag = "providers", operation_id = "providers_health",
    responses((status = 200, body = All), Fails),
)]
async fn all(State(app): State<Arc<App>>) -> Json<All> {
    let now = app.parts.world.clock.now();
    let members = app.parts.world.fleet.roster().map(|roster| roster.with(|roster| roster.snapshot(now)));
    let providers = members.unwrap_or_default().iter().map(|member| provider(now, member)).collect();
    Json(All { providers })
}

/// How one provider fares, with its day.
#[utoipa::path(
    get, path = "/api/v1/providers/{id}/health", tag = "providers", operation_id = "provider_health",
    params(("id" = String, Path)), responses((status = 200, body = One), FailsForOne),
)]
async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<One>, Problem> {
    let now = app.parts.world.clock.now();
    let id: ProviderId = id.parse().map_err(|_| Problem::not_found())?;
    let roster = app.parts.world.fleet.roster().ok_or_else(Problem::not_found)?;
    let (members, history) = roster.with(|roster| (roster.snapshot(now), roster.history(now, &id)));
    let member = members.iter().find(|member| member.id == id).ok_or_else(Problem::not_found)?;
    let history = history.map_err(|_| Problem::not_found())?;
    Ok(Json(One { provider: provider(now, member), history: history.iter().map(checks).collect() }))
}

/// Holds the breakers of a provider open or closed, or lets them go.
#[utoipa::path(
    post, path = "/api/v1/providers/{id}/breaker", tag = "providers", operation_id = "order_breaker",
    params(("id" = String, Path)), request_body = BreakerWish,
    responses((status = 200, body = One), FailsToOrderOne),
)]
async fn breaker_order(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<One>, Problem> {
    let BreakerWish { action } = understood(&body)?;
    let wanted = match action {
        BreakerAction::Reset => Order::Reset,
        BreakerAction::ForceOpen => Order::ForceOpen,
        BreakerAction::ForceClosed => Order::ForceClosed,
    };
    order(&app, &id, wanted).await?;
    info!(provider = id, order = ?wanted, "breakers ordered");
    one(State(app), Path(id)).await
}

/// Lets a provider run empty, or take calls again.
#[utoipa::path(
    post, path = "/api/v1/providers/{id}/drain", tag = "providers", operation_id = "drain_provider",
    params(("id" = String, Path)), request_body = Option<DrainWish>,
    responses((status = 200, body = One), FailsToOrderOne),
)]
async fn drain(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<One>, Problem> {
    let DrainWish { drain } = understood(&body)?;
    let provider = order(&app, &id, if drain { Order::Drain } else { Order::Resume }).await?;
    info!(provider = id, drain, "drain ordered");
    if drain {
        app.leave_provider(&provider);
    }
    one(State(app), Path(id)).await
}

/// Here, and at all servers beside this one.
async fn order(app: &App, id: &str, order: Order) -> Result<ProviderId, Problem> {
    let now = app.parts.world.clock.now();
    let id: ProviderId = id.parse().map_err(|_| Problem::not_found())?;
    let roster = app.parts.world.fleet.roster().ok_or_else(Problem::not_found)?;
    roster.with(|roster| roster.order(now, &id, order)).map_err(|_| Problem::not_found())?;
    if let Some(cluster) = &app.parts.cluster {
        cluster.tell(provider_news(id.as_str(), order)).await;
    }
    Ok(id)
}

fn provider(now: MonoTime, member: &MemberSnapshot) -> Provider {
    let health = &member.health;
    let ago = |at: Option<MonoTime>| at.map(|at| now.since(at).as_secs_f64());
    Provider {
        provider_id: member.id.to_string(),
        status: health.status.name(),
        confidence: member.confidence,
        live_calls: member.live,
        drained: member.drained,
        consecutive_failures: health.failures_in_row,
        recent: checks(&health.recent),
        day: checks(&health.day),
        last_check_seconds_ago: ago(health.last_check),
        last_success_seconds_ago: ago(health.last_success),
        last_failure_seconds_ago: ago(health.last_failure.map(|(at, _)| at)),
        last_error: health.last_failure.map(|(_, kind)| kind),
        reply_latency_ms: health.reply_latency.map(|latency| Latency {
            smoothed: millis(latency.smoothed),
            p50: millis(latency.p50),
            p95: millis(latency.p95),
        }),
        breakers: member.breakers().map(|(name, snapshot)| breaker(name, snapshot)).into(),
    }
}

fn checks(slice: &HealthSlice) -> Checks {
    Checks {
        checks: slice.checks,
        failed: slice.failed,
        success_rate: slice.success_percent(),
        latency_mean_ms: slice.latency_mean().map(millis),
        latency_max_ms: millis(slice.latency_max),
    }
}

fn breaker(name: &'static str, snapshot: &BreakerSnapshot) -> Breaker {
    let totals = &snapshot.totals;
    Breaker {
        name,
        state: snapshot.state.name(),
        forced: snapshot.forced,
        reason: snapshot.reason.map(|reason| reason.name()),
        retry_after_seconds: snapshot.retry_after.map(|wait| wait.as_secs_f64()),
        consecutive_failures: snapshot.failures_in_row,
        consecutive_successes: snapshot.successes_in_row,
        success_rate: snapshot.recent.success_percent(),
        total: totals.granted,
        successful: totals.successful,
        failed: totals.failed,
        rejected: totals.rejected,
        transitions: totals.changes(),
    }
}
