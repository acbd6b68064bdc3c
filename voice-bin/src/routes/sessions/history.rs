//! How a session is read, wherever it is: what runs or ended just now from memory, the rest from the store.

use tracing::error;
use voice_core::id::CallId;
use voice_core::time::UnixMillis;

use super::super::problem::Problem;
use super::session::{Session, SessionStatus};
use super::told::Told;
use crate::server::{App, Course, Next};
use crate::store::{CallRow, Store, StoreError};
use crate::telemetry::chain;

/// Calls that are looked through in the store for one page.
const ROWS_MAX: u32 = 1_000;

/// Which sessions are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) status: Option<SessionStatus>,
    pub(super) carrier: Option<String>,
    pub(super) correlation: Option<String>,
    pub(super) from: Option<UnixMillis>,
    pub(super) until: Option<UnixMillis>,
    /// Only those that are older than this one.
    pub(super) before: Option<CallId>,
}

/// A session, if there is one of this id.
pub(super) async fn session(app: &App, call: CallId) -> Result<Option<Session>, Problem> {
    if let Some(course) = app.feed.find(call).and_then(|feed| feed.course()) {
        return Ok(Some(Session::of_call(app, call, &course)));
    }
    if let Some(course) = stored_course(app, call).await? {
        return Ok(Some(Session::of_call(app, call, &course)));
    }
    Ok(app.prepared.find(call).map(|waiting| Session::of_waiting(app, call, &waiting)))
}

/// Up to `most` sessions, newest first.
pub(super) async fn sessions(app: &App, filter: &Filter, most: usize) -> Result<Vec<Session>, Problem> {
    let fits = |session: &Session| filter.fits(session);
    let is_older = |call: &CallId| filter.before.is_none_or(|before| *call < before);
    let mut found: Vec<(CallId, Session)> = Vec::new();
    for (call, feed) in app.feed.all().into_iter().filter(|(call, _)| is_older(call)) {
        found.extend(feed.course().map(|course| (call, Session::of_call(app, call, &course))));
    }
    for (call, waiting) in app.prepared.all().into_iter().filter(|(call, _)| is_older(call)) {
        if !found.iter().any(|(other, _)| *other == call) {
            found.push((call, Session::of_waiting(app, call, &waiting)));
        }
    }
    let mut known: Vec<CallId> = found.iter().map(|(call, _)| *call).collect();
    known.sort_unstable();
    found.retain(|(_, session)| fits(session));
    for row in stored_rows(app, filter, most + known.len()).await? {
        if known.binary_search(&row.call).is_ok() {
            continue;
        }
        if let Some(course) = stored_course(app, row.call).await? {
            let session = Session::of_call(app, row.call, &course);
            found.extend(Some((row.call, session)).filter(|(_, session)| fits(session)));
        }
    }
    found.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(found.into_iter().map(|(_, session)| session).take(most).collect())
}

/// Some of a call's entries after this one, without a gap unless the store has lost some.
pub(super) async fn entries(app: &App, call: CallId, after: u64, most: usize) -> Result<Vec<Told>, Problem> {
    let mut after = after;
    if let Some(feed) = app.feed.find(call)
        && feed.place().seq > 0
    {
        match feed.after(after, most) {
            Next::Entries(entries) => return Ok(entries.into_iter().map(Told::from).collect()),
            Next::Gone(first) => {
                let mut older = stored_entries(app, call, after, most).await?;
                older.retain(|told| told.seq < first);
                if !older.is_empty() {
                    return Ok(older);
                }
                after = first.saturating_sub(1);
            }
        }
        if let Next::Entries(entries) = feed.after(after, most) {
            return Ok(entries.into_iter().map(Told::from).collect());
        }
    }
    stored_entries(app, call, after, most).await
}

impl Filter {
    fn fits(&self, session: &Session) -> bool {
        let is = |wanted: &Option<String>, it: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| it == Some(wanted))
        };
        let created = super::time::parse(session.created_at());
        self.status.is_none_or(|status| status == session.status)
            && is(&self.carrier, session.carrier())
            && is(&self.correlation, Some(session.correlation()))
            && self.from.is_none_or(|from| created >= Some(from))
            && self.until.is_none_or(|until| created < Some(until))
    }

    /// What can be seen of a call without reading its record.
    fn may_fit(&self, row: &CallRow) -> bool {
        let status = row.reason.as_deref().map(SessionStatus::of_end);
        let is_status = match (self.status, status) {
            (Some(wanted), Some(status)) => wanted == status,
            (Some(_), None) | (None, _) => true,
        };
        is_status
            && self.before.is_none_or(|before| row.call < before)
            && self.carrier.as_ref().is_none_or(|carrier| *carrier == row.carrier)
            && self.correlation.as_ref().is_none_or(|correlation| *correlation == row.correlation)
    }
}

async fn stored_rows(app: &App, filter: &Filter, most: usize) -> Result<Vec<CallRow>, Problem> {
    let Some(store) = &app.parts.store else { return Ok(Vec::new()) };
    let mut rows = read(store.calls(ROWS_MAX).await)?;
    rows.retain(|row| filter.may_fit(row));
    rows.sort_by(|a, b| b.call.cmp(&a.call));
    rows.truncate(most);
    Ok(rows)
}

async fn stored_course(app: &App, call: CallId) -> Result<Option<Course>, Problem> {
    let Some(store) = &app.parts.store else { return Ok(None) };
    let entries = read(store.entries(call).await)?;
    let mut course = Course::default();
    for entry in &entries {
        if let Ok(event) = &entry.event {
            course.take(entry.unix, event);
        }
    }
    Ok((!entries.is_empty()).then_some(course))
}

async fn stored_entries(app: &App, call: CallId, after: u64, most: usize) -> Result<Vec<Told>, Problem> {
    let Some(store) = &app.parts.store else { return Ok(Vec::new()) };
    let entries = read(store.entries(call).await)?;
    Ok(entries.into_iter().filter(|entry| entry.seq > after).take(most).map(Told::from).collect())
}

/// Whether the store knows of it.
pub(super) async fn is_stored(store: &Store, call: CallId) -> Result<bool, Problem> {
    read(store.knows(call).await)
}

fn read<T>(answer: Result<T, StoreError>) -> Result<T, Problem> {
    answer.map_err(|error| {
        error!(error = chain(&error), "the API cannot read the store");
        Problem::unavailable("database_down", "The database does not answer", 5)
    })
}
