//! The HTTP requests that ask something of a call (protocol notes, Telnyx §3). Nothing is sent here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use voice_core::sensitive::Secret;

use super::command::{Command, CommandId, Dial, Order, Streaming, TICKET_PARAMETER, Transfer};
use super::id::{CallControlId, ConnectionId};
use super::wire::command as wire;
use super::wire::command::write;
use crate::legs::LegKey;

/// Telnyx's own address, where nobody says otherwise.
pub const API_URL: &str = "https://api.telnyx.com/v2";

/// Where the API is, and the key to it: makes requests of orders.
#[derive(Clone, Debug)]
pub struct Api {
    /// Without a slash at the end.
    url: String,
    authorization: HeaderValue,
}

/// Settings that no request can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// Not an http(s) address.
    #[error("the address of the API is not an http(s) address")]
    Url,
    /// A key that is empty, or holds what no header can.
    #[error("the API key is not a key")]
    Key,
}

impl Api {
    /// The API at this address ([`API_URL`]), with this key.
    ///
    /// # Errors
    /// If no request could be made of them.
    pub fn new(url: &str, key: &Secret<String>) -> Result<Self, ApiError> {
        let url = url.trim_end_matches('/');
        let has_scheme = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
        if !has_scheme
            || url.parse::<http::Uri>().map_or(true, |uri| uri.host().is_none() || uri.query().is_some())
        {
            return Err(ApiError::Url);
        }
        if key.expose().is_empty() {
            return Err(ApiError::Key);
        }
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(|_| ApiError::Key)?;
        authorization.set_sensitive(true);
        Ok(Self { url: url.to_owned(), authorization })
    }

    /// Signs the tickets of this account's calls, so that any server with the same key can check them.
    pub fn leg_key(&self) -> LegKey {
        LegKey::derive(self.authorization.as_bytes())
    }

    /// The request for an order.
    pub fn request(&self, order: &Order) -> Request<Bytes> {
        let call = encoded(order.call.as_str());
        let name = order.command.name();
        let path = match &order.command {
            Command::ConferenceCreate { .. } => "/conferences".to_owned(),
            Command::ConferenceJoin(id) | Command::ConferenceLeave(id) => {
                format!("/conferences/{}/actions/{name}", encoded(id.as_str()))
            }
            Command::Answer
            | Command::Reject(_)
            | Command::Hangup
            | Command::StreamingStart(_)
            | Command::StreamingStop
            | Command::SendDtmf(_)
            | Command::Transfer(_)
            | Command::Bridge { .. }
            | Command::PlaybackStart { .. }
            | Command::PlaybackStop
            | Command::Speak { .. }
            | Command::RecordStart { .. }
            | Command::RecordPause
            | Command::RecordResume
            | Command::RecordStop
            | Command::ClientStateUpdate => format!("/calls/{call}/actions/{name}"),
        };
        let is_update = matches!(order.command, Command::ClientStateUpdate);
        let method = if is_update { Method::PUT } else { Method::POST };
        self.make(method, &path, body(order))
    }

    /// The request for a call of ours. Its events carry `client_state`, by which it is known before the
    /// answer has told its name.
    ///
    /// Telnyx ignores repetitions of one command *of one call*, and a call that is dialled is none yet:
    /// do not repeat this after an unknown outcome before [`Self::active_calls`] has been asked.
    pub fn dial(&self, dial: &Dial, id: &CommandId, client_state: &[u8]) -> Request<Bytes> {
        let body = wire::Dial {
            connection_id: dial.connection.as_str(),
            from: dial.from.expose(),
            to: dial.to.expose(),
            timeout_secs: dial.ring.as_secs().clamp(5, 600),
            time_limit_secs: dial.longest.map(|longest| longest.as_secs()),
            answering_machine_detection: dial.detection.name(),
            send_silence_when_idle: true,
            webhook_url: dial.webhook_url.as_deref(),
            from_display_name: dial.display_name.as_ref().map(|name| name.expose().as_str()),
        };
        self.make(Method::POST, "/calls", write(id, Some(client_state), body))
    }

    /// Asks how a call is.
    pub fn look_up(&self, call: &CallControlId) -> Request<Bytes> {
        self.make(Method::GET, &format!("/calls/{}", encoded(call.as_str())), Bytes::new())
    }

