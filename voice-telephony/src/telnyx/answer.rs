//! What the REST API answers: done, or why not and what that means (protocol notes, Telnyx §3).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use http::header::RETRY_AFTER;

use super::id::{CallControlId, CallLegId, CallSessionId, ConferenceId};
use super::wire::answer::{ActiveCalls, Conference, Conferences, Failure, Success, SuccessData};
use super::wire::webhook::Word;
use crate::carrier_error::{self, CarrierError};

/// A list of calls that is as long as this may have another page.
const ACTIVE_CALLS_PAGE: usize = 20;

/// A command was accepted. Its effect is told by events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The call that was dialled or looked up.
    pub call: Option<CallControlId>,
    /// Its leg.
    pub leg: Option<CallLegId>,
    /// Its session.
    pub session: Option<CallSessionId>,
    /// Whether a call that was looked up is still there. One that was just dialled is not yet.
    pub is_alive: Option<bool>,
    /// The conference that was created.
    pub conference: Option<ConferenceId>,
    /// The recording that was started; for the commands that pause or stop one of several.
    pub recording: Option<String>,
}

/// A command was not accepted, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause} (HTTP status {status:?}, code {code:?})")]
pub struct CommandError {
    /// What it means.
    pub cause: Cause,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Telnyx's code, if there was one.
    pub code: Option<u32>,
    /// When to come back, if Telnyx says so.
    pub retry_after: Option<Duration>,
}

/// Why a command was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// No answer. The command may have been carried out.
    #[error("the carrier cannot be reached")]
    Network,
    /// The carrier is in trouble (5xx). The command may have been carried out.
    #[error("the carrier failed")]
    Server,
    /// Too many requests; this one was not looked at.
    #[error("the carrier throttles us")]
    Throttled,
    /// The key, or what it may do.
    #[error("the carrier refused our key")]
    Auth,
    /// A number that cannot be called, or not from here.
    #[error("the number cannot be used")]
    Number,
    /// As many calls as the account may have.
    #[error("the account has no channel left")]
    ChannelLimit,
    /// The call is over, or was never there.
    #[error("the call is gone")]
    CallGone,
    /// The command must wait for the answer to the call.
    #[error("the call is not answered yet")]
    NotAnswered,
    /// Media streams already.
    #[error("the call streams already")]
    Streaming,
    /// No media streams.
    #[error("the call does not stream")]
    NotStreaming,
    /// The media socket could not be opened.
    #[error("the media socket could not be opened")]
    StreamFailed,
    /// The leg is in a conference already.
    #[error("the call is in a conference already")]
    InConference,
    /// The command was understood and is not allowed, or not understood.
    #[error("the carrier refused the command")]
    Refused,
    /// A success that cannot be read.
    #[error("the carrier's answer cannot be read")]
    Unreadable,
}

impl Cause {
    /// Whether the same command under the same id may work a little later.
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Network | Self::Server | Self::Throttled)
    }

    /// Whether the command may have been carried out all the same. Before somebody else is asked to call
    /// the same person, this must be known.
    pub const fn may_be_done(self) -> bool {
        matches!(self, Self::Network | Self::Server | Self::Unreadable)
    }

    /// A short, stable name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Server => "server",
            Self::Throttled => "throttled",
            Self::Auth => "auth",
            Self::Number => "number",
            Self::ChannelLimit => "channel_limit",
            Self::CallGone => "call_gone",
            Self::NotAnswered => "not_answered",
            Self::Streaming => "streaming",
            Self::NotStreaming => "not_streaming",
            Self::StreamFailed => "stream_failed",
            Self::InConference => "in_conference",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
        }
    }

    /// The table: Telnyx's codes first, because they say more than the status.
    const fn of(status: u16, code: Option<u32>) -> Self {
        match (code, status) {
            (Some(90_018 | 90_015 | 10_005), _) => Self::CallGone,
            (Some(90_034), _) => Self::NotAnswered,
            (Some(90_041..=90_043), _) => Self::ChannelLimit,
            (Some(90_044), _) => Self::InConference,
            (Some(90_045), _) => Self::Streaming,
            (Some(90_046), _) => Self::StreamFailed,
            (Some(90_048), _) => Self::NotStreaming,
            (Some(10_016), _) => Self::Number,
            (Some(10_011), _) | (_, 429) => Self::Throttled,
            (Some(10_009 | 10_010 | 20_000..=20_999), _) | (_, 401 | 403) => Self::Auth,
            (_, 404 | 410) => Self::CallGone,
            (_, 408) => Self::Network,
            (_, 500..) => Self::Server,
            _ => Self::Refused,
        }
    }
}

