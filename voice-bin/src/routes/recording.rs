//! The API for recordings: begin, pause, go on, end. A call is recorded on a consent or not at all.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use voice_core::call::{Control, Recording};
use voice_core::consent::{Consent, Given, Method, Revocation, Scope};
use voice_core::id::CallId;
use voice_core::recording::{RecordCommand, RecordingOrder, RecordingPlace};
use voice_core::sensitive::Pii;
use voice_core::time::UnixMillis;

use super::answers::FailsToOrderOne;
use super::problem::{Problem, object, understood};
use super::sessions::{conflict, find, id_of, tell};
use crate::recovery;
use crate::server::App;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(order))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = RecordingWish)]
#[serde(deny_unknown_fields)]
struct Wish {
    action: Action,
    /// Who is to record, when it begins; `RECORDING_AT`, if it is not told.
    at: Option<At>,
    #[serde(default, deserialize_with = "object")]
    consent: Option<ConsentTold>,
    /// Why the consent is taken back.
    reason: Option<String>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[schema(as = RecordingAction)]
#[serde(rename_all = "snake_case")]
enum Action {
    Start,
    Pause,
    Resume,
    Stop,
    /// The consent was taken back: the recording ends, and the record says why.
    Revoke,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[schema(as = RecordingPlace)]
#[serde(rename_all = "snake_case")]
enum At {
    /// We do, into a file of two channels.
    Server,
    /// The carrier does, and keeps it.
    Carrier,
}

impl From<At> for RecordingPlace {
    fn from(at: At) -> Self {
        match at {
            At::Server => Self::Server,
            At::Carrier => Self::Carrier,
        }
    }
}

/// Either who agreed and how, or why nobody need agree.
#[derive(Deserialize, ToSchema)]
#[schema(as = Consent)]
#[serde(deny_unknown_fields)]
struct ConsentTold {
    by: Option<String>,
    method: Option<String>,
    /// Milliseconds since 1970; now, if it is not told.
    at_ms: Option<i64>,
    region: Option<String>,
    /// Why nobody need agree.
    not_required: Option<String>,
    /// Whether its words may be kept, too.
    #[serde(default)]
    transcription: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RecordingOrdered)]
struct Ordered {
    session_id: String,
    status: &'static str,
}

/// Begins, pauses, goes on with or ends the recording of a session.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/recording", tag = "sessions", operation_id = "record_session",
    params(("id" = String, Path, format = Uuid)), request_body = Wish,
    responses((status = 202, body = Ordered), FailsToOrderOne),
)]
async fn order(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let (found, wish) = (find(&app, &id).await, understood(&body));
    if let (Err(_), Ok(Wish { action: Action::Revoke, .. })) = (&found, &wish)
        && let Ok(call) = id_of(&id)
        && recovery::revoke_recording(&app, call).await
    {
        let body = Ordered { session_id: call.to_string(), status: "stopping" };
        return Ok((StatusCode::ACCEPTED, Json(body)).into_response());
    }
    let call = found?;
    let Wish { action, at, consent, reason } = wish?;
    let now = app.parts.world.clock.unix(app.parts.world.clock.now());
    let standing = call.status();
    let (command, status) = match (action, standing.recording) {
        (Action::Start, Recording::Off) => {
            let place = place(&app, call.id(), at)?;
            (RecordCommand::Start(allowed(consent, now)?.at(place)), "recording")
        }
        (Action::Start, Recording::Ending) => {
            return Err(conflict("recording_ending", "The carrier is still ending the recording before"));
        }
        (Action::Start, _) => return Err(conflict("recording_runs", "The session is being recorded")),
        // What goes on after a transfer goes on as is wanted by then.
        (Action::Pause, Recording::Ending) if standing.recording_again => (RecordCommand::Pause, "pausing"),
        (Action::Resume, Recording::Ending) if standing.recording_again => {
            (RecordCommand::Resume, "recording")
        }
        (Action::Pause | Action::Resume, Recording::Ending) | (_, Recording::Off) => {
            return Err(conflict("not_recording", "The session is not being recorded"));
        }
        (Action::Pause, _) => (RecordCommand::Pause, "pausing"),
        (Action::Resume, _) => (RecordCommand::Resume, "recording"),
        (Action::Stop, _) => (RecordCommand::Stop, "stopping"),
        (Action::Revoke, _) => {
            (RecordCommand::Revoke(Revocation { at: now, reason: reason.map(Pii::new) }), "stopping")
        }
    };
    tell(&call, Control::Record(command))?;
    let body = Ordered { session_id: call.id().to_string(), status };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// Who is to record, if they can.
fn place(app: &App, call: CallId, at: Option<At>) -> Result<RecordingPlace, Problem> {
    let usual = app.parts.recording.as_ref().map(|recording| recording.place).unwrap_or_default();
    let place = at.map_or(usual, RecordingPlace::from);
    let can = match place {
        RecordingPlace::Server => app.parts.recording.as_ref().is_some_and(|parts| parts.sink.is_some()),
        RecordingPlace::Carrier => {
            let known = app.pasts.look(call);
            known.is_none_or(|known| app.recordings.can(&known.past.start().carrier))
        }
    };
    match place {
        _ if can => Ok(place),
        RecordingPlace::Server => Err(conflict("recording_off", "This server has no place for recordings")),
        RecordingPlace::Carrier => {
            Err(conflict("recording_off", "This server cannot ask the session's carrier to record"))
        }
    }
}

/// The order that this consent allows.
fn allowed(consent: Option<ConsentTold>, now: UnixMillis) -> Result<RecordingOrder, Problem> {
    let mut problem = Problem::invalid();
    let Some(told) = consent else {
        problem
            .add("consent", "say who agreed and how (by, method), or why nobody need agree (not_required)");
        return Err(problem);
    };
    let scope = Scope { recording: true, transcription: told.transcription };
    let consent = match told {
        ConsentTold { not_required: Some(basis), by: None, method: None, .. } => match basis.parse() {
            Ok(basis) => Some(Consent::not_required(basis, scope)),
            Err(error) => {
                problem.add("consent.not_required", format!("{error}"));
                None
            }
        },
        ConsentTold { by, method, at_ms, region, not_required: None, .. } => {
            let given = given(by, method.as_deref(), at_ms.map_or(now, UnixMillis), region, &mut problem);
            given.map(|given| Consent::given(given, scope))
        }
        ConsentTold { .. } => {
            problem.add("consent", "either somebody agreed, or nobody need agree; not both");
            None
        }
    };
    consent.and_then(|consent| RecordingOrder::new(consent).ok()).ok_or(problem)
}

fn given(
    by: Option<String>,
    method: Option<&str>,
    at: UnixMillis,
    region: Option<String>,
    problem: &mut Problem,
) -> Option<Given> {
    let by = by.filter(|by| !by.trim().is_empty() && by.chars().count() <= 200);
    if by.is_none() {
        problem.add("consent.by", "who agreed, in 1 to 200 characters: a number, a name, a contract");
    }
    let how = Method::ALL.into_iter().find(|one| Some(one.name()) == method);
    if how.is_none() {
        problem.add("consent.method", format!("one of {}", Method::ALL.map(Method::name).join(", ")));
    }
    let region = region.map(|region| region.parse()).transpose();
    if let Err(error) = &region {
        problem.add("consent.region", format!("{error}"));
    }
    Some(Given { by: Pii::new(by?), how: how?, at, region: region.ok()? })
}