    /// Asks for the calls of an application that are alive: the way back after a restart.
    pub fn active_calls(&self, connection: &ConnectionId) -> Request<Bytes> {
        let path = format!("/connections/{}/active_calls", encoded(connection.as_str()));
        self.make(Method::GET, &path, Bytes::new())
    }

    /// Asks for the conferences of this name that are not over.
    pub fn conferences(&self, name: &str) -> Request<Bytes> {
        let path = format!("/conferences?filter%5Bname%5D={}&filter%5Bstatus%5D=in_progress", encoded(name));
        self.make(Method::GET, &path, Bytes::new())
    }

    fn make(&self, method: Method, path: &str, body: Bytes) -> Request<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json");
        let request =
            if body.is_empty() { request } else { request.header(CONTENT_TYPE, "application/json") };
        request.body(body).expect("the address was checked, and paths are percent-encoded")
    }
}

fn body(order: &Order) -> Bytes {
    let (id, state) = (&order.id, order.client_state.as_deref());
    let call = order.call.as_str();
    match &order.command {
        Command::Answer => write(id, state, wire::Answer { send_silence_when_idle: true }),
        Command::Reject(cause) => write(id, state, wire::Reject { cause: cause.name() }),
        Command::StreamingStart(streaming) => write(id, state, streaming_start(streaming)),
        Command::SendDtmf(digits) => write(id, state, wire::Digits { digits: digits.expose() }),
        Command::Transfer(transfer) => write(id, state, self::transfer(transfer)),
        Command::Bridge { with, park_after } => {
            let park_after_unbridge = park_after.then_some("self");
            write(id, state, wire::Bridge { call_control_id: with.as_str(), park_after_unbridge })
        }
        Command::PlaybackStart { audio_url, repeats } => {
            write(id, state, wire::PlaybackStart { audio_url, r#loop: repeats.then_some("infinity") })
        }
        Command::PlaybackStop => write(id, state, wire::PlaybackStop { stop: "all" }),
        Command::Speak { text, voice, language } => {
            write(id, state, wire::Speak { payload: text.expose(), voice, language: language.as_deref() })
        }
        Command::RecordStart { beep } => {
            write(id, state, wire::RecordStart { channels: "dual", format: "wav", play_beep: *beep })
        }
        Command::ConferenceCreate { name } => {
            write(id, state, wire::ConferenceCreate { call_control_id: call, name })
        }
        Command::ConferenceJoin(_) | Command::ConferenceLeave(_) => {
            write(id, state, wire::ConferenceMember { call_control_id: call })
        }
        Command::Hangup
        | Command::StreamingStop
        | Command::RecordPause
        | Command::RecordResume
        | Command::RecordStop => write(id, state, wire::Nothing {}),
        // The one command whose whole point is the state, so an absent one is an empty one.
        Command::ClientStateUpdate => write(id, Some(state.unwrap_or_default()), wire::Nothing {}),
    }
}

fn streaming_start(streaming: &Streaming) -> wire::StreamingStart<'_> {
    let codec = streaming.codec().name();
    let ticket = streaming.ticket().expose();
    wire::StreamingStart {
        stream_url: streaming.url().expose(),
        stream_track: "inbound_track",
        stream_codec: codec,
        // Anything else, and what we send is taken for MP3 or dropped without a word.
        stream_bidirectional_mode: "rtp",
        stream_bidirectional_codec: codec,
        stream_bidirectional_sampling_rate: streaming.codec().format().rate.hz(),
        stream_bidirectional_target_legs: "self",
        stream_auth_token: ticket,
        custom_parameters: [wire::Parameter { name: TICKET_PARAMETER, value: ticket }],
    }
}

fn transfer(transfer: &Transfer) -> wire::Transfer<'_> {
    wire::Transfer {
        to: transfer.to.expose(),
        from: transfer.from.as_ref().map(|from| from.expose().as_str()),
        timeout_secs: transfer.ring.map(|ring| ring.as_secs().clamp(5, 600)),
        target_leg_client_state: transfer.client_state.as_ref().map(|state| STANDARD.encode(state)),
        park_after_unbridge: transfer.park_after.then_some("self"),
    }
}

/// Percent-encoded for a path: everything but the unreserved characters of RFC 3986.
fn encoded(name: &str) -> String {
    let mut path = String::with_capacity(name.len() + 8);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.push(char::from(HEX[usize::from(byte >> 4)]));
            path.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    path
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_in_paths() {
        assert_eq!(encoded("v3:a/b~_.-%"), "v3%3Aa%2Fb~_.-%25");
    }
}
