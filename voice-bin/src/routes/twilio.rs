//! Twilio's webhook: what to do with a call, and how it goes.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::request::Parts as Head;
use http::{HeaderMap, Request, StatusCode};
use metrics::counter;
use tracing::{debug, error, info, warn};
use url::{Host, Url};
use uuid::Uuid;
use voice_core::call::Past;
use voice_core::carrier::CarrierEnd;
use voice_core::failure::Failure;
use voice_core::id::{CallId, CorrelationId};
use voice_core::record::EndReason;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;
use voice_telephony::door::{Fingerprint, Layer, TurnedAway};
use voice_telephony::legs::Leg;
use voice_telephony::opening::Step;
use voice_telephony::outbound::{AttemptKey, Told};
use voice_telephony::recording::Whose as RecordingOf;
use voice_telephony::status::CallStatus;
use voice_telephony::transfer::TransferKey;
use voice_telephony::twilio::outbound::told;
use voice_telephony::twilio::recording;
use voice_telephony::twilio::transfer::{self, LegStep};
use voice_telephony::twilio::{
    Again, CARRIER, ConnectStream, Opening, RejectReason, StreamUrl, TwilioVoice, TwilioWebhook, Twiml,
    TwimlError, Verb, verify_upgrade,
};
use voice_telephony::webhook::{RawRequest, Rejection, Verified, verify};

use super::answers::FailsToCarrier;
use super::door::take_webhook;
use super::elsewhere::Whose;
use super::media::{self, Opened};
use super::{TWILIO_MEDIA, TWILIO_WEBHOOK};
use crate::config::PublicUrl;
use crate::metrics_names as names;
use crate::random::random;
use crate::recovery;
use crate::server::{Answer, App, ClientAddress, Grant, RecordingWord, as_carrier};

/// What Twilio signed with, and what it says is the same on a retry.
const SIGNATURE: &str = "x-twilio-signature";
const RETRY_TOKEN: &str = "i-twilio-idempotency-token";

/// Twilio asks here what to do with a call, and tells how it goes. Signed by the carrier.
#[utoipa::path(
    post, path = TWILIO_WEBHOOK, tag = "carriers", operation_id = "twilio_webhook", security(()),
    request_body(content = str, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "TwiML: what to do with the call", body = str, content_type = "text/xml"), (status = 204, description = "Taken note of"), FailsToCarrier),
)]
pub(super) async fn webhook(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientAddress>,
    Extension(correlation): Extension<CorrelationId>,
    request: Request<Body>,
) -> Response {
    let act = |head: &Head, body: &Bytes| receive(&app, client, &correlation, head, body);
    let whose = |head: &Head, body: &Bytes| whose(&app, head, body);
    let word = |head: &Head, body: &Bytes| recording_word(&app, head, body);
    take_webhook((&app, CARRIER), (&correlation, client), request, (whose, word), act).await
}

/// Whose business it is. What is not signed is nobody else's.
fn whose(app: &App, head: &Head, body: &Bytes) -> Whose {
    let signed = base_url(app, &head.headers).and_then(|base| check(app, &base, head, body).ok());
    let query = head.uri.query().unwrap_or_default();
    if signed.is_none() {
        return Whose::Anybody;
    }
    if let Some(call) = recording::in_query(query) {
        return Whose::Holder(call);
    }
    match (TransferKey::in_query(query), LegStep::in_query(query), AttemptKey::in_query(query)) {
        (Some(key), Some(step), _) if step != LegStep::Back => Whose::Holder(key.call),
        (_, _, Some(key)) => Whose::Desk(key.call),
        (_, _, None) => Whose::Anybody,
    }
}

