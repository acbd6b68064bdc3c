//! Media sockets: how many are open, and how many messages pass.

use std::task::{Context, Poll};

use metrics::{Counter, counter, gauge};
use voice_core::driver::Line;
use voice_core::wire::{LineEnd, WireMessage};

use crate::metrics_names as names;

/// One open socket. Counted until it is dropped.
pub(crate) struct OpenSocket(());

impl OpenSocket {
    pub(crate) fn new() -> Self {
        gauge!(names::WS_ACTIVE).increment(1);
        Self(())
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        gauge!(names::WS_ACTIVE).decrement(1);
    }
}

/// A line whose messages are counted. The counters are looked up once: a message costs one addition.
pub(crate) struct CountedLine<L> {
    line: L,
    text_in: Counter,
    binary_in: Counter,
    text_out: Counter,
    binary_out: Counter,
}

impl<L> CountedLine<L> {
    pub(crate) fn new(line: L) -> Self {
        let of = |direction: &'static str, kind: &'static str| counter!(names::WS_MESSAGES, "direction" => direction, "message_type" => kind);
        Self {
            line,
            text_in: of("in", "text"),
            binary_in: of("in", "binary"),
            text_out: of("out", "text"),
            binary_out: of("out", "binary"),
        }
    }
}

impl<L: Line> Line for CountedLine<L> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WireMessage, LineEnd>> {
        let polled = self.line.poll(cx);
        if let Poll::Ready(Ok(message)) = &polled {
            match message {
                WireMessage::Text(_) => self.text_in.increment(1),
                WireMessage::Binary(_) => self.binary_in.increment(1),
            }
        }
        polled
    }

    fn offer(&mut self, message: WireMessage) -> Result<(), LineEnd> {
        match &message {
            WireMessage::Text(_) => self.text_out.increment(1),
            WireMessage::Binary(_) => self.binary_out.increment(1),
        }
        self.line.offer(message)
    }

    fn close(self: Box<Self>) {
        Box::new(self.line).close();
    }
}
