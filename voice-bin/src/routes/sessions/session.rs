//! A session as the API shows it: the same while its call is prepared, rings, runs, and is over.

use serde::Serialize;
use utoipa::ToSchema;
use voice_core::call::{Attached, CallStatus, Recording, Standing};
use voice_core::id::CallId;
use voice_core::time::UnixMillis;

use super::time::{parse, rfc3339};
use crate::output::millis;
use crate::server::{App, Course, CourseBegin, Waiting, WaitingState};

/// A session: one call, from its preparation to its end and after.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// A UUID. Ids rise with time.
    #[schema(format = Uuid)]
    pub(crate) session_id: String,
    pub(crate) status: SessionStatus,
    #[serde(flatten)]
    line: Line,
    #[serde(flatten)]
    times: Times,
    #[serde(flatten)]
    voice: Voice,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionStatus {
    /// Prepared, being placed, ringing, or waiting for a voice.
    Pending,
    /// Somebody talks with the caller.
    Active,
    /// The caller is on hold.
    Paused,
    /// It came to an end as calls do.
    Completed,
    /// It came to an end because something failed.
    Error,
    /// It was ended from outside: the server stopped, or it was given up before its call began.
    Terminated,
}

/// Who talks with whom over which line.
#[derive(Serialize, ToSchema)]
struct Line {
    carrier: Option<String>,
    /// The carrier's own name for the call.
    carrier_call_id: Option<String>,
    /// Finds the call in logs, in the database and with the services.
    correlation_id: String,
    from_number: Option<String>,
    to_number: Option<String>,
}

/// When what happened.
#[derive(Serialize, ToSchema)]
struct Times {
    #[schema(format = DateTime)]
    created_at: String,
    /// When the caller's media came.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    end_reason: Option<String>,
    /// From the first to the last entry of the record.
    duration_ms: Option<u64>,
}

/// Whom the caller hears.
#[derive(Serialize, ToSchema)]
struct Voice {
    /// Who talks or talked last.
    provider: Option<String>,
    /// Who is about to take over.
    successor: Option<String>,
    /// Who stands by.
    standby: Option<String>,
    on_hold: bool,
    muted: bool,
    recording: RecordingState,
    /// Who keeps it: `server` or `carrier`.
    recording_at: Option<&'static str>,
    total_switches: usize,
}

/// Whether what is said is kept.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RecordingState {
    Off,
    On,
    Paused,
}

impl SessionStatus {
    pub(super) const ALL: [Self; 6] =
        [Self::Pending, Self::Active, Self::Paused, Self::Completed, Self::Error, Self::Terminated];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Error => "error",
            Self::Terminated => "terminated",
        }
    }

    /// By the reason for which a call ended.
    pub(super) fn of_end(reason: &str) -> Self {
        match reason {
            "caller_hung_up" | "hung_up" | "transfer" | "call_limit" | "completed" | "voicemail"
            | "message_left" => Self::Completed,
            "shutdown" | "canceled" | "expired" => Self::Terminated,
            _failed => Self::Error,
        }
    }
}

impl Session {
    /// Of a call whose media came.
    pub(super) fn of_call(app: &App, call: CallId, course: &Course) -> Self {
        let running = app.calls.find(call).filter(|_| course.end.is_none()).map(|call| call.status());
        let status = match (&course.end, &running) {
            (Some(end), _) => SessionStatus::of_end(end.reason),
            (None, Some(running)) => standing(running),
            (None, None) if course.on_hold => SessionStatus::Paused,
            (None, None) if course.provider.is_some() => SessionStatus::Active,
            (None, None) => SessionStatus::Pending,
        };
        let begin = course.begin.as_ref();
        let started = begin.map(|begin| begin.at);
        Self {
            session_id: call.to_string(),
            status,
            line: Line::of(begin),
            times: Times {
                created_at: rfc3339(created(call).or(started).unwrap_or_default()),
                started_at: started.map(rfc3339),
                ended_at: course.end.map(|end| rfc3339(end.at)),
                end_reason: course.end.map(|end| end.reason.to_owned()),
                duration_ms: course.end.map(|end| millis(end.duration)),
            },
            voice: Voice::of(course, running.as_ref()),
        }
    }