/// The last two layers, and what the request leads to.
pub(super) fn receive(
    app: &Arc<App>,
    client: ClientAddress,
    correlation: &CorrelationId,
    head: &Head,
    body: &Bytes,
) -> Result<Answer, TurnedAway> {
    let Some(base) = base_url(app, &head.headers) else {
        warn!(%correlation, "webhook refused: PUBLIC_URL is not set, so its signature cannot be checked");
        return Err(TurnedAway::Rejected(Rejection::BadSignature));
    };
    let webhook = check(app, &base, head, body)?;
    let now = app.parts.world.clock.now();
    // The signature stands for all that was signed, in whatever form it was sent.
    let signature = head.headers.get(SIGNATURE).map_or(&b""[..], |value| value.as_bytes());
    let print = Fingerprint::of(&[CARRIER.as_bytes(), signature]);
    let retry = head.headers.get(RETRY_TOKEN).and_then(|value| value.to_str().ok());
    let opens_a_call = matches!(*webhook, TwilioWebhook::Voice(_));
    let query = head.uri.query().unwrap_or_default();
    let key = TransferKey::in_query(query);
    let step = key.and(LegStep::in_query(query));
    let back = key.filter(|_| step == Some(LegStep::Back));
    if let Some(step) = step.filter(|_| back.is_none()) {
        let act = || lead(app, query, step, &webhook);
        return app.front.once((now, CARRIER, client), print, retry, opens_a_call, act);
    }
    let news = told(query, &webhook);
    let again = Again::read(query);
    app.front.once((now, CARRIER, client), print, retry, opens_a_call, || match webhook.into_voice() {
        Ok(voice) if again.is_some() => answer_again(app, correlation, &voice, again),
        Ok(voice) => match back {
            Some(key) => answer_back(app, &base, correlation, &voice, key),
            None => answer_voice(app, &base, correlation, &voice, news),
        },
        Err(other) => {
            if let Some((key, told)) = news {
                app.outbound.tell(key, told);
            }
            take_note(app, correlation, &other);
            Answer::new(StatusCode::NO_CONTENT, "")
        }
    })
}

/// The address under which the carrier reached us. What is not configured is only believed of this very
/// machine, for demonstrations.
pub(super) fn base_url(app: &App, headers: &HeaderMap) -> Option<PublicUrl> {
    if let Some(url) = &app.parts.public_url {
        return Some(url.clone());
    }
    let host = headers.get(http::header::HOST)?.to_str().ok()?;
    let url = Url::parse(&format!("http://{host}")).ok()?;
    let is_here = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    is_here.then(|| PublicUrl::new(format!("http://{host}")))
}

