//! The playout ledger: what was queued, sent, acknowledged, cleared, and so what the caller heard.
//!
//! Providers deliver a reply several times faster than it can be spoken. The ledger keeps it and
//! releases it so that the carrier is never more than `lead` ahead of the caller's ear. The time at
//! which a frame reaches the ear is estimated from the time it was sent; marks that come back correct
//! the estimate, but are not needed for it: they may be late or lost.

mod reply;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::audio::{AudioFormat, FRAME};
use crate::conversation::Heard;
use crate::id::{MarkId, ReplyId};
use crate::limits;
use crate::provider::ReplyEnd;
use crate::time::MonoTime;

#[cfg(any(test, feature = "sim"))]
pub(crate) use reply::UnderWay;
pub(crate) use reply::{Finished, Progress, ReplyLedger};

use super::covers::is_cover;

/// Marks are sent after so many frames (200 ms), and at the end of each reply.
const FRAMES_PER_MARK: u64 = 10;

/// After so many (a second), once it is known how late the ear is: each mark that comes back wakes the call.
const FRAMES_PER_LATER_MARK: u64 = 50;

/// Marks may come back seconds late (field reports: up to 13 s) without the ear being late. Of the last
/// few, the quickest tells the truth.
const LAGS: usize = 8;

/// Of fewer marks than these, the quickest may have been slow.
const LAGS_MIN: usize = 3;

/// A mark later than this says nothing about the ear at all.
const LAG_MAX: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Playout {
    format: AudioFormat,
    lead: Duration,
    /// Received, not sent.
    queue: VecDeque<(ReplyId, Bytes)>,
    /// Sent, and by our estimate not heard yet.
    sent: VecDeque<Sent>,
    /// Replies of which something is still to be heard or to come; oldest first.
    replies: VecDeque<ReplyLedger>,
    /// The last few replies that are over.
    history: VecDeque<ReplyId>,
    /// Everything up to this one was cut. Ids rise, so nothing of them can be new.
    cut_until: Option<ReplyId>,
    /// When the carrier runs out of what it has, by the clock at which we send.
    buffered_until: MonoTime,
    /// How much later than `buffered_until` says the ear really is, as marks have shown.
    lag: Duration,
    /// What the last few marks said about that.
    lags: VecDeque<Duration>,
    marks: Marks,
    first: First,
}

/// When the first sound of the last reply that began is heard.
#[derive(Debug, Default)]
enum First {
    /// There was none, or it was cut, or has been asked for.
    #[default]
    Unknown,
    /// The number of its first frame, and when that begins by the clock of sending.
    Sent { reply: ReplyId, number: u64, begins: MonoTime },
    /// By a mark that came back.
    Heard { reply: ReplyId, ear: MonoTime },
}

/// A frame on its way to the ear.
#[derive(Debug)]
struct Sent {
    reply: ReplyId,
    number: u64,
    ends: MonoTime,
    duration: Duration,
}

/// Marks under way.
#[derive(Debug, Default)]
struct Marks {
    /// Mark, number of the last frame before it, and when that frame ends by our estimate.
    under_way: VecDeque<(MarkId, u64, MonoTime)>,
    next: u64,
    frames_sent: u64,
    frames_at_last: u64,
}

/// What the ledger wants to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Send this frame.
    Frame(Bytes),
    /// Send this mark.
    Mark(MarkId),
    /// The first frame of this reply comes next.
    Starts(ReplyId),
}

/// What a cut brought to light.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    /// Every reply that was not heard to its end, oldest first.
    pub(crate) heard: Vec<Heard>,
    /// Their last words.
    pub(crate) finished: Vec<Finished>,
    /// What begins later, by the clock of sending, was not heard; nor the rest of what begins before.
    pub(crate) heard_until: MonoTime,
}

impl Playout {
    pub(crate) fn new(format: AudioFormat, lead: Duration) -> Self {
        Self {
            format,
            lead,
            queue: VecDeque::new(),
            sent: VecDeque::new(),
            replies: VecDeque::new(),
            history: VecDeque::new(),
            cut_until: None,
            buffered_until: MonoTime::ZERO,
            lag: Duration::ZERO,
            lags: VecDeque::with_capacity(LAGS),
            marks: Marks::default(),
            first: First::Unknown,
        }
    }

