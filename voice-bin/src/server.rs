//! The server: given a listener, its parts, and a word when to stop.

mod calls;
mod client_address;
mod connections;
mod course;
mod feed;
mod followers;
mod front;
mod http;
mod neighbours;
mod on_behalf;
mod orders;
mod outbound;
mod patience;
mod prepared;
mod recordings;
mod statuses;
mod telnyx;
mod transfers;

use std::future::{Future, pending};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tracing::{info, warn};
use voice_core::call::CallConfig;
use voice_core::driver::{CallHandle, CallTask, World};
use voice_core::id::{CallId, CarrierId, CorrelationId};
use voice_core::record::Reader;
use voice_core::sensitive::Pii;
use voice_core::sensitive::Secret;
use voice_core::time::UnixMillis;
use voice_telephony::legs::LegKey;
use voice_telephony::rest::HttpSend;
use voice_telephony::telnyx::CARRIER as TELNYX;
use voice_telephony::ticket::{StreamTicket, Tickets};
use voice_telephony::twilio::{Lifeline, StreamUrl, Tokens};

use crate::cluster::Cluster;
use crate::config::{DoorConfig, LimitsConfig, PublicUrl};
use crate::recording::RecordingParts;
use crate::recovery::{self, Pasts};
use crate::routes;
use crate::store::{JournalReader, Store};
use crate::telemetry::{Metrics, TraceReader, Traces, event_types as kinds};
use crate::tools::BuiltIns;
use neighbours::Neighbours;

pub(crate) use calls::{Calls, Slot};
pub(crate) use client_address::ClientAddress;
pub(crate) use connections::{Connections, Place as ConnectionPlace};
pub(crate) use course::{Begin as CourseBegin, Course};
pub(crate) use feed::{CallFeed, Feed, Next, Place};
pub(crate) use followers::{Followers, TICKET_LIFETIME as FOLLOWER_TICKET_LIFETIME};
pub(crate) use front::{Answer, Errand, Front};
pub(crate) use neighbours::{provider_news, take_note_of};
pub use on_behalf::outgoing_headers;
pub(crate) use on_behalf::{Correlated, TRACE_PARENT, ToolsOnBehalf, on_behalf};
pub(crate) use orders::{Orders, Taken, Unheard};
pub(crate) use outbound::{NotPlaced, Outbound, Page};
pub use outbound::{OutboundParts, TwilioLine};
pub(crate) use patience::Patient;
pub(crate) use prepared::{Prepared, Refused, State as WaitingState, WAIT as SESSION_WAIT, Waiting};
pub(crate) use recordings::{CarrierRecordings, RecordingWord};
pub(crate) use statuses::{Statuses, carrier as as_carrier};
pub(crate) use telnyx::{Begin, CODEC as TELNYX_CODEC, Facts, Heard, LegLine, Legs};
pub use telnyx::{TelnyxLine, TelnyxParts};
pub(crate) use transfers::Transfers;

/// Where Twilio's voice and status webhooks are taken.
pub const TWILIO_WEBHOOK: &str = routes::TWILIO_WEBHOOK;

/// Where Telnyx's events are taken.
pub const TELNYX_WEBHOOK: &str = routes::TELNYX_WEBHOOK;

/// How long calls that were told to end may take to say goodbye to both sides.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What a server is made of.
pub struct Parts {
    /// Providers, tools, readers and the clock, shared by all calls.
    pub world: World,
    /// What the voice is and does.
    pub agent: Arc<CallConfig>,
    /// How to know Twilio.
    pub twilio: TwilioParts,
    /// How to know Telnyx, and how to command it.
    pub telnyx: TelnyxParts,
    /// How to place calls.
    pub outbound: OutboundParts,
    /// How the world reaches this server; without it only this very machine can.
    pub public_url: Option<PublicUrl>,
    /// How much at once, and how long to wait for the end.
    pub limits: LimitsConfig,
    /// Who may ask, and how often.
    pub door: DoorConfig,
    /// How calls are recorded; without it they cannot be.
    pub recording: Option<RecordingParts>,
    /// Asked by `/ready`, where there is one.
    pub store: Option<Store>,
    /// Told how calls stand; it should be among the readers as well.
    pub journal: Option<JournalReader>,
    /// The servers on the same database, where there may be others.
    pub cluster: Option<Cluster>,
    /// Shown by `/metrics`.
    pub metrics: Metrics,
    /// Where spans of calls go; without it nobody traces them.
    pub traces: Option<Traces>,
}