/// Headers that are text, as the library wants them.
pub(super) fn texts(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

fn check(
    app: &App,
    base: &PublicUrl,
    head: &Head,
    body: &Bytes,
) -> Result<Verified<TwilioWebhook>, Rejection> {
    let target = head.uri.path_and_query().map_or(TWILIO_WEBHOOK, |target| target.as_str());
    let url = base.of(target);
    let headers = texts(&head.headers);
    let raw = RawRequest { method: head.method.as_str(), url: &url, headers: &headers, body };
    let clock = app.parts.world.clock;
    verify(&app.parts.twilio.tokens, &raw, clock.wall())
}

/// A leg to somebody to whom a caller is to be led: it asks what to do, or has got further.
#[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
fn lead(app: &App, query: &str, step: LegStep, webhook: &TwilioWebhook) -> Answer {
    let told = transfer::told(query, webhook);
    let scene = told.and_then(|(key, leg, news)| app.transfers.told(key, leg, news));
    counter!(names::WEBHOOK_REQUESTS, "provider" => CARRIER, "kind" => "transfer").increment(1);
    match webhook {
        TwilioWebhook::Voice(_) => {
            debug!(?step, ?scene, "a leg of a transfer asks what to do");
            document(app.transfers.document(scene))
        }
        _told => Answer::new(StatusCode::NO_CONTENT, ""),
    }
}

/// Somebody calls, or somebody whom we called has answered.
fn answer_voice(
    app: &App,
    base: &PublicUrl,
    correlation: &CorrelationId,
    voice: &Verified<TwilioVoice>,
    news: Option<(AttemptKey, Told)>,
) -> Answer {
    let Some((key, told)) = news else {
        return answer_call(app, base, correlation, voice, (new_call(), 1));
    };
    if !app.outbound.tell(key, told) || !app.has_room() {
        counter!(names::WEBHOOK_REQUESTS, "provider" => CARRIER, "kind" => "stray").increment(1);
        counter!(names::DISCREPANCIES, "kind" => "answered_without_us").increment(1);
        info!(%correlation, call = %key.call, "an answered call is hung up: nobody waits for it");
        return document(Twiml::of(&[Verb::Hangup]));
    }
    answer_call(app, base, correlation, voice, (key.call, 1))
}

/// The caller was led to where nobody is any more: their conversation goes on.
fn answer_back(
    app: &App,
    base: &PublicUrl,
    correlation: &CorrelationId,
    voice: &Verified<TwilioVoice>,
    key: TransferKey,
) -> Answer {
    let is_theirs = |past: &Past| past.may_return() && past.start().carrier_call == voice.call_sid.as_str();
    let Some(known) = app.pasts.look(key.call).filter(|known| is_theirs(&known.past)) else {
        info!(%correlation, was = %key.call, "a caller came back of whom nothing is known, and begins anew");
        return answer_call(app, base, correlation, voice, (new_call(), 1));
    };
    let correlation = known.past.start().correlation.clone();
    answer_call(app, base, &correlation, voice, (key.call, known.past.leg() + 1))
}

fn new_call() -> CallId {
    CallId::from_u128(Uuid::now_v7().as_u128())
}

/// Leads a call to us: which, and over which of its legs, counted from one.
fn answer_call(
    app: &App,
    base: &PublicUrl,
    correlation: &CorrelationId,
    voice: &Verified<TwilioVoice>,
    (call, number): (CallId, u32),
) -> Answer {
    let account = &app.parts.twilio.account_sid;
    if account.as_ref().is_some_and(|ours| ours != voice.account_sid.as_str()) {
        counter!(
            names::WEBHOOK_REJECTIONS,
            "provider" => CARRIER, "reason" => "wrong_account", "layer" => Layer::Signature.name()
        )
        .increment(1);
        warn!(%correlation, "webhook refused: it is about another account than TWILIO_ACCOUNT_SID");
        return Answer::new(StatusCode::FORBIDDEN, "wrong_account");
    }
    let media = match StreamUrl::new(base.web_socket(TWILIO_MEDIA)) {
        Ok(media) => media,
        Err(error) => {
            error!(%correlation, %error, "PUBLIC_URL is no address that Twilio can stream to; it must be https://");
            return Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "");
        }
    };
    let Some(random) = random() else {
        error!(%correlation, "the system has no randomness, so no call can be taken");
        return Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "");
    };
    let (now, carrier_call) = (app.parts.world.clock.now(), voice.call_sid.as_str());
    if number == 1 && app.outbound.page(call).is_none() {
        app.statuses.rings(call, carrier_call);
    }
    if !app.can_serve() || !app.calls.promise(now, carrier_call) {
        counter!(names::WEBHOOK_REQUESTS, "provider" => CARRIER, "kind" => "busy").increment(1);
        let why = app.why_refused();
        warn!(%correlation, calls = app.calls.running(), "call answered with busy: {why}");
        app.statuses.tell(call, as_carrier(CallStatus::Failed), "no_room");
        return document(Twiml::reject(RejectReason::Busy));
    }
    let (from, to) = (voice.from.clone(), voice.to.clone());
    let made = match &app.lifeline {
        Some(lifeline) => {
            let leg = Leg { call, number, correlation: correlation.clone(), from, to };
            lifeline.document(carrier_call, &leg, app.tickets_until())
        }
        // Nobody could end a call that outlives its socket.
        None => {
            let grant = Grant { call, correlation: correlation.clone(), from, to, leg: None };
            let ticket = app.issue(carrier_call, random, grant);
            with_callback(ConnectStream::new(media, &ticket), base).map(|stream| Twiml::connect(&stream))
        }
    };
    match made {
        Ok(twiml) => {
            counter!(names::WEBHOOK_REQUESTS, "provider" => CARRIER, "kind" => "voice").increment(1);
            info!(%correlation, %call, carrier_call, "call is connected");
            document(twiml)
        }
        Err(error) => {
            app.calls.give_up(carrier_call);
            error!(%correlation, %error, "PUBLIC_URL is no address that Twilio can call back; it must be https://");
            Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "")
        }
    }
}

/// A call that has tried all streams of its document asks what to do.
fn answer_again(
    app: &App,
    correlation: &CorrelationId,
    voice: &Verified<TwilioVoice>,
    again: Option<Again>,
) -> Answer {
    let hang_up = || document(Twiml::of(&[Verb::Hangup]));
    let (Some(again), Some(lifeline)) = (again, &app.lifeline) else { return hang_up() };
    counter!(names::WEBHOOK_REQUESTS, "provider" => CARRIER, "kind" => "again").increment(1);
    let known = app.pasts.look(again.call);
    let is_over = known.as_ref().is_some_and(|known| !known.past.may_return());
    if is_over || !again.is_hopeful() {
        info!(%correlation, call = %again.call, "a call that is over asked what to do, and is hung up");
        return hang_up();
    }
    let correlation =
        known.map_or_else(|| correlation.clone(), |known| known.past.start().correlation.clone());
    let (call, number, from, to) = (again.call, again.leg, voice.from.clone(), voice.to.clone());
    let leg = Leg { call, number, correlation, from, to };
    warn!(correlation = %leg.correlation, call = %leg.call, leg = leg.number, "a call found no server, and tries again");
    match lifeline.document(voice.call_sid.as_str(), &leg, app.tickets_until()) {
        Ok(twiml) => document(twiml),
        Err(error) => {
            error!(%error, "PUBLIC_URL is no address that Twilio can call back; it must be https://");
            Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "")
        }
    }
}

