//! The API for calls that we place: order one, ask how it goes, end it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use voice_core::id::{CallId, CorrelationId};
use voice_telephony::number::{E164, NumberError};
use voice_telephony::outbound::{AnsweredBy, Order, Route, Voicemail};

use super::answers::{Fails, FailsForOne, FailsToPlace};
use super::elsewhere::keep_desk;
use super::problem::{Problem, understood};
use super::{OUTBOUND, OUTBOUND_CALL};
use crate::server::{App, ClientAddress, NotPlaced, Page, Taken, Unheard};

/// By which whoever orders knows their order again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// How long it rings unless it is said; four to six rings.
const RING: Duration = Duration::from_secs(30);

/// The longest call of ours; carriers have the same.
const LONGEST: Duration = Duration::from_secs(4 * 3_600);

/// What a message may say: a minute of speech.
const MESSAGE_CHARACTERS_MAX: usize = 1_000;

/// Metadata: so many names, of names so long, of values so long.
const METADATA_MAX: (usize, usize, usize) = (50, 64, 500);

/// A call to be placed, as it is ordered.
#[derive(Deserialize, ToSchema)]
#[schema(as = CallOrder)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// In E.164: `+` and up to 15 digits.
    to_number: String,
    /// One of ours at the carrier; without it the one that is configured.
    from_number: Option<String>,
    /// The carrier that is asked first.
    telephony_provider: Option<String>,
    /// There is one, `default`.
    agent: Option<String>,
    /// At most 50 names of 64 bytes with values of 500 bytes.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[schema(minimum = 5, maximum = 600, default = 30)]
    ring_seconds: Option<u64>,
    voicemail: Option<OnVoicemail>,
    /// With `voicemail: leave_message`.
    #[schema(max_length = 1000)]
    voicemail_message: Option<String>,
}

/// What to do when a machine answers.
#[derive(Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OnVoicemail {
    GoOn,
    HangUp,
    LeaveMessage,
}

/// How a call goes.
#[derive(Serialize, ToSchema)]
#[schema(as = OutboundCall)]
struct Shown<'a> {
    call_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    telephony_provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier_call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ShownError<'a>>,
    correlation_id: &'a str,
    metadata: &'a BTreeMap<String, String>,
}

/// Why the last carrier refused it.
#[derive(Serialize, ToSchema)]
#[schema(as = OutboundRefusal)]
struct ShownError<'a> {
    cause: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

/// The numbers, for whoever ordered the call and knows them.
#[derive(Serialize, ToSchema)]
#[schema(as = OutboundAccepted)]
struct Accepted<'a> {
    call_id: String,
    status: &'static str,
    to_number: &'a str,
    from_number: &'a str,
    telephony_provider: &'a str,
    correlation_id: &'a str,
    metadata: &'a BTreeMap<String, String>,
}

/// Those that place calls, in the order in which they are asked.
#[derive(Serialize, ToSchema)]
struct Carriers {
    carriers: Vec<Carrier>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
struct Carrier {
    carrier: String,
    /// What people see.
    from_number: String,
    /// Of its breaker: `closed`, as it should be; `half_open`, when it is tried; `open`, when it is left alone.
    state: &'static str,
    /// Why it is open.
    reason: Option<&'static str>,
    retry_after_seconds: Option<f64>,
    consecutive_failures: u32,
    /// Calls of ours that it has.
    calls: usize,
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(place)).routes(routes!(show, end)).routes(routes!(carriers))
}

/// Places a call.
#[utoipa::path(
    post, path = OUTBOUND, tag = "outbound", operation_id = "place_call",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 255,
        description = "The same key with the same body within a day is the same order: the answer is repeated, and nobody is called again")),
    request_body = Wish, responses((status = 202, body = Accepted<'static>), FailsToPlace),
)]
async fn place(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientAddress>,
    Extension(correlation): Extension<CorrelationId>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let key = headers.get(IDEMPOTENCY_KEY).map(HeaderValue::as_bytes);
    let mut wish = None;
    let take = || {
        let (order, metadata) = understand(&app, understood(&body)?)?;
        takes_calls(&app)?;
        let (call, body) = (order.call, accepted(&order, &correlation, &metadata));
        wish = Some((order, metadata));
        Ok::<_, Problem>(Taken { call, body })
    };
    let Taken { call, body } = app.orders.take(client, key, &body, take).map_err(unheard)??;
    if let Some((order, metadata)) = wish {
        // Before the carrier can tell anything of it.
        keep_desk(&app, call).await;
        if let Err(why) = app.outbound.place(order, correlation.clone(), metadata) {
            app.orders.withdraw(key);
            return Err(not_placed(why));
        }
        info!(%correlation, %call, "call ordered");
    }
    let head = [(LOCATION, format!("{OUTBOUND}/{call}")), (CONTENT_TYPE, "application/json".to_owned())];
    Ok((StatusCode::ACCEPTED, head, body).into_response())
}

