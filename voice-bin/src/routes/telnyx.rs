//! Telnyx's webhook, which tells what happens, and its media sockets.
//!
//! The answer to an event says nothing: what is to be done with a call is said by commands, from the task
//! of the call ([`Legs`]).

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts as Head;
use http::{HeaderMap, StatusCode};
use metrics::{counter, histogram};
use tracing::{debug, error, info, warn};
use uuid::Uuid;
use voice_core::id::{CallId, CorrelationId};
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::WireMessage;
use voice_telephony::door::{Fingerprint, TurnedAway};
use voice_telephony::opening::Step;
use voice_telephony::outbound::AttemptKey;
use voice_telephony::recording::Whose as RecordingOf;
use voice_telephony::telnyx::outbound::{attempt, told};
use voice_telephony::telnyx::{
    CARRIER, CallControlId, Direction, Event, Expected, Opening, TelnyxWebhook, upgrade_ticket,
};
use voice_telephony::telnyx::{recording, transfer};
use voice_telephony::transfer::{LegNews, TransferKey};
use voice_telephony::webhook::{RawRequest, Rejection, Verified, verify};

use super::TELNYX_WEBHOOK;
use super::answers::FailsToCarrier;
use super::door::take_webhook;
use super::elsewhere::{Part, Whose};
use super::media::{self, Opened};
use super::twilio::texts;
use crate::metrics_names as names;
use crate::recovery;
use crate::server::{Answer, App, Begin, ClientAddress, Facts, Heard, Legs, RecordingWord, TELNYX_CODEC};

/// When Telnyx signed, in seconds since 1970; part of what it signs.
const SIGNED_AT: &str = "telnyx-timestamp";

/// How the events about recordings are called, up to what they say.
const RECORDING: &[u8] = b"call.recording.";

/// Telnyx tells here what happens. Signed by the carrier.
#[utoipa::path(
    post, path = TELNYX_WEBHOOK, tag = "carriers", operation_id = "telnyx_webhook", security(()),
    request_body(content = str, content_type = "application/json"),
    responses((status = 200, description = "Taken note of"), FailsToCarrier),
)]
pub(super) async fn webhook(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientAddress>,
    Extension(correlation): Extension<CorrelationId>,
    request: http::Request<Body>,
) -> Response {
    let act = |head: &Head, body: &Bytes| receive(&app, client, &correlation, (head, body), Part::Whole);
    let whose = |head: &Head, body: &Bytes| whose(&app, head, body);
    let word = |head: &Head, body: &Bytes| recording_word(&app, head, body);
    take_webhook((&app, CARRIER), (&correlation, client), request, (whose, word), act).await
}

/// What Telnyx says it has of a recording, if that is what an event is about.
pub(super) fn recording_word(app: &App, head: &Head, body: &Bytes) -> Option<RecordingWord> {
    // Few events are, and a signature is dear.
    if !body.windows(RECORDING.len()).any(|part| part == RECORDING) {
        return None;
    }
    let headers = texts(&head.headers);
    let raw = RawRequest { method: head.method.as_str(), url: TELNYX_WEBHOOK, headers: &headers, body };
    let clock = app.parts.world.clock;
    let webhook = verify::<TelnyxWebhook>(&app.parts.telnyx.keys, &raw, clock.wall()).ok()?;
    let (whose, filed) = recording::filed(&webhook)?;
    Some(RecordingWord { carrier: CARRIER, whose, filed, is_named: recording::is_named(&webhook) })
}

/// Whose business it is. What is not signed is nobody else's.
fn whose(app: &App, head: &Head, body: &Bytes) -> Whose {
    let clock = app.parts.world.clock;
    let headers = texts(&head.headers);
    let raw = RawRequest { method: head.method.as_str(), url: TELNYX_WEBHOOK, headers: &headers, body };
    let signed = verify::<TelnyxWebhook>(&app.parts.telnyx.keys, &raw, clock.wall());
    let Ok(webhook) = signed else { return Whose::Anybody };
    if let Some(key) = transfer::key(&webhook) {
        return Whose::Holder(key.call);
    }
    match recording::filed(&webhook) {
        Some((RecordingOf::Call(call), _)) => return Whose::Holder(call),
        Some((RecordingOf::Named(name), _)) => {
            return Whose::Leg { name, desk: None, opens: false, is_lost: false };
        }
        None => {}
    }
    let Some(name) = &webhook.leg.call_control_id else { return Whose::Anybody };
    let desk = attempt(&webhook).map(|key| key.call);
    let is_lost =
        matches!(webhook.event, Event::StreamingFailed(_) | Event::StreamingStopped(_) | Event::Hangup(_));
    Whose::Leg { name: name.as_str().to_owned(), desk, opens: is_incoming(&webhook), is_lost }
}