    /// Takes a frame of a reply. False if there was no room for it.
    pub(crate) fn push(&mut self, reply: ReplyId, frame: Bytes) -> bool {
        if self.is_history(reply) {
            return true;
        }
        let duration = self.format.duration_of(frame.len());
        let full = self.queued() >= limits::PLAYOUT_MAX;
        let ledger = self.ledger(reply);
        ledger.received += duration;
        // A reply with a hole in it is worse than one that ends: from the first loss on, all is lost.
        if full || !ledger.dropped.is_zero() {
            ledger.dropped += duration;
            return false;
        }
        self.queue.push_back((reply, frame));
        true
    }

    /// Takes words of a reply.
    pub(crate) fn words(&mut self, reply: ReplyId, text: &str) {
        if !self.is_history(reply) {
            self.ledger(reply).append(text);
        }
    }

    /// The provider has nothing more to say in this reply.
    pub(crate) fn done(&mut self, reply: ReplyId, end: ReplyEnd) {
        if !self.is_history(reply) {
            self.ledger(reply).end = Some(end);
        }
    }

    /// Nobody hears this reply, of which so much has come. Nothing of it is played, now or later.
    pub(crate) fn refuse(&mut self, reply: ReplyId, came: Duration) -> Finished {
        self.cut_until = self.cut_until.max(Some(reply));
        let at = self.replies.iter().position(|ledger| ledger.reply == reply);
        let mut ledger = at.and_then(|at| self.replies.remove(at)).unwrap_or_else(|| ReplyLedger::new(reply));
        ledger.received += came;
        ledger.finish(true)
    }

    /// Every reply that is still open ends like this: its provider is gone. True if there was one.
    pub(crate) fn break_off(&mut self, end: ReplyEnd) -> bool {
        let mut any = false;
        for ledger in self.replies.iter_mut().filter(|ledger| ledger.end.is_none()) {
            ledger.end = Some(end);
            any = true;
        }
        any
    }

    /// The next thing to send, if it is time. Called until it answers `None`.
    pub(crate) fn release(&mut self, now: MonoTime) -> Option<Release> {
        if self.mark_is_due() {
            return self.mark(now).map(Release::Mark);
        }
        if self.buffered_until + FRAME > now + self.lead {
            return None;
        }
        let (reply, _) = self.queue.front()?;
        let reply = *reply;
        let ledger = self.ledger(reply);
        if !ledger.started {
            ledger.started = true;
            let begins = self.buffered_until.max(now);
            self.first = First::Sent { reply, number: self.marks.frames_sent + 1, begins };
            return Some(Release::Starts(reply));
        }
        let (_, frame) = self.queue.pop_front()?;
        let duration = self.format.duration_of(frame.len());
        self.buffered_until = self.buffered_until.max(now) + duration;
        self.marks.frames_sent += 1;
        let number = self.marks.frames_sent;
        self.sent.push_back(Sent { reply, number, ends: self.buffered_until, duration });
        Some(Release::Frame(frame))
    }

    /// Takes a mark that came back. False if it is not under way (cleared, doubled or invented).
    pub(crate) fn played(&mut self, now: MonoTime, mark: MarkId) -> bool {
        let Some(at) = self.marks.under_way.iter().position(|(m, ..)| *m == mark) else { return false };
        let (_, frame, ends) = self.marks.under_way[at];
        self.marks.under_way.drain(..=at);
        if let First::Sent { reply, number, begins } = self.first
            && number <= frame
        {
            // What lies between the two is sound, and takes as long as it is.
            self.first = First::Heard { reply, ear: now.saturating_sub(ends.since(begins)) };
        }
        self.learn(now.since(ends));
        while self.sent.front().is_some_and(|sent| sent.number <= frame) {
            self.hear_front();
        }
        true
    }

