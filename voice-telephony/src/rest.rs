//! Sends requests to carriers' REST APIs, and says for each one without an answer how far it came.
//!
//! Whether a call may be tried at another carrier hangs on one fact: can the first one have read the
//! request? So this is a small thing of its own over hyper's connections, and not a general client that
//! retries, redirects and hides that fact. It never repeats a request and follows no redirect.
//!
//! An idle connection is kept and used again, but not for a request that must not be repeated after it
//! has been idle for long: the peer may be closing it just then, and then nobody knows.

mod connection;
mod desk;
mod recordings;
mod tls;
mod transfers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HOST, HeaderValue, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use tokio::time::{timeout, timeout_at};
use voice_core::driver::Clock;
use voice_core::time::MonoTime;

use crate::ask::Ask;
use crate::carrier_error::{CarrierError, Reach};
use crate::limits::{
    REST_ANSWER_BYTES_MAX, REST_CONNECT_MAX, REST_IDLE_CONNECTIONS_MAX, REST_IDLE_MAX, REST_IDLE_SURE,
    REST_WHOLE_MAX,
};

use connection::Connection;
pub use desk::{Desk, DeskFull, Observe, Placing};
pub use recordings::record;
pub use tls::TlsError;
pub use transfers::{Leading, Listen, TransferDesk};

/// Something that sends a request and answers with what came back.
///
/// [`Rest`] is one; an embedder may bring their own, for a proxy or for tests.
#[async_trait]
pub trait HttpSend: Send + Sync {
    /// Sends it once, to an absolute URL.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RestError>;
}

/// A request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{why}")]
pub struct RestError {
    /// How far it came.
    pub reach: Reach,
    /// What went wrong.
    pub why: Why,
}

/// What went wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The URL is not absolute `http` or `https`, or its host cannot be found.
    #[error("the address cannot be understood or found")]
    Address,
    /// Nobody listens, or the network is down.
    #[error("no connection")]
    Connect,
    /// No trustworthy TLS connection.
    #[error("no trustworthy tls")]
    Tls,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke, or the peer does not speak HTTP.
    #[error("the connection broke")]
    Broken,
    /// The answer is larger than any true one.
    #[error("the answer is too large")]
    TooLarge,
}

impl From<RestError> for CarrierError {
    fn from(error: RestError) -> Self {
        Self::unanswered(error.reach)
    }
}

/// Sends requests over the machine's network. Clones share their connections.
#[derive(Clone)]
pub struct Rest(Arc<Inner>);

struct Inner {
    tls: Option<tls::Connector>,
    clock: Clock,
    whole: Duration,
    /// A lock, because requests of many calls share connections: held to take one out or put one back,
    /// never over an await.
    idle: Mutex<BTreeMap<Place, Vec<Idle>>>,
}

/// A connection that waits for its next request.
struct Idle {
    connection: Connection,
    since: MonoTime,
}

/// Where connections can be shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    is_tls: bool,
    host: String,
    port: u16,
}

impl Rest {
    /// Trusts the machine's root certificates, or Mozilla's where the machine has none.
    ///
    /// # Errors
    /// If the TLS library cannot be set up.
    pub fn new() -> Result<Self, TlsError> {
        Self::trusting(&[])
    }

    /// Like [`Self::new`], trusting these root certificates (DER) as well.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn trusting(roots: &[Vec<u8>]) -> Result<Self, TlsError> {
        Ok(Self::with(Some(tls::Connector::new(roots)?), REST_WHOLE_MAX))
    }

    /// For `http://` only: fakes on this machine.
    pub fn plain() -> Self {
        Self::with(None, REST_WHOLE_MAX)
    }

    /// Another limit for a whole exchange than [`REST_WHOLE_MAX`].
    #[must_use]
    pub fn whole_timeout(self, whole: Duration) -> Self {
        Self::with(self.0.tls.clone(), whole)
    }

    /// Sends a request to a carrier and reads its answer.
    ///
    /// # Errors
    /// No answer, a refusal, or an answer that cannot be read.
    pub async fn ask<T>(&self, ask: &Ask<T>) -> Result<T, CarrierError> {
        ask.read(&self.send(ask.request().clone()).await?)
    }

    fn with(tls: Option<tls::Connector>, whole: Duration) -> Self {
        Self(Arc::new(Inner { tls, clock: Clock::start(), whole, idle: Default::default() }))
    }

    /// A connection that waits, or a new one.
    async fn connection(&self, place: &Place, is_repeatable: bool) -> Result<Connection, RestError> {
        let longest = if is_repeatable { REST_IDLE_MAX } else { REST_IDLE_SURE };
        while let Some(mut idle) = self.take_idle(place) {
            let age = self.0.clock.now().since(idle.since);
            if age < longest && idle.connection.is_usable().await {
                return Ok(idle.connection);
            }
        }
        let opening = connection::open(place, self.0.tls.as_ref());
        let opened = timeout(REST_CONNECT_MAX, opening).await.unwrap_or(Err(Why::Timeout));
        opened.map_err(|why| RestError { reach: Reach::NeverSent, why })
    }

    fn take_idle(&self, place: &Place) -> Option<Idle> {
        self.idle().get_mut(place)?.pop()
    }

    fn idle(&self) -> MutexGuard<'_, BTreeMap<Place, Vec<Idle>>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, place: Place, connection: Connection) {
        let since = self.0.clock.now();
        let mut idle = self.idle();
        let waiting = idle.entry(place).or_default();
        waiting.retain(|idle| since.since(idle.since) < REST_IDLE_MAX);
        if waiting.len() < REST_IDLE_CONNECTIONS_MAX {
            waiting.push(Idle { connection, since });
        }
    }
}

#[async_trait]
impl HttpSend for Rest {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
        let until = self.0.clock.instant(self.0.clock.now() + self.0.whole);
        let (place, request) = prepare(request)?;
        let is_repeatable = request.method().is_idempotent();
        let connecting = self.connection(&place, is_repeatable);
        let mut connection = timeout_at(until, connecting)
            .await
            .unwrap_or(Err(RestError { reach: Reach::NeverSent, why: Why::Timeout }))?;
        match connection.exchange(request, until, REST_ANSWER_BYTES_MAX).await {
            Ok((response, is_reusable)) => {
                if is_reusable {
                    self.put_back(place, connection);
                }
                Ok(response)
            }
            Err(error) => {
                tracing::debug!(host = place.host, reach = ?error.reach, why = %error.why, "no answer to a request");
                Err(error)
            }
        }
    }
}

/// Prints no connection and no key.
impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").field("tls", &self.0.tls.is_some()).field("whole", &self.0.whole).finish()
    }
}

/// Where a request goes, and the request as HTTP/1.1 wants it.
fn prepare(mut request: Request<Bytes>) -> Result<(Place, Request<Bytes>), RestError> {
    let wrong = RestError { reach: Reach::NeverSent, why: Why::Address };
    let uri = std::mem::take(request.uri_mut());
    let is_tls = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(_) | None => return Err(wrong),
    };
    let authority: &Authority = uri.authority().ok_or(wrong)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let named = HeaderValue::from_str(authority.as_str()).map_err(|_| wrong)?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse::<Uri>().map_err(|_| wrong)?;
    request.headers_mut().insert(HOST, named);
    let agent = HeaderValue::from_static(concat!("voice/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().entry(USER_AGENT).or_insert(agent);
    Ok((Place { is_tls, host, port }, request))
}

#[cfg(test)]
mod tests;
