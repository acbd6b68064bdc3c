//! Twilio Programmable Voice: calls over Media Streams, in both directions.
//!
//! * [`TwilioWebhook`]: what Twilio asks and tells over HTTP, through [`crate::webhook::verify`];
//! * [`Twiml`]: what it is answered;
//! * [`rest`]: what it can be asked: calls, conferences, recordings;
//! * [`outbound`]: calls placed by us;
//! * [`verify_upgrade`], [`Opening`], [`TwilioSession`]: the media socket, from its first request to
//!   its last message.
//!
//! ```
//! use voice_core::sensitive::Secret;
//! use voice_core::time::{MonoTime, UnixMillis};
//! use voice_telephony::ticket::Tickets;
//! use voice_telephony::twilio::{ConnectStream, StreamUrl, Tokens, TwilioWebhook, Twiml};
//! use voice_telephony::webhook::{RawRequest, Rejection, verify};
//!
//! /// The document for a call that wants one; nothing for whatever else Twilio tells.
//! fn answer(
//!     (now, unix, random): (MonoTime, UnixMillis, [u8; 32]),
//!     tokens: &Tokens,
//!     tickets: &mut Tickets<&'static str>,
//!     stream: StreamUrl,
//!     request: &RawRequest<'_>,
//! ) -> Result<Option<Twiml>, Rejection> {
//!     let webhook = verify::<TwilioWebhook>(tokens, request, unix)?;
//!     let Ok(call) = webhook.into_voice() else { return Ok(None) };
//!     let ticket = tickets.issue(now, random, call.call_sid.as_str(), "the book shop");
//!     Ok(Some(Twiml::connect(&ConnectStream::new(stream, &ticket))))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let tokens = Tokens::new(Secret::new("5a1c".to_owned()));
//! # let stream = StreamUrl::new("wss://voice.example/media/twilio")?;
//! let unsigned = RawRequest { method: "POST", url: "https://voice.example/hook", headers: &[], body: b"" };
//! let time = (MonoTime::ZERO, UnixMillis(0), [7; 32]);
//! let refused = answer(time, &tokens, &mut Tickets::default(), stream, &unsigned);
//! assert_eq!(refused.map_err(|rejection| rejection.status()), Err(403));
//! # Ok(())
//! # }
//! ```

mod form;
mod lifeline;
mod opening;
pub mod outbound;
pub mod recording;
pub mod rest;
mod session;
mod sid;
mod signature;
pub mod transfer;
mod twiml;
mod webhook;
mod wire;

pub use lifeline::{Again, Lifeline};
pub use opening::{Opened, Opening, Start};
pub use session::TwilioSession;
pub use sid::{AccountSid, CallSid, SidError, StreamSid};
pub use signature::{Tokens, verify_upgrade};
pub use twiml::{ConnectStream, RejectReason, StreamUrl, TICKET_PARAMETER, Twiml, TwimlError, Verb};
pub use webhook::{
    CallProgress, Direction, MachineVerdict, RecordingState, RecordingStatus, StreamEvent, StreamStatus,
    TwilioStatus, TwilioVoice, TwilioWebhook,
};

/// The name under which calls of this carrier are recorded.
pub const CARRIER: &str = "twilio";
