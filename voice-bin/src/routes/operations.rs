//! The API for what is done with a call while it runs: led elsewhere, keys pressed, hung up.

use std::sync::Arc;
use std::time::Duration;

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
use voice_core::call::{CallStatus, Control, Standing};
use voice_core::carrier::Digits;
use voice_core::sensitive::Pii;
use voice_core::transfer::{TransferKind, TransferOrder};
use voice_telephony::number::Callee;

use super::answers::{FailsForRunning, FailsToOrderOne};
use super::problem::{Problem, understood, yes};
use super::sessions::{conflict, find, id_of, tell};
use crate::recovery;
use crate::server::App;

/// What may be said to whom a caller is led: a minute of speech.
const SUMMARY_CHARACTERS_MAX: usize = 1_000;

/// Names of conferences go into documents and logs.
const NAME_CHARACTERS_MAX: usize = 64;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(transfer, transfer_status, take_back))
        .routes(routes!(conference))
        .routes(routes!(dtmf))
        .routes(routes!(hang_up))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferWish {
    /// A number or SIP address; or
    to: Option<String>,
    /// a name of `TRANSFER_TARGETS`.
    target: Option<String>,
    kind: Option<Kind>,
    summary: Option<String>,
    /// They press 1 before the caller is put through.
    #[serde(default)]
    accept: bool,
    ring_seconds: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TransferWay)]
