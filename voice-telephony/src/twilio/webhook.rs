//! What Twilio asks and tells over HTTP: the voice webhook, call progress, stream status.

use voice_core::failure::Failure;
use voice_core::sensitive::Pii;
use voice_core::time::UnixMillis;

use super::form::Form;
use super::sid::{AccountSid, CallSid, StreamSid};
use super::signature::{self, Tokens};
use crate::outbound::AnsweredBy;
use crate::status::{CallStatus, FailReason, Report};
use crate::webhook::{RawRequest, Rejection, Signed, Verified};

/// One request of Twilio, sorted by what it is about. Read with [`crate::webhook::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TwilioWebhook {
    /// A call wants to know what to do: answer with TwiML.
    Voice(Box<TwilioVoice>),
    /// A call has got further: answer with an empty success.
    Progress(CallProgress),
    /// A media stream began, ended or failed: answer with an empty success.
    Stream(StreamStatus),
    /// It was found out who answered: answer with an empty success.
    Machine(MachineVerdict),
    /// A recording of Twilio's goes on, is ready, or was empty: answer with an empty success.
    Recording(RecordingStatus),
    /// Something else about a call (a kind that is new). Signed, so it is
    /// answered with an empty success and counted.
    Other(CallSid),
}

#[allow(
    clippy::result_large_err,
    reason = "the other half is the request itself, given back, once per webhook"
)]
impl Verified<TwilioWebhook> {
    /// The call that wants to know what to do, still marked as verified; or else the whole again.
    pub fn into_voice(self) -> Result<Verified<TwilioVoice>, Self> {
        self.part(|webhook| match webhook {
            TwilioWebhook::Voice(voice) => Ok(*voice),
            TwilioWebhook::Progress(_)
            | TwilioWebhook::Stream(_)
            | TwilioWebhook::Machine(_)
            | TwilioWebhook::Recording(_)
            | TwilioWebhook::Other(_) => Err(webhook),
        })
    }
}

/// A call that wants to know what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwilioVoice {
    /// Twilio's name for the call.
    pub call_sid: CallSid,
    /// The account that was called. A sub-account signs with a token of its own.
    pub account_sid: AccountSid,
    /// Who calls: a number, `client:…`, `sip:…` or a word such as `anonymous`.
    pub from: Pii<String>,
    /// Who was called.
    pub to: Pii<String>,
    /// Where the call is; `ringing` on an inbound call that nobody answered yet.
    pub status: TwilioStatus,
    /// Which way it goes.
    pub direction: Direction,
    /// The number that forwarded the call here.
    pub forwarded_from: Option<Pii<String>>,
    /// The network's word on whether the caller's number is true, as it came; match by prefix.
    pub stir_verstat: Option<String>,
    /// The same on a retry of the same request.
    pub idempotency_token: Option<String>,
    /// What was typed, where the document that led here asked for keys.
    pub digits: Option<Pii<String>>,
}

/// A call has got further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallProgress {
    /// Twilio's name for the call.
    pub call_sid: CallSid,
    /// The account.
    pub account_sid: AccountSid,
    /// Where the call is now.
    pub status: TwilioStatus,
    /// Rises by one per call from 0. Requests arrive in any order.
    pub sequence: Option<u64>,
    /// Seconds that the call lasted, on the last report.
    pub duration_secs: Option<u64>,
    /// Why it could not be connected, as a SIP status.
    pub sip_code: Option<u16>,
}

impl CallProgress {
    /// What [`crate::status::StatusTracker`] wants to hear; `None` for a status that we do not know.
    pub fn report(&self) -> Option<Report> {
        let (status, reason) = self.status.as_call_status()?;
        Some(Report { status, reason, sequence: self.sequence })
    }
}

/// A media stream began, ended or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    /// The call it belongs to.
    pub call_sid: CallSid,
    /// The stream.
    pub stream_sid: StreamSid,
    /// What happened.
    pub event: StreamEvent,
    /// Twilio's text on what went wrong. Foreign text: shorten it before it is logged.
    pub error: Option<String>,
}

/// What happened to a media stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The socket is up.
    Started,
    /// It is over.
    Stopped,
    /// It could not be opened, or broke.
    Error,
    /// A kind that is new.
    Unknown,
}

/// It was found out who answered a call of ours (protocol notes, Twilio §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineVerdict {
    /// The call.
    pub call_sid: CallSid,
    /// Who it was.
    pub answered_by: AnsweredBy,
}

