//! Twilio's webhook: what to do with a call, and how it goes.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts as Head;
use http::{HeaderMap, Request, StatusCode};
use metrics::counter;
use tracing::{debug, error, info, warn};
use url::{Host, Url};
use uuid::Uuid;
use voice_core::failure::Failure;
use voice_core::id::{CallId, CorrelationId};
use voice_telephony::limits::WEBHOOK_BYTES_MAX;
use voice_telephony::twilio::{
    CARRIER, ConnectStream, RejectReason, StreamUrl, TwilioVoice, TwilioWebhook, Twiml, TwimlError,
};
use voice_telephony::webhook::{RawRequest, Rejection, Verified, verify};

use super::{TWILIO_MEDIA, TWILIO_WEBHOOK};
use crate::config::PublicUrl;
use crate::metrics_names as names;
use crate::random::random;
use crate::server::{App, Grant};

/// A carrier sends its few hundred bytes at once.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn webhook(
    State(app): State<Arc<App>>,
    Extension(correlation): Extension<CorrelationId>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, WEBHOOK_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return refuse(&correlation, Rejection::TooLarge),
        Err(_late) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let Some(base) = base_url(&app, &head.headers) else {
        warn!(%correlation, "webhook refused: PUBLIC_URL is not set, so its signature cannot be checked");
        return refuse(&correlation, Rejection::BadSignature);
    };
    let webhook = match check(&app, &base, &head, &body) {
        Ok(webhook) => webhook,
        Err(rejection) => return refuse(&correlation, rejection),
    };
    match webhook.into_voice() {
        Ok(voice) => answer_call(&app, &base, correlation, &voice),
        Err(other) => {
            take_note(&correlation, &other);
            StatusCode::NO_CONTENT.into_response()
        }
    }
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
    verify(&app.parts.twilio.tokens, &raw, clock.unix(clock.now()))
}

fn refuse(correlation: &CorrelationId, rejection: Rejection) -> Response {
    counter!(names::WEBHOOK_REJECTIONS, "carrier" => CARRIER, "reason" => rejection.name()).increment(1);
    if rejection == Rejection::NoKey {
        error!(%correlation, "webhook refused: TWILIO_AUTH_TOKEN is not set");
    } else {
        warn!(%correlation, reason = rejection.name(), "webhook refused: {rejection}");
    }
    let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::FORBIDDEN);
    (status, rejection.name()).into_response()
}

fn answer_call(
    app: &App,
    base: &PublicUrl,
    correlation: CorrelationId,
    voice: &Verified<TwilioVoice>,
) -> Response {
    let account = &app.parts.twilio.account_sid;
    if account.as_ref().is_some_and(|ours| ours != voice.account_sid.as_str()) {
        counter!(names::WEBHOOK_REJECTIONS, "carrier" => CARRIER, "reason" => "wrong_account").increment(1);
        warn!(%correlation, "webhook refused: it is about another account than TWILIO_ACCOUNT_SID");
        return (StatusCode::FORBIDDEN, "wrong_account").into_response();
    }
    if app.is_draining() || !app.has_room() {
        counter!(names::WEBHOOK_REQUESTS, "carrier" => CARRIER, "kind" => "busy").increment(1);
        warn!(%correlation, calls = app.calls.running(), "call answered with busy: no room for one more");
        return document(Twiml::reject(RejectReason::Busy));
    }
    let call = CallId::from_u128(Uuid::now_v7().as_u128());
    let Some(random) = random() else {
        error!(%correlation, "the system has no randomness, so no call can be taken");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let grant =
        Grant { call, correlation: correlation.clone(), from: voice.from.clone(), to: voice.to.clone() };
    let ticket = app.issue(voice.call_sid.as_str(), random, grant);
    let stream = StreamUrl::new(base.web_socket(TWILIO_MEDIA)).map(|url| ConnectStream::new(url, &ticket));
    match stream.and_then(|stream| with_callback(stream, base)) {
        Ok(stream) => {
            counter!(names::WEBHOOK_REQUESTS, "carrier" => CARRIER, "kind" => "voice").increment(1);
            info!(%correlation, %call, carrier_call = voice.call_sid.as_str(), "call comes in");
            document(Twiml::connect(&stream))
        }
        Err(error) => {
            error!(%correlation, %error, "PUBLIC_URL is no address that Twilio can stream to; it must be https://");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn with_callback(stream: ConnectStream, base: &PublicUrl) -> Result<ConnectStream, TwimlError> {
    stream.with_status_callback(base.of(TWILIO_WEBHOOK))
}

fn take_note(correlation: &CorrelationId, webhook: &Verified<TwilioWebhook>) {
    let kind = match &**webhook {
        TwilioWebhook::Voice(_) => "voice",
        TwilioWebhook::Progress(progress) => {
            debug!(%correlation, carrier_call = progress.call_sid.as_str(), status = ?progress.status, "call progress");
            "progress"
        }
        TwilioWebhook::Stream(stream) => {
            let error = stream.error.as_deref().map(Failure::clean_code);
            debug!(%correlation, carrier_call = stream.call_sid.as_str(), event = ?stream.event, error, "stream status");
            "stream"
        }
        TwilioWebhook::Other(call) => {
            debug!(%correlation, carrier_call = call.as_str(), "another kind of webhook");
            "other"
        }
        _newer => "other",
    };
    counter!(names::WEBHOOK_REQUESTS, "carrier" => CARRIER, "kind" => kind).increment(1);
}

fn document(twiml: Twiml) -> Response {
    ([(CONTENT_TYPE, Twiml::CONTENT_TYPE)], twiml.into_string()).into_response()
}
