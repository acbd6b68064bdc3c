//! Sessions that were prepared over the API and wait for their media: a call that is placed once somebody
//! says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use voice_core::driver::Clock;
use voice_core::id::{CallId, CorrelationId};
use voice_core::time::{MonoTime, UnixMillis};
use voice_telephony::outbound::Order;

use super::feed::Feed;

/// Prepared sessions at once, each of about 2 kB; a client that prepares and never starts fills no more.
const SESSIONS_MAX: usize = 1_000;

/// How long a session waits to be started.
pub(crate) const WAIT: Duration = Duration::from_secs(600);

/// How long it is shown after that, or after its call was placed.
const SHOWN: Duration = Duration::from_secs(600);

/// The sessions of a server that were prepared.
#[derive(Debug)]
pub(crate) struct Prepared {
    clock: Clock,
    feed: Arc<Feed>,
    /// Taken by requests to the API, for a look-up; never over an await.
    sessions: Mutex<BTreeMap<CallId, Waiting>>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) order: Order,
    pub(crate) correlation: CorrelationId,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) created: UnixMillis,
    pub(crate) state: State,
    /// When it expires or is forgotten.
    until: MonoTime,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// To be started.
    Waits,
    /// The call is being placed or was placed; the rest is told by the call.
    Started,
    /// Given up, at this time, for this reason.
    Ended(UnixMillis, &'static str),
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no such session.
    Unknown,
    /// Too many wait.
    Full,
    /// It was started before.
    Started,
    /// It was given up.
    Ended,
}

impl Prepared {
    pub(crate) fn new(clock: Clock, feed: Arc<Feed>) -> Self {
        Self { clock, feed, sessions: Mutex::new(BTreeMap::new()) }
    }

    /// Keeps an order until it is started. The session is called like its call.
    pub(crate) fn prepare(
        &self,
        order: Order,
        correlation: CorrelationId,
        metadata: BTreeMap<String, String>,
    ) -> Result<Waiting, Refused> {
        let (now, call) = (self.clock.now(), order.call);
        let mut sessions = self.sessions();
        if sessions.len() >= SESSIONS_MAX {
            return Err(Refused::Full);
        }
        let created = self.clock.unix(now);
        let (state, until) = (State::Waits, now + WAIT);
        let waiting = Waiting { order, correlation, metadata, created, state, until };
        sessions.insert(call, waiting.clone());
        self.feed.expect(call);
        Ok(waiting)
    }

    /// Hands the order over. Whoever cannot carry it out gives it [back](Self::give_back).
    pub(crate) fn start(&self, call: CallId) -> Result<Waiting, Refused> {
        let now = self.clock.now();
        let mut sessions = self.sessions();
        let waiting = sessions.get_mut(&call).ok_or(Refused::Unknown)?;
        match waiting.state {
            State::Waits => {}
            State::Started => return Err(Refused::Started),
            State::Ended(..) => return Err(Refused::Ended),
        }
        (waiting.state, waiting.until) = (State::Started, now + SHOWN);
        Ok(waiting.clone())
    }

    /// It was not started after all.
    pub(crate) fn give_back(&self, call: CallId) {
        let now = self.clock.now();
        if let Some(waiting) = self.sessions().get_mut(&call) {
            (waiting.state, waiting.until) = (State::Waits, now + WAIT);
        }
    }

    /// Gives one up that was not started. False if it was, or there is none.
    pub(crate) fn end(&self, call: CallId) -> bool {
        let now = self.clock.now();
        let mut sessions = self.sessions();
        let Some(waiting) = sessions.get_mut(&call).filter(|one| one.state == State::Waits) else {
            return false;
        };
        waiting.state = State::Ended(self.clock.unix(now), "hung_up");
        waiting.until = now + SHOWN;
        drop(sessions);
        self.feed.close(call);
        true
    }

    pub(crate) fn find(&self, call: CallId) -> Option<Waiting> {
        self.sessions().get(&call).cloned()
    }

    /// All of them, in the order of their ids.
    pub(crate) fn all(&self) -> Vec<(CallId, Waiting)> {
        self.sessions().iter().map(|(call, waiting)| (*call, waiting.clone())).collect()
    }

    /// The table as of now.
    fn sessions(&self) -> MutexGuard<'_, BTreeMap<CallId, Waiting>> {
        let now = self.clock.now();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, waiting| waiting.state == State::Waits || waiting.until > now);
        for (call, waiting) in sessions.iter_mut().filter(|(_, one)| one.until <= now) {
            waiting.state = State::Ended(self.clock.unix(waiting.until), "expired");
            waiting.until += SHOWN;
            self.feed.close(*call);
        }
        sessions
    }
}

#[cfg(test)]
mod tests {
    use voice_telephony::outbound::Voicemail;

    use super::*;

    fn order(call: u128) -> Order {
        Order {
            call: CallId::from_u128(call),
            to: "+15550100".parse().expect("a number"),
            routes: Vec::new(),
            ring: Duration::from_secs(30),
            longest: Duration::from_secs(60),
            voicemail: Voicemail::GoOn,
        }
    }

    fn prepared() -> Prepared {
        let clock = Clock::start();
        Prepared::new(clock, Arc::new(Feed::new(clock)))
    }

    fn prepare(sessions: &Prepared, call: u128) -> Result<Waiting, Refused> {
        sessions.prepare(order(call), CorrelationId::from_static("c-1"), BTreeMap::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_started_once_or_given_up() {
        let sessions = prepared();
        let (one, two) = (CallId::from_u128(1), CallId::from_u128(2));
        prepare(&sessions, 1).expect("there is room");
        prepare(&sessions, 2).expect("there is room");
        assert!(sessions.start(one).is_ok());
        sessions.give_back(one);
        assert!(sessions.start(one).is_ok());
        assert_eq!(sessions.start(one).map(|_| ()), Err(Refused::Started));
        assert!(sessions.end(two) && !sessions.end(two) && !sessions.end(one));
        assert_eq!(sessions.start(two).map(|_| ()), Err(Refused::Ended));
        assert_eq!(sessions.start(CallId::from_u128(3)).map(|_| ()), Err(Refused::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_waits_for_ten_minutes_and_is_shown_for_ten_more() {
        let sessions = prepared();
        let call = CallId::from_u128(1);
        prepare(&sessions, 1).expect("there is room");
        tokio::time::advance(WAIT).await;
        let state = sessions.find(call).map(|waiting| waiting.state);
        assert!(matches!(state, Some(State::Ended(_, "expired"))), "{state:?}");
        tokio::time::advance(SHOWN).await;
        assert!(sessions.find(call).is_none());
    }

    #[tokio::test]
    async fn there_is_a_bound() {
        let sessions = prepared();
        (0..SESSIONS_MAX as u128).for_each(|call| drop(prepare(&sessions, call).expect("there is room")));
        assert_eq!(prepare(&sessions, u128::MAX).map(|_| ()), Err(Refused::Full));
    }
}