enum Kind {
    Warm,
    Blind,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConferenceWish {
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DigitsWish {
    digits: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HangUpWish {
    /// Lets the caller hear the end of what is being said.
    #[serde(default = "yes")]
    after_reply: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OperationOrdered)]
struct Ordered {
    session_id: String,
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
struct TransferShown {
    session_id: String,
    in_progress: bool,
    /// `calling`, `answered` or `joining`.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
}

/// Leads the caller to somebody else: warm, with a summary told first, or blind.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/transfer", tag = "sessions", operation_id = "transfer_session",
    params(("id" = String, Path, format = Uuid)), request_body = TransferWish,
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn transfer(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: TransferWish = understood(&body)?;
    let order = understand(&app, wish)?;
    lead(&app, &id, order).await
}

/// Leads the caller into a conference.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/conference", tag = "sessions", operation_id = "join_conference",
    params(("id" = String, Path, format = Uuid)), request_body = ConferenceWish,
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn conference(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let ConferenceWish { name } = understood(&body)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
    if name.trim().is_empty() || name.len() > NAME_CHARACTERS_MAX || !name.chars().all(is_name) {
        let mut problem = Problem::invalid();
        problem.add("name", format!("1 to {NAME_CHARACTERS_MAX} letters, digits, spaces and -_."));
        return Err(problem);
    }
    let order = TransferOrder::new(TransferKind::Conference, "conference", Pii::from(name));
    lead(&app, &id, order).await
}

/// How far a transfer is.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/transfer", tag = "sessions", operation_id = "transfer_status",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = TransferShown), FailsForRunning),
)]
async fn transfer_status(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<TransferShown>, Problem> {
    let call = find(&app, &id).await?;
    let stage = call.status().transfer.map(|stage| stage.name());
    Ok(Json(TransferShown { session_id: call.id().to_string(), in_progress: stage.is_some(), stage }))
}

/// Takes a transfer back: the caller is the voice's again.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/transfer", tag = "sessions", operation_id = "take_back_transfer",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 202, body = Ordered), FailsForRunning),
)]
async fn take_back(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Problem> {
    if find(&app, &id).await?.status().transfer.is_none() {
        return Err(conflict("no_transfer", "There is no transfer to take back"));
    }
    order(&app, &id, Control::Resume, "resuming").await
}

/// Presses keys for the caller's side of the line.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/dtmf", tag = "sessions", operation_id = "send_digits",
    params(("id" = String, Path, format = Uuid)), request_body = DigitsWish,
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn dtmf(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Result<Response, Problem> {
    let wish: DigitsWish = understood(&body)?;
    let digits = Digits::new(&wish.digits).map_err(|error| {
        let mut problem = Problem::invalid();
        problem.add("digits", error.to_string());
        problem
    })?;
    order(&app, &id, Control::SendDigits(digits), "sending").await
}

/// Ends the call, also of a caller who was led to somebody else.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/hangup", tag = "sessions", operation_id = "hang_up_session",
    params(("id" = String, Path, format = Uuid)), request_body = HangUpWish,
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn hang_up(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let HangUpWish { after_reply } = understood(&body)?;
    if let Some(answer) = end_led(&app, &id).await {
        return Ok(answer);
    }
    let control = if after_reply { Control::HangUpAfterReply } else { Control::HangUp };
    order(&app, &id, control, "ending").await
}

/// Ends the call of a caller who was led to somebody else, if that is what became of it.
pub(super) async fn end_led(app: &Arc<App>, id: &str) -> Option<Response> {
    let call = id_of(id).ok()?;
    if !recovery::hang_up_led(app, call).await {
        return None;
    }
    info!(%call, "a call whose caller was led elsewhere is ended");
    let body = Ordered { session_id: call.to_string(), status: "ending" };
    Some((StatusCode::ACCEPTED, Json(body)).into_response())
}

async fn lead(app: &App, id: &str, wanted: TransferOrder) -> Result<Response, Problem> {
    let call = find(app, id).await?;
    free_to_leave(&call.status())?;
    info!(call = %call.id(), kind = wanted.kind.name(), to = wanted.name, "transfer ordered");
    tell(&call, Control::Transfer(wanted))?;
    let body = Ordered { session_id: call.id().to_string(), status: "transferring" };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

fn free_to_leave(status: &CallStatus) -> Result<(), Problem> {
    match status.standing {
        Standing::Ended | Standing::Leaving => Err(conflict("ended", "The session has ended")),
        Standing::Attaching | Standing::Talking if status.transfer.is_some() => {
            Err(conflict("transfer_running", "A transfer is under way"))
        }
        Standing::Attaching | Standing::Talking => Ok(()),
    }
}

async fn order(app: &App, id: &str, control: Control, status: &'static str) -> Result<Response, Problem> {
    let call = find(app, id).await?;
    tell(&call, control)?;
    let body = Ordered { session_id: call.id().to_string(), status };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// Everything that is wrong at once.
fn understand(app: &App, wish: TransferWish) -> Result<TransferOrder, Problem> {
    let mut problem = Problem::invalid();
    let (name, to) = match (&wish.to, &wish.target) {
        (Some(to), None) => {
            let callee: Option<Callee> =
                to.parse().map_err(|error| problem.add("to", format!("{error}"))).ok();
            ("a number", callee.map(|callee| Pii::from(callee.expose())))
        }
        (None, Some(target)) => {
            let to = app.transfers.targets().find(target).cloned();
            if to.is_none() {
                let names: Vec<&str> = app.transfers.targets().names().collect();
                problem.add("target", format!("there is none of this name; there are {}", names.join(", ")));
            }
            (target.as_str(), to)
        }
        (Some(_), Some(_)) | (None, None) => {
            problem.add("to", "say either to, a number or SIP address, or target, a configured name");
            ("", None)
        }
    };
    if wish.ring_seconds.is_some_and(|seconds| !(5..=120).contains(&seconds)) {
        problem.add("ring_seconds", "use whole seconds from 5 to 120");
    }
    if wish.summary.as_ref().is_some_and(|summary| summary.chars().count() > SUMMARY_CHARACTERS_MAX) {
        problem.add("summary", "at most 1,000 characters can be said");
    }
    let kind = match wish.kind {
        Some(Kind::Blind) => TransferKind::Blind,
        Some(Kind::Warm) | None => TransferKind::Warm,
    };
    if matches!(kind, TransferKind::Blind) && (wish.accept || wish.summary.is_some()) {
        problem.add("kind", "only a warm transfer has a summary, or is accepted by a key");
    }
    let Some(to) = to.filter(|_| !problem.has_fields()) else { return Err(problem) };
    let mut order = TransferOrder::new(kind, name, to);
    order.accept = wish.accept;
    order.ring = wish.ring_seconds.map_or(TransferOrder::RING, Duration::from_secs);
    order.summary = wish.summary.map(Pii::from);
    Ok(order)
}
