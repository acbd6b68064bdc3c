//! The server: given a listener, its parts, and a word when to stop.

mod calls;

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};
use voice_core::call::CallConfig;
use voice_core::driver::World;
use voice_core::id::{CallId, CorrelationId};
use voice_core::sensitive::Pii;
use voice_telephony::ticket::{StreamTicket, Tickets};
use voice_telephony::twilio::Tokens;

use crate::config::{LimitsConfig, PublicUrl};
use crate::routes;
use crate::store::Store;
use crate::telemetry::Metrics;

pub(crate) use calls::{Calls, Slot};

/// Where Twilio's voice and status webhooks are taken.
pub const TWILIO_WEBHOOK: &str = routes::TWILIO_WEBHOOK;

/// A peer that has not sent the head of its request by then will not.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's head; carriers send about 1 KiB.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// How long calls that were told to end may take to say goodbye to both sides.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// After a failed accept (no file handles left, as a rule) the next one waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a server is made of.
pub struct Parts {
    /// Providers, tools, readers and the clock, shared by all calls.
    pub world: World,
    /// What the voice is and does.
    pub agent: Arc<CallConfig>,
    /// How to know Twilio.
    pub twilio: TwilioParts,
    /// How the world reaches this server; without it only this very machine can.
    pub public_url: Option<PublicUrl>,
    /// How much at once, and how long to wait for the end.
    pub limits: LimitsConfig,
    /// Asked by `/ready`, where there is one.
    pub store: Option<Store>,
    /// Shown by `/metrics`.
    pub metrics: Metrics,
}

/// How to know Twilio.
#[derive(Debug, Default)]
pub struct TwilioParts {
    /// Check signatures.
    pub tokens: Tokens,
    /// Requests for another account are refused.
    pub account_sid: Option<String>,
}

/// What all requests share.
pub(crate) struct App {
    pub(crate) parts: Parts,
    pub(crate) calls: Calls,
    draining: AtomicBool,
    /// Taken when a call is set up and when its media arrives, for microseconds, never over an await.
    tickets: Mutex<Tickets<Grant>>,
}

/// What a ticket gives leave to: one call, as the webhook told it.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) call: CallId,
    pub(crate) correlation: CorrelationId,
    pub(crate) from: Pii<String>,
    pub(crate) to: Pii<String>,
}

/// Serves until `shutdown`, then takes no more calls, waits for those that run (see
/// [`LimitsConfig::drain`]), ends what is left, and returns.
///
/// # Errors
/// If the listener breaks; a failed connection is no error.
pub async fn run(listener: TcpListener, parts: Parts, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let address = listener.local_addr()?;
    let drain = parts.limits.drain;
    let app = Arc::new(App {
        calls: Calls::new(parts.limits.calls_max),
        parts,
        draining: AtomicBool::new(false),
        tickets: Mutex::new(Tickets::default()),
    });
    let metrics = app.parts.metrics.clone();
    // The recorder keeps every measurement until it is told to fold them.
    let upkeep = tokio::spawn(async move { metrics.upkeep().await });
    info!(%address, "listening");

    let http = Http { requests: TaskTracker::new(), stop: CancellationToken::new() };
    http.accept(&listener, &app, shutdown).await;
    drop(listener);
    app.draining.store(true, Ordering::Relaxed);
    info!(calls = app.calls.running(), limit = ?drain, "shutting down: no new calls; waiting for those that run");
    let done = async {
        http.finish().await;
        app.calls.all_ended().await;
    };
    if tokio::time::timeout(drain, done).await.is_err() {
        warn!(calls = app.calls.running(), "ending the calls that are left");
        app.calls.shut_down();
        if tokio::time::timeout(END_TIMEOUT, app.calls.all_ended()).await.is_err() {
            warn!(calls = app.calls.running(), "calls did not end in time and are cut");
        }
    }
    upkeep.abort();
    info!("stopped");
    Ok(())
}

/// The HTTP connections of a server. Those that become media sockets leave it.
struct Http {
    requests: TaskTracker,
    stop: CancellationToken,
}

impl Http {
    async fn accept(&self, listener: &TcpListener, app: &Arc<App>, shutdown: impl Future<Output = ()>) {
        let router = routes::router(app.clone());
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    // One task per connection, so that a slow peer keeps nobody else waiting.
                    self.requests.spawn(serve(stream, router.clone(), self.stop.clone()));
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Lets requests that are under way be answered, and closes idle connections.
    async fn finish(&self) {
        self.stop.cancel();
        self.requests.close();
        self.requests.wait().await;
    }
}

async fn serve(stream: TcpStream, router: axum::Router, stop: CancellationToken) {
    let _unset_is_only_slower = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
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

impl App {
    /// Whether one more call can be served well: there is a place, the machine keeps up, and some
    /// provider could take it.
    pub(crate) fn has_room(&self) -> bool {
        let world = &self.parts.world;
        self.calls.has_room() && world.fleet.roster().is_none_or(|roster| roster.can_take(world.clock.now()))
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn issue(&self, carrier_call: &str, random: [u8; 32], grant: Grant) -> StreamTicket {
        let now = self.parts.world.clock.now();
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).issue(now, random, carrier_call, grant)
    }

    pub(crate) fn redeem(
        &self,
        token: &str,
        carrier_call: &str,
    ) -> Result<Grant, voice_telephony::ticket::TicketError> {
        let now = self.parts.world.clock.now();
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).redeem(now, token, carrier_call)
    }
}
