//! Twilio's REST API as data: each call of it is an [`Ask`], a request and the one reader of its answer.
//!
//! Sources: protocol notes, Twilio §4.3 and §6. Twilio has no idempotency key, so a `POST` that was not
//! answered must be looked for ([`TwilioApi::list_calls`]) before it is made again.

mod call;
mod conference;
mod params;
mod wire;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, Uri};
use voice_core::sensitive::Secret;

use super::sid::{AccountSid, CallSid};
use crate::ask::Ask;
use crate::carrier_error::{CarrierError, Cause};

pub use call::{BadDigits, CallEdit, Callbacks, CreateCall, Detection, Instructions, ListCalls};
pub use conference::{AddParticipant, ParticipantEdit, RecordCall, RecordingEdit};
use params::Params;
pub use wire::{Call, Conference, Participant, Recording};

/// Where Twilio's API is, unless it is said.
pub const API_URL: &str = "https://api.twilio.com";

/// One account at Twilio, as its API knows it.
///
/// ```
/// use voice_core::sensitive::Secret;
/// use voice_telephony::twilio::rest::{Credentials, TwilioApi};
///
/// let account = "AC00112233445566778899aabbccddeeff".parse()?;
/// let api = TwilioApi::new(account, Credentials::AuthToken(Secret::new("5a1c".to_owned())));
/// let call = "CA00112233445566778899aabbccddeeff".parse()?;
/// let ask = api.hang_up(&call);
/// assert_eq!(ask.request().body(), "Status=completed");
/// # Ok::<(), voice_telephony::twilio::SidError>(())
/// ```
#[derive(Clone)]
pub struct TwilioApi {
    account: AccountSid,
    authorization: HeaderValue,
    base: String,
}

/// What an account shows to prove who it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// The account's auth token, which also checks webhooks.
    AuthToken(Secret<String>),
    /// An API key, which can be taken back by itself.
    ApiKey {
        /// Its name, `SK…`.
        key: String,
        /// Its secret.
        secret: Secret<String>,
    },
}

/// An address that is no `https://host` (or `http://host`, for fakes on this machine).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an http(s) address without a path")]
pub struct ApiUrlError;

impl TwilioApi {
    /// The account at [`API_URL`].
    pub fn new(account: AccountSid, credentials: Credentials) -> Self {
        let pair = match &credentials {
            Credentials::AuthToken(token) => format!("{}:{}", account.as_str(), token.expose()),
            Credentials::ApiKey { key, secret } => format!("{key}:{}", secret.expose()),
        };
        let text = format!("Basic {}", STANDARD.encode(pair));
        let mut authorization = HeaderValue::from_str(&text).expect("base64 is fit for a header");
        authorization.set_sensitive(true);
        Self { account, authorization, base: API_URL.to_owned() }
    }

