//! Those who follow a call over a socket: how many there may be, how browsers prove that they may, and the
//! end of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voice_core::driver::Clock;
use voice_core::id::{CallId, CorrelationId};
use voice_core::sensitive::Secret;
use voice_telephony::legs::{Leg, LegKey};
use voice_telephony::ticket::{StreamTicket, TicketError, Tickets};

use super::connections::Connections;
use crate::cluster::Cluster;

/// Sockets at once; each costs a task and up to 300 kB of what its reader has not taken yet.
const FOLLOWERS_MAX: usize = 1_000;

/// Sockets of one address: a console with a wall of calls, or an office behind one address.
const FOLLOWERS_FROM_ONE_MAX: usize = 200;

/// From the ticket to the socket.
pub(crate) const TICKET_LIFETIME: Duration = Duration::from_secs(60);

/// What signed tickets are for: nothing else that is signed with the same key opens a socket of events.
const EVENTS: &str = "events";

/// Tickets at once.
const TICKETS_MAX: usize = 10_000;

/// How long they may take to be told that the server stops.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// Those who follow calls of a server.
#[derive(Debug)]
pub(crate) struct Followers {
    pub(crate) places: Arc<Connections>,
    tasks: TaskTracker,
    stop: CancellationToken,
    clock: Clock,
    /// Taken when a ticket is asked for and when it comes back, for microseconds, never over an await.
    tickets: Mutex<Tickets<()>>,
    /// Where there are other servers: tickets that they can check as well.
    shared: Option<(Cluster, LegKey)>,
}

impl Followers {
    /// Servers that ask for the same token take each other's tickets.
    pub(crate) fn new(clock: Clock, cluster: Option<Cluster>, token: Option<&Secret<String>>) -> Self {
        Self {
            shared: cluster.zip(token.map(|token| LegKey::derive(token.expose().as_bytes()))),
            places: Connections::new(FOLLOWERS_MAX, FOLLOWERS_FROM_ONE_MAX, None),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            clock,
            tickets: Mutex::new(Tickets::new(TICKET_LIFETIME, TICKETS_MAX)),
        }
    }

    /// Leave to follow this call once, soon.
    pub(crate) fn issue(&self, call: CallId, random: [u8; 32]) -> StreamTicket {
        let now = self.clock.now();
        if let Some((_, key)) = &self.shared {
            let number = random.first_chunk().map_or(1, |bytes| u32::from_be_bytes(*bytes).max(1));
            let (correlation, nobody) = (CorrelationId::from_static("events"), || String::new().into());
            let leg = Leg { call, number, correlation, from: nobody(), to: nobody() };
            return key.sign(EVENTS, &call.to_string(), self.clock.wall() + TICKET_LIFETIME, &leg);
        }
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.issue(now, random, call.to_string(), ())
    }

    /// Takes a ticket back.
    pub(crate) async fn redeem(&self, token: &str, call: CallId) -> Result<(), TicketError> {
        let now = self.clock.now();
        if let Some((cluster, key)) = &self.shared {
            let leg = key.open(EVENTS, &call.to_string(), self.clock.wall(), token)?;
            let name = format!("events:{call}:{}", leg.number);
            let is_first = cluster.is_first(&name, TICKET_LIFETIME).await;
            return if is_first { Ok(()) } else { Err(TicketError::Used) };
        }
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.redeem(now, token, &call.to_string())
    }

    /// Spawns a follower's task, which is told when the server stops.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        follow: impl FnOnce(CancellationToken) -> F,
    ) {
        // One for each, so that whoever reads slowly keeps nobody else waiting.
        self.tasks.spawn(follow(self.stop.clone()));
    }

    /// Tells all of them that the server stops, and waits a little.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        let _those_who_do_not_read_are_cut = tokio::time::timeout(FINISH_TIMEOUT, self.tasks.wait()).await;
    }
}
