//! Sessions as they are read: a list, one of them, its transcript, its events.

#![allow(unused_qualifications, reason = "what is made from the parameters has some")]

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use voice_core::id::CallId;

use super::super::answers::{Fails, FailsForOne};
use super::super::problem::Problem;
use super::history::{self, Filter, Page, Place};
use super::query::Query;
use super::session::{Session, SessionStatus};
use super::time;
use super::told::Event;
use super::transcript::{Turn, turns};
use crate::server::App;

/// Sessions, turns and events on one page, if it is not said how many.
const SESSIONS_USUAL: usize = 20;
const SESSIONS_MAX: usize = 100;
const EVENTS_USUAL: usize = 200;
const EVENTS_MAX: usize = 1_000;
const TURNS_USUAL: usize = 200;
const TURNS_MAX: usize = 1_000;

/// The longest name of a carrier or correlation id.
const NAME_BYTES_MAX: usize = 64;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(transcript)).routes(routes!(events))
}

/// A page of sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    sessions: Vec<Session>,
    /// Leads to the next page, as `cursor`; there is none after the last one. A page may be short, or empty,
    /// before that.
    next_cursor: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "says what the query may hold; it is read by hand, to name what is wrong")]
pub(super) struct ListQuery {
    status: Option<SessionStatus>,
    /// `twilio`, `telnyx`.
    carrier: Option<String>,
    correlation_id: Option<String>,
    /// Begun at this time or later; of those that have not begun, made.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Begun before this time.
    #[param(format = DateTime)]
    until: Option<String>,
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// From the page before.
    cursor: Option<String>,
}

/// A page of a transcript.
#[derive(Serialize, ToSchema)]
struct Transcript {
    #[schema(format = Uuid)]
    session_id: String,
    /// In spoken order, as it was heard.
    turns: Vec<Turn>,
    /// Leads to the next page, as `cursor`; there is none after the last one. While a call runs, more may
    /// come.
    next_cursor: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "says what the query may hold; it is read by hand, to name what is wrong")]
struct TranscriptQuery {
    #[param(minimum = 1, maximum = 1000, default = 200)]
    limit: Option<usize>,
    /// From the page before.
    cursor: Option<String>,
}

/// A page of events.
#[derive(Serialize, ToSchema)]
struct Events {
    #[schema(format = Uuid)]
    session_id: String,
    events: Vec<Event>,
    /// For the next page, as `after`. A page without events is the last one for now.
    next_after: u64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "says what the query may hold; it is read by hand, to name what is wrong")]
struct EventsQuery {
    /// Only what comes after the event of this number.
    #[param(minimum = 0, default = 0)]
    after: Option<u64>,
    #[param(minimum = 1, maximum = 1000, default = 200)]
    limit: Option<usize>,
}

/// Sessions, newest first: those that are prepared, those that run, and those that are over.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", operation_id = "list_sessions",
    params(ListQuery), responses((status = 200, body = Sessions), Fails),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Sessions>, Problem> {
    let mut query = Query::of(query.as_deref());
    let text = |text: &str| (1..=NAME_BYTES_MAX).contains(&text.len()).then(|| text.to_owned());
    let status = |name: &str| SessionStatus::ALL.into_iter().find(|status| status.name() == name);
    let statuses = format!("one of {}", SessionStatus::ALL.map(SessionStatus::name).join(", "));
    const WHEN: &str = "use a time like 2026-11-21T10:22:19Z";
    let filter = Filter {
        status: query.take("status", &statuses, status),
        carrier: query.take("carrier", "the name of a carrier", text),
        correlation: query.take("correlation_id", "a correlation id", text),
        from: query.take("from", WHEN, time::parse),
        until: query.take("until", WHEN, time::parse),
        after: query.take("cursor", "use the next_cursor of the page before", Place::parse),
    };
    let limit = query.number("limit", 1, SESSIONS_MAX, SESSIONS_USUAL);
    query.end()?;
    let Page { sessions, next } = history::sessions(&app, &filter, limit).await?;
    Ok(Json(Sessions { sessions, next_cursor: next.map(|place| place.to_string()) }))
}

/// One session, whether it is prepared, runs, or is over.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}", tag = "sessions", operation_id = "show_session",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = Session), FailsForOne),
)]
async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Session>, Problem> {
    let call = id_of(&id)?;
    history::session(&app, call).await?.map(Json).ok_or_else(Problem::not_found)
}

/// What was said in a session, in spoken order, as it was heard.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/transcript", tag = "sessions", operation_id = "session_transcript",
    params(("id" = String, Path, format = Uuid), TranscriptQuery),
    responses((status = 200, body = Transcript), FailsForOne),
)]
async fn transcript(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Transcript>, Problem> {
    let mut query = Query::of(query.as_deref());
    let limit = query.number("limit", 1, TURNS_MAX, TURNS_USUAL);
    let skip = query.number("cursor", 0, usize::MAX, 0);
    query.end()?;
    let call = id_of(&id)?;
    is_known(&app, call).await?;
    let turns = turns(&app, call).await?;
    let end = skip.saturating_add(limit);
    let next_cursor = (turns.len() > end).then(|| end.to_string());
    let turns = turns.into_iter().skip(skip).take(limit).collect();
    Ok(Json(Transcript { session_id: call.to_string(), turns, next_cursor }))
}

/// What happened in a session, entry by entry.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/events", tag = "sessions", operation_id = "session_events",
    params(("id" = String, Path, format = Uuid), EventsQuery),
    responses((status = 200, body = Events), FailsForOne),
)]
async fn events(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Events>, Problem> {
    let mut query = Query::of(query.as_deref());
    let limit = query.number("limit", 1, EVENTS_MAX, EVENTS_USUAL);
    let after = query.number("after", 0, super::SEQ_MAX, 0);
    query.end()?;
    let call = id_of(&id)?;
    is_known(&app, call).await?;
    let told = history::entries(&app, call, after, limit).await?;
    let next_after = told.last().map_or(after, |told| told.seq);
    let events = told.iter().map(Event::from).collect();
    Ok(Json(Events { session_id: call.to_string(), events, next_after }))
}

/// A session id is a UUID; whatever is none was never the id of a session.
pub(in crate::routes) fn id_of(id: &str) -> Result<CallId, Problem> {
    id.parse().map_err(|_| Problem::not_found().detail("a session id is a UUID, as lists show it"))
}

/// Whether there is such a session: prepared, running, or over.
pub(super) async fn is_known(app: &App, call: CallId) -> Result<(), Problem> {
    let is_here =
        app.feed.find(call).is_some_and(|feed| feed.place().seq > 0) || app.prepared.find(call).is_some();
    let is_known = match &app.parts.store {
        _ if is_here => true,
        Some(store) => history::is_stored(store, call).await?,
        None => false,
    };
    if is_known { Ok(()) } else { Err(Problem::not_found()) }
}
