//! What the session wants, in order, and the ids of what it sends.

use std::collections::VecDeque;

use voice_core::provider::{ProviderEvent, SessionOutput};
use voice_core::wire::WireMessage;

use super::LINE;
use crate::openai::wire::ToServer;

/// Emptied by every round of polls.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<SessionOutput>,
    /// Messages sent with an id of ours.
    sent: u32,
}

/// What a message is for. Its id begins with this, and an error repeats the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    Settings,
    History,
    Respond,
    Cancel,
    Cut,
    Answer,
}

impl Errand {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Settings, "settings"),
        (Self::History, "history"),
        (Self::Respond, "respond"),
        (Self::Cancel, "cancel"),
        (Self::Cut, "cut"),
        (Self::Answer, "answer"),
    ];

    /// The errand of the message with this id, if it is one of ours.
    pub(super) fn of(event_id: &str) -> Option<Self> {
        let (name, _) = event_id.split_once('-')?;
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(errand, _)| *errand)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(errand, _)| *errand == self).map_or("", |(_, name)| name)
    }
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self { queue: VecDeque::new(), sent: 0 }
    }

    pub(super) fn pop(&mut self) -> Option<SessionOutput> {
        self.queue.pop_front()
    }

    pub(super) fn event(&mut self, event: ProviderEvent) {
        self.queue.push_back(SessionOutput::Event(event));
    }

    pub(super) fn send(&mut self, message: WireMessage) {
        self.queue.push_back(SessionOutput::Send(LINE, message));
    }

    /// Sends a message with an id of ours.
    pub(super) fn tell(&mut self, errand: Errand, message: ToServer<'_>) {
        self.sent = self.sent.wrapping_add(1);
        self.send(message.with_id(&format!("{}-{}", errand.name(), self.sent)));
    }

    pub(super) fn hang_up(&mut self) {
        self.queue.push_back(SessionOutput::HangUp(LINE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errand_is_known_by_the_id_of_its_message() {
        for (errand, name) in Errand::ALL {
            assert_eq!(Errand::of(&format!("{name}-7")), Some(errand));
        }
        assert_eq!((Errand::of("event_9"), Errand::of("evt-1")), (None, None));
    }
}
