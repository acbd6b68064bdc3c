//! The first messages of a media socket: `connected`, then `start`, or no call.

use std::collections::BTreeMap;

use voice_core::audio::AudioFormat;
use voice_core::sensitive::{Pii, Secret};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use super::session::TwilioSession;
use super::sid::{AccountSid, CallSid, StreamSid};
use super::twiml::TICKET_PARAMETER;
use super::wire::{FromTwilio, MediaFormat, StartBody};
use crate::limits::{OPENING_MESSAGES_MAX, START_WAIT_MAX};
use crate::opening::{Refusal, Step};

/// A media socket of which nobody knows yet which call it is.
///
/// Feed it what arrives until it is [`Step::Opened`] or [`Step::Refused`]; at [`Self::deadline`] close
/// the socket with [`Refusal::NoStart`].
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    deadline: MonoTime,
    messages: u32,
}

/// A stream that has said which call it is.
#[derive(Debug)]
pub struct Opened {
    /// What it said. Nothing of it is proven before the ticket is redeemed.
    pub start: Start,
    /// The translator for the rest of the stream.
    pub session: TwilioSession,
}

/// What a stream says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// This stream; a re-attached call gets a new one.
    pub stream_sid: StreamSid,
    /// The call.
    pub call_sid: CallSid,
    /// The account.
    pub account_sid: AccountSid,
    /// The ticket's text, for [`crate::ticket::Tickets::redeem`].
    pub ticket: Option<Secret<String>>,
    /// The other parameters that our TwiML named.
    pub parameters: Pii<BTreeMap<String, String>>,
    /// Format of the audio, both ways.
    pub format: AudioFormat,
}

impl Opening {
    /// The upgrade has just been answered.
    pub fn new(opened_at: MonoTime) -> Self {
        Self { deadline: opened_at + START_WAIT_MAX, messages: 0 }
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
        let Some(message) = FromTwilio::read(text.as_bytes()) else {
            return Step::Refused(Refusal::Unreadable);
        };
        match message.event.as_str() {
            "start" => match open(now, message) {
                Ok(opened) => Step::Opened(Box::new(opened)),
                Err(refusal) => Step::Refused(refusal),
            },
            "media" | "mark" | "dtmf" | "stop" => Step::Refused(Refusal::OutOfPlace),
            // `connected`, and whatever else may be sent before `start` one day.
            _ if self.messages < OPENING_MESSAGES_MAX => Step::Wait(self),
            _ => Step::Refused(Refusal::Flood),
        }
    }
}

fn open(now: MonoTime, message: FromTwilio<'_>) -> Result<Opened, Refusal> {
    let body = message.start.ok_or(Refusal::Unreadable)?;
    let outer = message.stream_sid.as_ref().map(|sid| sid.as_str());
    if outer.is_some_and(|outer| outer != body.stream_sid.as_str()) {
        return Err(Refusal::Unreadable);
    }
    let start = read_start(body)?;
    let session = TwilioSession::new(now, start.stream_sid.clone(), start.format);
    Ok(Opened { start, session })
}

fn read_start(body: StartBody<'_>) -> Result<Start, Refusal> {
    let format = body.media_format.as_ref().and_then(audio_format).ok_or(Refusal::WrongFormat)?;
    let mut parameters = body.custom_parameters;
    let ticket = parameters.remove(TICKET_PARAMETER).map(Secret::new);
    Ok(Start {
        stream_sid: body.stream_sid.as_str().parse().map_err(|_| Refusal::Unreadable)?,
        call_sid: body.call_sid.as_str().parse().map_err(|_| Refusal::Unreadable)?,
        account_sid: body.account_sid.as_str().parse().map_err(|_| Refusal::Unreadable)?,
        ticket,
        parameters: Pii::new(parameters),
        format,
    })
}

/// The one format that is documented for both directions.
fn audio_format(format: &MediaFormat<'_>) -> Option<AudioFormat> {
    let is_mulaw = format.encoding.as_str() == "audio/x-mulaw";
    let is_telephone = format.sample_rate.0 == Some(8_000) && matches!(format.channels.0, None | Some(1));
    (is_mulaw && is_telephone).then_some(AudioFormat::MULAW_8K)
}
