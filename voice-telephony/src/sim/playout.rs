//! What carriers do with the audio they are sent: play it in order, 20 ms at a time, and echo marks.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::sim::caller::TICK_BYTES;

/// The queue between our messages and the caller's ear. Mu-law.
#[derive(Debug, Default)]
pub(super) struct Playout {
    queue: VecDeque<Item>,
    bytes: usize,
}

#[derive(Debug)]
enum Item {
    Audio(Bytes),
    Mark(String),
}

impl Playout {
    pub(super) fn audio(&mut self, audio: Bytes) {
        self.bytes += audio.len();
        if !audio.is_empty() {
            self.queue.push_back(Item::Audio(audio));
        }
    }

    /// A mark comes back at once where nothing waits to be played before it.
    pub(super) fn mark(&mut self, name: String) -> Option<String> {
        if self.queue.is_empty() {
            return Some(name);
        }
        self.queue.push_back(Item::Mark(name));
        None
    }

    /// Drops the audio; every mark comes back, heard or not, in order.
    pub(super) fn clear(&mut self) -> Vec<String> {
        self.bytes = 0;
        self.queue
            .drain(..)
            .filter_map(|item| match item {
                Item::Mark(name) => Some(name),
                Item::Audio(_) => None,
            })
            .collect()
    }

    /// Plays 20 ms: what reaches the ear (`None` if nothing is there), and the marks that are passed.
    pub(super) fn tick(&mut self) -> (Option<Vec<u8>>, Vec<String>) {
        let mut played = Vec::with_capacity(TICK_BYTES);
        let mut passed = Vec::new();
        while let Some(item) = self.queue.front_mut() {
            match item {
                // A mark right behind the last byte is passed when that byte has been heard: next tick.
                Item::Mark(_) if played.len() == TICK_BYTES => break,
                Item::Mark(name) => {
                    passed.push(std::mem::take(name));
                    self.queue.pop_front();
                }
                Item::Audio(audio) => {
                    let wanted = TICK_BYTES - played.len();
                    if wanted == 0 {
                        break;
                    }
                    let piece = audio.split_to(wanted.min(audio.len()));
                    self.bytes -= piece.len();
                    played.extend_from_slice(&piece);
                    if audio.is_empty() {
                        self.queue.pop_front();
                    }
                }
            }
        }
        if played.is_empty() {
            return (None, passed);
        }
        played.resize(TICK_BYTES, 0xff);
        (Some(played), passed)
    }

    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_when_what_is_before_them_was_played() {
        let mut playout = Playout::default();
        assert_eq!(playout.mark("empty".into()), Some("empty".into()));
        playout.audio(Bytes::from(vec![1; 200]));
        assert_eq!(playout.mark("a".into()), None);
        playout.audio(Bytes::from(vec![2; 80]));
        assert_eq!(playout.mark("b".into()), None);
        assert_eq!(playout.tick(), (Some(vec![1; 160]), vec![]));
        let second = [vec![1; 40], vec![2; 80], vec![0xff; 40]].concat();
        assert_eq!(playout.tick(), (Some(second), vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(playout.tick(), (None, vec![]));
    }

    #[test]
    fn a_clear_returns_every_mark_and_no_audio() {
        let mut playout = Playout::default();
        playout.audio(Bytes::from(vec![1; 800]));
        playout.mark("a".into());
        playout.mark("b".into());
        assert_eq!(playout.clear(), ["a", "b"]);
        assert_eq!((playout.tick(), playout.bytes()), ((None, vec![]), 0));
    }
}
