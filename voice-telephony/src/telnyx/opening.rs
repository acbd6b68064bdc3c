//! The first messages of a media socket: `connected`, then `start`, or no call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use voice_core::audio::AudioFormat;
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use super::command::TICKET_PARAMETER;
use super::id::{CallControlId, CallSessionId, StreamId};
use super::media::{ByteOrder, Codec};
use super::session::TelnyxSession;
use super::wire::{FromTelnyx, MediaFormat, StartBody};
use crate::limits::{OPENING_MESSAGES_MAX, START_WAIT_MAX};
use crate::opening::{Refusal, Step};

/// The ticket that the upgrade of a media socket shows, if any: as a bearer token, or in the query of
/// its path (`target`, as it stands in the request line).
///
/// The upgrade is not signed (protocol notes, Telnyx §2): the ticket is all that proves anything.
pub fn upgrade_ticket(target: &str, headers: &[(&str, &str)]) -> Option<Secret<String>> {
    let authorization = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let bearer = authorization.and_then(|(_, value)| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    // A ticket needs no percent-encoding, so what is encoded is none.
    let in_query = || {
        let (_, query) = target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(TICKET_PARAMETER)?.strip_prefix('='))
    };
    in_query().or(bearer).filter(|token| !token.is_empty()).map(|token| Secret::new(token.to_owned()))
}

/// What we asked the stream to be; see [`super::Streaming`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What we send.
    pub codec: Codec,
    /// Which byte of an L16 sample comes first.
    pub byte_order: ByteOrder,
}

impl Expected {
    /// This codec; the order of bytes is found out by listening.
    pub const fn new(codec: Codec) -> Self {
        Self { codec, byte_order: ByteOrder::Detect }
    }
}

/// A media socket of which nobody knows yet which call it is.
///
/// Feed it what arrives until it is [`Step::Opened`] or [`Step::Refused`]; at [`Self::deadline`] close
/// the socket with [`Refusal::NoStart`].
#[derive(Clone, Debug)]
pub struct Opening {
    deadline: MonoTime,
    messages: u32,
    expected: Expected,
    ticket: Option<Secret<String>>,
}

/// A stream that has said which call it is.
#[derive(Debug)]
pub struct Opened {
    /// What it said. Nothing of it is proven before the ticket is redeemed.
    pub start: Start,
    /// The translator for the rest of the stream.
    pub session: TelnyxSession,
}

/// What a stream says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// This stream; a call that is streamed again gets a new one.
    pub stream_id: StreamId,
    /// The call.
    pub call_control_id: CallControlId,
    /// What the legs of one conversation share.
    pub call_session_id: Option<CallSessionId>,
    /// What a command of ours left with the call, decoded.
    pub client_state: Option<Vec<u8>>,
    /// The ticket's text, for [`crate::ticket::Tickets::redeem`], wherever it was shown.
    pub ticket: Option<Secret<String>>,
    /// What the caller's audio arrives in. The session turns it into what we send, where they differ.
    pub received: Codec,
}

impl Opening {
    /// The upgrade has just been answered; `ticket` is what it showed ([`upgrade_ticket`]).
    pub fn new(opened_at: MonoTime, expected: Expected, ticket: Option<Secret<String>>) -> Self {
        Self { deadline: opened_at + START_WAIT_MAX, messages: 0, expected, ticket }
    }

    /// When to give up waiting.
    pub const fn deadline(&self) -> MonoTime {
        self.deadline
    }

    /// Takes the next message.
    pub fn read(mut self, now: MonoTime, message: &WireMessage) -> Step<Self, Opened> {
        self.messages += 1;
        if now >= self.deadline {
            return Step::Refused(Refusal::NoStart);
        }
        let WireMessage::Text(text) = message else { return Step::Refused(Refusal::Binary) };
        let Some(message) = FromTelnyx::read(text.as_bytes()) else {
            return Step::Refused(Refusal::Unreadable);
        };
        match message.event.as_str() {
            "start" => match self.open(now, message) {
                Ok(opened) => Step::Opened(Box::new(opened)),
                Err(refusal) => Step::Refused(refusal),
            },
            "media" | "mark" | "dtmf" | "stop" | "error" => Step::Refused(Refusal::OutOfPlace),
            // `connected`, and whatever else may be sent before `start` one day.
            _ if self.messages < OPENING_MESSAGES_MAX => Step::Wait(self),
            _ => Step::Refused(Refusal::Flood),
        }
    }

    fn open(self, now: MonoTime, message: FromTelnyx<'_>) -> Result<Opened, Refusal> {
        let body = message.start.ok_or(Refusal::Unreadable)?;
        let stream_id = message.stream_id.ok_or(Refusal::Unreadable)?;
        let stream_id: StreamId = stream_id.as_str().parse().map_err(|_| Refusal::Unreadable)?;
        let (received, format) = body.media_format.as_ref().and_then(codec).ok_or(Refusal::WrongFormat)?;
        let session = TelnyxSession::new(now, stream_id.clone(), (received, format), self.expected);
        Ok(Opened { start: start(stream_id, received, body, self.ticket)?, session })
    }
}

fn start(
    stream_id: StreamId,
    received: Codec,
    mut body: StartBody<'_>,
    ticket: Option<Secret<String>>,
) -> Result<Start, Refusal> {
    let parameter = body.custom_parameters.0.remove(TICKET_PARAMETER).map(Secret::new);
    Ok(Start {
        stream_id,
        call_control_id: body.call_control_id.as_str().parse().map_err(|_| Refusal::Unreadable)?,
        call_session_id: body.call_session_id.and_then(|id| id.as_str().parse().ok()),
        client_state: body.client_state.and_then(|state| STANDARD.decode(state.as_str()).ok()),
        ticket: ticket.or(parameter),
        received,
    })
}

/// What the leg negotiated, if we speak it. L16 comes at the rate of the leg.
fn codec(format: &MediaFormat<'_>) -> Option<(Codec, AudioFormat)> {
    let codec = Codec::read(format.encoding.as_str())?;
    let is_mono = matches!(format.channels.0, None | Some(1));
    let audio = match (codec, format.sample_rate.0) {
        (Codec::Pcmu | Codec::Pcma, None | Some(8_000)) => codec.format(),
        (Codec::L16, None | Some(16_000)) => AudioFormat::PCM16_16K,
        (Codec::L16, Some(8_000)) => AudioFormat::PCM16_8K,
        (Codec::L16, Some(24_000)) => AudioFormat::PCM16_24K,
        (Codec::Pcmu | Codec::Pcma | Codec::L16, Some(_)) => return None,
    };
    is_mono.then_some((codec, audio))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_in_the_query_or_a_bearer_token() {
        let shown = |target, headers: &[(&str, &str)]| {
            upgrade_ticket(target, headers).map(|ticket| ticket.expose().clone())
        };
        let bearer = [("Host", "a"), ("authorization", "bearer abc")];
        assert_eq!(shown("/media?ticket=xyz", &[]).as_deref(), Some("xyz"));
        assert_eq!(shown("/media?a=1&ticket=xyz&b", &bearer).as_deref(), Some("xyz"));
        assert_eq!(shown("/media", &bearer).as_deref(), Some("abc"));
        for (target, header) in
            [("/media", "Basic abc"), ("/media?tickets=a", "Bearer"), ("/media?ticket=", "Bearer "), ("", "")]
        {
            assert_eq!(shown(target, &[("Authorization", header)]), None, "{target} {header}");
        }
    }
}