pub(super) fn unheard(why: Unheard) -> Problem {
    match why {
        Unheard::TooMany(wait) => {
            let seconds = u16::try_from(wait.as_secs() + 1).unwrap_or(u16::MAX);
            Problem::of(StatusCode::TOO_MANY_REQUESTS)
                .detail("OUTBOUND_PER_MINUTE says how many calls one client may order")
                .header(RETRY_AFTER, seconds.into())
        }
        Unheard::OtherOrder => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "The idempotency key belongs to another order",
        ),
        Unheard::NoKey => {
            let mut problem = Problem::invalid();
            problem.add("Idempotency-Key", "use 1 to 255 visible ASCII characters");
            problem
        }
    }
}

/// How a call that was placed goes.
#[utoipa::path(
    get, path = OUTBOUND_CALL, tag = "outbound", operation_id = "show_placed_call",
    params(("call" = String, Path, format = Uuid)),
    responses((status = 200, body = Shown<'static>), FailsForOne),
)]
async fn show(State(app): State<Arc<App>>, Path(call): Path<String>) -> Result<Response, Problem> {
    let (call, page) = find(&app, &call)?;
    Ok(Json(shown(call, &page)).into_response())
}

/// Ends a call that was placed.
#[utoipa::path(
    delete, path = OUTBOUND_CALL, tag = "outbound", operation_id = "end_placed_call",
    params(("call" = String, Path, format = Uuid)),
    responses((status = 202, body = Shown<'static>), FailsForOne),
)]
async fn end(State(app): State<Arc<App>>, Path(call): Path<String>) -> Result<Response, Problem> {
    let (call, page) = find(&app, &call)?;
    // One that is over already was ended as well as it can be.
    app.outbound.hang_up(call);
    Ok((StatusCode::ACCEPTED, Json(shown(call, &page))).into_response())
}

/// The carriers that place calls, and whether they are asked at all.
#[utoipa::path(
    get, path = "/api/v1/telephony/carriers", tag = "outbound", operation_id = "carriers",
    responses((status = 200, body = Carriers), Fails),
)]
async fn carriers(State(app): State<Arc<App>>) -> Json<Carriers> {
    let carriers = app.outbound.carriers().into_iter().map(|(route, breaker, calls)| Carrier {
        carrier: route.carrier.to_string(),
        from_number: route.from.expose().to_owned(),
        state: breaker.state.name(),
        reason: breaker.reason.map(|reason| reason.name()),
        retry_after_seconds: breaker.retry_after.map(|wait| wait.as_secs_f64()),
        consecutive_failures: breaker.failures_in_row,
        calls,
    });
    Json(Carriers { carriers: carriers.collect() })
}

/// Whether a call could be placed now.
pub(super) fn takes_calls(app: &App) -> Result<(), Problem> {
    if app.calls.is_draining() {
        return Err(Problem::unavailable("shutting_down", "The server is shutting down", 30));
    }
    if !app.has_room() {
        return Err(Problem::unavailable("no_room", "The server has as many calls as it can take", 10));
    }
    Ok(())
}

fn find(app: &App, call: &str) -> Result<(CallId, Page), Problem> {
    let call: CallId = call.parse().map_err(|_| Problem::not_found())?;
    Ok((call, app.outbound.page(call).ok_or_else(Problem::not_found)?))
}

fn shown(call: CallId, page: &Page) -> Shown<'_> {
    let error = page.refusal.as_ref();
    Shown {
        call_id: call.to_string(),
        status: page.status.name(),
        end: page.end.as_ref().map(|end| end.name()),
        answered_by: page.answered_by.map(AnsweredBy::name),
        telephony_provider: page.carrier.as_ref().map(|carrier| carrier.as_str()),
        carrier_call_id: page.carrier_call.as_deref(),
        error: error.map(|error| ShownError { cause: error.cause.name(), code: error.code.as_deref() }),
        correlation_id: page.correlation.as_str(),
        metadata: &page.metadata,
    }
}