/// How a recording of Twilio's stands (protocol notes, Twilio §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingStatus {
    /// The call.
    pub call_sid: CallSid,
    /// The recording, `RE…`.
    pub recording: String,
    /// How it stands.
    pub state: RecordingState,
    /// How long it is, in whole seconds.
    pub length_secs: Option<u64>,
    /// Where it can be fetched with the account's key; `.wav` or `.mp3` is to be added.
    pub url: Option<Pii<String>>,
}

/// How a recording of Twilio's stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordingState {
    /// It goes on.
    InProgress,
    /// It is over and can be fetched.
    Completed,
    /// There is nothing: it was empty, or failed.
    Absent,
    /// A word that is new.
    Unknown,
}

impl RecordingState {
    fn read(text: &str) -> Self {
        match text {
            "in-progress" | "paused" => Self::InProgress,
            "completed" => Self::Completed,
            "absent" | "failed" => Self::Absent,
            _ => Self::Unknown,
        }
    }
}

impl AnsweredBy {
    fn read(text: &str) -> Self {
        match text {
            "human" => Self::Human,
            "machine_start" => Self::Machine,
            "machine_end_beep" | "machine_end_silence" | "machine_end_other" => Self::MachineWaits,
            "fax" => Self::Fax,
            _ => Self::Unknown,
        }
    }
}

/// Where a call is, in Twilio's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TwilioStatus {
    /// Waits to be dialled.
    Queued,
    /// Is being dialled.
    Initiated,
    /// Rings.
    Ringing,
    /// Was answered.
    InProgress,
    /// Was answered, and is over.
    Completed,
    /// The other side was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// Was hung up before it was answered.
    Canceled,
    /// Could not be connected.
    Failed,
    /// A status that is new.
    Unknown,
}

impl TwilioStatus {
    /// The same in our words, with the reason if it is a failure.
    pub const fn as_call_status(self) -> Option<(CallStatus, Option<FailReason>)> {
        Some(match self {
            Self::Queued | Self::Initiated => (CallStatus::Initiated, None),
            Self::Ringing => (CallStatus::Ringing, None),
            Self::InProgress => (CallStatus::Answered, None),
            Self::Completed => (CallStatus::Completed, None),
            Self::Busy => (CallStatus::Failed, Some(FailReason::Busy)),
            Self::NoAnswer => (CallStatus::Failed, Some(FailReason::NoAnswer)),
            Self::Canceled => (CallStatus::Failed, Some(FailReason::Canceled)),
            Self::Failed => (CallStatus::Failed, Some(FailReason::Carrier)),
            Self::Unknown => return None,
        })
    }

    pub(super) fn read(text: &str) -> Self {
        match text {
            "queued" => Self::Queued,
            "initiated" => Self::Initiated,
            "ringing" => Self::Ringing,
            "in-progress" => Self::InProgress,
            "completed" => Self::Completed,
            "busy" => Self::Busy,
            "no-answer" => Self::NoAnswer,
            "canceled" => Self::Canceled,
            "failed" => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// Whether the call is over.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Busy | Self::NoAnswer | Self::Canceled | Self::Failed)
    }
}

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// Somebody called us.
    Inbound,
    /// We called, over REST or from TwiML.
    Outbound,
    /// A word that is new.
    Unknown,
}

impl Direction {
    fn read(text: &str) -> Self {
        match text {
            "inbound" | "trunking-terminating" => Self::Inbound,
            "outbound-api" | "outbound-dial" | "trunking-originating" => Self::Outbound,
            _ => Self::Unknown,
        }
    }
}

impl Signed for TwilioWebhook {
    type Keys = Tokens;

    /// Twilio signs no time, so `now` is not looked at.
    fn check(tokens: &Tokens, request: &RawRequest<'_>, _now: UnixMillis) -> Result<(), Rejection> {
        match request.method {
            "POST" | "GET" => signature::check(tokens, request),
            _ => Err(Rejection::Method),
        }
    }

