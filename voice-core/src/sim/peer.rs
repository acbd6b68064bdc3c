//! The shape of a fake peer. One and the same value runs in virtual time and on a real socket.
//!
//! [`FakeService`] answers connections (an AI service, a carrier's REST API): one value per connection.
//! [`FakeCaller`] makes them (a carrier placing a call): one value per call, with lines as a provider's
//! session has them.

use bytes::Bytes;

use crate::id::LineId;
use crate::time::MonoTime;
use crate::wire::{Endpoint, LineEnd, WireMessage};

/// One connection to a fake service.
pub trait FakeService: Send {
    /// The only way in.
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>);

    /// The only way out; called until it answers [`ServiceOutput::WaitUntil`].
    fn poll(&mut self) -> ServiceOutput;
}

/// What a fake service is told.
#[derive(Debug)]
pub enum ServiceInput<'a> {
    /// Somebody connects. Comes first, once.
    Request(&'a Request),
    /// A message arrived.
    Wire(&'a WireMessage),
    /// The peer is gone.
    Gone,
    /// The time asked for has come.
    Tick,
}

/// A request to upgrade to WebSocket, or a plain one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`…
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Empty for an upgrade.
    pub body: Bytes,
    /// Whether it asks for a WebSocket.
    pub upgrade: bool,
}

impl Request {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What a fake service wants.
#[derive(Debug)]
pub enum ServiceOutput {
    /// Accept the upgrade, with this subprotocol if one was chosen.
    Accept {
        /// Answered as `Sec-WebSocket-Protocol`.
        subprotocol: Option<&'static str>,
    },
    /// Answer with a status and headers; [`ServiceOutput::Send`] then carries pieces of the body.
    Respond {
        /// HTTP status; anything but a success refuses an upgrade.
        status: u16,
        /// Headers of the answer.
        headers: Vec<(&'static str, String)>,
    },
    /// Send this message, or this piece of a body.
    Send(WireMessage),
    /// Close: a WebSocket with code and reason, a body by its end.
    Close {
        /// RFC 6455 close code.
        code: u16,
        /// At most 123 bytes.
        reason: String,
    },
    /// Cut the TCP connection without a word.
    Cut,
    /// Nothing more for now.
    WaitUntil(Option<MonoTime>),
}

/// A fake that places a call (or many requests) towards the system under test.
pub trait FakeCaller: Send {
    /// The only way in.
    fn handle(&mut self, now: MonoTime, input: CallerInput<'_>);

    /// The only way out; called until it answers [`CallerOutput::WaitUntil`] or [`CallerOutput::Done`].
    fn poll(&mut self) -> CallerOutput;
}

/// What a fake caller is told.
#[derive(Debug)]
pub enum CallerInput<'a> {
    /// A dialled line is up (for HTTP: a success status has arrived).
    LineUp(LineId),
    /// A message, or a piece of an HTTP body.
    Wire(LineId, &'a WireMessage),
    /// A line is gone, or never came up. An HTTP answer that is complete ends with `LineEnd::Ended`.
    LineDown(LineId, LineEnd),
    /// The time asked for has come.
    Tick,
}

/// What a fake caller wants.
#[derive(Debug)]
pub enum CallerOutput {
    /// Open this line.
    Dial(LineId, Endpoint),
    /// Send this message.
    Send(LineId, WireMessage),
    /// Close this line politely.
    HangUp(LineId),
    /// Cut the TCP connection without a word.
    Cut(LineId),
    /// Nothing more for now.
    WaitUntil(Option<MonoTime>),
    /// It is over; the value itself can be asked what happened.
    Done,
}
