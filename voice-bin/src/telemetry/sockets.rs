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

/// After so many messages the counters are told: half a second of a call. They are shared by all calls, and a
/// message that touched them would wait for memory more often than not.
const TELL_EVERY: u64 = 50;

/// A line whose messages are counted. The counters are looked up once.
pub(crate) struct CountedLine<L> {
    /// `None` once it was closed.
    line: Option<L>,
    counters: Box<[Counter; 4]>,
    /// By direction and kind, as the counters are; not told yet.
    counts: [u64; 4],
}

#[derive(Clone, Copy)]
enum Direction {
    In,
    Out,
}

impl<L> CountedLine<L> {
    pub(crate) fn new(line: L) -> Self {
        let of = |direction: &'static str, kind: &'static str| counter!(names::WS_MESSAGES, "direction" => direction, "message_type" => kind);
        let counters = [of("in", "text"), of("in", "binary"), of("out", "text"), of("out", "binary")];
        Self { line: Some(line), counters: Box::new(counters), counts: [0; 4] }
    }

    fn count(&mut self, direction: Direction, message: &WireMessage) {
        let at = match (direction, message) {
            (Direction::In, WireMessage::Text(_)) => 0,
            (Direction::In, WireMessage::Binary(_)) => 1,
            (Direction::Out, WireMessage::Text(_)) => 2,
            (Direction::Out, WireMessage::Binary(_)) => 3,
        };
        self.counts[at] += 1;
        if self.counts.iter().sum::<u64>() >= TELL_EVERY {
            self.tell();
        }
    }

    fn tell(&mut self) {
        for (counter, count) in self.counters.iter().zip(&mut self.counts) {
            if *count > 0 {
                counter.increment(std::mem::take(count));
            }
        }
    }
}

impl<L> Drop for CountedLine<L> {
    fn drop(&mut self) {
        self.tell();
    }
}

impl<L: Line> Line for CountedLine<L> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WireMessage, LineEnd>> {
        let Some(line) = &mut self.line else { return Poll::Ready(Err(LineEnd::Cut)) };
        let polled = line.poll(cx);
        if let Poll::Ready(Ok(message)) = &polled {
            self.count(Direction::In, message);
        }
        polled
    }

    fn offer(&mut self, message: WireMessage) -> Result<(), LineEnd> {
        self.count(Direction::Out, &message);
        self.line.as_mut().map_or(Err(LineEnd::Cut), |line| line.offer(message))
    }

    fn doubt(&mut self) {
        if let Some(line) = &mut self.line {
            line.doubt();
        }
    }

    fn close(mut self: Box<Self>) {
        if let Some(line) = self.line.take() {
            Box::new(line).close();
        }
    }
}
