//! What was seen before: a retry gets the same answer, a replay gets none.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sha2::{Digest, Sha256};
use voice_core::time::MonoTime;

use crate::limits::{ANSWER_KEPT, ANSWERS_MAX, REPLAY_KEPT, REPLAYS_MAX};

/// What a request is known by.
///
/// Take it of the signature alone where a carrier's signature covers all that counts (Twilio): one that
/// was caught can be written in many ways (`%2b` for `%2B`, parameters in another order) that all sign
/// alike, and a print of the bytes would take each for a new one. Where a carrier names its events
/// (Telnyx), take the name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of these parts. Where one ends and the next begins makes a difference.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprint({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// What to do with a request whose signature was found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival<A> {
    /// It is new: act on it, then tell [`Replays::answered`].
    First,
    /// The carrier asks again: answer the same, and do nothing.
    Again(A),
    /// The carrier asks again before the first was answered: do nothing.
    Underway,
    /// Seen before, and no retry: refuse it.
    Replayed,
}

/// Requests that were seen, and for a while what they were answered.
///
/// Only what was proven to be the carrier's gets in here, so a stranger cannot flush it. Prints are kept for
/// a day, as far as there is room (see [`Self::dropped`]); answers for a minute, because a carrier that
/// retries does it within seconds.
#[derive(Debug)]
pub struct Replays<A> {
    seen: BTreeMap<Fingerprint, Seen<A>>,
    /// In the order of arrival.
    prints: VecDeque<(MonoTime, Fingerprint)>,
    /// Those of them that still have an answer, in the order of answering.
    answers: VecDeque<(MonoTime, Fingerprint)>,
    capacity: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Seen<A> {
    /// What the carrier calls this request; a retry says the same.
    name: Option<Fingerprint>,
    answer: Answer<A>,
}

#[derive(Debug)]
enum Answer<A> {
    Owed,
    Given(A),
    Forgotten,
}

impl<A: Clone> Default for Replays<A> {
    fn default() -> Self {
        Self::new(REPLAYS_MAX)
    }
}

impl<A: Clone> Replays<A> {
    /// Room for so many (at least one).
    pub fn new(capacity: usize) -> Self {
        Self {
            seen: BTreeMap::new(),
            prints: VecDeque::new(),
            answers: VecDeque::new(),
            capacity: capacity.max(1),
            dropped: 0,
        }
    }

    /// A request whose signature was found right. `name` is what the carrier says is the same on a retry
    /// (Twilio's `I-Twilio-Idempotency-Token`).
    pub fn arrive(&mut self, now: MonoTime, print: Fingerprint, name: Option<&str>) -> Arrival<A> {
        self.forget_old(now);
        let name = name.map(|name| Fingerprint::of(&[name.as_bytes()]));
        if let Some(seen) = self.seen.get(&print) {
            return match &seen.answer {
                _ if seen.name != name => Arrival::Replayed,
                Answer::Owed => Arrival::Underway,
                Answer::Given(answer) => Arrival::Again(answer.clone()),
                Answer::Forgotten => Arrival::Replayed,
            };
        }
        if self.prints.len() >= self.capacity {
            self.forget_first();
            self.dropped += 1;
        }
        self.prints.push_back((now, print));
        self.seen.insert(print, Seen { name, answer: Answer::Owed });
        Arrival::First
    }

    /// What the first of its kind was answered.
    pub fn answered(&mut self, now: MonoTime, print: Fingerprint, answer: A) {
        if let Some(seen) = self.seen.get_mut(&print) {
            seen.answer = Answer::Given(answer);
            self.answers.push_back((now, print));
        }
        if self.answers.len() > ANSWERS_MAX {
            self.forget_answer();
        }
    }

    /// The first could not be answered, by no fault of the request: the next is the first.
    pub fn forget(&mut self, print: Fingerprint) {
        if let Some(seen) = self.seen.get(&print)
            && matches!(seen.answer, Answer::Owed)
        {
            self.seen.remove(&print);
            self.prints.retain(|(_, other)| *other != print);
        }
    }

