//! What Telnyx tells over HTTP: Call Control events, typed (protocol notes, Telnyx §1).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use voice_core::carrier::Digit;
use voice_core::failure::Failure;
use voice_core::sensitive::{Pii, Secret};
use voice_core::time::UnixMillis;

use super::event::{
    Answerer, CallState, Direction, Event, GreetingEnd, Hangup, HangupCause, HangupSource, Initiated,
    Outcome, RecordingLinks, StreamNotice,
};
use super::id::{CallControlId, CallLegId, CallSessionId, ConnectionId, EventId};
use super::media::Codec;
use super::signature::{self, PublicKeys};
use super::time::unix_micros;
use super::wire::webhook::{
    AnsweredBody, DigitBody, Envelope, HangupBody, InitiatedBody, LegBody, RecordingBody, StreamingBody,
    Word, WordBody,
};
use crate::status::Report;
use crate::webhook::{RawRequest, Rejection, Signed};

/// One event of Telnyx. Read with [`crate::webhook::verify`]; answer with an empty success, at once:
/// everything is done by commands.
///
/// Events come in any order, late, and more than once: [`Self::id`] tells duplicates apart,
/// [`Self::occurred_at`] tells what happened first. [`crate::status::StatusTracker::report_event`] uses
/// both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelnyxWebhook {
    /// The same on every delivery of this event.
    pub id: EventId,
    /// When it happened, in microseconds of Unix time; nothing if it cannot be read.
    pub occurred_at_micros: Option<u64>,
    /// Which delivery this is, counted from 1.
    pub attempt: Option<u32>,
    /// Which call it is about.
    pub leg: Leg,
    /// What happened.
    pub event: Event,
}

/// Which call an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    /// The handle for commands. Events about recordings have none; the others do.
    pub call_control_id: Option<CallControlId>,
    /// This leg.
    pub call_leg_id: Option<CallLegId>,
    /// What the legs of one conversation share.
    pub call_session_id: Option<CallSessionId>,
    /// The application that it belongs to.
    pub connection_id: Option<ConnectionId>,
    /// What a command of ours left with the call, decoded.
    pub client_state: Option<Vec<u8>>,
    /// Who calls: a number or a SIP address.
    pub from: Option<Pii<String>>,
    /// Who is called.
    pub to: Option<Pii<String>>,
}

impl TelnyxWebhook {
    /// When it happened.
    pub fn occurred_at(&self) -> Option<UnixMillis> {
        self.occurred_at_micros.map(|micros| UnixMillis(i64::try_from(micros / 1_000).unwrap_or(i64::MAX)))
    }

    /// What [`crate::status::StatusTracker`] wants to hear; `None` for an event that moves no call.
    pub fn report(&self) -> Option<Report> {
        let (status, reason) = self.event.status()?;
        // Without a time it counts as the oldest: the tracker then believes it only where it must.
        Some(Report { status, reason, sequence: Some(self.occurred_at_micros.unwrap_or_default()) })
    }
}

impl Signed for TelnyxWebhook {
    type Keys = PublicKeys;

    /// A GET would carry the event in its query, which nobody signs, so only POST is taken.
    fn check(keys: &PublicKeys, request: &RawRequest<'_>, now: UnixMillis) -> Result<(), Rejection> {
        if request.method != "POST" {
            return Err(Rejection::Method);
        }
        signature::check(keys, request, now)
    }

    fn parse(request: &RawRequest<'_>) -> Result<Self, Rejection> {
        let is_json = request.content_type().is_none_or(|kind| kind.eq_ignore_ascii_case("application/json"));
        if !is_json {
            return Err(Rejection::ContentType);
        }
        let envelope: Envelope<'_> =
            serde_json::from_slice(request.body).map_err(|_| malformed("not an event"))?;
        let leg = leg(read(envelope.data.payload)?);
        let event = event(&envelope.data.event_type, envelope.data.payload)?;
        if event.needs_handle() && leg.call_control_id.is_none() {
            return Err(malformed("call_control_id is missing"));
        }
        Ok(Self {
            id: envelope.data.id.parse().map_err(|_| malformed("id"))?,
            occurred_at_micros: envelope.data.occurred_at.as_deref().and_then(unix_micros),
            attempt: envelope.meta.and_then(|meta| meta.attempt),
            leg,
            event,
        })
    }
}

fn leg(body: LegBody) -> Leg {
    Leg {
        call_control_id: name(body.call_control_id),
        call_leg_id: name(body.call_leg_id),
        call_session_id: name(body.call_session_id),
        connection_id: name(body.connection_id),
        client_state: body.client_state.0.and_then(|state| STANDARD.decode(state).ok()),
        from: body.from.0.map(Pii::from),
        to: body.to.0.map(Pii::from),
    }
}

fn name<T: std::str::FromStr>(word: Word) -> Option<T> {
    word.0.and_then(|text| text.parse().ok())
}

fn read<T: DeserializeOwned>(payload: &RawValue) -> Result<T, Rejection> {
    serde_json::from_str(payload.get()).map_err(|_| malformed("payload"))
}

