//! What was recorded of a session: each stretch with its end, and what the carrier has.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use voice_core::record::CallEvent;
use voice_core::recording::{RecordingPlace, SavedRecording};
use voice_core::time::UnixMillis;

use super::super::answers::FailsForOne;
use super::super::problem::Problem;
use super::history;
use super::read::{id_of, is_known};
use super::time::rfc3339;
use crate::output::millis;
use crate::server::App;

/// Entries that are read at once.
const ENTRIES_MAX: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(recordings))
}

/// The recordings of a session.
#[derive(Default, Serialize, ToSchema)]
struct Recordings {
    #[schema(format = Uuid)]
    session_id: String,
    /// In the order in which they began, the one that goes on last.
    recordings: Vec<Stretch>,
    /// What the carrier says it has, which it usually tells after the call's end.
    at_carrier: Vec<AtCarrier>,
}

/// From a beginning to an end.
#[derive(Serialize, ToSchema)]
#[schema(as = Recording)]
struct Stretch {
    /// Who recorded: `server` or `carrier`.
    place: &'static str,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Why it ended: `ordered`, `revoked`, `call_over`, `failed`, `interrupted`, `carrier`,
    /// `transfer`.
    end_reason: Option<&'static str>,
    /// Pauses included.
    length_ms: Option<u64>,
    /// The carrier's name for it, once it has told one.
    recording_id: Option<String>,
    /// What the carrier did not do of what it was asked, and why.
    refusals: Vec<Refusal>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RecordingRefusal)]
struct Refusal {
    /// `start`, `pause`, `resume` or `stop`.
    step: &'static str,
    /// `unsupported`, `not_running`, `not_allowed`, `no_answer` or `refused`.
    reason: &'static str,
    #[schema(format = DateTime)]
    at: String,
}

/// A recording of the carrier's.
#[derive(Serialize, ToSchema)]
#[schema(as = CarrierRecording)]
struct AtCarrier {
    /// The carrier's name for it, or for the news of it.
    recording_id: String,
    /// False: it was empty, or failed.
    saved: bool,
    length_ms: Option<u64>,
    /// Twilio's asks for the account's key, and for `.wav` or `.mp3` at its end; Telnyx's is good for ten minutes.
    url: Option<String>,
    #[schema(format = DateTime)]
    told_at: String,
}

/// What was recorded of a session, by us and by its carrier.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/recordings", tag = "sessions", operation_id = "session_recordings",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Recordings), FailsForOne),
)]
async fn recordings(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Recordings>, Problem> {
    let call = id_of(&id)?;
    is_known(&app, call).await?;
    let mut told = Recordings { session_id: call.to_string(), ..Recordings::default() };
    let mut after = 0;
    loop {
        let entries = history::entries(&app, call, after, ENTRIES_MAX).await?;
        let Some(last) = entries.last() else { return Ok(Json(told)) };
        after = last.seq;
        for entry in &entries {
            if let Some(event) = &entry.event {
                told.take(entry.at, event);
            }
        }
    }
}

impl Recordings {
    #[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
    fn take(&mut self, at: UnixMillis, event: &CallEvent) {
        let last = self.recordings.last_mut();
        match event {
            CallEvent::RecordingStarted { place, .. } => self.recordings.push(Stretch::of(*place, at)),
            CallEvent::RecordingStopped { reason, length } => {
                if let Some(last) = last.filter(|last| last.ended_at.is_none()) {
                    last.ended_at = Some(rfc3339(at));
                    (last.end_reason, last.length_ms) = (Some(reason.name()), Some(millis(*length)));
                }
            }
            CallEvent::RecordingBegun { recording } => {
                if let Some(last) = last {
                    last.recording_id.clone_from(recording);
                }
            }
            CallEvent::RecordingRefused { step, why } => {
                if let Some(last) = last {
                    last.refusals.push(Refusal { step: step.name(), reason: why.name(), at: rfc3339(at) });
                }
            }
            CallEvent::RecordingSaved(SavedRecording { recording, length, url }) => {
                self.at_carrier.push(AtCarrier {
                    recording_id: recording.clone(),
                    saved: true,
                    length_ms: length.map(millis),
                    url: url.as_ref().map(|url| url.expose().clone()),
                    told_at: rfc3339(at),
                });
            }
            CallEvent::RecordingAbsent { recording } => self.at_carrier.push(AtCarrier {
                recording_id: recording.clone(),
                saved: false,
                length_ms: None,
                url: None,
                told_at: rfc3339(at),
            }),
            _no_matter_here => {}
        }
    }
}

impl Stretch {
    fn of(place: RecordingPlace, at: UnixMillis) -> Self {
        Self {
            place: place.name(),
            started_at: rfc3339(at),
            ended_at: None,
            end_reason: None,
            length_ms: None,
            recording_id: None,
            refusals: Vec::new(),
        }
    }
}