    /// The reply whose first sound a mark has shown to be heard, and when it was. Told once.
    pub(crate) fn take_first_heard(&mut self) -> Option<(ReplyId, MonoTime)> {
        let First::Heard { reply, ear } = self.first else { return None };
        self.first = First::Unknown;
        Some((reply, ear))
    }

    /// Counts as heard what the ear must have reached by now, and takes out replies that are over.
    pub(crate) fn settle(&mut self, now: MonoTime) -> Option<Finished> {
        self.hear_due(now);
        let at = self.replies.iter().position(ReplyLedger::is_over)?;
        let ledger = self.replies.remove(at)?;
        self.remember(ledger.reply);
        Some(ledger.finish(false))
    }

    /// What the record should be told of replies that go on. Called until it answers `None`.
    pub(crate) fn progress(&mut self) -> Option<Progress> {
        let voices = self.replies.iter_mut().filter(|ledger| !is_cover(ledger.reply));
        voices.filter(|ledger| !ledger.is_over()).find_map(ReplyLedger::progress)
    }

    /// The caller must hear no more of this. Everything not heard yet is thrown away.
    ///
    /// `Cut::heard` is empty if nothing was being said: everything had been heard, or nothing was
    /// there. Then nothing need be cleared, and no provider need be told.
    pub(crate) fn cut(&mut self, now: MonoTime) -> Cut {
        let mut cut = Cut { heard_until: self.buffered_until, ..Cut::default() };
        self.hear_due(now);
        if let Some(front) = self.sent.front() {
            let begins = front.ends.saturating_sub(front.duration);
            let part = now.since(begins + self.lag).min(front.duration);
            cut.heard_until = begins + part;
            let reply = front.reply;
            self.ledger(reply).heard += part;
        }
        for ledger in std::mem::take(&mut self.replies) {
            // Ids of covers rise by themselves and are never used by a peer.
            if !is_cover(ledger.reply) {
                self.cut_until = self.cut_until.max(Some(ledger.reply));
            }
            if ledger.is_over() {
                cut.finished.push(ledger.finish(false));
                continue;
            }
            cut.heard.push(Heard {
                reply: ledger.reply,
                heard: ledger.heard,
                unheard: ledger.received.saturating_sub(ledger.heard),
            });
            cut.finished.push(ledger.finish(true));
        }
        self.queue.clear();
        self.sent.clear();
        self.marks.under_way.clear();
        self.first = First::Unknown;
        self.marks.frames_at_last = self.marks.frames_sent;
        self.buffered_until = now;
        cut
    }

    /// When something is due: the next release, or the next reply to be heard to its end.
    pub(crate) fn wakes_at(&self) -> Option<MonoTime> {
        let release =
            (!self.queue.is_empty()).then(|| (self.buffered_until + FRAME).saturating_sub(self.lead));
        // A reply that comes as fast as it is spoken would wake the call for each frame that is heard, a
        // moment before the next one does; nothing is late if that is noticed a frame later.
        let patience = if self.is_open() { FRAME } else { Duration::ZERO };
        let heard = self.sent.back().map(|sent| sent.ends + self.lag + patience);
        match (release, heard) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// More of some reply is to come.
    pub(crate) fn is_open(&self) -> bool {
        self.replies.iter().any(|ledger| ledger.end.is_none())
    }

    /// Peers are rude: something of a reply may come after its end, and must not bring it back to life.
    pub(crate) fn is_history(&self, reply: ReplyId) -> bool {
        let cut = self.cut_until.is_some_and(|cut| reply <= cut && !is_cover(reply));
        cut || self.history.contains(&reply)
    }

    pub(crate) fn format(&self) -> AudioFormat {
        self.format
    }

    /// When the frame that was released last begins, by the clock of sending.
    pub(crate) fn sent_at(&self) -> MonoTime {
        self.sent.back().map_or(self.buffered_until, |sent| sent.ends.saturating_sub(sent.duration))
    }

    /// How much later than by the clock of sending the ear hears.
    pub(crate) const fn lag(&self) -> Duration {
        self.lag
    }

    /// How much waits to be sent.
    pub(crate) fn queued(&self) -> Duration {
        FRAME * self.queue.len() as u32
    }

    /// When the caller has heard all there is, by our estimate.
    pub(crate) fn ends(&self, now: MonoTime) -> MonoTime {
        self.buffered_until.max(now) + self.queued() + self.lag
    }

    /// The caller hears nothing: nothing is queued, nothing on its way.
    pub(crate) fn is_dry(&self) -> bool {
        self.sent.is_empty() && self.queue.is_empty()
    }

    /// Nothing is queued, nothing on its way, no reply open.
    pub(crate) fn is_silent(&self) -> bool {
        self.replies.is_empty() && self.is_dry()
    }

    /// What will have been said once everything received has been heard, oldest first.
    pub(crate) fn pending_words(&self) -> impl Iterator<Item = (ReplyId, String, bool)> {
        self.replies.iter().map(|ledger| {
            let cut = ledger.end.is_some_and(|end| end != ReplyEnd::Completed);
            (ledger.reply, ledger.words_within(ledger.received - ledger.dropped), cut)
        })
    }

    /// Replies of voices that are not over, and what the record knows of them.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn under_way(&self) -> impl Iterator<Item = UnderWay<'_>> {
        self.replies.iter().filter(|ledger| !is_cover(ledger.reply)).map(ReplyLedger::under_way)
    }

