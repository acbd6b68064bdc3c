//! Media sockets of carriers: from the upgrade to the running call.

use std::future::poll_fn;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, extract::Request};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use metrics::counter;
use tokio::net::TcpStream;
use tracing::{debug, info, warn};
use voice_core::audio::AudioFormat;
use voice_core::call::{CallStart, Past};
use voice_core::carrier::{CarrierEnd, CarrierSession};
use voice_core::driver::{Line, place, place_again};
use voice_core::id::{CarrierId, CorrelationId};
use voice_core::limits::CARRIER_MESSAGE_BYTES_MAX;
use voice_core::record::EndReason;
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};
use voice_providers::dial::{WebSocketLine, accept_key};
use voice_telephony::opening::{Refusal, Step};
use voice_telephony::telnyx::CARRIER as TELNYX;
use voice_telephony::ticket::TicketError;
use voice_telephony::twilio::AccountSid;
use voice_telephony::webhook::Rejection;

use super::answers::FailsToCarrier;
use super::door::turn_away;
use super::{TELNYX_MEDIA, TWILIO_MEDIA};
use crate::metrics_names as names;
use crate::recovery::{self, Entrant, TwilioLeg};
use crate::server::{
    App, ClientAddress, ConnectionPlace, Errand, Facts, Grant, LegLine, Legs, Patient, Slot, on_behalf,
};
use crate::telemetry::event_types as kinds;
use crate::telemetry::sockets::{CountedLine, OpenSocket};

pub(super) type Socket = WebSocketLine<TcpStream>;

/// What a carrier's socket does before it is known which call it is.
pub(super) trait Opens: Sized + Send + 'static {
    /// The carrier's name.
    const CARRIER: &'static str;

    /// What the upgrade alone must prove.
    fn knock(app: &App, request: &Request) -> Result<Self, Rejection>;

    /// When to give up waiting.
    fn deadline(&self) -> MonoTime;

    /// Takes the next message.
    fn read(self, now: MonoTime, message: &WireMessage) -> Step<Self, Opened>;
}

/// A socket that has said which call it is.
pub(super) struct Opened {
    pub(super) ticket: Option<Secret<String>>,
    /// The carrier's name for the call.
    pub(super) carrier_call: String,
    pub(super) format: AudioFormat,
    /// Whose call it is at Twilio.
    pub(super) account: Option<AccountSid>,
    pub(super) session: Box<dyn CarrierSession>,
}

/// Telnyx's media socket. Opened with a ticket from the answer to its webhook.
#[utoipa::path(
    get, path = TELNYX_MEDIA, tag = "carriers", operation_id = "telnyx_media", security(()),
    responses((status = 101, description = "The socket is open"), FailsToCarrier),
)]
pub(super) async fn telnyx(
    app: State<Arc<App>>,
    client: Extension<ClientAddress>,
    correlation: Extension<CorrelationId>,
    request: Request,
) -> Response {
    socket::<super::telnyx::Opens>(app, client, correlation, request).await
}

/// Twilio's media socket. Opened with a ticket from the answer to its webhook.
#[utoipa::path(
    get, path = TWILIO_MEDIA, tag = "carriers", operation_id = "twilio_media", security(()),
    responses((status = 101, description = "The socket is open"), FailsToCarrier),
)]
pub(super) async fn twilio(
    app: State<Arc<App>>,
    client: Extension<ClientAddress>,
    correlation: Extension<CorrelationId>,
    request: Request,
) -> Response {
    socket::<super::twilio::Opens>(app, client, correlation, request).await
}

async fn socket<O: Opens>(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientAddress>,
    Extension(correlation): Extension<CorrelationId>,
    mut request: Request,
) -> Response {
    let on_upgrade = hyper::upgrade::on(&mut request);
    let Some(key) = upgrade_key(request.headers()) else {
        return (StatusCode::UPGRADE_REQUIRED, [(UPGRADE, "websocket")]).into_response();
    };
    let opens = match O::knock(&app, &request) {
        Ok(opens) => opens,
        Err(rejection) => {
            return turn_away(Errand::Socket, O::CARRIER, &correlation, client, rejection.into());
        }
    };
    // Sockets that have not said which call they are: held until they have, or are closed.
    let Ok(opening) = app.opening.take(client.0, app.front.is_proxy(client.0)) else {
        count::<O>("crowded");
        return (StatusCode::SERVICE_UNAVAILABLE, "crowded").into_response();
    };
    let calls = app.clone();
    // A call is a task of its own, so that a bug in it costs one call.
    calls.calls.spawn(async move { attend(app, (client, opening), correlation, on_upgrade, opens).await });
    let accepted = [(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_ACCEPT, key.as_str())];
    (StatusCode::SWITCHING_PROTOCOLS, accepted, Body::empty()).into_response()
}

