//! What running calls tell, kept for those who ask and for those who follow.
//!
//! A call leaves its entry here and goes on: a copy and a number under a lock that is held for a look-up.
//! Whoever follows fetches at their own pace, and finds that entries are gone if they are too slow. There is
//! no queue for each follower, so a thousand of them cost a call as much as none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use voice_core::driver::Clock;
use voice_core::id::CallId;
use voice_core::record::{CallEvent, Entry, Reader};
use voice_core::time::UnixMillis;

use super::course::Course;

/// Entries that are kept of each call: eight minutes at two a second, some 300 kB. Older ones are in the
/// store.
const ENTRIES_MAX: usize = 1_024;

/// Calls that are kept after their end, so that nobody has to wait for the journal to be written, and a
/// server without one shows the last of them.
const ENDED_MAX: usize = 128;

/// The newest entries of every call that runs or is expected, and of those that ended last.
#[derive(Debug)]
pub(crate) struct Feed {
    clock: Clock,
    /// Taken for each entry of each call, and by those who ask; for a look-up, never over an await.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    calls: BTreeMap<CallId, Arc<CallFeed>>,
    /// In the order in which they ended.
    ended: VecDeque<CallId>,
}

/// The newest entries of one call.
#[derive(Debug)]
pub(crate) struct CallFeed {
    /// Taken by the call for each entry and by those who read it, to copy some; never over an await.
    kept: Mutex<Kept>,
    place: watch::Sender<Place>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<(UnixMillis, Entry)>,
    course: Course,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of its newest entry.
    pub(crate) seq: u64,
    /// Nothing more will come.
    pub(crate) is_over: bool,
}

/// What comes after an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// These, without a gap.
    Entries(Vec<(UnixMillis, Entry)>),
    /// Those are no longer kept; the oldest that is has this number.
    Gone(u64),
}