    /// Of a session whose media has not come, and may never.
    pub(super) fn of_waiting(app: &App, call: CallId, waiting: &Waiting) -> Self {
        let page = app.outbound.page(call);
        let clock = app.parts.world.clock;
        let end = match (waiting.state, page.as_ref().and_then(|page| page.end.as_ref())) {
            (WaitingState::Ended(at, why), _) => Some((Some(at), why)),
            (WaitingState::Started, Some(end)) => Some((None, end.name())),
            (WaitingState::Started | WaitingState::Waits, _) => None,
        };
        let begun = (waiting.state == WaitingState::Started).then_some(page).flatten();
        let route = waiting.order.routes.first();
        let carrier = begun.as_ref().and_then(|page| page.carrier.clone());
        let carrier = carrier.or_else(|| route.map(|route| route.carrier.clone()));
        Self {
            session_id: call.to_string(),
            status: match end {
                // Nobody was talked with: whatever the end is called, it is none as calls have it.
                Some((_, why)) if SessionStatus::of_end(why) == SessionStatus::Error => SessionStatus::Error,
                Some(_) => SessionStatus::Terminated,
                None => SessionStatus::Pending,
            },
            line: Line {
                carrier: carrier.map(|carrier| carrier.to_string()),
                carrier_call_id: begun.and_then(|page| page.carrier_call),
                correlation_id: waiting.correlation.to_string(),
                from_number: route.map(|route| route.from.expose().to_owned()),
                to_number: Some(waiting.order.to.expose().to_owned()),
            },
            times: Times {
                created_at: rfc3339(created(call).unwrap_or(waiting.created)),
                started_at: None,
                ended_at: end.map(|(at, _)| rfc3339(at.unwrap_or_else(|| clock.unix(clock.now())))),
                end_reason: end.map(|(_, why)| why.to_owned()),
                duration_ms: None,
            },
            voice: Voice::of(&Course::default(), None),
        }
    }

    pub(super) fn carrier(&self) -> Option<&str> {
        self.line.carrier.as_deref()
    }

    pub(super) fn correlation(&self) -> &str {
        &self.line.correlation_id
    }

    /// When its media came or, if it has not, when it was made.
    pub(super) fn began(&self) -> Option<UnixMillis> {
        parse(self.times.started_at.as_ref().unwrap_or(&self.times.created_at))
    }
}

impl Line {
    fn of(begin: Option<&CourseBegin>) -> Self {
        let number = |number: &str| Some(number.to_owned()).filter(|number| !number.is_empty());
        Self {
            carrier: begin.map(|begin| begin.carrier.to_string()),
            carrier_call_id: begin.map(|begin| begin.carrier_call.clone()),
            correlation_id: begin.map(|begin| begin.correlation.to_string()).unwrap_or_default(),
            from_number: begin.and_then(|begin| number(begin.from.expose())),
            to_number: begin.and_then(|begin| number(begin.to.expose())),
        }
    }
}

impl Voice {
    fn of(course: &Course, running: Option<&CallStatus>) -> Self {
        let name = |attached: Option<&Attached>| Some(attached?.provider.as_ref()?.to_string());
        Self {
            provider: course.provider.as_ref().map(ToString::to_string),
            successor: running.and_then(|status| name(status.successor.as_ref())),
            standby: running.and_then(|status| name(status.standby.as_ref())),
            on_hold: course.on_hold && course.end.is_none(),
            muted: course.muted && course.end.is_none(),
            recording: match course.recording {
                Recording::Off | Recording::Ending => RecordingState::Off,
                Recording::On => RecordingState::On,
                Recording::Paused => RecordingState::Paused,
            },
            recording_at: (course.recording != Recording::Off).then(|| course.recording_at.name()),
            total_switches: course.switches,
        }
    }
}

fn standing(status: &CallStatus) -> SessionStatus {
    match status.standing {
        Standing::Attaching => SessionStatus::Pending,
        Standing::Talking if status.on_hold => SessionStatus::Paused,
        Standing::Talking | Standing::Leaving | Standing::Ended => SessionStatus::Active,
    }
}

/// Ids are UUIDs of version 7 (RFC 9562), which begin with the time at which they were made.
fn created(call: CallId) -> Option<UnixMillis> {
    let number = call.as_u128();
    let is_v7 = (number >> 76) & 0xf == 7;
    is_v7.then(|| i64::try_from(number >> 80).map(UnixMillis).ok())?
}
