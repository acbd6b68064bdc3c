//! Audio and keys in the order in which they were made, not in which they came.
//!
//! Telnyx handles the messages of a stream concurrently, so that neighbours overtake each other although
//! TCP would not let them (protocol notes, Telnyx §4). Audio is ordered by its chunk number, keys by the
//! time at which they were pressed.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::AudioFormat;
use voice_core::audio::reorder::{Ordered, Reorder};
use voice_core::carrier::Digit;
use voice_core::time::MonoTime;

use crate::limits::{CHUNK_JUMP_MAX, LOSS_MAX, REORDER_CHUNKS, REORDER_WAIT, STRAY_CHUNKS_MAX};

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// It is in order, or waits for one that is missing.
    Kept,
    /// A second time, or after it was given up.
    Late,
    /// Its number cannot belong here.
    Stray,
}

/// The caller's audio on its way into order.
#[derive(Debug)]
pub(super) struct Hearing {
    reorder: Reorder<Bytes>,
    /// The number after the last chunk that was passed on.
    due: u64,
    /// The highest number kept.
    newest: u64,
    /// Chunks in a row that did not belong or came too late, each with a higher number than the one
    /// before; and that number.
    strays: (u32, u64),
    /// Since when a missing chunk is waited for.
    waits_since: Option<MonoTime>,
    /// What is reported before the next chunk; nothing before the first, of which nobody knows the
    /// number.
    lost: Option<u64>,
    has_begun: bool,
}

impl Hearing {
    pub(super) fn new() -> Self {
        Self {
            reorder: Reorder::starting_at(REORDER_CHUNKS, FIRST_CHUNK),
            due: FIRST_CHUNK,
            newest: FIRST_CHUNK - 1,
            strays: (0, 0),
            waits_since: None,
            lost: None,
            has_begun: false,
        }
    }

    /// Takes a chunk. One without a number counts as the next.
    pub(super) fn push(&mut self, now: MonoTime, number: Option<u64>, audio: Bytes) -> Took {
        let number = number.unwrap_or_else(|| self.newest.saturating_add(1));
        let is_wild = number > self.due.saturating_add(CHUNK_JUMP_MAX);
        if is_wild || number < self.due {
            let (count, last) = self.strays;
            self.strays = if number > last { (count + 1, number) } else { (1, number) };
            if self.strays.0 < STRAY_CHUNKS_MAX {
                return if is_wild { Took::Stray } else { Took::Late };
            }
            // A second of nothing else: the carrier counts anew.
            *self = Self { reorder: Reorder::new(REORDER_CHUNKS), due: number, ..Self::new() };
            self.has_begun = true;
        }
        let dropped = self.reorder.counts().dropped;
        self.reorder.push(number, audio);
        if self.reorder.counts().dropped > dropped {
            return Took::Late;
        }
        self.strays = (0, 0);
        self.newest = self.newest.max(number);
        self.waits_since.get_or_insert(now);
        Took::Kept
    }

    /// Gives up on what is missing for too long.
    pub(super) fn look_at(&mut self, now: MonoTime) {
        if self.gives_up_at().is_some_and(|at| now >= at) {
            self.reorder.give_up();
            self.waits_since = Some(now);
        }
    }

    /// Takes whatever waits as it is.
    pub(super) fn wait_no_longer(&mut self) {
        self.reorder.give_up();
    }

    /// When [`Self::look_at`] has something to do.
    pub(super) fn gives_up_at(&self) -> Option<MonoTime> {
        self.waits_since.filter(|_| self.reorder.is_waiting()).map(|since| since + REORDER_WAIT)
    }

    /// The next chunk in order, and how much was lost before it.
    pub(super) fn next(&mut self, format: AudioFormat) -> Option<(Option<Duration>, Bytes)> {
        loop {
            match self.reorder.next() {
                None => {
                    if !self.reorder.is_waiting() {
                        self.waits_since = None;
                    }
                    return None;
                }
                Some(Ordered::Lost(count)) => {
                    self.due = self.due.saturating_add(count);
                    self.lost = Some(count).filter(|_| self.has_begun);
                }
                Some(Ordered::Piece(audio)) => {
                    self.due = self.due.saturating_add(1);
                    self.has_begun = true;
                    let length = format.duration_of(audio.len());
                    let lost = self.lost.take().map(|count| {
                        length.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)).min(LOSS_MAX)
                    });
                    return Some((lost.filter(|lost| !lost.is_zero()), audio));
                }
            }
        }
    }
}

/// The first number of a stream (protocol notes, Telnyx §4). Should it be 0 one day, 20 ms are dropped.
const FIRST_CHUNK: u64 = 1;

/// Keys on their way into order: each is held until those pressed before it must have come.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// By the time of the press; the moment from which nothing earlier is expected any more.
    waiting: VecDeque<(u64, Digit, MonoTime)>,
    /// The newest that was passed on, so that a second delivery is known.
    passed: VecDeque<(u64, Digit)>,
    /// For keys without a time: they keep the order in which they came.
    newest: u64,
}

