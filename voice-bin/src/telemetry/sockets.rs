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

/// A line whose messages are counted.
pub(crate) struct CountedLine<L> {
    line: L,
    passed: Passed,
}

/// Messages that passed on one line. The counters are looked up once, and told what is left when it is dropped.
struct Passed {
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
        Self { line, passed: Passed { counters: Box::new(counters), counts: [0; 4] } }
    }
}

impl Passed {
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

impl Drop for Passed {
    fn drop(&mut self) {
        self.tell();
    }
}

impl<L: Line> Line for CountedLine<L> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WireMessage, LineEnd>> {
        let polled = self.line.poll(cx);
        if let Poll::Ready(Ok(message)) = &polled {
            self.passed.count(Direction::In, message);
        }
        polled
    }

    fn offer(&mut self, message: WireMessage) -> Result<(), LineEnd> {
        self.passed.count(Direction::Out, &message);
        self.line.offer(message)
    }

    fn doubt(&mut self) {
        self.line.doubt();
    }

    fn close(self: Box<Self>) {
        Box::new(self.line).close();
    }
}
