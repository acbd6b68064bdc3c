//! The API for sessions: calls that are prepared, that run, and that are over. Here: what running ones are
//! told, who talks, and who is to talk instead.

mod history;
mod prepare;
mod query;
mod read;
mod recordings;
mod session;
mod socket;
mod statuses;
pub(crate) mod time;
mod told;
mod transcript;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use voice_core::breaker::{self, TripReason};
use voice_core::call::{Attached, Attempt, CallStatus, Control, Standing, Switches};
use voice_core::driver::{CallHandle, Untold};
use voice_core::id::ProviderId;
use voice_core::roster::{MemberSnapshot, Status};

use super::answers::{FailsForRunning, FailsToOrderOne};
use super::operations::end_led;
use super::problem::{Nothing, Problem, understood, yes};
use crate::output::millis;
use crate::server::App;

pub(super) use read::id_of;

/// A reason is for the log.
const REASON_CHARACTERS_MAX: usize = 200;

/// Seconds after which it may be worth asking again for what stands until somebody acts.
const UNTIL_SOMEBODY_ACTS: u16 = 60;

/// The largest number of an entry that is stored.
const SEQ_MAX: u64 = i64::MAX.cast_unsigned();

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(prepare::routes())
        .merge(read::routes())
        .merge(statuses::routes())
        .merge(recordings::routes())
        .merge(socket::guarded_routes())
        .routes(routes!(end))
        .routes(routes!(hold))
        .routes(routes!(resume))
        .routes(routes!(mute))
        .routes(routes!(switch))
        .routes(routes!(switch_back))
        .routes(routes!(switch_status))
        .routes(routes!(switch_history))
        .routes(routes!(auto_failover))
}

/// Routes that know by themselves who may use them.
pub(super) fn open_routes() -> OpenApiRouter<Arc<App>> {
    socket::routes()
}