impl Keys {
    /// Takes a key. The same key at the same microsecond is the same press.
    pub(super) fn push(&mut self, now: MonoTime, digit: Digit, pressed_at: Option<u64>) {
        let at = match pressed_at {
            Some(at) => {
                let is_again = self.waiting.iter().any(|(other, key, _)| (*other, *key) == (at, digit))
                    || self.passed.contains(&(at, digit));
                if is_again {
                    return;
                }
                at
            }
            None => self.newest,
        };
        self.newest = self.newest.max(at);
        let place = self.waiting.partition_point(|(other, ..)| *other <= at);
        self.waiting.insert(place, (at, digit, now + REORDER_WAIT));
    }

    /// The next key, if it has waited long enough.
    pub(super) fn next(&mut self, now: MonoTime) -> Option<Digit> {
        let (at, digit, _) = self.waiting.pop_front_if(|(.., due)| *due <= now)?;
        if self.passed.len() >= KEYS_REMEMBERED {
            self.passed.pop_front();
        }
        self.passed.push_back((at, digit));
        Some(digit)
    }

    /// All of them, because nothing more comes.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Digit> {
        self.waiting.drain(..).map(|(_, digit, _)| digit)
    }

    /// When [`Self::next`] has something.
    pub(super) fn due(&self) -> Option<MonoTime> {
        self.waiting.front().map(|(.., due)| *due)
    }
}

/// A second delivery follows the first within moments; nobody presses sixteen keys in one.
const KEYS_REMEMBERED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;
    const FORMAT: AudioFormat = AudioFormat::MULAW_8K;

    fn piece(number: u64) -> Bytes {
        Bytes::from(vec![number as u8; 160])
    }

    /// Pushes chunks, one each 20 ms, and tells what came out: a number for each, and losses in ms.
    fn check(numbers: &[u64], expected: &str) {
        let mut hearing = Hearing::new();
        let mut out = Vec::new();
        for (at, number) in numbers.iter().enumerate() {
            hearing.push(AT(20 * at as u64), Some(*number), piece(*number));
            hearing.look_at(AT(20 * at as u64));
            drain(&mut hearing, &mut out);
        }
        assert_eq!(out.join(" "), expected, "{numbers:?}");
    }

    fn drain(hearing: &mut Hearing, out: &mut Vec<String>) {
        while let Some((lost, audio)) = hearing.next(FORMAT) {
            out.extend(lost.map(|lost| format!("-{}", lost.as_millis())));
            out.push(audio[0].to_string());
        }
    }

    #[test]
    fn neighbours_that_overtook_each_other_are_put_right() {
        check(&[1, 2, 3], "1 2 3");
        check(&[2, 1, 4, 3, 5], "1 2 3 4 5");
        check(&[4, 3, 2, 1, 5], "1 2 3 4 5");
        check(&[1, 2, 2, 3, 1], "1 2 3");
    }

    #[test]
    fn what_does_not_come_is_lost_and_too_late_is_never() {
        check(&[1, 3, 4, 5, 6, 7, 2], "1 -20 3 4 5 6 7");
        check(&[3, 4, 5, 6, 7], "3 4 5 6 7");
    }

    #[test]
    fn a_wild_number_does_no_harm() {
        let mut hearing = Hearing::new();
        let mut out = Vec::new();
        for number in [1, u64::MAX, 2, 1 << 40, 3] {
            hearing.push(AT(0), Some(number), piece(number));
            drain(&mut hearing, &mut out);
        }
        assert_eq!(out, ["1", "2", "3"]);
    }

    #[test]
    fn a_carrier_that_counts_anew_is_followed_after_a_second() {
        let mut hearing = Hearing::new();
        let mut out = Vec::new();
        let numbers = (1_000_000..1_000_100_u64).chain(1..100);
        for number in numbers {
            hearing.push(AT(0), Some(number), piece(0));
            drain(&mut hearing, &mut out);
        }
        assert_eq!(out.len(), 199 - 2 * (STRAY_CHUNKS_MAX as usize - 1));
    }

    #[test]
    fn keys_are_put_in_order_and_counted_once() {
        let mut keys = Keys::default();
        let digit = |key| Digit::new(key).expect("a key");
        keys.push(AT(0), digit('2'), Some(200));
        keys.push(AT(1), digit('1'), Some(100));
        keys.push(AT(2), digit('1'), Some(100));
        keys.push(AT(3), digit('1'), Some(300));
        keys.push(AT(3), digit('4'), None);
        assert_eq!(keys.next(AT(59)), None);
        let pressed: String =
            std::iter::from_fn(|| keys.next(AT(100))).map(|digit| digit.as_char()).collect();
        assert_eq!(pressed, "1214");
        keys.push(AT(101), digit('2'), Some(200));
        assert_eq!(keys.due(), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_what_goes_out_rises(
            numbers in proptest::collection::vec(prop_oneof![1_u64..40, Just(u64::MAX)], 0..80),
        ) {
            let mut hearing = Hearing::new();
            let mut last = 0;
            for (at, number) in numbers.iter().enumerate() {
                let now = AT(10 * at as u64);
                hearing.push(now, Some(*number), piece(*number));
                hearing.look_at(now);
                while let Some((_, audio)) = hearing.next(FORMAT) {
                    prop_assert!(u64::from(audio[0]) > last || audio[0] == 0xff);
                    last = u64::from(audio[0]);
                }
            }
        }
    }
}