    fn ledger(&mut self, reply: ReplyId) -> &mut ReplyLedger {
        let at = match self.replies.iter().position(|ledger| ledger.reply == reply) {
            Some(at) => at,
            None => {
                if self.replies.len() >= limits::REPLIES_MAX {
                    self.break_off(ReplyEnd::Incomplete);
                }
                self.replies.push_back(ReplyLedger::new(reply));
                self.replies.len() - 1
            }
        };
        &mut self.replies[at]
    }

    fn remember(&mut self, reply: ReplyId) {
        if self.history.len() >= limits::REPLIES_MAX {
            self.history.pop_front();
        }
        self.history.push_back(reply);
    }

    fn learn(&mut self, lag: Duration) {
        if lag > LAG_MAX {
            return;
        }
        if self.lags.len() >= LAGS {
            self.lags.pop_front();
        }
        self.lags.push_back(lag);
        if self.lags.len() >= LAGS_MIN {
            self.lag = self.lags.iter().copied().min().unwrap_or_default();
        }
    }

    fn hear_due(&mut self, now: MonoTime) {
        while self.sent.front().is_some_and(|sent| sent.ends + self.lag <= now) {
            self.hear_front();
        }
    }

    fn hear_front(&mut self) {
        if let Some(sent) = self.sent.pop_front() {
            self.ledger(sent.reply).heard += sent.duration;
        }
    }

    fn mark_is_due(&self) -> bool {
        let since = self.marks.frames_sent - self.marks.frames_at_last;
        let last_is_over = || {
            let last = self.sent.back().map(|sent| sent.reply);
            let over = |reply| self.replies.iter().any(|l| l.reply == reply && l.end.is_some());
            last.is_some_and(over) && self.queue.front().map(|(reply, _)| *reply) != last
        };
        let is_known = self.lags.len() >= LAGS;
        let enough = if is_known { FRAMES_PER_LATER_MARK } else { FRAMES_PER_MARK };
        since >= enough || (since > 0 && last_is_over())
    }

    fn mark(&mut self, now: MonoTime) -> Option<MarkId> {
        self.marks.frames_at_last = self.marks.frames_sent;
        self.marks.next += 1;
        let mark = MarkId(self.marks.next);
        if self.marks.under_way.len() >= limits::MARKS_MAX {
            self.marks.under_way.pop_front();
        }
        // One that is sent after its frame was heard comes back late, and not because the ear is.
        let ends = self.buffered_until.max(now);
        self.marks.under_way.push_back((mark, self.marks.frames_sent, ends));
        Some(mark)
    }
}

#[cfg(test)]
mod tests;
