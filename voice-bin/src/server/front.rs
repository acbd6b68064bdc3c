//! The door of a running server: its layers behind locks, and what was answered to whom.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use metrics::counter;
use voice_core::time::MonoTime;
use voice_telephony::door::{Arrival, Door, Fingerprint, Replays, TrustedProxies, TurnedAway};

use super::client_address::ClientAddress;
use crate::config::DoorConfig;
use crate::metrics_names as names;

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

impl Answer {
    pub(crate) fn new(status: StatusCode, body: &str) -> Self {
        Self { status, content_type: None, body: body.to_owned() }
    }

    pub(crate) fn into_response(self) -> Response {
        match self.content_type {
            Some(content_type) => (self.status, [(CONTENT_TYPE, content_type)], self.body).into_response(),
            None if self.body.is_empty() => self.status.into_response(),
            None => (self.status, self.body).into_response(),
        }
    }
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
            replays: Mutex::new(Replays::default()),
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

    /// What was let in was refused, or never came to its end.
    pub(crate) fn failed(&self, now: MonoTime, errand: Errand, client: ClientAddress) {
        self.door(errand).failed(now, client.0);
    }

    /// What was let in proved to be the carrier's own; the error is that the carrier asks too often.
    pub(crate) fn proven(
        &self,
        now: MonoTime,
        errand: Errand,
        carrier: &'static str,
        client: ClientAddress,
    ) -> Result<(), TurnedAway> {
        self.door(errand).proven(now, carrier, client.0)
    }

    /// The fourth layer, for webhooks whose signature was found right: acts on what is new, gives a retry the
    /// same answer, and refuses a replay. `name` is what the carrier says is the same on a retry.
    ///
    /// A webhook that opens a call is acted upon however often the carrier asks: what limits calls is that
    /// there are places.
    pub(crate) fn once(
        &self,
        (now, carrier, client): (MonoTime, &'static str, ClientAddress),
        print: Fingerprint,
        name: Option<&str>,
        opens_a_call: bool,
        act: impl FnOnce() -> Answer,
    ) -> Result<Answer, TurnedAway> {
        let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        match replays.arrive(now, print, name) {
            Arrival::First => {}
            Arrival::Again(answer) => {
                counter!(names::WEBHOOK_REQUESTS, "provider" => carrier, "kind" => "retry").increment(1);
                return Ok(answer);
            }
            // Nothing is acted upon without this lock, so the first one broke off in the middle.
            Arrival::Underway | Arrival::Replayed => return Err(TurnedAway::Replayed),
        }
        if let Err(away) = self.proven(now, Errand::Webhook, carrier, client)
            && !opens_a_call
        {
            replays.forget(print);
            return Err(away);
        }
        let answer = act();
        if answer.status.is_server_error() {
            replays.forget(print);
        } else {
            replays.answered(now, print, answer.clone());
        }
        Ok(answer)
    }

    fn door(&self, errand: Errand) -> MutexGuard<'_, Door> {
        let door = match errand {
            Errand::Webhook => &self.webhooks,
            Errand::Socket => &self.sockets,
        };
        door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