    /// The API elsewhere: another edge or region (`https://api.dublin.ie1.twilio.com`), or a fake.
    ///
    /// # Errors
    /// If it is no such address.
    pub fn with_url(mut self, url: &str) -> Result<Self, ApiUrlError> {
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| ApiUrlError)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || uri.authority().is_none() || uri.path_and_query().is_some_and(|path| path != "/") {
            return Err(ApiUrlError);
        }
        self.base = url.trim_end_matches('/').to_owned();
        Ok(self)
    }

    /// The account.
    pub const fn account(&self) -> &AccountSid {
        &self.account
    }

    /// Places a call. It may ring although the answer is lost: see [`CarrierError::may_have_happened`].
    pub fn create_call(&self, call: &CreateCall) -> Ask<Call> {
        self.post("/Calls.json", &call.params(), wire::created)
    }

    /// Where a call truly is.
    pub fn fetch_call(&self, call: &CallSid) -> Ask<Call> {
        self.get(&format!("/Calls/{call}.json"), wire::call)
    }

    /// Ends a call, wherever it is. That it is gone already is an error ([`Cause::CallGone`]), which to
    /// most who ask for this is success.
    pub fn hang_up(&self, call: &CallSid) -> Ask<Call> {
        self.edit_call(call, &CallEdit::HangUp)
    }

    /// Ends a call or gives it other instructions, at once; the latter ends a stream that is running.
    pub fn edit_call(&self, call: &CallSid, edit: &CallEdit) -> Ask<Call> {
        self.post(&format!("/Calls/{call}.json"), &edit.params(), wire::call)
    }

    /// Calls by number and time, newest first, one page of at most fifty.
    pub fn list_calls(&self, search: &ListCalls) -> Ask<Vec<Call>> {
        self.get(&format!("/Calls.json?{}", search.params().as_str()), wire::calls)
    }

    /// The conferences of this name that are not over.
    pub fn find_conference(&self, name: &str) -> Ask<Vec<Conference>> {
        let mut params = Params::default();
        params.push("FriendlyName", name);
        params.push("Status", "in-progress");
        self.get(&format!("/Conferences.json?{}", params.as_str()), wire::conferences)
    }

    /// Who is in a conference; by its sid, `CF…`.
    pub fn list_participants(&self, conference: &str) -> Ask<Vec<Participant>> {
        self.get(
            &format!("/Conferences/{}/Participants.json", params::segment(conference)),
            wire::participants,
        )
    }

    /// Dials somebody into a conference, by its name (which begins it) or sid. A call is placed, so
    /// the same care is due as with [`Self::create_call`].
    pub fn add_participant(&self, conference: &str, who: &AddParticipant) -> Ask<Participant> {
        let path = format!("/Conferences/{}/Participants.json", params::segment(conference));
        self.post(&path, &who.params(), wire::participant_added)
    }

    /// Holds, mutes, or changes what happens when they leave; by call sid or label.
    pub fn edit_participant(
        &self,
        conference: &str,
        participant: &str,
        edit: &ParticipantEdit,
    ) -> Ask<Participant> {
        self.post(&participant_path(conference, participant), &edit.params(), wire::participant)
    }

    /// Takes somebody out of a conference, which ends their call.
    pub fn remove_participant(&self, conference: &str, participant: &str) -> Ask<()> {
        self.ask(Method::DELETE, &participant_path(conference, participant), Bytes::new(), wire::nothing)
    }

    /// Begins to record a call.
    pub fn start_recording(&self, call: &CallSid, how: &RecordCall) -> Ask<Recording> {
        self.post(&format!("/Calls/{call}/Recordings.json"), &how.params(), wire::recording)
    }

    /// The recordings of a call, those that are over as well.
    pub fn list_recordings(&self, call: &CallSid) -> Ask<Vec<Recording>> {
        self.get(&format!("/Calls/{call}/Recordings.json"), wire::recordings)
    }

    /// Pauses, resumes or stops the recording of a call: one by its sid, or for `None` the only one
    /// that runs (with several Twilio refuses, 16108).
    pub fn edit_recording(
        &self,
        call: &CallSid,
        recording: Option<&str>,
        edit: RecordingEdit,
    ) -> Ask<Recording> {
        let which = recording.map_or("Twilio.CURRENT".to_owned(), params::segment);
        self.post(&format!("/Calls/{call}/Recordings/{which}.json"), &edit.params(), wire::recording)
    }

    fn get<T: 'static>(&self, path: &str, read: Reader<T>) -> Ask<T> {
        self.ask(Method::GET, path, Bytes::new(), read)
    }

    fn post<T: 'static>(&self, path: &str, params: &Params, read: Reader<T>) -> Ask<T> {
        self.ask(Method::POST, path, Bytes::copy_from_slice(params.as_str().as_bytes()), read)
    }

    fn ask<T: 'static>(&self, method: Method, path: &str, body: Bytes, read: Reader<T>) -> Ask<T> {
        let uri = format!("{}/2010-04-01/Accounts/{}{path}", self.base, self.account);
        let is_form = !body.is_empty();
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().expect("a checked address and escaped segments make a uri");
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if is_form {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        Ask::new(request, read)
    }
}

type Reader<T> = fn(&Response<Bytes>) -> Result<T, CarrierError>;

fn participant_path(conference: &str, participant: &str) -> String {
    format!("/Conferences/{}/Participants/{}.json", params::segment(conference), params::segment(participant))
}

/// Prints no key.
impl fmt::Debug for TwilioApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwilioApi").field("account", &self.account).field("base", &self.base).finish()
    }
}

/// What a refusal means: Twilio's own code first, then the status.
fn refusal(answer: &Response<Bytes>) -> CarrierError {
    let (status, headers) = (answer.status().as_u16(), answer.headers());
    let Some(code) = wire::error_code(answer.body()) else {
        return CarrierError::of_status(status, headers, None);
    };
    let text = code.to_string();
    match cause(code) {
        Some(cause) if status < 500 => CarrierError::refused(cause, Some(&text)),
        Some(_) | None => CarrierError::of_status(status, headers, Some(&text)),
    }
}

/// The codes that say more than their status (protocol notes, Twilio §6).
const fn cause(code: u64) -> Option<Cause> {
    Some(match code {
        // Authentication, missing permission, and an account that is suspended or closed.
        20003 | 20008 | 20403 | 20005 | 10001 => Cause::Credentials,
        // Not found, and not in a state in which it could be redirected.
        20404 | 21220 | 21221 => Cause::CallGone,
        // One of the two numbers: bad, not ours, not verified, in a country that is not allowed.
        13223..=13227 | 21201 | 21203 | 21205 | 21210..=21217 | 21219 => Cause::Number,
        // Calls at once on this account; ours is not among them.
        10004 => Cause::Throttled { retry_after: None },
        // A trial that is used up, and no money.
        10002 | 20006 | 21218 => Cause::Balance,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
