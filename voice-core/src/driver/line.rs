//! The port to sockets: a line that is polled, and whoever can dial one.
//!
//! A line is polled by the call's own task, reading and writing alike: no task and no channel per line,
//! and a slow peer costs nobody else anything, because [`Line::offer`] never waits.

use std::task::{Context, Poll};

use async_trait::async_trait;

use crate::wire::{Endpoint, LineEnd, WireMessage};

/// One open connection.
pub trait Line: Send {
    /// The next message, or the end. After an end it is not polled again.
    ///
    /// Also pushes out what [`Line::offer`] has taken, and registers the task for both directions.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WireMessage, LineEnd>>;

    /// Takes a message to be written. Never waits; a peer that lets more than
    /// [`crate::limits::LINE_BACKLOG_BYTES_MAX`] pile up (on a line that we opened:
    /// [`crate::limits::PROVIDER_BACKLOG_BYTES_MAX`]) is clogged, and the line is over.
    fn offer(&mut self, message: WireMessage) -> Result<(), LineEnd>;

    /// Nothing has come although something is due: if the peer does not answer at once either, as it did
    /// before, the line is over. A fourth method, because only whoever has the socket can ask below the
    /// messages; a line without a way to ask does nothing.
    fn doubt(&mut self) {}

    /// Closes politely, giving what was offered a short time to be written. The line is dropped after.
    fn close(self: Box<Self>);
}

/// The single place where a connection comes from. Tests hand in one that never touches a network.
///
/// Success means: WebSocket upgraded, or a success status for HTTP. The dialler has a deadline of its
/// own (name, TCP, TLS and handshake together).
#[async_trait]
pub trait Dial: Send + Sync {
    /// Opens a line.
    async fn dial(&self, endpoint: Endpoint) -> Result<Box<dyn Line>, LineEnd>;
}
