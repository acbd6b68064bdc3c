//! The door of a running server: its layers behind locks, and what was answered to whom.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use http::header::HeaderMap;
use voice_core::time::MonoTime;
use voice_telephony::door::{Door, Replays, TrustedProxies, TurnedAway};

use super::client_address::ClientAddress;
use crate::config::DoorConfig;

/// What stands before the routes of carriers.
#[derive(Debug)]
pub(crate) struct Front {
    proxies: TrustedProxies,
    /// Taken once or twice for each webhook, for a look-up.
    webhooks: Mutex<Door>,
    /// The same for media sockets, which have figures of their own.
    sockets: Mutex<Door>,
    /// Held while a webhook is acted upon, which takes microseconds, so that a retry that comes at the
    /// same time finds the answer.
    replays: Mutex<Replays<Answer>>,
}

/// What a webhook was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: String,
}

/// What somebody wants to come in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    Webhook,
    Socket,
}

impl Front {
    pub(crate) fn new(config: &DoorConfig) -> Self {
        Self {
            proxies: config.proxies.clone(),
            webhooks: Mutex::new(Door::new(config.webhooks.clone())),
            sockets: Mutex::new(Door::new(config.sockets.clone())),
            replays: Mutex::default(),
        }
    }

    /// Who asks, seen through our proxies.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let values = headers.get_all(self.proxies.header());
        // A value that is not text is as good as one that says nothing.
        let texts: Vec<&str> = values.iter().map(|value| value.to_str().unwrap_or_default()).collect();
        ClientAddress(self.proxies.address(peer, texts.into_iter()))
    }

    /// Whether a connection from there is a proxy's.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.contains(peer)
    }

    /// The first two layers.
    pub(crate) fn knock(
        &self,
        now: MonoTime,
        errand: Errand,
        carrier: &'static str,
        client: ClientAddress,
    ) -> Result<(), TurnedAway> {
        self.door(errand).knock(now, carrier, client.0)
    }

    /// What was let in proved to be the carrier's own.
    pub(crate) fn welcome(
        &self,
        now: MonoTime,
        errand: Errand,
        carrier: &'static str,
        client: ClientAddress,
    ) {
        self.door(errand).welcome(now, carrier, client.0);
    }

    /// What was seen, and answered.
    pub(crate) fn replays(&self) -> MutexGuard<'_, Replays<Answer>> {
        self.replays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn door(&self, errand: Errand) -> MutexGuard<'_, Door> {
        let door = match errand {
            Errand::Webhook => &self.webhooks,
            Errand::Socket => &self.sockets,
        };
        door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