/// The answer to the client's key, if the request asks for a WebSocket as RFC 6455 wants it.
pub(super) fn upgrade_key(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let wants = text(CONNECTION)?.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    let is_web_socket =
        text(UPGRADE)?.eq_ignore_ascii_case("websocket") && text(SEC_WEBSOCKET_VERSION)? == "13";
    (wants && is_web_socket).then(|| headers.get(SEC_WEBSOCKET_KEY).map(|key| accept_key(key.as_bytes())))?
}

async fn attend<O: Opens>(
    app: Arc<App>,
    (client, opening): (ClientAddress, ConnectionPlace),
    correlation: CorrelationId,
    on_upgrade: OnUpgrade,
    opens: O,
) {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%correlation, %error, "a media socket went away while it was opened"),
    };
    let Some(mut line) = line(upgraded).await else { return };
    let _open = OpenSocket::new();
    let failed = || app.front.failed(app.parts.world.clock.now(), Errand::Socket, client);
    // What is done before a call and after it is on the heap meanwhile: a task has room for its largest
    // future as long as it lives, and calls are many.
    let admitted = match Box::pin(open(&app, opens, &mut line)).await {
        Ok(Some(opened)) => Box::pin(admit(&app, O::CARRIER, opened)).await,
        Ok(None) => {
            failed();
            count::<O>("gone");
            return info!(event_type = kinds::MEDIA_REFUSED, %correlation, "media socket gone before it said which call it is");
        }
        Err(refusal) => Err(refusal),
    };
    match admitted {
        Ok((opened, entrant, slot)) => {
            // Places limit a carrier's calls, and nothing else does.
            let _its_rate = app.front.proven(app.parts.world.clock.now(), Errand::Socket, O::CARRIER, client);
            drop(opening);
            let carrier = CarrierId::from_static(O::CARRIER);
            converse(&app, carrier, *opened, (entrant, slot), line).await;
        }
        Err(refusal) => {
            failed();
            count::<O>(refusal.name());
            let (event_type, carrier) = (kinds::MEDIA_REFUSED, O::CARRIER);
            warn!(event_type, %correlation, carrier, reason = refusal.name(), code = refusal.close_code(), "media socket refused: {refusal}");
            line.close_with(refusal.close_code(), refusal.name());
        }
    }
}

pub(super) async fn line(upgraded: Upgraded) -> Option<Socket> {
    let parts = upgraded.downcast::<TokioIo<Patient>>().ok()?;
    let stream = parts.io.into_inner().into_inner();
    Some(WebSocketLine::server(stream, parts.read_buf, CARRIER_MESSAGE_BYTES_MAX).await)
}

/// The first messages, until it is known which call this is. `None` if the peer is gone.
async fn open<O: Opens>(app: &App, mut opens: O, line: &mut Socket) -> Result<Option<Box<Opened>>, Refusal> {
    let clock = app.parts.world.clock;
    let deadline = clock.instant(opens.deadline());
    loop {
        let message = match tokio::time::timeout_at(deadline, poll_fn(|cx| line.poll(cx))).await {
            Ok(Ok(message)) => message,
            // The line has told the peer which rule it broke.
            Ok(Err(LineEnd::Broken)) => return Err(Refusal::Broken),
            Ok(Err(_end)) => return Ok(None),
            Err(_late) => return Err(Refusal::NoStart),
        };
        match opens.read(clock.now(), &message) {
            Step::Wait(more) => opens = more,
            Step::Opened(opened) => return Ok(Some(opened)),
            Step::Refused(refusal) => return Err(refusal),
        }
    }
}

async fn admit(
    app: &Arc<App>,
    carrier: &'static str,
    opened: Box<Opened>,
) -> Result<(Box<Opened>, Entrant, Slot), Refusal> {
    let ticket = opened.ticket.as_ref().ok_or(Refusal::NoTicket)?;
    let mut entrant = match recovery::enter(app, carrier, &opened.carrier_call, ticket.expose()).await {
        Ok(entrant) => entrant,
        Err(refusal) => {
            let leg = TwilioLeg::of(app, opened.account.as_ref(), &opened.carrier_call);
            drop(opened);
            end_again(app, leg, refusal).await;
            return Err(refusal);
        }
    };
    let grant = &mut entrant.grant;
    let now = app.parts.world.clock.now();
    let slot = app.calls.take_slot(now, &opened.carrier_call, grant.call).inspect_err(|_| {
        if let Some(leg) = &grant.leg {
            leg.no_place();
        }
    })?;
    if carrier == TELNYX && grant.leg.is_none() {
        // Another server asked for this stream; whoever has the media commands the call.
        let past = entrant.back.as_ref().map(|back| &back.past);
        grant.leg = take_up(app, &opened.carrier_call, grant, past, ticket).await;
    }
    // The call may have ended while its socket was on the way.
    if grant.leg.as_ref().is_some_and(|leg| !leg.media_up(grant.call)) {
        return Err(Refusal::Ticket(TicketError::Expired));
    }
    Ok((opened, entrant, slot))
}

