//! The carrier as it really is: it plays what arrives, in order, and knows exactly what the ear heard.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audio::FRAME;
use crate::id::{MarkId, ReplyId};
use crate::sim::rng::Rng;
use crate::time::MonoTime;

/// What comes down the line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrival {
    Frame(ReplyId),
    Mark(MarkId),
    Clear,
}

/// See the module.
pub(super) struct CarrierModel {
    rng: Rng,
    /// Way to the carrier, way back, and what the network adds at worst.
    there: Duration,
    back: Duration,
    jitter: Duration,
    /// TCP keeps order: nothing overtakes.
    last_arrival: MonoTime,
    free_at: MonoTime,
    /// Frames from the first that may not have been played whole, with the time they begin.
    playing: Vec<(ReplyId, MonoTime)>,
    heard: BTreeMap<ReplyId, Duration>,
    /// When each frame began to play, in order, and how much of it was heard.
    truth: Vec<(MonoTime, Duration)>,
    cleared: Vec<MonoTime>,
}

impl CarrierModel {
    pub(super) fn new(mut rng: Rng) -> Self {
        Self {
            there: rng.millis(1..120),
            back: rng.millis(1..120),
            jitter: rng.millis(0..60),
            rng,
            last_arrival: MonoTime::ZERO,
            free_at: MonoTime::ZERO,
            playing: Vec::new(),
            heard: BTreeMap::new(),
            truth: Vec::new(),
            cleared: Vec::new(),
        }
    }

    /// Nothing takes any time.
    pub(super) fn make_perfect(&mut self) {
        (self.there, self.back, self.jitter) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    }

    pub(super) fn is_perfect(&self) -> bool {
        (self.there + self.back + self.jitter).is_zero()
    }

    /// The way back.
    pub(super) const fn back(&self) -> Duration {
        self.back
    }

    /// When each frame began to play, in order, and how much of it was heard.
    pub(super) fn truth(&self) -> &[(MonoTime, Duration)] {
        &self.truth
    }

    /// Whether what was not played was thrown away about then.
    pub(super) fn was_cleared_near(&self, at: MonoTime, tolerance: Duration) -> bool {
        let tolerance = tolerance + FRAME;
        self.cleared.iter().any(|cleared| *cleared + tolerance >= at && at + tolerance >= *cleared)
    }

    /// When something that is sent now arrives.
    pub(super) fn arrives_at(&mut self, now: MonoTime) -> MonoTime {
        let jitter = self.rng.millis(0..self.jitter.as_millis() as u64 + 1);
        self.last_arrival = self.last_arrival.max(now + self.there + jitter);
        self.last_arrival
    }

    /// Something arrives. Answers with marks that come back to us, and how long from now.
    pub(super) fn arrives(&mut self, now: MonoTime, arrival: Arrival) -> Vec<(Duration, MarkId)> {
        match arrival {
            Arrival::Frame(reply) => {
                let begins = self.free_at.max(now);
                self.free_at = begins + FRAME;
                self.playing.push((reply, begins));
                self.truth.push((begins, FRAME));
                Vec::new()
            }
            Arrival::Mark(mark) => self.echo(now, mark),
            Arrival::Clear => {
                self.settle(now);
                self.playing.clear();
                self.free_at = now;
                self.cleared.push(now);
                for (begins, heard) in self.truth.iter_mut().rev() {
                    if *begins + *heard <= now {
                        break;
                    }
                    *heard = now.since(*begins).min(*heard);
                }
                Vec::new()
            }
        }
    }

    /// How far the ledger's "heard" may be from the truth: the way there and back, and a frame or two.
    pub(super) fn tolerance(&self) -> Duration {
        self.there + self.back + self.jitter * 2 + FRAME * 3
    }

    /// What the ear has heard of a reply by now.
    pub(super) fn heard(&self, reply: ReplyId, now: MonoTime) -> Duration {
        let playing: Duration = self
            .playing
            .iter()
            .filter(|(r, _)| *r == reply)
            .map(|(_, begins)| now.since(*begins).min(FRAME))
            .sum();
        self.heard.get(&reply).copied().unwrap_or_default() + playing
    }

    fn echo(&mut self, now: MonoTime, mark: MarkId) -> Vec<(Duration, MarkId)> {
        let played = self.free_at.max(now).since(now);
        let back = self.back + self.rng.millis(0..self.jitter.as_millis() as u64 + 1);
        match self.rng.range(0..100) {
            0..10 => vec![],
            10..18 => vec![(played + back + self.rng.millis(0..6_000), mark)],
            18..20 => vec![(played + back, mark), (played + back, mark)],
            20..22 => vec![(played + back, MarkId(mark.0 + 1_000_000))],
            _ => vec![(played + back, mark)],
        }
    }

    fn settle(&mut self, now: MonoTime) {
        for (reply, begins) in &self.playing {
            *self.heard.entry(*reply).or_default() += now.since(*begins).min(FRAME);
        }
    }
}
