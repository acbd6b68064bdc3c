//! The caller's turns by the service's item ids.

use std::collections::VecDeque;

use voice_core::id::{AttachmentId, UtteranceId};

/// The last few turns. What was said may be written down long after, but not that long.
#[derive(Debug)]
pub(super) struct Utterances {
    attachment: AttachmentId,
    count: u32,
    known: VecDeque<Utterance>,
}

#[derive(Debug)]
struct Utterance {
    item: String,
    id: UtteranceId,
    /// Whether its end was told.
    paused: bool,
    /// Whether its words were told.
    said: bool,
}

impl Utterances {
    pub(super) fn new(attachment: AttachmentId) -> Self {
        Self { attachment, count: 0, known: VecDeque::new() }
    }

    /// A new turn; `None` if its beginning was told before.
    pub(super) fn started(&mut self, item: &str) -> Option<UtteranceId> {
        if self.find(item).is_some() {
            return None;
        }
        self.count += 1;
        let id = UtteranceId::new(self.attachment, self.count);
        if self.known.len() == KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back(Utterance { item: item.to_owned(), id, paused: false, said: false });
        Some(id)
    }

    /// The turn is over; `None` if nobody knows it or that was told before.
    pub(super) fn paused(&mut self, item: &str) -> Option<UtteranceId> {
        let utterance = self.find(item)?;
        let news = !std::mem::replace(&mut utterance.paused, true);
        news.then_some(utterance.id)
    }

    /// Its words are known; `None` if nobody knows the turn or they were told before.
    pub(super) fn said(&mut self, item: &str) -> Option<UtteranceId> {
        let utterance = self.find(item)?;
        let news = !std::mem::replace(&mut utterance.said, true);
        news.then_some(utterance.id)
    }

    fn find(&mut self, item: &str) -> Option<&mut Utterance> {
        self.known.iter_mut().rev().find(|utterance| utterance.item == item)
    }
}

/// Turns whose words may still be missing: some minutes of lively talk.
const KNOWN_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_told_once_and_little_is_kept() {
        let mut utterances = Utterances::new(AttachmentId(1));
        let first = utterances.started("a");
        assert!(first.is_some());
        assert_eq!(utterances.started("a"), None);
        assert_eq!((utterances.paused("a"), utterances.paused("a")), (first, None));
        assert_eq!((utterances.said("a"), utterances.said("a")), (first, None));
        assert_eq!(utterances.said("b"), None);
        for n in 0..100 {
            utterances.started(&n.to_string());
        }
        assert_eq!(utterances.known.len(), KNOWN_MAX);
        assert_eq!(utterances.paused("a"), None);
        assert!(utterances.paused("99").is_some());
    }
}
