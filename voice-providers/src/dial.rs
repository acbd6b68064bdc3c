//! Real connections: name, TCP, TLS and handshake within one deadline, then a line that is polled.
//!
//! Both kinds of line begin as one HTTP/1.1 request, so a service that refuses (a bad key, too many
//! sessions) is understood the same way on both: status, `Retry-After`, and the beginning of the body.
//! No type of the WebSocket, HTTP or TLS library shows in this module's signatures.

mod http;
mod tls;
mod web_socket;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use url::{Host, Url};
use voice_core::driver::line::{Dial, Line};
use voice_core::wire::{Endpoint, EndpointKind, LineEnd, Unreachable};

pub use tls::TlsError;
pub use web_socket::{WebSocketLine, accept_key};

/// From the first question to the name server until the peer's answer to the request.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// One of several addresses of a name may be a black hole; the next is tried after this long.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens lines over the machine's network. One value serves every call; clones share its certificates.
#[derive(Clone)]
pub struct Dialer {
    tls: Option<tls::Connector>,
    deadline: Duration,
}

impl Dialer {
    /// A dialler that trusts the machine's root certificates, or Mozilla's where the machine has none.
    ///
    /// The TLS provider is named explicitly (aws-lc-rs), so other crates' choices cannot disturb it.
    #[cfg(feature = "tls-aws-lc-rs")]
    pub fn new() -> Result<Self, TlsError> {
        Self::trusting(&[])
    }

    /// Like [`Self::new`], trusting these root certificates (DER) as well: a company's own authority.
    #[cfg(feature = "tls-aws-lc-rs")]
    pub fn trusting(roots: &[Vec<u8>]) -> Result<Self, TlsError> {
        Ok(Self { tls: Some(tls::Connector::new(roots)?), deadline: DIAL_TIMEOUT })
    }

    /// A dialler for `ws://` and `http://` only; anything else ends with [`Unreachable::Tls`].
    pub const fn plain() -> Self {
        Self { tls: None, deadline: DIAL_TIMEOUT }
    }

    /// Another deadline than [`DIAL_TIMEOUT`].
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    async fn open(&self, endpoint: Endpoint, until: Instant) -> Result<Box<dyn Line>, LineEnd> {
        let place = Place::parse(&endpoint.url, &endpoint.kind)?;
        let tcp = place.connect().await?;
        if !place.tls {
            return speak(tcp, endpoint, place, until).await;
        }
        let Some(tls) = &self.tls else { return Err(unreachable(Unreachable::Tls)) };
        let stream = tls.connect(&place.host, tcp).await.map_err(|error| {
            tracing::debug!(host = %place.host, %error, "no tls");
            unreachable(Unreachable::Tls)
        })?;
        speak(stream, endpoint, place, until).await
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("tls", &self.tls.is_some()).field("deadline", &self.deadline).finish()
    }
}

#[async_trait]
impl Dial for Dialer {
    async fn dial(&self, endpoint: Endpoint) -> Result<Box<dyn Line>, LineEnd> {
        let until = Instant::now() + self.deadline;
        match timeout_at(until, self.open(endpoint, until)).await {
            Ok(outcome) => outcome,
            Err(_late) => Err(unreachable(Unreachable::Timeout)),
        }
    }
}

async fn speak<S>(
    stream: S,
    endpoint: Endpoint,
    place: Place,
    until: Instant,
) -> Result<Box<dyn Line>, LineEnd>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match endpoint.kind {
        EndpointKind::WebSocket { message_bytes_max } => {
            let head = http::Head { place: &place, headers: &endpoint.headers };
            http::upgrade(stream, head, message_bytes_max, until).await
        }
        EndpointKind::Http { method, body } => {
            let head = http::Head { place: &place, headers: &endpoint.headers };
            http::request(stream, head, method, body, until).await
        }
    }
}

fn unreachable(why: Unreachable) -> LineEnd {
    LineEnd::Unreachable(why)
}

/// An address that was understood.
struct Place {
    host: Host<String>,
    port: u16,
    tls: bool,
    /// `host` or `host:port`, as the `Host` header wants it.
    authority: String,
    /// Path and query.
    target: String,
}

impl Place {
    fn parse(url: &str, kind: &EndpointKind) -> Result<Self, LineEnd> {
        let url = Url::parse(url).map_err(|_| unreachable(Unreachable::Address))?;
        let tls = match (kind, url.scheme()) {
            (EndpointKind::WebSocket { .. }, "ws") | (EndpointKind::Http { .. }, "http") => false,
            (EndpointKind::WebSocket { .. }, "wss") | (EndpointKind::Http { .. }, "https") => true,
            _other => return Err(unreachable(Unreachable::Address)),
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(unreachable(Unreachable::Address));
        };
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self { host: host.to_owned(), port, tls, authority, target })
    }

    async fn connect(&self) -> Result<TcpStream, LineEnd> {
        let addresses: Vec<SocketAddr> = match &self.host {
            Host::Ipv4(ip) => vec![(*ip, self.port).into()],
            Host::Ipv6(ip) => vec![(*ip, self.port).into()],
            Host::Domain(name) => match lookup_host((name.as_str(), self.port)).await {
                Ok(found) => found.collect(),
                Err(error) => {
                    tracing::debug!(host = %self.host, %error, "name not found");
                    return Err(unreachable(Unreachable::Address));
                }
            },
        };
        let count = addresses.len();
        for (index, address) in addresses.into_iter().enumerate() {
            // The last one has all the time that is left; the deadline of the whole bounds it.
            let limit = if index + 1 == count { DIAL_TIMEOUT } else { ADDRESS_TIMEOUT };
            let error = match timeout(limit, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Frames of speech are small and must not wait for company.
                    let _unset_is_only_slower = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => error,
                Err(_late) => io::ErrorKind::TimedOut.into(),
            };
            tracing::debug!(%address, %error, "no connection");
        }
        Err(unreachable(Unreachable::Tcp))
    }
}

#[cfg(test)]
mod tests;
