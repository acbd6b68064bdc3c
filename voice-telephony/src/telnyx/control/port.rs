//! What a call's control is told, and what it wants.

use std::time::Duration;

use voice_core::time::MonoTime;

use crate::status::{CallStatus, FailReason};
use crate::telnyx::answer::{Answer, Cause, CommandError};
use crate::telnyx::command::{Command, CommandId, Dial, Order, StreamUrlError, Streaming};
use crate::telnyx::event::{Answerer, GreetingEnd, Hangup};
use crate::telnyx::id::CallControlId;
use crate::telnyx::media::Codec;
use crate::telnyx::webhook::TelnyxWebhook;
use crate::ticket::StreamTicket;
use crate::webhook::Verified;

/// How calls are handled.
#[derive(Clone, Debug)]
pub struct ControlSettings {
    pub(super) stream_url: String,
    pub(super) codec: Codec,
    pub(super) restarts_max: u32,
    /// How long a call of ours may ring.
    pub(super) ring: Duration,
}

impl ControlSettings {
    /// Media sockets are opened to this address, in this codec.
    ///
    /// # Errors
    /// If no socket can be opened there.
    pub fn new(stream_url: &str, codec: Codec) -> Result<Self, StreamUrlError> {
        Streaming::check(stream_url)?;
        Ok(Self { stream_url: stream_url.to_owned(), codec, restarts_max: 3, ring: Duration::ZERO })
    }

    /// For a call that never streams.
    pub(super) const fn none() -> Self {
        Self { stream_url: String::new(), codec: Codec::Pcmu, restarts_max: 0, ring: Duration::ZERO }
    }

    /// So often a media stream that broke is started again, the call going on; three times if nothing is
    /// said. With zero, the call ends with its stream.
    #[must_use]
    pub const fn restarts_max(mut self, times: u32) -> Self {
        self.restarts_max = times;
        self
    }
}

/// What a call's control is told.
#[derive(Debug)]
pub enum ControlInput<'a> {
    /// An event. Those of other calls are ignored.
    Webhook(&'a Verified<TelnyxWebhook>),
    /// What the API answered to an order.
    Answer(CommandId, Result<Answer, CommandError>),
    /// The ticket that was asked for.
    Ticket(&'a StreamTicket),
    /// The call's media socket is open, and its ticket was redeemed.
    MediaUp,
    /// It is gone, and nobody on our side wanted that.
    MediaDown,
    /// Somebody wants something of the call.
    Do(Command),
    /// The call should end.
    HangUp,
    /// The time asked for has come.
    Tick,
}

/// What a call's control wants.
#[derive(Debug)]
pub enum ControlOutput {
    /// Send this ([`crate::telnyx::Api::dial`]) and tell what was answered.
    Dial {
        /// Under this id.
        id: CommandId,
        /// The call.
        dial: Box<Dial>,
        /// By which events are known until the call has a name.
        client_state: Vec<u8>,
    },
    /// Send this ([`crate::telnyx::Api::request`]) and tell what was answered.
    Send(Order),
    /// Issue a ticket for this call.
    NeedTicket(CallControlId),
    /// Something worth knowing.
    Event(ControlEvent),
    /// Nothing more for now; wake me then, if at all.
    WaitUntil(Option<MonoTime>),
    /// The call is over, whatever its media socket thinks: close that, and forget the call.
    Finished(End),
}

/// Something worth knowing about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlEvent {
    /// The call moved on.
    Status(CallStatus, Option<FailReason>),
    /// Who answered our call.
    Answerer(Answerer),
    /// An answering machine's announcement is over.
    Greeting(GreetingEnd),
    /// The media stream broke and is started again.
    Restarting,
    /// What became of a [`ControlInput::Do`].
    Done(CommandId, Result<Answer, CommandError>),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Telnyx said so.
    HungUp(Hangup),
    /// It is gone, and nobody said why.
    Gone,
    /// We did not take it.
    Rejected,
    /// A step without which there is no call was refused.
    Failed(Cause),
    /// The media stream broke too often, or could not be opened.
    MediaLost,
    /// We dialled, and nobody knows whether the call exists.
    Unknown,
}