/// The last two layers, and what the event leads to.
pub(super) fn receive(
    app: &Arc<App>,
    client: ClientAddress,
    correlation: &CorrelationId,
    (head, body): (&Head, &Bytes),
    part: Part,
) -> Result<Answer, TurnedAway> {
    let clock = app.parts.world.clock;
    let now = clock.now();
    let headers = texts(&head.headers);
    let raw = RawRequest { method: head.method.as_str(), url: TELNYX_WEBHOOK, headers: &headers, body };
    let webhook = verify::<TelnyxWebhook>(&app.parts.telnyx.keys, &raw, clock.wall())?;
    tell_drift(&head.headers, clock.wall());
    // A retry is signed anew, and carries the same event; so does a replay, and neither does anything.
    let print = Fingerprint::of(&[CARRIER.as_bytes(), webhook.id.as_str().as_bytes()]);
    let opens_a_call = is_incoming(&webhook);
    app.front.once((now, CARRIER, client), print, None, opens_a_call, || act(app, correlation, webhook, part))
}

/// How far the carrier's clock is from ours, by the time that it signed.
fn tell_drift(headers: &HeaderMap, now: UnixMillis) {
    let signed = headers.get(SIGNED_AT).and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    if let Some(signed) = signed {
        let drift = now.0.abs_diff(signed.saturating_mul(1_000)) as f64 / 1_000.0;
        histogram!(names::WEBHOOK_DRIFT, "provider" => CARRIER).record(drift);
    }
}

fn is_incoming(webhook: &TelnyxWebhook) -> bool {
    matches!(&webhook.event, Event::Initiated(leg) if leg.direction == Direction::Incoming)
}

fn act(app: &Arc<App>, correlation: &CorrelationId, webhook: Verified<TelnyxWebhook>, part: Part) -> Answer {
    counter!(names::WEBHOOK_REQUESTS, "provider" => CARRIER, "kind" => webhook.event.name()).increment(1);
    if recording::filed(&webhook).is_some() {
        // It is in the record by now.
        return taken();
    }
    if let Some(key) = transfer::key(&webhook) {
        return lead(app, correlation, key, &webhook);
    }
    let is_welcome =
        part != Part::Leg && told(&webhook).is_some_and(|(key, told)| app.outbound.tell(key, told));
    if part == Part::Desk {
        return taken();
    }
    // Conferences: nobody waits for those.
    let Some(name) = webhook.leg.call_control_id.clone() else { return taken() };
    if matches!(webhook.event, Event::ConferenceLeft(_) | Event::ConferenceEnded(_)) && !app.telnyx.has(&name)
    {
        let app = app.clone();
        // Its call is over for us, and may have to be looked up.
        tokio::spawn(async move { recovery::left_conference(&app, &name).await });
        return taken();
    }
    let heard = match (&webhook.event, attempt(&webhook)) {
        _ if part == Part::Leg => app.telnyx.tell(&name, webhook),
        (Event::Initiated(_), None) if is_incoming(&webhook) && !app.telnyx.has(&name) => {
            answer_call(app, correlation, name, &webhook)
        }
        (Event::Answered { .. }, Some(key)) if !app.telnyx.has(&name) => {
            give_voice(app, correlation, name, (key, is_welcome), &webhook)
        }
        // A message is left on an answering machine, and nobody talks over it.
        (Event::SpeakStarted, Some(_)) => {
            app.telnyx.release(&name);
            Heard::Taken
        }
        (Event::SpeakEnded(_), Some(key)) => {
            let facts = facts(app, correlation, Some(key), &webhook);
            Legs::begin(app, name, facts, Begin::Dismiss)
        }
        _ => app.telnyx.tell(&name, webhook),
    };
    match heard {
        Heard::Taken => taken(),
        Heard::Nobody => {
            debug!(%correlation, "an event of a call that is not ours, or over");
            taken()
        }
        Heard::Full => Answer::new(StatusCode::SERVICE_UNAVAILABLE, "crowded"),
    }
}