/// How to know Twilio.
#[derive(Debug, Default)]
pub struct TwilioParts {
    /// Check signatures.
    pub tokens: Tokens,
    /// Requests for another account are refused.
    pub account_sid: Option<String>,
    /// Ends calls, so that they need not end with their media socket; without it they do.
    pub rest: Option<TwilioRest>,
}

/// How calls over Twilio are ended, and their tickets signed.
#[derive(Clone, Debug)]
pub struct TwilioRest {
    /// The account's auth token.
    pub token: Secret<String>,
    /// Where the API is.
    pub api_url: String,
}

/// What all requests share.
pub(crate) struct App {
    pub(crate) parts: Parts,
    pub(crate) calls: Calls,
    pub(crate) outbound: Outbound,
    /// What was ordered lately, and by whom.
    pub(crate) orders: Orders,
    pub(crate) telnyx: Legs,
    /// What calls have been, should they come back.
    pub(crate) pasts: Arc<Pasts>,
    /// Where calls over Twilio go when their media socket breaks.
    pub(crate) lifeline: Option<Lifeline>,
    pub(crate) transfers: Transfers,
    /// Recordings that carriers make.
    pub(crate) recordings: CarrierRecordings,
    pub(crate) front: Front,
    /// What calls tell, for those who ask and follow.
    pub(crate) feed: Arc<Feed>,
    /// How calls stand, and stood.
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) followers: Followers,
    pub(crate) prepared: Prepared,
    /// What calls become in traces.
    pub(crate) trace_reader: Option<Arc<TraceReader>>,
    /// The address that carriers and browsers are given.
    pub(crate) base: PublicUrl,
    /// Media sockets that have not yet said which call they are.
    pub(crate) opening: Arc<Connections>,
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
    /// Where somebody else than the media socket says when the call is over.
    pub(crate) leg: Option<LegLine>,
}

/// Serves until `shutdown`; then still answers, but takes no more calls, waits for those that run (see
/// [`LimitsConfig::drain`]), ends what is left, and returns.
///
/// # Errors
/// If the listener breaks; a failed connection is no error.
pub async fn run(listener: TcpListener, parts: Parts, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    run_until(listener, parts, shutdown, pending()).await
}

/// The same, with a second word: at `at_once`, before or after `shutdown`, calls are ended and not waited
/// for.
///
/// # Errors
/// If the listener breaks; a failed connection is no error.
pub async fn run_until(
    listener: TcpListener,
    parts: Parts,
    shutdown: impl Future<Output = ()>,
    at_once: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let app = Arc::new(App::new(parts, address));
    let (metrics, clock) = (app.parts.metrics.clone(), app.parts.world.clock);
    // The recorder keeps every measurement until it is told to fold them.
    let upkeep = tokio::spawn(async move { metrics.upkeep(clock).await });
    info!(event_type = kinds::SYSTEM_STARTED, %address, "listening");

    // Beside the calls: those of before are looked for while new ones are taken.
    let recovery = tokio::spawn(recovery::recover(app.clone()));
    let neighbours = Neighbours::meet(&app);
    let http = http::Http::new(&app);
    tokio::select! {
        () = http.accept(&listener, &app) => {}
        () = end_of_calls(&app, shutdown, at_once) => {}
    }
    drop(listener);
    recovery.abort();
    // Before all that may take its time: calls that were let go wait for somebody.
    neighbours.part().await;
    if !app.calls.is_handing_over() {
        app.telnyx.finish().await;
    }
    tokio::join!(
        app.outbound.finish(),
        app.followers.finish(),
        app.transfers.finish(),
        app.recordings.finish()
    );
    http.finish().await;
    upkeep.abort();
    info!(event_type = kinds::SYSTEM_STOPPED, "stopped");
    Ok(())
}