fn accepted(order: &Order, correlation: &CorrelationId, metadata: &BTreeMap<String, String>) -> Bytes {
    let first = order.routes.first();
    let body = Accepted {
        call_id: order.call.to_string(),
        status: "initiated",
        to_number: order.to.expose(),
        from_number: first.map_or("", |route: &Route| route.from.expose()),
        telephony_provider: first.map_or("", |route| route.carrier.as_str()),
        correlation_id: correlation.as_str(),
        metadata,
    };
    // Texts alone always make JSON.
    serde_json::to_vec(&body).unwrap_or_default().into()
}

/// Everything that is wrong at once.
pub(super) fn understand(app: &App, wish: Wish) -> Result<(Order, BTreeMap<String, String>), Problem> {
    let mut problem = Problem::invalid();
    let mut number = |field, text: &str| {
        let number: Result<E164, _> = text.parse();
        number.map_err(|error: NumberError| problem.add(field, error.to_string())).ok()
    };
    let to = number("to_number", &wish.to_number);
    let from = wish.from_number.as_deref().and_then(|text| number("from_number", text));
    if wish.agent.as_deref().is_some_and(|agent| agent != "default") {
        problem.add("agent", "there is no such agent; leave it out, or write default");
    }
    if wish.ring_seconds.is_some_and(|seconds| !(5..=600).contains(&seconds)) {
        problem.add("ring_seconds", "use whole seconds from 5 to 600");
    }
    let (count, name, value) = METADATA_MAX;
    let is_small = |(key, text): (&String, &String)| key.len() <= name && text.len() <= value;
    if wish.metadata.len() > count || !wish.metadata.iter().all(is_small) {
        let limits = format!("at most {count} names of {name} bytes with values of {value} bytes");
        problem.add("metadata", limits);
    }
    let voicemail = voicemail(&wish).unwrap_or_else(|(field, detail)| {
        problem.add(field, detail);
        Voicemail::GoOn
    });
    let routes = app.outbound.routes(wish.telephony_provider.as_deref(), from);
    if routes.is_err() && wish.telephony_provider.is_some() {
        problem.add("telephony_provider", "no such carrier is set up to place calls");
    }
    let Some(to) = to.filter(|_| !problem.has_fields()) else { return Err(problem) };
    let order = Order {
        call: CallId::from_u128(Uuid::now_v7().as_u128()),
        to,
        routes: routes.map_err(not_placed)?,
        ring: wish.ring_seconds.map_or(RING, Duration::from_secs),
        longest: LONGEST,
        voicemail,
    };
    Ok((order, wish.metadata))
}

fn voicemail(wish: &Wish) -> Result<Voicemail, (&'static str, &'static str)> {
    const MESSAGE: &str = "voicemail_message";
    match (&wish.voicemail, &wish.voicemail_message) {
        (None | Some(OnVoicemail::GoOn), None) => Ok(Voicemail::GoOn),
        (Some(OnVoicemail::HangUp), None) => Ok(Voicemail::HangUp),
        (Some(OnVoicemail::LeaveMessage), Some(text)) if !text.trim().is_empty() => {
            if text.chars().count() > MESSAGE_CHARACTERS_MAX {
                return Err((MESSAGE, "at most 1,000 characters can be left"));
            }
            Ok(Voicemail::LeaveMessage(text.as_str().into()))
        }
        (Some(OnVoicemail::LeaveMessage), _) => Err((MESSAGE, "say what is to be left")),
        (_, Some(_)) => Err((MESSAGE, "only with voicemail: leave_message")),
    }
}

pub(super) fn not_placed(why: NotPlaced) -> Problem {
    match why {
        NotPlaced::NoCarrier => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_carrier", "No carrier is set up to place calls")
                .detail(
                    "set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM_NUMBER, or TELNYX_API_KEY, \
                     TELNYX_CONNECTION_ID and TELNYX_FROM_NUMBER",
                )
        }
        NotPlaced::Full => Problem::unavailable("too_many_calls", "Too many calls are being placed", 10),
    }
}