    fn parse(request: &RawRequest<'_>) -> Result<Self, Rejection> {
        let parameters = if request.method == "GET" {
            request.url.split_once('?').map_or("", |(_, query)| query).as_bytes()
        } else if signature::is_form(request) {
            request.body
        } else {
            return Err(Rejection::ContentType);
        };
        let form = Form::decode(parameters).map_err(|_| malformed("too many parameters"))?;
        let call_sid = form.text("CallSid").ok_or(malformed("CallSid is missing"))?;
        let call_sid: CallSid = call_sid.parse().map_err(|_| malformed("CallSid"))?;
        if let (Some(by), Some(_)) = (form.filled("AnsweredBy"), form.filled("MachineDetectionDuration")) {
            return Ok(Self::Machine(MachineVerdict { call_sid, answered_by: AnsweredBy::read(by) }));
        }
        if form.filled("StreamEvent").is_some() {
            return stream_status(&form, call_sid).map(Self::Stream);
        }
        if let (Some(state), Some(recording)) = (form.filled("RecordingStatus"), form.filled("RecordingSid"))
        {
            return Ok(Self::Recording(recording_status(&form, call_sid, (state, recording))));
        }
        let Some(status) = form.filled("CallStatus").map(TwilioStatus::read) else {
            return Ok(Self::Other(call_sid));
        };
        if OTHER_KINDS.iter().any(|name| form.filled(name).is_some()) {
            return Ok(Self::Other(call_sid));
        }
        if is_progress(&form, status) {
            return call_progress(&form, call_sid, status).map(Self::Progress);
        }
        voice(&form, call_sid, status, request).map(|voice| Self::Voice(Box::new(voice)))
    }
}

/// Present only in callbacks of another kind, whatever else they repeat about the call.
const OTHER_KINDS: [&str; 3] = ["RecordingStatus", "MachineDetectionDuration", "ConferenceSid"];

/// Progress reports name their source; a call that is over cannot want TwiML whatever it names.
fn is_progress(form: &Form<'_>, status: TwilioStatus) -> bool {
    form.text("CallbackSource") == Some("call-progress-events")
        || form.filled("SequenceNumber").is_some()
        // Nobody has anything to do for a call that is over, whatever else is missing from the last word.
        || status.is_final()
}

fn voice(
    form: &Form<'_>,
    call_sid: CallSid,
    status: TwilioStatus,
    request: &RawRequest<'_>,
) -> Result<TwilioVoice, Rejection> {
    let private = |name| form.filled(name).map(Pii::from);
    Ok(TwilioVoice {
        call_sid,
        account_sid: account_sid(form)?,
        from: private("From").ok_or(malformed("From is missing"))?,
        to: private("To").ok_or(malformed("To is missing"))?,
        status,
        direction: form.text("Direction").map_or(Direction::Unknown, Direction::read),
        forwarded_from: private("ForwardedFrom"),
        stir_verstat: form.filled("StirVerstat").map(str::to_owned),
        idempotency_token: request.header("I-Twilio-Idempotency-Token").map(str::to_owned),
        digits: private("Digits"),
    })
}

fn call_progress(
    form: &Form<'_>,
    call_sid: CallSid,
    status: TwilioStatus,
) -> Result<CallProgress, Rejection> {
    let number = |name| form.filled(name).and_then(|text| text.parse().ok());
    Ok(CallProgress {
        call_sid,
        account_sid: account_sid(form)?,
        status,
        sequence: number("SequenceNumber"),
        duration_secs: number("CallDuration"),
        sip_code: form.filled("SipResponseCode").and_then(|text| text.parse().ok()),
    })
}

fn stream_status(form: &Form<'_>, call_sid: CallSid) -> Result<StreamStatus, Rejection> {
    let stream_sid = form.text("StreamSid").ok_or(malformed("StreamSid is missing"))?;
    Ok(StreamStatus {
        call_sid,
        stream_sid: stream_sid.parse().map_err(|_| malformed("StreamSid"))?,
        event: match form.text("StreamEvent") {
            Some("stream-started") => StreamEvent::Started,
            Some("stream-stopped") => StreamEvent::Stopped,
            Some("stream-error") => StreamEvent::Error,
            Some(_) | None => StreamEvent::Unknown,
        },
        error: form.filled("StreamError").map(str::to_owned),
    })
}

fn recording_status(form: &Form<'_>, call_sid: CallSid, (state, recording): (&str, &str)) -> RecordingStatus {
    RecordingStatus {
        call_sid,
        // A name of letters and digits; whatever else it is goes into no record.
        recording: Failure::clean_code(recording),
        state: RecordingState::read(state),
        length_secs: form.filled("RecordingDuration").and_then(|text| text.parse().ok()),
        url: form.filled("RecordingUrl").map(Pii::from),
    }
}

fn account_sid(form: &Form<'_>) -> Result<AccountSid, Rejection> {
    let text = form.text("AccountSid").ok_or(malformed("AccountSid is missing"))?;
    text.parse().map_err(|_| malformed("AccountSid"))
}

const fn malformed(what: &'static str) -> Rejection {
    Rejection::Malformed { what }
}