impl Feed {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, table: Mutex::new(Table::default()) }
    }

    /// A call that is expected: those who follow it find it, and hear of its beginning.
    pub(crate) fn expect(&self, call: CallId) {
        self.table().call(call);
    }

    /// A call that runs, is expected, or ended lately.
    pub(crate) fn find(&self, call: CallId) -> Option<Arc<CallFeed>> {
        self.table().calls.get(&call).cloned()
    }

    /// All of them with an entry at least, in the order of their ids.
    pub(crate) fn all(&self) -> Vec<(CallId, Arc<CallFeed>)> {
        let table = self.table();
        let calls = table.calls.iter().map(|(call, feed)| (*call, feed.clone()));
        calls.filter(|(_, feed)| feed.place().seq > 0).collect()
    }

    /// Nothing more comes of this call, whether it told its end or not.
    pub(crate) fn close(&self, call: CallId) {
        let mut table = self.table();
        if let Some(feed) = table.calls.get(&call).cloned()
            && feed.end()
        {
            table.retire(call);
        }
    }

    /// A call that another server goes on with: what is kept here is of before.
    pub(crate) fn forget(&self, call: CallId) {
        let mut table = self.table();
        if table.calls.get(&call).is_some_and(|feed| feed.place().is_over) {
            table.calls.remove(&call);
            table.ended.retain(|ended| *ended != call);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader for Feed {
    fn read(&self, call: CallId, entry: &Entry) {
        let feed = {
            let mut table = self.table();
            if entry.event.is_afterthought() && !table.calls.contains_key(&call) {
                // Of a call that ended long ago; the store has it.
                return;
            }
            if matches!(entry.event, CallEvent::Returned { .. }) {
                table.ended.retain(|ended| *ended != call);
            }
            table.call(call)
        };
        feed.take(self.clock.unix(entry.at), entry);
        if matches!(entry.event, CallEvent::Ended { .. }) {
            self.close(call);
        }
    }
}

impl Table {
    fn call(&mut self, call: CallId) -> Arc<CallFeed> {
        let new =
            || Arc::new(CallFeed { kept: Mutex::new(Kept::default()), place: watch::Sender::default() });
        self.calls.entry(call).or_insert_with(new).clone()
    }

    fn retire(&mut self, call: CallId) {
        self.ended.push_back(call);
        if self.ended.len() > ENDED_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.calls.remove(&oldest);
        }
    }
}

impl CallFeed {
    /// Some of what comes after this entry.
    pub(crate) fn after(&self, seq: u64, most: usize) -> Next {
        let kept = self.kept();
        let Some((_, first)) = kept.entries.front() else { return Next::Entries(Vec::new()) };
        let Some(skip) = seq.saturating_add(1).checked_sub(first.seq) else { return Next::Gone(first.seq) };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Next::Entries(kept.entries.iter().skip(skip).take(most).cloned().collect())
    }

    /// How it went so far. `None` if its beginning was told elsewhere.
    pub(crate) fn course(&self) -> Option<Course> {
        let kept = self.kept();
        kept.course.begin.is_some().then(|| kept.course.clone())
    }

    pub(crate) fn place(&self) -> Place {
        *self.place.borrow()
    }

    /// Told of every step.
    pub(crate) fn follow(&self) -> watch::Receiver<Place> {
        self.place.subscribe()
    }

    fn take(&self, at: UnixMillis, entry: &Entry) {
        let mut kept = self.kept();
        kept.course.take(at, &entry.event);
        if kept.entries.len() >= ENTRIES_MAX {
            kept.entries.pop_front();
        }
        kept.entries.push_back((at, entry.clone()));
        drop(kept);
        // A call that was over may come back.
        let is_over = entry.event.is_afterthought() && self.place().is_over;
        self.place.send_replace(Place { seq: entry.seq, is_over });
    }

    /// Whether it was not over before.
    fn end(&self) -> bool {
        self.place.send_if_modified(|place| !std::mem::replace(&mut place.is_over, true))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use voice_core::record::{EndReason, Totals};
    use voice_core::time::MonoTime;

    use super::*;

    fn entry(seq: u64, event: CallEvent) -> Entry {
        Entry { seq, at: MonoTime::from_millis(seq), event }
    }

    fn muted(seq: u64) -> Entry {
        entry(seq, CallEvent::Muted { on: true })
    }

    fn ended(seq: u64) -> Entry {
        entry(seq, CallEvent::Ended { reason: EndReason::HungUp, totals: Totals::default() })
    }

    fn seqs(next: Next) -> Vec<u64> {
        let Next::Entries(entries) = next else { panic!("{next:?}") };
        entries.into_iter().map(|(_, entry)| entry.seq).collect()
    }

    #[tokio::test]
    async fn what_is_kept_follows_without_a_gap_and_what_is_not_is_told() {
        let (feed, call) = (Feed::new(Clock::start()), CallId::from_u128(7));
        feed.expect(call);
        assert!(feed.all().is_empty(), "nothing has happened yet");
        let one = feed.find(call).expect("it is expected");
        assert!(seqs(one.after(0, 9)).is_empty());
        let newest = ENTRIES_MAX as u64 + 10;
        (1..=newest).for_each(|seq| feed.read(call, &muted(seq)));
        assert_eq!(one.place(), Place { seq: newest, is_over: false });
        assert_eq!(one.after(9, 3), Next::Gone(11));
        assert_eq!(seqs(one.after(10, 3)), [11, 12, 13]);
        assert_eq!(seqs(one.after(newest - 1, 3)), [newest]);
        assert!(seqs(one.after(newest, 3)).is_empty());
        assert!(seqs(one.after(u64::MAX, 3)).is_empty());
    }

    #[tokio::test]
    async fn calls_are_kept_for_a_while_after_their_end_and_not_for_ever() {
        let feed = Feed::new(Clock::start());
        for call in 1..=ENDED_MAX as u128 + 1 {
            feed.read(CallId::from_u128(call), &ended(1));
            feed.close(CallId::from_u128(call));
        }
        assert!(feed.find(CallId::from_u128(1)).is_none());
        assert_eq!(feed.all().len(), ENDED_MAX);
        assert!(feed.find(CallId::from_u128(2)).expect("kept").place().is_over);
    }
}