/// A leg to somebody to whom a caller is to be led has got further.
fn lead(app: &Arc<App>, correlation: &CorrelationId, key: TransferKey, webhook: &TelnyxWebhook) -> Answer {
    let Some((_, leg, news)) = transfer::told(webhook) else { return taken() };
    let is_known = app.transfers.told(key, leg, news).is_some();
    // Of a transfer that is done nobody knows either, and its leg has the caller.
    let is_unwanted = match news {
        LegNews::Answered => true,
        LegNews::Said | LegNews::Key(_) | LegNews::Machine => recovery::is_left_behind(app, key),
        LegNews::Bridged | LegNews::Over(_) => false,
    };
    if let (false, true, Some(name)) = (is_known, is_unwanted, webhook.leg.call_control_id.clone()) {
        info!(%correlation, call = %key.call, "an answered leg is hung up: nobody waits for it");
        Legs::begin(app, name, facts(app, correlation, None, webhook), Begin::Dismiss);
    }
    taken()
}

/// Somebody calls.
fn answer_call(
    app: &Arc<App>,
    correlation: &CorrelationId,
    name: CallControlId,
    webhook: &TelnyxWebhook,
) -> Heard {
    if app.parts.telnyx.api.is_none() {
        error!(error_type = "carrier_key_missing", %correlation, "a call cannot be answered: TELNYX_API_KEY is not set");
        return Heard::Nobody;
    }
    let facts = facts(app, correlation, None, webhook);
    let (call, now) = (facts.call, app.parts.world.clock.now());
    let carrier_call = name.as_str().to_owned();
    app.statuses.rings(call, &carrier_call);
    if app.can_serve() && app.calls.promise(now, &carrier_call) {
        info!(%correlation, %call, carrier_call, "call is answered");
        let heard = Legs::begin(app, name, facts, Begin::Answer);
        if heard != Heard::Taken {
            app.calls.give_up(&carrier_call);
        }
        return heard;
    }
    counter!(names::WEBHOOK_REQUESTS, "provider" => CARRIER, "kind" => "busy").increment(1);
    let why = app.why_refused();
    warn!(%correlation, calls = app.calls.running(), "call answered with busy: {why}");
    Legs::begin(app, name, facts, Begin::Busy)
}

/// Somebody whom we called has answered.
fn give_voice(
    app: &Arc<App>,
    correlation: &CorrelationId,
    name: CallControlId,
    (key, is_welcome): (AttemptKey, bool),
    webhook: &TelnyxWebhook,
) -> Heard {
    let facts = facts(app, correlation, Some(key), webhook);
    let now = app.parts.world.clock.now();
    if is_welcome && app.can_serve() && app.calls.promise(now, name.as_str()) {
        return Legs::begin(app, name, facts, Begin::Stream);
    }
    counter!(names::WEBHOOK_REQUESTS, "provider" => CARRIER, "kind" => "stray").increment(1);
    counter!(names::DISCREPANCIES, "kind" => "answered_without_us").increment(1);
    info!(%correlation, call = %key.call, "an answered call is hung up: nobody waits for it");
    Legs::begin(app, name, facts, Begin::Dismiss)
}

fn facts(app: &App, correlation: &CorrelationId, ours: Option<AttemptKey>, webhook: &TelnyxWebhook) -> Facts {
    let page = ours.and_then(|key| app.outbound.page(key.call));
    let unknown = || String::new().into();
    Facts {
        call: ours.map_or_else(|| CallId::from_u128(Uuid::now_v7().as_u128()), |key| key.call),
        correlation: page.map_or_else(|| correlation.clone(), |page| page.correlation),
        from: webhook.leg.from.clone().unwrap_or_else(unknown),
        to: webhook.leg.to.clone().unwrap_or_else(unknown),
        is_ours: ours.is_some(),
    }
}

fn taken() -> Answer {
    Answer::new(StatusCode::OK, "")
}

/// A media socket of Telnyx's: its upgrade is not signed, so nothing is known before the ticket is redeemed.
pub(super) struct Opens(Opening);

impl media::Opens for Opens {
    const CARRIER: &'static str = CARRIER;

    fn knock(app: &App, request: &Request) -> Result<Self, Rejection> {
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let ticket = upgrade_ticket(target, &texts(request.headers()));
        Ok(Self(Opening::new(app.parts.world.clock.now(), Expected::new(TELNYX_CODEC), ticket)))
    }

    fn deadline(&self) -> MonoTime {
        self.0.deadline()
    }

    fn read(self, now: MonoTime, message: &WireMessage) -> Step<Self, Opened> {
        match self.0.read(now, message) {
            Step::Wait(opening) => Step::Wait(Self(opening)),
            Step::Refused(refusal) => Step::Refused(refusal),
            Step::Opened(opened) => Step::Opened(Box::new(Opened {
                ticket: opened.start.ticket,
                carrier_call: opened.start.call_control_id.as_str().to_owned(),
                // What the leg speaks is turned into what we send.
                format: TELNYX_CODEC.format(),
                account: None,
                session: Box::new(opened.session),
            })),
        }
    }
}
