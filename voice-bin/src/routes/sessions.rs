//! The API for calls that run: how they stand, who talks, and who is to talk instead.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tracing::info;
use voice_core::breaker::{self, TripReason};
use voice_core::call::{Attached, Attempt, CallStatus, Control, Standing, Switches};
use voice_core::driver::{CallHandle, Untold};
use voice_core::id::{CallId, ProviderId};
use voice_core::roster::{MemberSnapshot, Status};

use super::problem::{Problem, understood, yes};
use crate::output::millis;
use crate::server::App;

/// A reason is for the log.
const REASON_CHARACTERS_MAX: usize = 200;

/// Seconds after which it may be worth asking again for what stands until somebody acts.
const UNTIL_SOMEBODY_ACTS: u16 = 60;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/sessions", get(list))
        .route("/api/v1/sessions/{id}", get(show))
        .route("/api/v1/sessions/{id}/end", post(end))
        .route("/api/v1/sessions/{id}/hold", post(hold))
        .route("/api/v1/sessions/{id}/resume", post(resume))
        .route("/api/v1/sessions/{id}/mute", post(mute))
        .route("/api/v1/sessions/{id}/switch-provider", post(switch))
        .route("/api/v1/sessions/{id}/switch-back", post(switch_back))
        .route("/api/v1/sessions/{id}/switch-status", get(switch_status))
        .route("/api/v1/sessions/{id}/switch-history", get(switch_history))
        .route("/api/v1/sessions/{id}/auto-failover", post(auto_failover))
}

/// A call that runs.
#[derive(Serialize)]
struct Shown {
    session_id: String,
    status: &'static str,
    provider: Option<String>,
    successor: Option<String>,
    standby: Option<String>,
    on_hold: bool,
    muted: bool,
    total_switches: u32,
}

#[derive(Serialize)]
struct Listed {
    sessions: Vec<Shown>,
    total: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchWish {
    provider: String,
    /// The context always goes along; this is here for those who say so.
    #[serde(default = "yes")]
    preserve_context: bool,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailoverWish {
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldWish {
    #[serde(default = "yes")]
    music: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MuteWish {
    #[serde(default = "yes")]
    muted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndWish {
    /// Lets the caller hear the end of what is being said.
    #[serde(default)]
    after_reply: bool,
}

#[derive(Serialize)]
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

#[derive(Serialize)]
struct SwitchHistory {
    session_id: String,
    /// In the whole call, of which the last ones are listed.
    total_switches: u32,
    failed_switches: u32,
    switches: Vec<Switched>,
}

#[derive(Serialize)]
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

#[derive(Serialize)]
struct Failover {
    session_id: String,
    failover_triggered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_provider: Option<String>,
    message: &'static str,
}

async fn list(State(app): State<Arc<App>>) -> Json<Listed> {
    let sessions: Vec<Shown> = app.calls.all().iter().map(|call| shown(call.id(), &call.status())).collect();
    Json(Listed { total: sessions.len(), sessions })
}

async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Shown>, Problem> {
    let call = find(&app, &id).await?;
    Ok(Json(shown(call.id(), &call.status())))
}

async fn end(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<Response, Problem> {
    let wish: EndWish = understood(&body)?;
    let control = if wish.after_reply { Control::HangUpAfterReply } else { Control::HangUp };
    order(&app, &id, control, "ending").await
}

async fn hold(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<Response, Problem> {
    let wish: HoldWish = understood(&body)?;
    order(&app, &id, Control::Hold { music: wish.music }, "holding").await
}

async fn resume(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Problem> {
    order(&app, &id, Control::Resume, "resuming").await
}

async fn mute(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<Response, Problem> {
    let wish: MuteWish = understood(&body)?;
    order(&app, &id, Control::Mute(wish.muted), if wish.muted { "muting" } else { "unmuting" }).await
}

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

async fn switch_back(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let call = find(&app, &id).await?;
    let status = call.status();
    if status.successor.is_none() && status.switches.done == 0 {
        return Err(conflict("no_switch", "There is no switch to take back"));
    }
    order(&app, &id, Control::SwitchBack, "switching_back").await
}

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

/// A call that runs; one that has ended is a conflict, one that never was is unknown.
pub(super) async fn find(app: &App, id: &str) -> Result<CallHandle, Problem> {
    let id: CallId =
        id.parse().map_err(|_| Problem::not_found().detail("a session id is a UUID, as lists show it"))?;
    if let Some(call) = app.calls.find(id) {
        return Ok(call);
    }
    let known = match &app.parts.store {
        Some(store) => store.knows(id).await.unwrap_or(false),
        None => false,
    };
    if known { Err(conflict("ended", "The session has ended")) } else { Err(Problem::not_found()) }
}

async fn order(app: &App, id: &str, control: Control, status: &'static str) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Ordered {
        session_id: String,
        status: &'static str,
    }
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

fn shown(id: CallId, status: &CallStatus) -> Shown {
    Shown {
        session_id: id.to_string(),
        status: match status.standing {
            Standing::Attaching => "pending",
            Standing::Talking if status.on_hold => "paused",
            Standing::Talking => "active",
            Standing::Leaving | Standing::Ended => "completed",
        },
        provider: name(status.live.as_ref()),
        successor: name(status.successor.as_ref()),
        standby: name(status.standby.as_ref()),
        on_hold: status.on_hold,
        muted: status.muted,
        total_switches: status.switches.done,
    }
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
