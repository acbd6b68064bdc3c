//! The lines of one call, polled by the call's own task: reading, writing and dialling alike.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::id::LineId;
use crate::wire::{Endpoint, LineEnd, WireMessage};

use super::line::{Dial, Line};

type Dialling = Pin<Box<dyn Future<Output = Result<Box<dyn Line>, LineEnd>> + Send>>;

/// A handful of lines. Small enough that looking at each of them is cheaper than knowing which woke us.
pub(super) struct Lines {
    lines: Vec<Slot>,
    /// Which is looked at first; moves on, so that a busy line does not starve the others.
    first: usize,
}

struct Slot {
    id: LineId,
    state: State,
}

enum State {
    Dialling(Dialling),
    Open(Box<dyn Line>),
    /// It ended while we were writing to it; to be reported, then forgotten.
    Ending(LineEnd),
}

/// Something a line has to tell.
#[derive(Debug)]
pub(super) enum LineEvent {
    Up(LineId),
    Message(LineId, WireMessage),
    Down(LineId, LineEnd),
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { lines: Vec::with_capacity(4), first: 0 }
    }

    pub(super) fn adopt(&mut self, id: LineId, line: Box<dyn Line>) {
        self.lines.push(Slot { id, state: State::Open(line) });
    }

    pub(super) fn dial(&mut self, id: LineId, dial: Arc<dyn Dial>, endpoint: Endpoint) {
        let dialling = Box::pin(async move { dial.dial(endpoint).await });
        self.lines.push(Slot { id, state: State::Dialling(dialling) });
    }

    /// Takes a message to be written. Never waits; a line that cannot take it is over, which is told by
    /// [`Self::poll`].
    pub(super) fn offer(&mut self, id: LineId, message: WireMessage) {
        let Some(slot) = self.lines.iter_mut().find(|slot| slot.id == id) else { return };
        if let State::Open(line) = &mut slot.state
            && let Err(end) = line.offer(message)
        {
            slot.state = State::Ending(end);
        }
    }

    /// Finds out whether the peer is there.
    pub(super) fn doubt(&mut self, id: LineId) {
        let found = self.lines.iter_mut().find(|slot| slot.id == id);
        if let Some(Slot { state: State::Open(line), .. }) = found {
            line.doubt();
        }
    }

    /// Closes politely. Nothing more will be told of this line.
    pub(super) fn hang_up(&mut self, id: LineId) {
        let Some(at) = self.lines.iter().position(|slot| slot.id == id) else { return };
        self.lines.swap_remove(at).close();
    }

    /// Closes all that are left.
    pub(super) fn hang_up_all(&mut self) {
        for slot in self.lines.drain(..) {
            slot.close();
        }
    }

    /// The next thing that any line has to tell. Also pushes out what was offered.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LineEvent> {
        let count = self.lines.len();
        for step in 0..count {
            let at = (self.first + step) % count;
            let slot = &mut self.lines[at];
            let id = slot.id;
            let event = match &mut slot.state {
                State::Dialling(dialling) => match dialling.as_mut().poll(cx) {
                    Poll::Pending => continue,
                    Poll::Ready(Ok(line)) => {
                        slot.state = State::Open(line);
                        LineEvent::Up(id)
                    }
                    Poll::Ready(Err(end)) => LineEvent::Down(id, end),
                },
                State::Open(line) => match line.poll(cx) {
                    Poll::Pending => continue,
                    Poll::Ready(Ok(message)) => LineEvent::Message(id, message),
                    Poll::Ready(Err(end)) => LineEvent::Down(id, end),
                },
                State::Ending(end) => LineEvent::Down(id, end.clone()),
            };
            if matches!(event, LineEvent::Down(..)) {
                self.lines.swap_remove(at);
            }
            self.first = at + 1;
            return Poll::Ready(event);
        }
        Poll::Pending
    }
}

impl Slot {
    fn close(self) {
        if let State::Open(line) = self.state {
            line.close();
        }
    }
}
