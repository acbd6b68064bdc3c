//! Telnyx Call Control: calls in and out, over media sockets in RTP mode.
//!
//! * [`TelnyxWebhook`]: what Telnyx tells over HTTP, through [`crate::webhook::verify`];
//! * [`Command`], [`Api`], [`read_answer`]: what is asked of a call, as data and as requests;
//! * [`CallControl`]: which command is next;
//! * [`outbound`]: calls of ours, as the port that any carrier has for them;
//! * [`upgrade_ticket`], [`Opening`], [`TelnyxSession`]: the media socket, from its first request to its
//!   last message.
//!
//! Nothing here sends anything. The media socket is not signed: its ticket is all that it proves itself
//! with, so redeem it before anything else is done.
//!
//! ```
//! use voice_core::sensitive::Secret;
//! use voice_core::time::{MonoTime, UnixMillis};
//! use voice_telephony::telnyx::{
//!     Api, API_URL, CallControl, Codec, ControlOutput, ControlSettings, Event, PublicKeys, TelnyxWebhook,
//! };
//! use voice_telephony::webhook::{RawRequest, Rejection, verify};
//!
//! /// The first request to Telnyx for a call that comes in; nothing for whatever else it tells.
//! fn answer(
//!     (now, unix): (MonoTime, UnixMillis),
//!     (keys, api, settings): (&PublicKeys, &Api, ControlSettings),
//!     request: &RawRequest<'_>,
//! ) -> Result<Option<http::Request<bytes::Bytes>>, Rejection> {
//!     let webhook = verify::<TelnyxWebhook>(keys, request, unix)?;
//!     let (Event::Initiated(_), Some(call)) = (&webhook.event, &webhook.leg.call_control_id) else {
//!         return Ok(None);
//!     };
//!     let mut control = CallControl::answer((now, unix), settings, call.clone(), b"call 7");
//!     let ControlOutput::Send(order) = control.poll() else { return Ok(None) };
//!     Ok(Some(api.request(&order)))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let api = Api::new(API_URL, &Secret::new("KEY".to_owned()))?;
//! # let settings = ControlSettings::new("wss://voice.example/media/telnyx", Codec::Pcmu)?;
//! let unsigned = RawRequest { method: "POST", url: "https://voice.example/hook", headers: &[], body: b"{}" };
//! let parts = (&PublicKeys::default(), &api, settings);
//! let refused = answer((MonoTime::ZERO, UnixMillis(0)), parts, &unsigned);
//! assert_eq!(refused.map(|_| ()), Err(Rejection::NoKey), "without a key nobody is believed");
//! # Ok(())
//! # }
//! ```

mod answer;
mod api;
mod command;
mod control;
mod event;
mod hearing;
mod id;
mod media;
mod opening;
pub mod outbound;
pub mod recording;
mod session;
mod signature;
mod time;
pub mod transfer;
mod webhook;
mod wire;

pub use answer::{Answer, Cause, CommandError, read_answer};
pub use api::{API_URL, Api, ApiError};
pub use command::{
    Command, CommandId, Detection, Dial, Order, RejectCause, StreamUrlError, Streaming, TICKET_PARAMETER,
    Transfer,
};
pub use control::{CallControl, ControlEvent, ControlInput, ControlOutput, ControlSettings, End};
pub use event::{
    Answerer, CallState, Direction, Event, GreetingEnd, Hangup, HangupCause, HangupSource, Initiated,
    Outcome, RecordingLinks, StreamNotice,
};
pub use id::{
    CallControlId, CallLegId, CallSessionId, ConferenceId, ConnectionId, EventId, NAME_BYTES_MAX, NameError,
    StreamId,
};
pub use media::{ByteOrder, Codec};
pub use opening::{Expected, Opened, Opening, Start, upgrade_ticket};
pub use session::TelnyxSession;
pub use signature::{PublicKey, PublicKeyError, PublicKeys};
pub use webhook::{Leg, TelnyxWebhook};

/// The carrier's name in records, metrics and logs.
pub const CARRIER: &str = "telnyx";