/// What was ordered, and is done soon.
#[derive(Serialize, ToSchema)]
struct Ordered {
    #[schema(format = Uuid)]
    session_id: String,
    status: &'static str,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SwitchWish {
    provider: String,
    /// The context always goes along; this is here for those who say so.
    #[serde(default = "yes")]
    preserve_context: bool,
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FailoverWish {
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HoldWish {
    #[serde(default = "yes")]
    music: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MuteWish {
    #[serde(default = "yes")]
    muted: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndWish {
    /// Lets the caller hear the end of what is being said.
    #[serde(default)]
    after_reply: bool,
}

#[derive(Serialize, ToSchema)]
struct SwitchStatus {
    session_id: String,
    in_progress: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_provider: Option<String>,
    /// `connecting` or `waiting_for_a_pause`.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    message: &'static str,
}

#[derive(Serialize, ToSchema)]
struct SwitchHistory {
    session_id: String,
    /// In the whole call, of which the last ones are listed.
    total_switches: u32,
    failed_switches: u32,
    switches: Vec<Switched>,
}

#[derive(Serialize, ToSchema)]
struct Switched {
    from_provider: String,
    /// Nobody, where a switch failed before anybody was chosen.
    to_provider: Option<String>,
    reason: &'static str,
    /// How long nobody heard the caller.
    gap_ms: u64,
    audio_lost_ms: u64,
    /// Turns of the conversation that were carried over, and their size.
    context_preserved: u32,
    context_bytes: u64,
    success: bool,
    /// Why nothing came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct Failover {
    session_id: String,
    failover_triggered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_provider: Option<String>,
    message: &'static str,
}

/// Ends a session: hangs up, also on a caller who was led to somebody else, or gives up a call that was not answered or
/// not even placed.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/end", tag = "sessions", operation_id = "end_session",
    params(("id" = String, Path, format = Uuid)), request_body = Option<EndWish>,
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn end(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<Response, Problem> {
    let wish: EndWish = understood(&body)?;
    let call = id_of(&id)?;
    if app.calls.find(call).is_none() && prepare::end(&app, call) {
        let body = Ordered { session_id: call.to_string(), status: "ending" };
        return Ok((StatusCode::ACCEPTED, Json(body)).into_response());
    }
    if let Some(answer) = end_led(&app, &id).await {
        return Ok(answer);
    }
    let control = if wish.after_reply { Control::HangUpAfterReply } else { Control::HangUp };
    order(&app, &id, control, "ending").await
}

/// Puts the caller on hold: neither side hears the other.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/hold", tag = "sessions", operation_id = "hold_session",
    params(("id" = String, Path, format = Uuid)), request_body = Option<HoldWish>,
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn hold(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<Response, Problem> {
    let wish: HoldWish = understood(&body)?;
    order(&app, &id, Control::Hold { music: wish.music }, "holding").await
}

/// Takes the caller off hold.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/resume", tag = "sessions", operation_id = "resume_session",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn resume(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Nothing {} = understood(&body)?;
    order(&app, &id, Control::Resume, "resuming").await
}

/// Lets the voice hear silence instead of the caller, or the caller again.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/mute", tag = "sessions", operation_id = "mute_session",
    params(("id" = String, Path, format = Uuid)), request_body = Option<MuteWish>,
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn mute(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<Response, Problem> {
    let wish: MuteWish = understood(&body)?;
    order(&app, &id, Control::Mute(wish.muted), if wish.muted { "muting" } else { "unmuting" }).await
}

/// Lets another provider take over, at the next pause.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/switch-provider", tag = "sessions", operation_id = "switch_provider",
    params(("id" = String, Path, format = Uuid)), request_body = SwitchWish,
    responses((status = 202, body = SwitchStatus), FailsToOrderOne),
)]
async fn switch(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let call = find(&app, &id).await?;
    let wish: SwitchWish = understood(&body)?;
    let wanted = understand(&app, &wish)?;
    let status = call.status();
    free_to_switch(&status)?;
    let from = name(status.live.as_ref());
    if from.as_deref() == Some(wanted.id.as_str()) {
        return Err(conflict("same_provider", "That provider talks already"));
    }
    able(&wanted)?;
    let reason: String = wish.reason.unwrap_or_default().chars().take(REASON_CHARACTERS_MAX).collect();
    info!(call = %call.id(), from, to = %wanted.id, reason, "switch ordered");
    tell(&call, Control::Switch(Some(wanted.id.clone())))?;
    let body = SwitchStatus {
        session_id: call.id().to_string(),
        in_progress: true,
        from_provider: from,
        to_provider: Some(wanted.id.to_string()),
        status: Some("connecting"),
        message: "the other provider is being connected and takes over at the next pause",
    };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// Gives up a switch that is under way, or leads back to whoever talked before.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/switch-back", tag = "sessions", operation_id = "switch_back",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn switch_back(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Nothing {} = understood(&body)?;
    let call = find(&app, &id).await?;
    let status = call.status();
    if status.successor.is_none() && status.switches.done == 0 {
        return Err(conflict("no_switch", "There is no switch to take back"));
    }
    order(&app, &id, Control::SwitchBack, "switching_back").await
}

/// Whether a switch is under way.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/switch-status", tag = "sessions", operation_id = "switch_status",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = SwitchStatus), FailsForRunning),
)]
async fn switch_status(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<SwitchStatus>, Problem> {
    let call = find(&app, &id).await?;
    let status = call.status();
    let (from_provider, to_provider) = (name(status.live.as_ref()), name(status.successor.as_ref()));
    let (state, message) = match &status.successor {
        Some(successor) if successor.ready => (Some("waiting_for_a_pause"), "takes over at the next pause"),
        Some(_) => (Some("connecting"), "is being connected"),
        None => (None, "no switch is under way"),
    };
    Ok(Json(SwitchStatus {
        session_id: call.id().to_string(),
        in_progress: state.is_some(),
        from_provider,
        to_provider,
        status: state,
        message,
    }))
}

/// The last switches, oldest first.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/switch-history", tag = "sessions", operation_id = "switch_history",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = SwitchHistory), FailsForRunning),
)]
async fn switch_history(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<SwitchHistory>, Problem> {
    let call = find(&app, &id).await?;
    let Switches { done, failed, kept, .. } = call.status().switches;
    Ok(Json(SwitchHistory {
        session_id: call.id().to_string(),
        total_switches: done,
        failed_switches: failed,
        switches: kept.iter().filter_map(switched).collect(),
    }))
}

/// Leaves a provider that ails, or any.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/auto-failover", tag = "sessions", operation_id = "auto_failover",
    params(("id" = String, Path, format = Uuid)), request_body = Option<FailoverWish>,
    responses((status = 200, body = Failover), (status = 202, body = Failover), FailsToOrderOne),
)]
async fn auto_failover(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let call = find(&app, &id).await?;
    let status = call.status();
    let FailoverWish { force } = understood(&body)?;
    free_to_switch(&status)?;
    let from = status.live.as_ref().and_then(|live| live.provider.clone());
    let ails = from.as_ref().and_then(|id| member(&app, id)).is_some_and(|member| ails(&member));
    let answer = |failover_triggered, message| Failover {
        session_id: call.id().to_string(),
        failover_triggered,
        from_provider: from.as_ref().map(ToString::to_string),
        message,
    };
    if !force && !ails {
        return Ok(Json(answer(false, "the provider is well; set force to leave it anyway")).into_response());
    }
    if !somebody_else(&app, &call, from.as_ref()) {
        return Ok(Json(answer(false, "nobody else can take over; the provider goes on")).into_response());
    }
    info!(call = %call.id(), force, "failover ordered");
    tell(&call, Control::FailOver { force })?;
    let body = answer(true, "somebody else is being sought; see switch-status");
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// A call that runs; one that has ended or waits is a conflict, one that never was is unknown.
pub(super) async fn find(app: &App, id: &str) -> Result<CallHandle, Problem> {
    let call = id_of(id)?;
    if let Some(call) = app.calls.find(call) {
        return Ok(call);
    }
    if app.feed.find(call).is_none_or(|feed| feed.place().seq == 0) && app.prepared.find(call).is_some() {
        return Err(conflict("not_running", "The session does not run"));
    }
    read::is_known(app, call).await?;
    Err(conflict("ended", "The session has ended"))
}

async fn order(app: &App, id: &str, control: Control, status: &'static str) -> Result<Response, Problem> {
    let call = find(app, id).await?;
    tell(&call, control)?;
    let body = Ordered { session_id: call.id().to_string(), status };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

pub(super) fn tell(call: &CallHandle, control: Control) -> Result<(), Problem> {
    call.tell(control).map_err(|untold| match untold {
        Untold::Over => conflict("ended", "The session has ended"),
        Untold::Full => Problem::unavailable("busy", "Too many orders wait for this session", 1),
    })
}

/// Whether a failover would lead anywhere.
fn somebody_else(app: &App, call: &CallHandle, from: Option<&ProviderId>) -> bool {
    let now = app.parts.world.clock.now();
    let roster = app.parts.world.fleet.roster();
    from.zip(roster)
        .is_none_or(|(from, roster)| roster.with(|roster| roster.could_replace(now, from, call.needs())))
}

fn understand(app: &App, wish: &SwitchWish) -> Result<MemberSnapshot, Problem> {
    let mut problem = Problem::invalid();
    if !wish.preserve_context {
        problem.add("preserve_context", "the context always goes along; leave it out, or start a new call");
    }
    let known = wish.provider.parse::<ProviderId>().ok().and_then(|id| member(app, &id));
    if known.is_none() {
        let names: Vec<String> = members(app).iter().map(|member| member.id.to_string()).collect();
        problem.add("provider", format!("there is none of this name; there are {}", names.join(", ")));
    }
    known.filter(|_| !problem.has_fields()).ok_or(problem)
}

fn free_to_switch(status: &CallStatus) -> Result<(), Problem> {
    match status.standing {
        Standing::Ended | Standing::Leaving => Err(conflict("ended", "The session has ended")),
        Standing::Attaching => Err(conflict("not_talking", "Nobody talks with the caller yet")),
        Standing::Talking if status.successor.is_some() => {
            Err(conflict("switch_running", "A switch is under way"))
        }
        Standing::Talking => Ok(()),
    }
}

/// Whether it is in service and its breakers let it be asked.
fn able(wanted: &MemberSnapshot) -> Result<(), Problem> {
    if wanted.drained {
        let title = "That provider is taken out of service";
        return Err(Problem::unavailable("drained", title, UNTIL_SOMEBODY_ACTS));
    }
    if !is_shut(wanted) {
        return Ok(());
    }
    let waits = wanted.breakers().into_iter().filter_map(|(_, breaker)| breaker.retry_after);
    // One that is held open opens when somebody acts.
    let seconds = waits
        .max()
        .map_or(UNTIL_SOMEBODY_ACTS, |wait| u16::try_from(wait.as_secs().max(1)).unwrap_or(u16::MAX));
    Err(Problem::unavailable("breaker_open", "That provider is not asked at present", seconds))
}

/// Whether a breaker turns calls away now. One whose time is over still counts as open until somebody
/// asks, and would let them in.
fn is_shut(member: &MemberSnapshot) -> bool {
    member.breakers().into_iter().any(|(_, breaker)| {
        let is_held = breaker.forced || matches!(breaker.reason, Some(TripReason::Held(_)));
        breaker.state == breaker::State::Open && (breaker.retry_after.is_some() || is_held)
    })
}

/// Whether a failover is called for.
fn ails(member: &MemberSnapshot) -> bool {
    is_shut(member) || matches!(member.health.status, Status::Unhealthy | Status::Offline)
}

fn members(app: &App) -> Vec<MemberSnapshot> {
    let now = app.parts.world.clock.now();
    let roster = app.parts.world.fleet.roster();
    roster.map(|roster| roster.with(|roster| roster.snapshot(now))).unwrap_or_default()
}

fn member(app: &App, id: &ProviderId) -> Option<MemberSnapshot> {
    members(app).into_iter().find(|member| member.id == *id)
}

pub(super) fn conflict(name: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, name, title)
}

fn name(attached: Option<&Attached>) -> Option<String> {
    Some(attached?.provider.as_ref()?.to_string())
}

fn switched(attempt: &Attempt) -> Option<Switched> {
    if let Attempt::Done(switch) = attempt {
        Some(Switched {
            from_provider: switch.from.to_string(),
            to_provider: Some(switch.to.to_string()),
            reason: switch.why.name(),
            gap_ms: millis(switch.gap),
            audio_lost_ms: millis(switch.lost),
            context_preserved: switch.turns,
            context_bytes: switch.bytes,
            success: true,
            cause: None,
        })
    } else if let Attempt::Failed(failed) = attempt {
        Some(Switched {
            from_provider: failed.from.to_string(),
            to_provider: failed.to.as_ref().map(ToString::to_string),
            reason: failed.why.name(),
            gap_ms: 0,
            audio_lost_ms: 0,
            context_preserved: 0,
            context_bytes: 0,
            success: false,
            cause: Some(failed.cause.name()),
        })
    } else {
        None
    }
}