/// The kinds that we act upon or want to see. Not all that exist: the rest is [`Event::Other`].
fn event(kind: &str, payload: &RawValue) -> Result<Event, Rejection> {
    let words = || read::<WordBody>(payload);
    Ok(match kind {
        "call.initiated" => Event::Initiated(initiated(read(payload)?)),
        "call.answered" => {
            let body: AnsweredBody = read(payload)?;
            Event::Answered { codec: body.codec.0.as_deref().and_then(Codec::read) }
        }
        "call.hangup" => Event::Hangup(hangup(read(payload)?)),
        "call.bridged" => Event::Bridged,
        "call.hold" => Event::Held,
        "call.unhold" => Event::Unheld,
        "call.dtmf.received" => {
            let body: DigitBody = read(payload)?;
            let digit = body.digit.0.as_deref().and_then(only_char).and_then(Digit::new);
            Event::Digit(digit.ok_or(malformed("digit"))?)
        }
        "call.gather.ended" => {
            let words = words()?;
            Event::GatherEnded {
                digits: Pii::from(words.digits.0.unwrap_or_default()),
                outcome: Outcome::read(words.status.0),
            }
        }
        "call.speak.started" => Event::SpeakStarted,
        "call.speak.ended" => Event::SpeakEnded(Outcome::read(words()?.status.0)),
        "call.playback.started" => Event::PlaybackStarted,
        "call.playback.ended" => Event::PlaybackEnded(Outcome::read(words()?.status.0)),
        "call.recording.saved" => Event::RecordingSaved(recording(read(payload)?)),
        "call.recording.error" => Event::RecordingFailed { reason: words()?.reason.0 },
        "call.machine.detection.ended" | "call.machine.premium.detection.ended" => {
            Event::MachineDetected(Answerer::read(words()?.result.0.as_deref()))
        }
        "call.machine.greeting.ended" | "call.machine.premium.greeting.ended" => {
            Event::GreetingEnded(GreetingEnd::read(words()?.result.0.as_deref()))
        }
        "streaming.started" => Event::StreamingStarted(notice(read(payload)?)),
        "streaming.stopped" => Event::StreamingStopped(notice(read(payload)?)),
        "streaming.failed" => Event::StreamingFailed(notice(read(payload)?)),
        "call.refer.started" | "call.refer.completed" | "call.refer.failed" => {
            let sip_code = words()?.sip_notify_response.0.and_then(|code| code.parse().ok());
            Event::Refer { is_over: kind != "call.refer.started", sip_code }
        }
        "conference.created" => Event::ConferenceCreated(name(words()?.conference_id)),
        "conference.ended" => Event::ConferenceEnded(name(words()?.conference_id)),
        "conference.participant.joined" => Event::ConferenceJoined(name(words()?.conference_id)),
        "conference.participant.left" => Event::ConferenceLeft(name(words()?.conference_id)),
        other => Event::Other(other.to_owned()),
    })
}

fn initiated(body: InitiatedBody) -> Initiated {
    Initiated {
        direction: match body.direction.0.as_deref() {
            Some("incoming") => Direction::Incoming,
            Some("outgoing") => Direction::Outgoing,
            Some(_) | None => Direction::Unknown,
        },
        state: match body.state.0.as_deref() {
            Some("parked") => CallState::Parked,
            Some("bridging") => CallState::Bridging,
            Some(_) | None => CallState::Unknown,
        },
        caller_name: body.caller_id_name.0.map(Pii::from),
        attestation: body.shaken_stir_attestation.0,
    }
}

fn hangup(body: HangupBody) -> Hangup {
    Hangup {
        cause: HangupCause::read(body.hangup_cause.0),
        source: match body.hangup_source.0.as_deref() {
            Some("caller") => HangupSource::Caller,
            Some("callee") => HangupSource::Callee,
            Some(_) | None => HangupSource::Unknown,
        },
        sip_code: body.sip_hangup_cause.0.and_then(|code| code.parse().ok()),
    }
}

fn notice(body: StreamingBody) -> StreamNotice {
    let nested = body.stream_params.and_then(|params| params.stream_url.0);
    StreamNotice {
        url: body.stream_url.0.or(nested).map(Secret::new),
        stream_id: name(body.stream_id),
        reason: body.failure_reason.0,
    }
}

fn recording(body: RecordingBody) -> RecordingLinks {
    let urls = body.recording_urls;
    let url = urls.and_then(|urls| urls.wav.0.or(urls.mp3.0));
    let at = |word: Word| word.0.as_deref().and_then(unix_micros);
    let (began, ended) = (at(body.recording_started_at), at(body.recording_ended_at));
    let length = began.zip(ended).and_then(|(began, ended)| ended.checked_sub(began));
    RecordingLinks {
        url: url.map(Secret::new),
        is_dual: body.channels.0.as_deref() == Some("dual"),
        recording: body.recording_id.0.as_deref().map(Failure::clean_code),
        length: length.map(Duration::from_micros),
    }
}

fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

const fn malformed(what: &'static str) -> Rejection {
    Rejection::Malformed { what }
}