impl CommandError {
    /// No answer came, for whatever reason.
    pub const fn unreachable() -> Self {
        Self { cause: Cause::Network, status: None, code: None, retry_after: None }
    }
}

/// What the rest of the crate makes of it, which knows no carrier.
impl From<CommandError> for CarrierError {
    fn from(error: CommandError) -> Self {
        let cause = match error.cause {
            Cause::Network => carrier_error::Cause::Network,
            Cause::Server | Cause::Unreadable => {
                carrier_error::Cause::Server { status: error.status.unwrap_or_default() }
            }
            Cause::Throttled | Cause::ChannelLimit => {
                carrier_error::Cause::Throttled { retry_after: error.retry_after }
            }
            Cause::Auth => carrier_error::Cause::Credentials,
            Cause::Number => carrier_error::Cause::Number,
            Cause::CallGone => carrier_error::Cause::CallGone,
            Cause::NotAnswered
            | Cause::Streaming
            | Cause::NotStreaming
            | Cause::StreamFailed
            | Cause::InConference
            | Cause::Refused => carrier_error::Cause::Invalid,
        };
        let code = error.code.map(|code| code.to_string());
        Self { may_have_happened: error.cause.may_be_done(), ..Self::refused(cause, code.as_deref()) }
    }
}

/// Reads an answer.
///
/// # Errors
/// If the command was not accepted, or nobody knows.
pub fn read_answer(response: &Response<Bytes>) -> Result<Answer, CommandError> {
    if response.status().is_success() {
        return match serde_json::from_slice::<Success>(response.body()) {
            Ok(success) => Ok(answer(success.data)),
            // Nothing that anybody waits for can be in an answer without a body.
            Err(_) if response.body().is_empty() => Ok(Answer::default()),
            Err(_) => Err(unreadable(response)),
        };
    }
    Err(refusal(response))
}

/// Looks in an answer to [`super::Api::active_calls`] for the call that carries this state.
///
/// # Errors
/// If there is no such list, or one so long that it need not be the whole one.
pub(super) fn read_active(
    response: &Response<Bytes>,
    client_state: &[u8],
) -> Result<Option<CallControlId>, CommandError> {
    if !response.status().is_success() {
        return Err(refusal(response));
    }
    let calls: ActiveCalls = serde_json::from_slice(response.body()).map_err(|_| unreadable(response))?;
    let state = STANDARD.encode(client_state);
    let is_whole = calls.data.len() < ACTIVE_CALLS_PAGE;
    let ours = calls.data.into_iter().find(|call| call.client_state.0.as_ref() == Some(&state));
    match ours.and_then(|call| name(call.call_control_id)) {
        Some(call) => Ok(Some(call)),
        None if is_whole => Ok(None),
        None => Err(unreadable(response)),
    }
}

/// Looks in an answer to [`super::Api::conferences`] for the one of this name.
///
/// # Errors
/// If there is no such list.
pub(super) fn read_conference(
    response: &Response<Bytes>,
    wanted: &str,
) -> Result<Option<ConferenceId>, CommandError> {
    if !response.status().is_success() {
        return Err(refusal(response));
    }
    let rooms: Conferences = serde_json::from_slice(response.body()).map_err(|_| unreadable(response))?;
    let is_it = |room: &Conference| {
        room.name.0.as_deref() == Some(wanted) && room.status.0.as_deref() != Some("completed")
    };
    Ok(rooms.data.into_iter().find(is_it).and_then(|room| name(room.id)))
}

fn unreadable(response: &Response<Bytes>) -> CommandError {
    let status = Some(response.status().as_u16());
    CommandError { cause: Cause::Unreadable, status, code: None, retry_after: None }
}

fn refusal(response: &Response<Bytes>) -> CommandError {
    let status = response.status();
    let code = serde_json::from_slice::<Failure>(response.body())
        .ok()
        .and_then(|failure| failure.errors.into_iter().find_map(|error| error.code.0?.parse().ok()));
    CommandError {
        cause: Cause::of(status.as_u16(), code),
        status: Some(status.as_u16()),
        code,
        retry_after: retry_after(response),
    }
}