/// The address that carriers are given: the public one, or for demonstrations that of this machine.
fn base(parts: &Parts, mut address: SocketAddr) -> PublicUrl {
    if address.ip().is_unspecified() {
        let here: IpAddr =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(here);
    }
    parts.public_url.clone().unwrap_or_else(|| PublicUrl::new(format!("http://{address}")))
}

/// Only where calls can be ended over REST may they outlive their sockets.
fn lifeline(parts: &Parts, base: &PublicUrl) -> Option<Lifeline> {
    parts.outbound.http.as_ref()?;
    let rest = parts.twilio.rest.as_ref()?;
    let media = StreamUrl::new(base.web_socket(routes::TWILIO_MEDIA)).ok()?;
    let key = LegKey::derive(rest.token.expose().as_bytes());
    Some(Lifeline { key, media, webhook: base.of(TWILIO_WEBHOOK) })
}

/// From the first word to stop until no call is left.
async fn end_of_calls(app: &App, shutdown: impl Future<Output = ()>, at_once: impl Future<Output = ()>) {
    let (drain, clock) = (app.parts.limits.drain, app.parts.world.clock);
    tokio::pin!(at_once);
    let is_urgent = tokio::select! {
        () = shutdown => false,
        () = at_once.as_mut() => true,
    };
    app.calls.drain();
    app.outbound.drain();
    if !is_urgent && app.parts.limits.hand_over {
        let calls = app.calls.running();
        info!(
            event_type = kinds::SYSTEM_STOPPING,
            calls, "shutting down: calls are handed over to whoever their carriers find next"
        );
        app.calls.hand_over();
        if tokio::time::timeout(END_TIMEOUT, app.calls.all_ended(clock)).await.is_err() {
            warn!(
                event_type = kinds::SYSTEM_STOPPING,
                calls = app.calls.running(),
                "calls did not let go in time and are cut"
            );
        }
        return;
    }
    if !is_urgent {
        let calls = app.calls.running();
        info!(event_type = kinds::SYSTEM_STOPPING, calls, limit = ?drain, "shutting down: no new calls; waiting for those that run");
        tokio::select! {
            ended = tokio::time::timeout(drain, app.calls.all_ended(clock)) => {
                if ended.is_ok() {
                    return;
                }
            }
            () = at_once => {}
        }
    }
    warn!(event_type = kinds::SYSTEM_STOPPING, calls = app.calls.running(), "ending the calls that are left");
    app.calls.shut_down();
    if tokio::time::timeout(END_TIMEOUT, app.calls.all_ended(clock)).await.is_err() {
        warn!(
            event_type = kinds::SYSTEM_STOPPING,
            calls = app.calls.running(),
            "calls did not end in time and are cut"
        );
    }
}

impl App {
    /// Whether one more call can be served well: there is a place, the machine keeps up, and some
    /// provider could take it.
    pub(crate) fn has_room(&self) -> bool {
        self.calls.has_room(self.parts.world.clock.now()) && self.can_serve()
    }

    /// Whether the machine keeps up, and some provider could take a call.
    pub(crate) fn can_serve(&self) -> bool {
        let world = &self.parts.world;
        world.fleet.roster().is_none_or(|roster| roster.can_take(world.clock.now()))
    }

