//! HTTP connections: accepted within limits, served one task each, and closed in time.
//!
//! When all places are taken, whoever has been idle for longest makes room: to hold them all somebody must
//! keep asking for something. Beyond that a few more are let in, for a moment, to ask whether the server is
//! alive: a flood must not look like a dead process to whoever would restart it.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::App;
use super::connections::{Connections, Place};
use super::patience::{IDLE_MAX, Patient};
use crate::metrics_names as names;
use crate::routes;
use crate::routes::problem::Problem;

/// From the connection's beginning, or the last answer, to the whole head of the next request.
const HEAD_TIMEOUT: Duration = IDLE_MAX;

/// From the connection's beginning to its first byte.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a request's head; carriers send about 1 KiB.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// After a failed accept (no file handles left, as a rule) the next one waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections beyond the limit that may ask how the server is, in all and from one address; and how long
/// they may take from beginning to end.
const PROBES_MAX: usize = 16;
const PROBES_FROM_ONE_MAX: usize = 2;
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// What they may ask.
const PROBES: [&str; 3] = ["/live", "/ready", "/health"];

/// How long requests under way may take once the server stops.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// For connections beyond the limit. Nothing of their request is read.
const CROWDED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The HTTP connections of a server. Those that become media sockets leave it.
pub(super) struct Http {
    connections: Arc<Connections>,
    probes: Arc<Connections>,
    tasks: TaskTracker,
    /// Answer what is under way, and close.
    stop: CancellationToken,
    /// Close.
    cut: CancellationToken,
}

impl Http {
    pub(super) fn new(app: &App) -> Self {
        let door = &app.parts.door;
        Self {
            connections: Connections::new(
                door.connections_max,
                door.connections_from_one_max,
                Some(names::HTTP_CONNECTIONS),
            ),
            probes: Connections::new(PROBES_MAX, PROBES_FROM_ONE_MAX, None),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Accepts until it is dropped.
    pub(super) async fn accept(&self, listener: &TcpListener, app: &Arc<App>) {
        let router = routes::router(app.clone());
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer, app, &router),
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Lets requests that are under way be answered, closes idle connections, and soon all of them.
    pub(super) async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(FINISH_TIMEOUT, self.tasks.wait()).await.is_err() {
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, app: &Arc<App>, router: &axum::Router) {
        let peer = peer.ip();
        let now = app.parts.world.clock.now();
        let (place, is_probe) = match self.connections.take_or_evict(now, peer, app.front.is_proxy(peer)) {
            Ok((place, evicted)) => {
                if evicted {
                    counter!(names::HTTP_REFUSED, "reason" => "idlest").increment(1);
                    debug!(%peer, "the connection that was idle for longest makes room");
                }
                (place, false)
            }
            Err(crowded) => {
                counter!(names::HTTP_REFUSED, "reason" => crowded.name()).increment(1);
                debug!(%peer, reason = crowded.name(), "a connection too many");
                match self.probes.take(peer, false) {
                    Ok(place) => (place, true),
                    Err(_) => return turn_away(stream),
                }
            }
        };
        let (app, router) = (app.clone(), TowerToHyperService::new(router.clone()));
        let place = Arc::new(place);
        let requests = Requests { app, peer, place: place.clone(), is_probe, router };
        let (stop, cut) = (self.stop.clone(), self.cut.clone());
        // One task per connection, so that a slow peer keeps nobody else waiting.
        self.tasks.spawn(async move {
            tokio::select! {
                () = serve(stream, requests, &stop) => {}
                () = cut.cancelled() => {}
                () = place.evicted() => {}
                () = tokio::time::sleep(PROBE_TIMEOUT), if is_probe => {}
            }
        });
    }
}

/// Says that there is no room, as far as that can be said without waiting.
fn turn_away(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _told_or_not = stream.write(CROWDED);
    }
}

async fn serve(stream: TcpStream, requests: Requests, stop: &CancellationToken) {
    let _unset_is_only_slower = stream.set_nodelay(true);
    // Between requests a proxy may keep a connection for a while; who has not sent a byte is none.
    match tokio::time::timeout(FIRST_TIMEOUT, stream.peek(&mut [0])).await {
        Ok(Ok(1..)) => {}
        Ok(Ok(_) | Err(_)) | Err(_) => return,
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream)), requests)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended");
    }
}

/// The router, told by whom each request was sent.
struct Requests {
    app: Arc<App>,
    peer: IpAddr,
    place: Arc<Place>,
    /// Let in only to ask how the server is.
    is_probe: bool,
    router: TowerToHyperService<axum::Router>,
}

impl Service<hyper::Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: hyper::Request<Incoming>) -> Self::Future {
        if self.is_probe && !PROBES.contains(&request.uri().path()) {
            let full =
                Problem::unavailable("crowded", "The server has as many connections as it can take", 5);
            return Box::pin(ready(Ok(([(CONNECTION, "close")], full).into_response())));
        }
        let client = self.app.front.client(self.peer, request.headers());
        request.extensions_mut().insert(client);
        let busy = self.place.busy(self.app.parts.world.clock);
        let answer = self.router.call(request);
        Box::pin(async move {
            let _until_it_is_answered = busy;
            answer.await
        })
    }
}
