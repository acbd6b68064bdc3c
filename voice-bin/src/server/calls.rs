//! The calls that run and those that were promised: how many there may be, how to reach them, when all
//! have ended.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use metrics::gauge;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::error;
use voice_core::call::Control;
use voice_core::driver::{CallHandle, CallTask, Clock};
use voice_core::id::CallId;
use voice_core::record::EndReason;
use voice_core::time::MonoTime;
use voice_telephony::limits::TICKET_LIFETIME;
use voice_telephony::opening::Refusal;

use crate::metrics_names as names;
use crate::telemetry::event_types as kinds;

/// The calls of one server.
///
/// A place is taken when the carrier is told to open a media socket, not when the socket comes: else a
/// burst of calls would all be told to come, and most be sent away. The promise ends with the ticket.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    table: Arc<Table>,
    sockets: TaskTracker,
}

#[derive(Debug)]
struct Table {
    calls_max: usize,
    /// Taken when a call is promised, begins or ends, and by operators; never on a call's way.
    places: Mutex<Places>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Places {
    /// How many calls run.
    taken: usize,
    handles: BTreeMap<CallId, CallHandle>,
    /// By the carrier's name for the call, so that asking twice does not take two places; with the end of
    /// the promise.
    promised: BTreeMap<String, MonoTime>,
    state: State,
    /// Calls are given to another server, and not ended.
    handing_over: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// No new calls; those that were promised may come.
    Draining,
    /// Nobody may come.
    Closed,
}

/// Leave to run one call. Free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    call: CallId,
    table: Arc<Table>,
}

impl Calls {
    /// Room for so many.
    pub(crate) fn new(calls_max: usize) -> Self {
        gauge!(names::CALLS_LIMIT).set(calls_max as f64);
        let table = Table { calls_max, places: Mutex::default(), changed: Notify::new() };
        Self { table: Arc::new(table), sockets: TaskTracker::new() }
    }

    /// Whether one more could be promised now.
    pub(crate) fn has_room(&self, now: MonoTime) -> bool {
        self.table.places().count(now) < self.table.calls_max
    }

    /// How many run now.
    pub(crate) fn running(&self) -> usize {
        self.table.places().handles.len()
    }

    /// A running call.
    pub(crate) fn find(&self, call: CallId) -> Option<CallHandle> {
        self.table.places().handles.get(&call).cloned()
    }

    /// Every running call, oldest first.
    pub(crate) fn all(&self) -> Vec<CallHandle> {
        self.table.places().handles.values().cloned().collect()
    }

    /// Keeps a place for a call whose media socket is about to come. False when all are taken, or no new
    /// calls are.
    pub(crate) fn promise(&self, now: MonoTime, carrier_call: &str) -> bool {
        let mut places = self.table.places();
        let has_room = places.count(now) < self.table.calls_max || places.promised.contains_key(carrier_call);
        let is_kept = places.state == State::Open && has_room;
        if is_kept {
            places.promised.insert(carrier_call.to_owned(), now + TICKET_LIFETIME);
        }
        is_kept
    }

    /// The same for a call that was promised a place before: it keeps that, also while the server drains.
    pub(crate) fn keep(&self, now: MonoTime, carrier_call: &str) -> bool {
        if let Some(until) = self.table.places().promised.get_mut(carrier_call)
            && *until > now
        {
            *until = now + TICKET_LIFETIME;
            return true;
        }
        self.promise(now, carrier_call)
    }

    /// The call will not come.
    pub(crate) fn give_up(&self, carrier_call: &str) {
        if self.table.places().promised.remove(carrier_call).is_some() {
            self.table.changed.notify_waiters();
        }
    }

    /// Takes the place that was promised, or any that is free.
    pub(crate) fn take_slot(&self, now: MonoTime, carrier_call: &str, call: CallId) -> Result<Slot, Refusal> {
        let mut places = self.table.places();
        let has_room = places.count(now) < self.table.calls_max;
        let was_promised = places.promised.remove(carrier_call).is_some();
        match places.state {
            State::Closed => return Err(Refusal::ShuttingDown),
            State::Draining if !was_promised => return Err(Refusal::ShuttingDown),
            State::Open | State::Draining if !was_promised && !has_room => return Err(Refusal::Full),
            State::Open | State::Draining => places.taken += 1,
        }
        Ok(Slot { call, table: self.table.clone() })
    }

    /// Spawns a media socket's task, which [`Self::all_ended`] waits for.
    pub(crate) fn spawn(&self, socket: impl Future<Output = ()> + Send + 'static) {
        self.sockets.spawn(socket);
    }

    /// Takes no more calls but those that were promised.
    pub(crate) fn drain(&self) {
        self.table.places().state = State::Draining;
    }

    /// Whether no more calls are taken.
    pub(crate) fn is_draining(&self) -> bool {
        self.table.places().state != State::Open
    }

