//! Which entries are missing: kept in memory, in a bound, until they can be written down.

use std::collections::BTreeMap;

use voice_core::id::CallId;
use voice_core::time::UnixMillis;

/// Calls of which losses are remembered: some 6 MB. Of further ones only the number of lost entries is known.
const CALLS_MAX: usize = 65_536;

/// Stretches that are told apart in one call; further ones lengthen the last.
const STRETCHES_MAX: usize = 8;

/// Why an entry is not in the table of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// There was no room in the queue: the database was slower than the calls for too long.
    QueueFull,
    /// This build writes no form of the event.
    Format,
    /// The database works, and does not take this.
    Refused,
    /// Another node holds the call.
    Superseded,
}

/// Entries of one call that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) call: CallId,
    pub(super) reason: Reason,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) entries: u64,
    /// When the first of them was.
    pub(super) unix: UnixMillis,
}

/// What was lost and is not yet written down.
#[derive(Debug, Default)]
pub(super) struct Losses {
    by_call: BTreeMap<(CallId, Reason), Vec<Loss>>,
}

impl Reason {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Format => "format",
            Self::Refused => "refused",
            Self::Superseded => "superseded",
        }
    }
}

impl Losses {
    pub(super) fn add(&mut self, call: CallId, seq: u64, reason: Reason, unix: UnixMillis) {
        self.add_stretch(Loss { call, reason, first: seq, last: seq, entries: 1, unix });
    }

    /// Takes back what could not be written, or takes over what somebody else found.
    pub(super) fn extend(&mut self, losses: impl IntoIterator<Item = Loss>) {
        losses.into_iter().for_each(|loss| self.add_stretch(loss));
    }

    pub(super) fn take(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.by_call).into_values().flatten().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_call.is_empty()
    }

    fn add_stretch(&mut self, loss: Loss) {
        let key = (loss.call, loss.reason);
        if self.by_call.len() >= CALLS_MAX && !self.by_call.contains_key(&key) {
            return;
        }
        let stretches = self.by_call.entry(key).or_default();
        let is_full = stretches.len() >= STRETCHES_MAX;
        match stretches.last_mut() {
            Some(last) if is_full || last.last.checked_add(1) == Some(loss.first) => {
                last.first = last.first.min(loss.first);
                last.last = last.last.max(loss.last);
                last.entries += loss.entries;
            }
            Some(_) | None => stretches.push(loss),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallId = CallId::from_u128(7);

    fn lose(seqs: impl IntoIterator<Item = u64>) -> Vec<(u64, u64, u64)> {
        let mut losses = Losses::default();
        for seq in seqs {
            losses.add(CALL, seq, Reason::QueueFull, UnixMillis(0));
        }
        assert!(!losses.is_empty());
        let taken = losses.take();
        assert!(losses.is_empty());
        taken.iter().map(|loss| (loss.first, loss.last, loss.entries)).collect()
    }

    #[test]
    fn neighbours_are_one_stretch() {
        assert_eq!(lose([3, 4, 5, 9, 12, 13]), [(3, 5, 3), (9, 9, 1), (12, 13, 2)]);
    }

    #[test]
    fn more_stretches_than_are_kept_are_told_as_one_that_says_how_many() {
        let stretches = lose((1..=20).map(|seq| seq * 2));
        assert_eq!(stretches.len(), STRETCHES_MAX);
        assert_eq!(stretches.last(), Some(&(16, 40, 13)));
        assert_eq!(stretches.iter().map(|(_, _, entries)| entries).sum::<u64>(), 20);
    }

    #[test]
    fn what_could_not_be_written_is_kept_apart_by_reason_and_taken_back() {
        let mut losses = Losses::default();
        losses.add(CALL, 1, Reason::QueueFull, UnixMillis(5));
        losses.add(CALL, 2, Reason::Format, UnixMillis(6));
        let taken = losses.take();
        losses.extend(taken.clone());
        losses.add(CALL, 2, Reason::QueueFull, UnixMillis(7));
        let told: Vec<_> =
            losses.take().iter().map(|loss| (loss.reason.name(), loss.last, loss.unix.0)).collect();
        assert_eq!(taken.len(), 2);
        assert_eq!(told, [("queue_full", 2, 5), ("format", 2, 6)]);
    }
}
