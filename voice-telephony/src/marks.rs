//! Marks under way to a carrier: which of its echoes mean that something was played.

use std::collections::VecDeque;

use voice_core::id::MarkId;
use voice_core::limits::MARKS_MAX;

/// Carriers echo the marks that they throw away as well, so each is sent with a generation that rises
/// with every clear: `generation.number` is its name on the wire.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    generation: u64,
    /// Marks of this generation that have not come back, oldest first.
    pending: VecDeque<MarkId>,
    /// The newest mark that had to make room in `pending`; numbers rise, so it stands for all before.
    forgotten: Option<MarkId>,
}

/// What an echo means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// Everything before this mark was played.
    Played(MarkId),
    /// Nothing: it was thrown away, or so long under way that it is forgotten.
    Stale,
    /// A mark that we never sent.
    Unknown,
}

impl Marks {
    /// A mark goes out; the generation belongs into its name.
    pub(crate) fn sent(&mut self, mark: MarkId) -> u64 {
        if self.pending.len() >= MARKS_MAX {
            self.forgotten = self.pending.pop_front();
        }
        self.pending.push_back(mark);
        self.generation
    }

    /// A clear goes out: what was sent before it never counts as played.
    pub(crate) fn cleared(&mut self) {
        self.generation += 1;
        self.pending.clear();
        self.forgotten = None;
    }

    /// The carrier sent a mark back.
    pub(crate) fn echoed(&mut self, name: &str) -> Echo {
        let numbers = name.split_once('.').and_then(|(g, n)| Some((g.parse().ok()?, n.parse().ok()?)));
        let Some((generation, number)): Option<(u64, u64)> = numbers else { return Echo::Unknown };
        if generation < self.generation {
            return Echo::Stale;
        }
        let mark = MarkId(number);
        let position = self.pending.iter().position(|pending| *pending == mark);
        match position {
            Some(position) if generation == self.generation => {
                // Marks come back in order: those before it are lost.
                self.pending.drain(..=position);
                Echo::Played(mark)
            }
            None if generation == self.generation && Some(mark) <= self.forgotten => Echo::Stale,
            Some(_) | None => Echo::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_counts_once_and_only_in_its_generation() {
        let mut marks = Marks::default();
        for number in 1..=3 {
            assert_eq!(marks.sent(MarkId(number)), 0);
        }
        assert_eq!(marks.echoed("0.2"), Echo::Played(MarkId(2)));
        assert_eq!(marks.echoed("0.1"), Echo::Unknown, "the second one stood for the first");
        marks.cleared();
        assert_eq!(marks.echoed("0.3"), Echo::Stale);
        assert_eq!(marks.sent(MarkId(4)), 1);
        for stray in ["", "4", "1.", "1.x", "2.4", "1.5"] {
            assert_eq!(marks.echoed(stray), Echo::Unknown, "{stray}");
        }
        assert_eq!(marks.echoed("1.4"), Echo::Played(MarkId(4)));
    }
}