fn with_callback(stream: ConnectStream, base: &PublicUrl) -> Result<ConnectStream, TwimlError> {
    stream.with_status_callback(base.of(TWILIO_WEBHOOK))
}

fn take_note(app: &App, correlation: &CorrelationId, webhook: &Verified<TwilioWebhook>) {
    let kind = match &**webhook {
        TwilioWebhook::Voice(_) => "voice",
        TwilioWebhook::Progress(progress) => {
            if let Some(report) = progress.report() {
                app.statuses.told(progress.call_sid.as_str(), report);
            }
            if progress.status.is_final() {
                app.calls.give_up(progress.call_sid.as_str());
                close_awaited(app, progress.call_sid.as_str());
            }
            debug!(%correlation, carrier_call = progress.call_sid.as_str(), status = ?progress.status, "call progress");
            "progress"
        }
        TwilioWebhook::Stream(stream) => {
            let error = stream.error.as_deref().map(Failure::clean_code);
            debug!(%correlation, carrier_call = stream.call_sid.as_str(), event = ?stream.event, error, "stream status");
            "stream"
        }
        TwilioWebhook::Machine(verdict) => {
            debug!(%correlation, carrier_call = verdict.call_sid.as_str(), by = verdict.answered_by.name(), "who answered");
            "machine"
        }
        TwilioWebhook::Recording(status) => {
            let (carrier_call, recording) = (status.call_sid.as_str(), &status.recording);
            debug!(%correlation, carrier_call, recording, state = ?status.state, "recording status");
            "recording"
        }
        TwilioWebhook::Other(call) => {
            debug!(%correlation, carrier_call = call.as_str(), "another kind of webhook");
            "other"
        }
        _newer => "other",
    };
    counter!(names::WEBHOOK_REQUESTS, "provider" => CARRIER, "kind" => kind).increment(1);
}

/// What Twilio says it has of a recording, if that is what a webhook is about.
pub(super) fn recording_word(app: &App, head: &Head, body: &Bytes) -> Option<RecordingWord> {
    let call = recording::in_query(head.uri.query()?)?;
    let webhook = check(app, &base_url(app, &head.headers)?, head, body).ok()?;
    let TwilioWebhook::Recording(status) = &*webhook else { return None };
    let (whose, filed) = (RecordingOf::Call(call), recording::filed(status)?);
    Some(RecordingWord { carrier: CARRIER, whose, filed, is_named: true })
}

/// Somebody hung up while their server was dead, or after their media had broken.
fn close_awaited(app: &App, carrier_call: &str) {
    if let Some(call) = app.pasts.named(carrier_call) {
        recovery::close(app, call, EndReason::Carrier(CarrierEnd::Stopped));
    }
    let awaited = app.pasts.awaited().into_iter();
    let is_it = |known: &recovery::Known| known.past.start().carrier_call == carrier_call;
    for (call, _) in awaited.filter(|(_, known)| is_it(known)) {
        recovery::close(app, call, EndReason::Carrier(CarrierEnd::Stopped));
    }
}

fn document(twiml: Twiml) -> Answer {
    Answer { status: StatusCode::OK, content_type: Some(Twiml::CONTENT_TYPE), body: twiml.into_string() }
}

/// A media socket of Twilio's: its upgrade is signed, its ticket is in `start`.
pub(super) struct Opens(Opening);

impl media::Opens for Opens {
    const CARRIER: &'static str = CARRIER;

    fn knock(app: &App, request: &axum::extract::Request) -> Result<Self, Rejection> {
        let headers = request.headers();
        let base = base_url(app, headers).ok_or(Rejection::BadSignature)?;
        verify_upgrade(&app.parts.twilio.tokens, &base.web_socket(TWILIO_MEDIA), &texts(headers))?;
        Ok(Self(Opening::new(app.parts.world.clock.now())))
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
                carrier_call: opened.start.call_sid.as_str().to_owned(),
                format: opened.start.format,
                account: Some(opened.start.account_sid),
                session: Box::new(opened.session),
            })),
        }
    }
}