    /// Why a call is not let in, for the log.
    pub(crate) fn why_refused(&self) -> &'static str {
        let is_overloaded = self.parts.world.fleet.roster().is_some_and(|roster| roster.is_overloaded());
        if self.calls.is_draining() {
            "shutting down"
        } else if is_overloaded {
            "the machine does not keep up with the calls it has"
        } else if self.can_serve() {
            "no room for one more"
        } else {
            "no provider could take it"
        }
    }

    fn new(mut parts: Parts, address: SocketAddr) -> Self {
        let base = base(&parts, address);
        let clock = parts.world.clock;
        parts.outbound.http =
            parts.outbound.http.take().map(|http| Arc::new(Correlated(http)) as Arc<dyn HttpSend>);
        let feed = Arc::new(Feed::new(clock));
        let trace_reader = parts.traces.as_ref().map(|traces| Arc::new(traces.reader()));
        let calls = Calls::new(parts.limits.calls_max);
        let lifeline = lifeline(&parts, &base);
        let statuses =
            Arc::new(Statuses::new(clock, parts.journal.clone(), lifeline.is_some(), calls.clone()));
        let here: [Arc<dyn Reader>; 2] = [feed.clone(), statuses.clone()];
        let tracing = trace_reader.iter().map(|reader| reader.clone() as Arc<dyn Reader>);
        parts.world.readers = parts.world.readers.iter().cloned().chain(here).chain(tracing).collect();
        let reach = calls.clone();
        parts
            .metrics
            .orders_by(move |call, control| reach.find(call).is_some_and(|call| call.control(control)));
        let pasts = Arc::new(Pasts::new(parts.world.clock));
        let readers = parts.world.readers.iter().cloned();
        // First of all: who asks for a call that has just ended must find it.
        parts.world.readers = std::iter::once(pasts.clone() as Arc<dyn Reader>).chain(readers).collect();
        let http = parts.outbound.http.clone().unwrap_or_else(|| Arc::new(outbound::NoHttp));
        let tools = (parts.outbound.tools.clone(), parts.outbound.targets.clone());
        let others = Arc::new(ToolsOnBehalf {
            pasts: pasts.clone(),
            traces: parts.traces.clone(),
            tools: parts.world.tools.clone(),
        });
        parts.world.tools = Arc::new(BuiltIns::new(tools, calls.clone(), clock, others));
        Self {
            recordings: CarrierRecordings::new(&parts, http.clone(), &base),
            transfers: Transfers::new(&parts.outbound, http, &base, clock),
            calls,
            outbound: Outbound::new(&parts.outbound, &base, clock, statuses.clone())
                .traced(parts.traces.clone()),
            orders: Orders::new(clock, parts.door.orders_per_minute),
            telnyx: Legs::new(&base, parts.telnyx.api.as_ref()),
            pasts,
            lifeline,
            statuses,
            front: Front::new(&parts.door),
            followers: Followers::new(clock, parts.cluster.clone(), parts.outbound.api_token.as_ref()),
            prepared: Prepared::new(clock, feed.clone()),
            feed,
            base,
            trace_reader,
            opening: Connections::new(parts.door.connections_max, parts.door.connections_from_one_max, None),
            tickets: Mutex::new(Tickets::default()),
            parts,
        }
    }

    /// A call that is about to run, with whoever leads its caller elsewhere and has its carrier record.
    pub(crate) fn operated(
        &self,
        (handle, task): (CallHandle, CallTask),
        carrier: CarrierId,
        carrier_call: String,
    ) -> (CallHandle, CallTask) {
        let recordings = self.recordings.line(handle.clone(), &carrier, &carrier_call);
        let operator = self.transfers.operator(handle.clone(), carrier, carrier_call, recordings);
        (handle, task.with_operator(operator))
    }

    /// A call that is about to run, with its recorder. One that comes back is recorded if it was, and not
    /// because all calls are from their beginning.
    pub(crate) fn recorded(&self, call: (CallHandle, CallTask), is_new: bool) -> (CallHandle, CallTask) {
        match &self.parts.recording {
            Some(recording) if is_new => recording.follow(call),
            Some(recording) => recording.attach(call),
            None => call,
        }
    }

    /// Whoever shares it can check the tickets of this carrier's media sockets.
    pub(crate) fn leg_key(&self, carrier: &str) -> Option<&LegKey> {
        match carrier {
            TELNYX => self.telnyx.key(),
            _ => self.lifeline.as_ref().map(|lifeline| &lifeline.key),
        }
    }

    /// Until when tickets are good that are given out now: as long as their call may last.
    pub(crate) fn tickets_until(&self) -> UnixMillis {
        let clock = self.parts.world.clock;
        clock.wall() + self.parts.agent.limits().call + recovery::TICKET_SLACK
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
