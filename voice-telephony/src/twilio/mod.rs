//! Twilio Programmable Voice: inbound calls over Media Streams.
//!
//! * [`TwilioWebhook`]: what Twilio asks and tells over HTTP, through [`crate::webhook::verify`];
//! * [`Twiml`]: what it is answered;
//! * [`verify_upgrade`], [`Opening`], [`TwilioSession`]: the media socket, from its first request to
//!   its last message.

mod form;
mod opening;
mod session;
mod sid;
mod signature;
mod twiml;
mod webhook;
mod wire;

pub use opening::{Opened, Opening, Start};
pub use session::TwilioSession;
pub use sid::{AccountSid, CallSid, SidError, StreamSid};
pub use signature::{Tokens, verify_upgrade};
pub use twiml::{ConnectStream, RejectReason, StreamUrl, TICKET_PARAMETER, Twiml, TwimlError, Verb};
pub use webhook::{
    CallProgress, Direction, StreamEvent, StreamStatus, TwilioStatus, TwilioVoice, TwilioWebhook,
};

/// The name under which calls of this carrier are recorded.
pub const CARRIER: &str = "twilio";
