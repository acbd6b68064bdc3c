//! Sessions that are made over the API: prepared, so that everything about them is known and can be
//! followed before anything happens, then started, which places their call.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use http::header::LOCATION;
use serde::Serialize;
use tracing::info;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use voice_core::id::{CallId, CorrelationId};

use super::super::answers::{FailsToOrder, FailsToStart};
use super::super::elsewhere::keep_desk;
use super::super::outbound::{Wish, not_placed, takes_calls, understand, unheard};
use super::super::problem::{Nothing, Problem, understood};
use super::conflict;
use super::history;
use super::read::{self, id_of};
use super::session::Session;
use super::socket::{EventTicket, issue};
use crate::server::{App, ClientAddress, Refused, SESSION_WAIT, Waiting};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read::list, create)).routes(routes!(bootstrap)).routes(routes!(start))
}

/// A session, and how to follow it.
#[derive(Serialize, ToSchema)]
struct Bootstrapped {
    #[serde(flatten)]
    session: Session,
    /// As ordered.
    metadata: std::collections::BTreeMap<String, String>,
    #[serde(flatten)]
    events: EventTicket,
    /// It must be started within this time.
    start_within_seconds: u64,
}

/// Prepares a session: a call that is placed once the session is started.
#[utoipa::path(
    post, path = "/api/v1/sessions", tag = "sessions", operation_id = "create_session",
    request_body = Wish, responses((status = 201, body = Session), FailsToOrder),
)]
async fn create(
    State(app): State<Arc<App>>,
    Extension(correlation): Extension<CorrelationId>,
    body: Bytes,
) -> Result<Response, Problem> {
    let (call, waiting) = prepare(&app, correlation, &body).await?;
    let session = Session::of_waiting(&app, call, &waiting);
    Ok((StatusCode::CREATED, [(LOCATION, place(call))], Json(session)).into_response())
}

/// Prepares a session, and gives leave to follow it at once: all that a console needs in one answer.
#[utoipa::path(
    post, path = "/api/v1/sessions/bootstrap", tag = "sessions", operation_id = "bootstrap_session",
    request_body = Wish, responses((status = 201, body = Bootstrapped), FailsToOrder),
)]
async fn bootstrap(
    State(app): State<Arc<App>>,
    Extension(correlation): Extension<CorrelationId>,
    body: Bytes,
) -> Result<Response, Problem> {
    let (call, waiting) = prepare(&app, correlation, &body).await?;
    let body = Bootstrapped {
        session: Session::of_waiting(&app, call, &waiting),
        metadata: waiting.metadata,
        events: issue(&app, call)?,
        start_within_seconds: SESSION_WAIT.as_secs(),
    };
    Ok((StatusCode::CREATED, [(LOCATION, place(call))], Json(body)).into_response())
}

/// Places the call of a session that was prepared.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/start", tag = "sessions", operation_id = "start_session",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 202, body = Session), FailsToStart),
)]
async fn start(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientAddress>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Nothing {} = understood(&body)?;
    let call = id_of(&id)?;
    takes_calls(&app)?;
    let waiting = match app.prepared.start(call) {
        Ok(waiting) => waiting,
        Err(Refused::Unknown) if history::session(&app, call).await?.is_none() => {
            return Err(Problem::not_found());
        }
        Err(Refused::Unknown | Refused::Started) => {
            return Err(conflict("started", "The session was started before"));
        }
        Err(Refused::Ended | Refused::Full) => return Err(conflict("ended", "The session has ended")),
    };
    let Waiting { order, correlation, metadata, .. } = waiting.clone();
    // Whoever starts a session calls somebody, like whoever orders a call at once.
    let paid = app.orders.pay(client).map_err(unheard);
    let placed =
        paid.and_then(|()| app.outbound.place(order, correlation.clone(), metadata).map_err(not_placed));
    placed.inspect_err(|_| app.prepared.give_back(call))?;
    info!(%correlation, %call, "session started");
    Ok((StatusCode::ACCEPTED, Json(Session::of_waiting(&app, call, &waiting))).into_response())
}

/// Ends a session whose media has not come. False if there is none of this id that could be ended.
pub(super) fn end(app: &App, call: CallId) -> bool {
    app.prepared.end(call) || (app.prepared.find(call).is_some() && app.outbound.hang_up(call))
}

async fn prepare(app: &App, correlation: CorrelationId, body: &Bytes) -> Result<(CallId, Waiting), Problem> {
    let (order, metadata) = understand(app, understood::<Wish>(body)?)?;
    takes_calls(app)?;
    let call = order.call;
    let full = |_| Problem::unavailable("too_many_sessions", "Too many sessions wait to be started", 60);
    let waiting = app.prepared.prepare(order, correlation.clone(), metadata).map_err(full)?;
    keep_desk(app, call).await;
    info!(%correlation, %call, "session prepared");
    Ok((call, waiting))
}

fn place(call: CallId) -> String {
    format!("/api/v1/sessions/{call}")
}
