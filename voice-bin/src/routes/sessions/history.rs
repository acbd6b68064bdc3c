//! How a session is read, wherever it is: what runs or ended just now from memory, the rest from the store.
//!
//! Lists are in the order of the time at which a session began, or was prepared if it has not begun.

use std::cmp::Reverse;
use std::fmt;

use tracing::error;
use voice_core::id::CallId;
use voice_core::time::UnixMillis;

use super::super::problem::Problem;
use super::session::{Session, SessionStatus};
use super::told::Told;
use crate::server::{App, Course, Next};
use crate::store::{CallFilter, CallRow, CallState, Cursor, StatusChange, Store, StoreError};
use crate::telemetry::chain;

/// Rows that are fetched from the store at once, and so many times for one page: where few of many fit, a
/// page is shorter than it might be, and the next one goes on.
const ROWS_MAX: u32 = 200;
const FETCHES_MAX: usize = 10;

/// Entries that are fetched at once to see how a call went.
const ENTRIES_MAX: u32 = 1_024;

/// Which sessions are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) status: Option<SessionStatus>,
    pub(super) carrier: Option<String>,
    pub(super) correlation: Option<String>,
    pub(super) from: Option<UnixMillis>,
    pub(super) until: Option<UnixMillis>,
    /// Only those after this place.
    pub(super) after: Option<Place>,
}

/// A place in the list: when a session began, and which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(UnixMillis, CallId);

/// Some sessions, newest first.
pub(super) struct Page {
    pub(super) sessions: Vec<Session>,
    /// Where the next page begins.
    pub(super) next: Option<Place>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.0, self.1)
    }
}

impl Place {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (began, call) = text.split_once('-')?;
        let began: i64 = began.parse().ok().filter(|began| *began >= 0)?;
        Some(Self(UnixMillis(began), call.parse().ok()?))
    }

    fn cursor(self) -> Option<Cursor> {
        self.to_string().parse().ok()
    }
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
pub(super) async fn sessions(app: &App, filter: &Filter, most: usize) -> Result<Page, Problem> {
    let here = here(app);
    let mut known: Vec<CallId> = here.iter().map(|(place, _)| place.1).collect();
    known.sort_unstable();
    let is_after = |place: &Place| filter.after.is_none_or(|after| *place < after);
    let mut found: Vec<(Place, Session)> =
        here.into_iter().filter(|(place, session)| is_after(place) && filter.fits(session)).collect();
    let reached = stored(app, filter, &known, most + 1, &mut found).await?;
    found.sort_by_key(|(place, _)| Reverse(*place));
    // What was not looked at yet may belong before what is further down.
    found.retain(|(place, _)| reached.is_none_or(|reached| *place >= reached));
    let is_more = found.len() > most;
    found.truncate(most);
    let last = found.last().map(|(place, _)| *place).filter(|_| is_more);
    let sessions = found.into_iter().map(|(_, session)| session).collect();
    Ok(Page { sessions, next: last.or(reached) })
}

/// All that is in memory.
fn here(app: &App) -> Vec<(Place, Session)> {
    let mut found: Vec<(Place, Session)> = Vec::new();
    for (call, feed) in app.feed.all() {
        if let Some(course) = feed.course() {
            let began = course.begin.as_ref().map_or(UnixMillis(0), |begin| begin.at);
            found.push((Place(began, call), Session::of_call(app, call, &course)));
        }
    }
    for (call, waiting) in app.prepared.all() {
        if !found.iter().any(|(place, _)| place.1 == call) {
            found.push((Place(waiting.created, call), Session::of_waiting(app, call, &waiting)));
        }
    }
    found
}

/// Adds what the store has, until there is enough. Answers how far it was read, if it was not read to its
/// end.
async fn stored(
    app: &App,
    filter: &Filter,
    known: &[CallId],
    enough: usize,
    found: &mut Vec<(Place, Session)>,
) -> Result<Option<Place>, Problem> {
    let Some(store) = &app.parts.store else { return Ok(None) };
    let wanted = filter.of_store();
    let (mut count, mut after) = (0, filter.after.and_then(Place::cursor));
    for _ in 0..FETCHES_MAX {
        let page = read(store.page(&wanted, after, ROWS_MAX).await)?;
        for row in page.calls {
            let place = Place(row.started, row.call);
            if known.binary_search(&row.call).is_err() && filter.may_fit(&row) {
                let course = stored_course(app, row.call).await?;
                let session = course.map(|course| Session::of_call(app, row.call, &course));
                let session = session.filter(|session| filter.fits(session));
                count += usize::from(session.is_some());
                found.extend(session.map(|session| (place, session)));
            }
            if count >= enough {
                return Ok(Some(place));
            }
        }
        let Some(next) = page.next else { return Ok(None) };
        after = Some(next);
    }
    Ok(after.and_then(|after| Place::parse(&after.to_string())))
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
        let began = session.began();
        self.status.is_none_or(|status| status == session.status)
            && is(&self.carrier, session.carrier())
            && is(&self.correlation, Some(session.correlation()))
            && self.from.is_none_or(|from| began >= Some(from))
            && self.until.is_none_or(|until| began < Some(until))
    }

    /// What the store can find.
    fn of_store(&self) -> CallFilter {
        let state = self.status.map(|status| match status {
            SessionStatus::Pending | SessionStatus::Active | SessionStatus::Paused => CallState::Live,
            SessionStatus::Completed | SessionStatus::Error | SessionStatus::Terminated => CallState::Ended,
        });
        let (carrier, correlation) = (self.carrier.clone(), self.correlation.clone());
        CallFilter { state, carrier, correlation, from: self.from, to: self.until, ..CallFilter::default() }
    }

    /// What can be seen of a call without reading its record.
    fn may_fit(&self, row: &CallRow) -> bool {
        let status = row.reason.as_deref().map(SessionStatus::of_end);
        self.status.zip(status).is_none_or(|(wanted, status)| wanted == status)
    }
}

async fn stored_course(app: &App, call: CallId) -> Result<Option<Course>, Problem> {
    let Some(store) = &app.parts.store else { return Ok(None) };
    let (mut course, mut from) = (Course::default(), 0);
    loop {
        let entries = read(store.entries_from(call, from, ENTRIES_MAX).await)?;
        for entry in &entries {
            if let Ok(event) = &entry.event {
                course.take(entry.unix, event);
            }
        }
        match entries.last() {
            Some(last) if entries.len() == ENTRIES_MAX as usize => from = last.seq.saturating_add(1),
            Some(_) => return Ok(Some(course)),
            None => return Ok((from > 0).then_some(course)),
        }
    }
}

async fn stored_entries(app: &App, call: CallId, after: u64, most: usize) -> Result<Vec<Told>, Problem> {
    let Some(store) = &app.parts.store else { return Ok(Vec::new()) };
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let entries = read(store.entries_from(call, after.saturating_add(1), most).await)?;
    Ok(entries.into_iter().map(Told::from).collect())
}

/// How a call stood, as the store knows it.
pub(super) async fn transitions(app: &App, call: CallId) -> Result<Vec<StatusChange>, Problem> {
    match &app.parts.store {
        Some(store) => read(store.transitions(call).await),
        None => Ok(Vec::new()),
    }
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