    /// Prints that had to make room before their day was over. Above zero, what was caught longer ago than
    /// the table reaches back could be used once more.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Prints kept.
    pub fn len(&self) -> usize {
        self.prints.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }

    fn forget_old(&mut self, now: MonoTime) {
        let is_old = |entry: Option<&(MonoTime, Fingerprint)>, kept: Duration| {
            entry.is_some_and(|(at, _)| now.since(*at) >= kept)
        };
        while is_old(self.answers.front(), ANSWER_KEPT) {
            self.forget_answer();
        }
        while is_old(self.prints.front(), REPLAY_KEPT) {
            self.forget_first();
        }
    }

    fn forget_answer(&mut self) {
        if let Some((_, print)) = self.answers.pop_front()
            && let Some(seen) = self.seen.get_mut(&print)
        {
            seen.answer = Answer::Forgotten;
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, print)) = self.prints.pop_front() {
            self.seen.remove(&print);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

    fn print(number: usize) -> Fingerprint {
        Fingerprint::of(&[&number.to_be_bytes()])
    }

    #[test]
    fn a_retry_is_answered_alike_and_a_replay_is_not() {
        let mut replays = Replays::default();
        assert_eq!(replays.arrive(AT(0), print(1), Some("a")), Arrival::First);
        assert_eq!(replays.arrive(AT(1), print(1), Some("a")), Arrival::Underway);
        replays.answered(AT(2), print(1), "the document");
        assert_eq!(replays.arrive(AT(3), print(1), Some("a")), Arrival::Again("the document"));
        assert_eq!(replays.arrive(AT(3), print(1), Some("b")), Arrival::Replayed);
        assert_eq!(replays.arrive(AT(3), print(1), None), Arrival::Replayed);
        assert_eq!(replays.arrive(AT(3), print(2), Some("a")), Arrival::First, "another request");
        assert_eq!(replays.arrive(AT(60_002), print(1), Some("a")), Arrival::Replayed, "a minute later");
        let day = 24 * 3_600_000;
        assert_eq!(replays.arrive(AT(day - 1), print(1), Some("a")), Arrival::Replayed);
        assert_eq!(replays.arrive(AT(day), print(1), Some("a")), Arrival::First, "forgotten after a day");
    }

    #[test]
    fn without_a_name_the_same_request_is_a_retry() {
        let mut replays = Replays::default();
        assert_eq!(replays.arrive(AT(0), print(1), None), Arrival::First);
        replays.answered(AT(0), print(1), ());
        assert_eq!(replays.arrive(AT(1), print(1), None), Arrival::Again(()));
    }

    #[test]
    fn what_could_not_be_answered_may_come_again() {
        let mut replays = Replays::<()>::default();
        assert_eq!(replays.arrive(AT(0), print(1), None), Arrival::First);
        replays.forget(print(1));
        assert_eq!(replays.arrive(AT(1), print(1), None), Arrival::First);
        replays.answered(AT(1), print(1), ());
        replays.forget(print(1));
        assert_eq!(replays.arrive(AT(2), print(1), None), Arrival::Again(()), "an answer given stands");
    }

    #[test]
    fn memory_has_a_bound() {
        let mut replays = Replays::new(10);
        for number in 0..100 {
            assert_eq!(replays.arrive(AT(0), print(number), None), Arrival::First);
            replays.answered(AT(0), print(number), number);
        }
        assert_eq!((replays.len(), replays.seen.len(), replays.dropped()), (10, 10, 90));
        let mut replays = Replays::new(3 * ANSWERS_MAX);
        for number in 0..2 * ANSWERS_MAX {
            replays.arrive(AT(0), print(number), None);
            replays.answered(AT(0), print(number), ());
        }
        assert_eq!(replays.answers.len(), ANSWERS_MAX);
        assert_eq!(replays.arrive(AT(0), print(0), None), Arrival::Replayed);
    }

    #[test]
    fn where_a_part_ends_makes_a_difference() {
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    }
}
