//! How a session stood, in the words of telephony: what carriers told and what was done, in one line of changes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use voice_telephony::status::CallStatus;

use super::super::answers::FailsForOne;
use super::super::problem::Problem;
use super::history;
use super::read::id_of;
use super::time::rfc3339;
use crate::server::App;
use crate::store::StatusChange;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(statuses))
}

/// How a call stands, and how it came there.
#[derive(Serialize, ToSchema)]
struct Statuses {
    #[schema(format = Uuid)]
    session_id: String,
    status: TelephonyStatus,
    /// In order. Each is one that may follow the one before.
    transitions: Vec<Transition>,
}

/// One change.
#[derive(Serialize, ToSchema)]
struct Transition {
    /// None of the first one.
    from: Option<TelephonyStatus>,
    to: TelephonyStatus,
    #[schema(format = DateTime)]
    at: String,
    /// In one word. `not_reported`: nobody told of it, but it must have been.
    reason: String,
}

/// Where a call is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TelephonyStatus {
    /// Exists; nobody's telephone rings yet.
    Initiated,
    Ringing,
    /// Both sides talk.
    Answered,
    OnHold,
    /// The caller is led to somebody else.
    Transferring,
    /// Was answered, and is over.
    Completed,
    /// Is over without success.
    Failed,
}

/// How a call stands and stood, whether it ever had audio or not.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/statuses", tag = "sessions", operation_id = "session_statuses",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Statuses), FailsForOne),
)]
async fn statuses(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Statuses>, Problem> {
    let call = id_of(&id)?;
    let changes = match app.statuses.of(call) {
        Some(changes) => changes,
        None => history::transitions(&app, call).await?,
    };
    let last = changes.last().ok_or_else(Problem::not_found)?;
    Ok(Json(Statuses {
        session_id: call.to_string(),
        status: last.to.into(),
        transitions: changes.iter().map(Transition::from).collect(),
    }))
}

impl From<&StatusChange> for Transition {
    fn from(change: &StatusChange) -> Self {
        Self {
            from: change.from.map(TelephonyStatus::from),
            to: change.to.into(),
            at: rfc3339(change.unix),
            reason: change.reason.clone().into_owned(),
        }
    }
}

impl From<CallStatus> for TelephonyStatus {
    fn from(status: CallStatus) -> Self {
        match status {
            CallStatus::Initiated => Self::Initiated,
            CallStatus::Ringing => Self::Ringing,
            CallStatus::Answered => Self::Answered,
            CallStatus::OnHold => Self::OnHold,
            CallStatus::Transferring => Self::Transferring,
            CallStatus::Completed => Self::Completed,
            CallStatus::Failed => Self::Failed,
        }
    }
}