async fn take_up(
    app: &Arc<App>,
    name: &str,
    grant: &mut Grant,
    past: Option<&Past>,
    ticket: &Secret<String>,
) -> Option<LegLine> {
    let numbers = match &app.parts.cluster {
        Some(cluster) => super::elsewhere::release_there(cluster, name).await,
        None => None,
    };
    let known = past.map(|past| (past.start().from.clone(), past.start().to.clone()));
    if let Some((from, to)) = known.or(numbers) {
        (grant.from, grant.to) = (from, to);
    }
    let Grant { call, correlation, from, to, .. } = grant;
    let is_ours = app.outbound.page(*call).is_some();
    let facts =
        Facts { call: *call, correlation: correlation.clone(), from: from.clone(), to: to.clone(), is_ours };
    Legs::take_up(app, name.parse().ok()?, facts, ticket)
}

/// A call that we ended has come back: its end did not reach the carrier.
async fn end_again(app: &App, leg: Option<TwilioLeg>, refusal: Refusal) {
    if let Some(leg) = leg.filter(|_| refusal == Refusal::Ticket(TicketError::CallOver)) {
        recovery::hang_up(app, &leg, Some(&EndReason::HungUp)).await;
    }
}

async fn converse(
    app: &Arc<App>,
    carrier: CarrierId,
    opened: Opened,
    (entrant, slot): (Entrant, Slot),
    line: Socket,
) {
    let Opened { carrier_call, format, session, account, .. } = opened;
    let Entrant { grant: Grant { call, correlation, from, to, leg }, back } = entrant;
    let twilio = TwilioLeg::of(app, account.as_ref(), &carrier_call).filter(|_| leg.is_none());
    let (world, agent, line) =
        (app.parts.world.clone(), app.parts.agent.clone(), Box::new(CountedLine::new(line)));
    let is_new = back.is_none();
    let (carried, name) = (carrier.clone(), carrier_call.clone());
    let placed = match back {
        Some(back) => {
            let start = CallStart { format, ..back.past.start().clone() };
            // Readers that never heard of this call, because another server had it.
            app.parts.metrics.returning(call, &start.carrier);
            if let Some(reader) = &app.trace_reader {
                reader.returning(call, &start.carrier, &start.correlation);
            }
            place_again(call, world, agent, &start, back, session, line)
        }
        None => {
            let correlation = correlation.clone();
            let start = CallStart { carrier, carrier_call, format, from, to, correlation };
            place(call, world, agent, start, session, line)
        }
    };
    let (handle, task) = app.recorded(app.operated(placed, carried, name), is_new);
    if is_new && app.outbound.page(call).is_some() {
        app.parts.metrics.placed(call);
    }
    let (who, traces) = ((correlation, call), app.parts.traces.clone());
    let end = on_behalf(who.clone(), traces.clone(), slot.run(handle, task)).await;
    app.feed.close(call);
    app.parts.metrics.over(call);
    app.recordings.mind(app, call);
    if let Some(leg) = leg {
        return Box::pin(leg.media_over(end)).await;
    }
    if let Some(leg) = &twilio {
        on_behalf(who, traces, Box::pin(recovery::hang_up(app, leg, end.as_ref()))).await;
    }
    // A call that may come back is not over.
    let is_cut = matches!(end, Some(EndReason::Carrier(CarrierEnd::LineDown(_))));
    // Another server has it, or will.
    let is_given_away = matches!(end, Some(EndReason::Shutdown)) && !app.calls.ends_for_good();
    let goes_on = twilio.is_some() && (is_cut || is_given_away);
    // The carrier goes on with a call that was led elsewhere, and tells of its end.
    let is_led_elsewhere = matches!(end, Some(EndReason::Transfer { .. }));
    if !goes_on && !is_led_elsewhere {
        app.outbound.media_over(call);
    }
}

fn count<O: Opens>(reason: &'static str) {
    counter!(names::MEDIA_REFUSALS, "carrier" => O::CARRIER, "reason" => reason).increment(1);
}