    /// Tells every call to end at once; no other can begin.
    pub(crate) fn shut_down(&self) {
        let mut places = self.table.places();
        places.state = State::Closed;
        places.promised.clear();
        for handle in places.handles.values() {
            handle.control(Control::Shutdown);
        }
        drop(places);
        self.table.changed.notify_waiters();
    }

    /// Lets go of every call, in a way that makes their carriers bring them to somebody else.
    pub(crate) fn hand_over(&self) {
        self.table.places().handing_over = true;
        self.shut_down();
    }

    /// Whether calls are given to somebody else.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.table.places().handing_over
    }

    /// Whether a call that is told to shut down now is over.
    pub(crate) fn ends_for_good(&self) -> bool {
        let places = self.table.places();
        places.state == State::Closed && !places.handing_over
    }

    /// Waits until this call runs no more, but not for ever.
    pub(crate) async fn gone(&self, call: CallId, patience: Duration) {
        let gone = async {
            loop {
                let changed = self.table.changed.notified();
                if self.find(call).is_none() {
                    return;
                }
                changed.await;
            }
        };
        let _gone_or_late = tokio::time::timeout(patience, gone).await;
    }

    /// Returns when no media socket is open and none is promised.
    pub(crate) async fn all_ended(&self, clock: Clock) {
        self.sockets.close();
        loop {
            let changed = self.table.changed.notified();
            self.sockets.wait().await;
            let Some(until) = self.table.places().promised_until(clock.now()) else { return };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(clock.instant(until)) => {}
            }
        }
    }
}

impl Table {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Places that are not free.
    fn count(&mut self, now: MonoTime) -> usize {
        self.promised.retain(|_, until| *until > now);
        self.taken + self.promised.len()
    }

    /// When the last promise ends.
    fn promised_until(&mut self, now: MonoTime) -> Option<MonoTime> {
        self.promised.retain(|_, until| *until > now);
        self.promised.values().max().copied()
    }
}

impl Slot {
    /// Runs a call to its end, and says why it ended. A bug in it costs this call only, and gives no reason.
    pub(crate) async fn run(self, handle: CallHandle, task: CallTask) -> Option<EndReason> {
        {
            let mut places = self.table.places();
            if places.state == State::Closed {
                handle.control(Control::Shutdown);
            }
            places.handles.insert(self.call, handle);
        }
        gauge!(names::CALLS_ACTIVE).increment(1);
        let end = AssertUnwindSafe(task.run()).catch_unwind().await.ok();
        if end.is_none() {
            error!(event_type = kinds::CALL_BUG, error_type = "call_bug", call = %self.call, "a bug ended this call");
        }
        gauge!(names::CALLS_ACTIVE).decrement(1);
        end
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut places = self.table.places();
        places.handles.remove(&self.call);
        places.taken -= 1;
        drop(places);
        self.table.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

    fn slot(calls: &Calls, at: u64, name: &str) -> Result<Slot, Refusal> {
        calls.take_slot(AT(at), name, CallId::from_u128(7))
    }

    #[test]
    fn a_promise_takes_a_place_once_and_ends_with_the_ticket() {
        let calls = Calls::new(2);
        assert!(calls.promise(AT(0), "a") && calls.promise(AT(0), "a") && calls.promise(AT(0), "b"));
        assert!(!calls.promise(AT(1), "c") && !calls.has_room(AT(1)));
        let a = slot(&calls, 2, "a").unwrap();
        assert_eq!(slot(&calls, 2, "c").unwrap_err(), Refusal::Full, "b is still expected");
        assert!(calls.has_room(AT(60_000)), "b did not come");
        let c = slot(&calls, 60_000, "c").unwrap();
        assert_eq!(slot(&calls, 60_000, "b").unwrap_err(), Refusal::Full);
        drop((a, c));
        assert!(slot(&calls, 60_001, "b").is_ok());
    }

    #[test]
    fn a_caller_who_hung_up_gives_the_place_back() {
        let calls = Calls::new(1);
        assert!(calls.promise(AT(0), "a") && !calls.promise(AT(0), "b"));
        calls.give_up("a");
        assert!(calls.promise(AT(0), "b"));
    }

    #[test]
    fn while_draining_only_those_come_who_were_promised() {
        let calls = Calls::new(9);
        assert!(calls.promise(AT(0), "a") && calls.promise(AT(0), "b"));
        calls.drain();
        assert!(!calls.promise(AT(1), "c") && !calls.keep(AT(1), "c") && calls.keep(AT(1), "a"));
        assert!(slot(&calls, 1, "a").is_ok());
        assert_eq!(slot(&calls, 1, "c").unwrap_err(), Refusal::ShuttingDown);
        calls.shut_down();
        assert_eq!(slot(&calls, 1, "b").unwrap_err(), Refusal::ShuttingDown);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_one_is_waited_for_and_a_promise_no_longer_than_its_ticket() {
        let (calls, clock) = (Calls::new(9), Clock::start());
        calls.promise(clock.now(), "a");
        calls.all_ended(clock).await;
        assert_eq!(clock.now(), MonoTime::ZERO + TICKET_LIFETIME);
    }
}