fn answer(data: SuccessData) -> Answer {
    let is_conference = data.record_type.0.as_deref() == Some("conference");
    Answer {
        call: name(data.call_control_id),
        leg: name(data.call_leg_id),
        session: name(data.call_session_id),
        is_alive: data.is_alive,
        conference: name(data.id).filter(|_| is_conference),
        recording: data.recording_id.0,
    }
}

fn name<T: std::str::FromStr>(word: Word) -> Option<T> {
    word.0.and_then(|text| text.parse().ok())
}

/// Seconds, from either of two headers, and not more than a minute: a call does not wait longer.
fn retry_after(response: &Response<Bytes>) -> Option<Duration> {
    let seconds =
        |header: &str| -> Option<u64> { response.headers().get(header)?.to_str().ok()?.parse().ok() };
    let is_refused = response.status().as_u16() == 429;
    let seconds =
        seconds(RETRY_AFTER.as_str()).or_else(|| seconds("x-ratelimit-reset").filter(|_| is_refused))?;
    Some(Duration::from_secs(seconds.min(60)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn response(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from(body.to_owned())).expect("a response")
    }

    #[test]
    fn errors_have_causes() {
        for (status, code, cause) in [
            (422, "90018", Cause::CallGone),
            (404, "10005", Cause::CallGone),
            (404, "", Cause::CallGone),
            (422, "90034", Cause::NotAnswered),
            (422, "90045", Cause::Streaming),
            (422, "90048", Cause::NotStreaming),
            (403, "90042", Cause::ChannelLimit),
            (422, "10016", Cause::Number),
            (429, "10011", Cause::Throttled),
            (429, "", Cause::Throttled),
            (401, "10009", Cause::Auth),
            (403, "20014", Cause::Auth),
            (403, "nonsense", Cause::Auth),
            (408, "", Cause::Network),
            (500, "", Cause::Server),
            (503, "10015", Cause::Server),
            (422, "90017", Cause::Refused),
            (302, "", Cause::Refused),
        ] {
            let body = format!(r#"{{"errors":[{{"code":"{code}","title":"t"}}]}}"#);
            let error = read_answer(&response(status, &body)).expect_err("no success");
            assert_eq!((error.cause, error.status), (cause, Some(status)), "{status} {code}");
        }
    }

    #[test]
    fn a_success_may_name_what_it_made() {
        let answer = read_answer(&response(200, r#"{"data":{"result":"ok"}}"#));
        assert_eq!(answer, Ok(Answer::default()));
        let body = r#"{"data":{"record_type":"call","call_control_id":"v3:a","call_leg_id":"l",
            "call_session_id":"s","is_alive":false}}"#;
        let answer = read_answer(&response(200, body)).expect("a success");
        assert_eq!(answer.call.map(|call| call.to_string()), Some("v3:a".to_owned()));
        assert_eq!((answer.is_alive, answer.conference), (Some(false), None));
        let body = r#"{"data":{"record_type":"conference","id":"c1"}}"#;
        let answer = read_answer(&response(200, body)).expect("a success");
        assert_eq!(answer.conference.map(|id| id.to_string()), Some("c1".to_owned()));
        let unread = read_answer(&response(200, "<html>")).map_err(|error| error.cause);
        assert_eq!(unread, Err(Cause::Unreadable));
    }

    #[test]
    fn an_unknown_outcome_stays_one_for_everybody() {
        let general = |status, body: &str| {
            CarrierError::from(read_answer(&response(status, body)).expect_err("no success"))
        };
        assert!(general(503, "").may_have_happened && general(200, "<html>").may_have_happened);
        let gone = general(422, r#"{"errors":[{"code":"90018"}]}"#);
        assert_eq!((gone.cause, gone.code.as_deref()), (carrier_error::Cause::CallGone, Some("90018")));
        assert!(!gone.may_have_happened);
        assert_eq!(general(429, "").cause, carrier_error::Cause::Throttled { retry_after: None });
    }

    #[test]
    fn the_wait_is_bounded() {
        let mut throttled = response(429, "");
        throttled.headers_mut().insert("x-ratelimit-reset", "3600".parse().expect("a value"));
        assert_eq!(retry_after(&throttled), Some(Duration::from_secs(60)));
        throttled.headers_mut().insert(RETRY_AFTER, "2".parse().expect("a value"));
        assert_eq!(retry_after(&throttled), Some(Duration::from_secs(2)));
        assert_eq!(retry_after(&response(500, "")), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read(status in 100_u16..600, body in ".{0,80}|\\{\"errors\":.{0,40}") {
            let _ = read_answer(&response(status, &body));
        }
    }
}
