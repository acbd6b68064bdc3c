//! What every call has been: its record folded, entry by entry, while it runs and a little longer.
//!
//! The store knows the same. But a call whose media socket broke is back within a second, and must not wait
//! for a database then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use voice_core::call::Past;
use voice_core::driver::Clock;
use voice_core::id::CallId;
use voice_core::record::{CallEvent, Entry, Reader};
use voice_core::time::{MonoTime, UnixMillis};
use voice_telephony::legs::LegsSeen;
use voice_telephony::ticket::TicketError;

/// A call that is over is remembered so long: its carrier's document has half a minute of further streams.
const KEEP: Duration = Duration::from_secs(120);

/// All of them.
#[derive(Debug)]
pub(crate) struct Pasts {
    clock: Clock,
    /// A lock, because calls write what sockets that open look up: taken for microseconds, never over an await.
    known: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    calls: BTreeMap<CallId, Known>,
    over: VecDeque<(MonoTime, CallId)>,
    legs: LegsSeen,
}

/// What is known of one call.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) past: Past,
    /// When its last entry was told, by the clock on the wall.
    pub(crate) unix: UnixMillis,
    /// Its server died, and it has not come back yet.
    pub(crate) is_awaited: bool,
}

impl Pasts {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, known: Mutex::new(Book::default()) }
    }

    /// What is known of this call.
    pub(crate) fn look(&self, call: CallId) -> Option<Known> {
        self.book().calls.get(&call).cloned()
    }

    /// Whether anything is known of it.
    pub(crate) fn knows(&self, call: CallId) -> bool {
        self.book().calls.contains_key(&call)
    }

    /// A call of another server, or of this one before it died. What is known already is newer.
    pub(crate) fn learn(&self, call: CallId, known: Known) {
        let mut book = self.book();
        if known.past.ended().is_some() {
            book.over.push_back((self.clock.now(), call));
        }
        book.calls.entry(call).or_insert(known);
    }

    /// Another server has gone on with it: what is known here is of before.
    pub(crate) fn forget(&self, call: CallId) {
        self.book().calls.remove(&call);
    }

    /// The call that a carrier knows by this name; the latest.
    pub(crate) fn named(&self, carrier_call: &str) -> Option<CallId> {
        let book = self.book();
        let mut named = book.calls.iter().rev();
        named.find(|(_, known)| known.past.start().carrier_call == carrier_call).map(|(call, _)| *call)
    }

    /// Whether the record of a call that is known does not tell yet what its carrier has of the recording of this
    /// name.
    pub(crate) fn awaits_recording(&self, call: CallId, name: &str) -> bool {
        self.book().calls.get(&call).is_some_and(|known| known.past.awaits_recording(name))
    }

    /// The next entry of a call that does not run, by what is known of it; `None` if there is nothing to tell. It
    /// counts from here on, so that no two entries have one number.
    pub(crate) fn add(&self, call: CallId, next: impl FnOnce(&Past) -> Option<Entry>) -> Option<Entry> {
        let mut book = self.book();
        let known = book.calls.get_mut(&call)?;
        let entry = next(&known.past)?;
        known.past.apply(&entry);
        Some(entry)
    }

    /// A leg has shown its ticket.
    pub(crate) fn take_leg(&self, call: CallId, leg: u32) -> Result<(), TicketError> {
        let now = self.clock.now();
        self.book().legs.take(now, call, leg)
    }

    /// Calls that have not come back, with the carrier's name for each.
    pub(crate) fn awaited(&self) -> Vec<(CallId, Known)> {
        let book = self.book();
        let awaited = book.calls.iter().filter(|(_, known)| known.is_awaited);
        awaited.map(|(call, known)| (*call, known.clone())).collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader for Pasts {
    fn read(&self, call: CallId, entry: &Entry) {
        let unix = self.clock.unix(entry.at);
        let mut book = self.book();
        if let Some(known) = book.calls.get_mut(&call) {
            known.past.apply(entry);
            if entry.event.is_afterthought() {
                // It says nothing of where the call is.
                return;
            }
            known.unix = unix;
            known.is_awaited = false;
        } else if let Some(past) = Past::begin(entry) {
            book.calls.insert(call, Known { past, unix, is_awaited: false });
        }
        if matches!(entry.event, CallEvent::Ended { .. }) {
            book.over.push_back((entry.at, call));
            book.forget(entry.at);
        }
    }
}

impl Book {
    /// Calls that ended long ago, and did not come back.
    fn forget(&mut self, now: MonoTime) {
        while let Some((_, call)) = self.over.pop_front_if(|(at, _)| now.since(*at) >= KEEP) {
            if self.calls.get(&call).is_some_and(|known| known.past.ended().is_some()) {
                self.calls.remove(&call);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use voice_core::audio::AudioFormat;
    use voice_core::id::{CarrierId, CorrelationId};
    use voice_core::record::{EndReason, Totals};
    use voice_core::recording::Filed;

    use super::*;

    fn started() -> CallEvent {
        CallEvent::Started {
            carrier: CarrierId::from_static("twilio"),
            carrier_call: "CA1".into(),
            format: AudioFormat::MULAW_8K,
            from: "+15550100".into(),
            to: "+15550101".into(),
            correlation: CorrelationId::from_static("c-1"),
        }
    }

    fn tell(pasts: &Pasts, call: u128, seq: u64, secs: u64, event: CallEvent) {
        let at = MonoTime::from_millis(secs * 1_000);
        pasts.read(CallId::from_u128(call), &Entry { seq, at, event });
    }

    #[tokio::test]
    async fn a_call_is_known_while_it_runs_and_a_little_longer() {
        let pasts = Pasts::new(Clock::start());
        let ended = || CallEvent::Ended { reason: EndReason::HungUp, totals: Totals::default() };
        tell(&pasts, 1, 1, 0, started());
        tell(&pasts, 1, 2, 5, ended());
        tell(&pasts, 2, 1, 10, started());
        tell(&pasts, 2, 2, 60, ended());
        let (first, second) = (CallId::from_u128(1), CallId::from_u128(2));
        assert!(pasts.look(first).is_some_and(|known| !known.past.may_return()));
        tell(&pasts, 3, 1, 100, started());
        tell(&pasts, 3, 2, 126, ended());
        assert!(!pasts.knows(first) && pasts.knows(second));
    }

    #[tokio::test]
    async fn whoever_is_awaited_is_so_until_something_happens() {
        let pasts = Pasts::new(Clock::start());
        let call = CallId::from_u128(1);
        let entry = Entry { seq: 1, at: MonoTime::ZERO, event: started() };
        let past = Past::begin(&entry).unwrap();
        pasts.learn(call, Known { past, unix: UnixMillis(0), is_awaited: true });
        assert_eq!(pasts.awaited().len(), 1);
        let filed = Filed::Absent { recording: "RE1".to_owned() };
        let file = |call| pasts.add(call, |past| past.file(MonoTime::ZERO, filed.clone()));
        let entry = file(call).expect("news");
        pasts.read(call, &entry);
        assert_eq!((entry.seq, file(call)), (2, None));
        assert_eq!(pasts.awaited().len(), 1, "a recording that is there says nothing of where the call is");
        tell(&pasts, 1, 3, 1, CallEvent::GoodbyeWanted);
        assert!(pasts.awaited().is_empty());
        assert_eq!(pasts.take_leg(call, 2), Ok(()));
        assert_eq!(pasts.take_leg(call, 2), Err(TicketError::Used));
    }
}
