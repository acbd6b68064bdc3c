//! The first two layers of the door, before anything of a request but its head is read; and how whoever
//! is turned away is answered and counted.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use http::request::Parts as Head;
use metrics::{counter, histogram};
use tracing::{debug, error, warn};
use voice_core::id::CorrelationId;
use voice_telephony::door::{Layer, TurnedAway};
use voice_telephony::limits::WEBHOOK_BYTES_MAX;
use voice_telephony::webhook::Rejection;

use super::elsewhere::{Whose, lead_webhook};
use crate::metrics_names as names;
use crate::server::{Answer, App, CarrierRecordings, ClientAddress, Errand, RecordingWord};
use crate::telemetry::event_types as kinds;

/// Which door a route is behind.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) app: Arc<App>,
    pub(super) carrier: &'static str,
    pub(super) errand: Errand,
}

/// Lets a request through to its route, or turns it away. A layer of each route that carriers use.
pub(super) async fn knock(
    State(entrance): State<Entrance>,
    Extension(client): Extension<ClientAddress>,
    Extension(correlation): Extension<CorrelationId>,
    request: Request,
    next: Next,
) -> Response {
    let clock = entrance.app.parts.world.clock;
    let (now, carrier, errand) = (clock.now(), entrance.carrier, entrance.errand);
    if let Err(away) = entrance.app.front.knock(now, entrance.errand, entrance.carrier, client) {
        return turn_away(entrance.errand, entrance.carrier, &correlation, client, away);
    }
    let visit = Visit { entrance, client, failed: true };
    let response = next.run(request).await;
    if errand == Errand::Webhook {
        let took = clock.now().since(now);
        histogram!(names::WEBHOOK_DURATION, "provider" => carrier).record(took.as_secs_f64());
    }
    visit.end(response.status());
    response
}

/// A request under way. If it is dropped before it was answered, because its connection ended, that is as
/// wrong as any wrong request.
struct Visit {
    entrance: Entrance,
    client: ClientAddress,
    failed: bool,
}

impl Visit {
    /// Our own failures and too much of the carrier's own are nobody's fault; who was not listed did not
    /// come this far.
    fn end(mut self, status: StatusCode) {
        self.failed = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.failed {
            let Entrance { app, errand, .. } = &self.entrance;
            app.front.failed(app.parts.world.clock.now(), *errand, self.client);
        }
    }
}

/// A carrier sends its few hundred bytes at once.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a webhook whole, leads it to the server whose it is, and else answers what `act` makes of it. What it says of
/// a recording is written down first: a carrier that was told that we know it would not tell it again.
pub(super) async fn take_webhook(
    (app, carrier): (&Arc<App>, &'static str),
    (correlation, client): (&CorrelationId, ClientAddress),
    request: Request,
    (whose, word): (impl FnOnce(&Head, &Bytes) -> Whose, impl FnOnce(&Head, &Bytes) -> Option<RecordingWord>),
    act: impl FnOnce(&Head, &Bytes) -> Result<Answer, TurnedAway>,
) -> Response {
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, WEBHOOK_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(TurnedAway::Rejected(Rejection::TooLarge)),
        Err(_late) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    if let (Ok(body), true) = (&body, app.parts.cluster.is_some()) {
        let whose = whose(&head, body);
        let led = lead_webhook(app, carrier, whose, (&head, body), (correlation, client)).await;
        if let Some(answer) = led {
            let _counted = app.front.proven(app.parts.world.clock.now(), Errand::Webhook, carrier, client);
            return answer;
        }
    }
    if let Ok(body) = &body
        && let Some(word) = word(&head, body)
        && !CarrierRecordings::file(app, word).await
    {
        warn!(%correlation, carrier, "a carrier is to tell again of a recording, which nobody could write down");
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answer = body.and_then(|body| act(&head, &body));
    answer.map_or_else(
        |away| turn_away(Errand::Webhook, carrier, correlation, client, away),
        Answer::into_response,
    )
}

/// Answers, counts and tells why. Nobody outside learns more than a name.
pub(super) fn turn_away(
    errand: Errand,
    carrier: &'static str,
    correlation: &CorrelationId,
    client: ClientAddress,
    away: TurnedAway,
) -> Response {
    let (what, reason, layer, client) = (errand.name(), away.name(), away.layer().name(), client.0);
    match errand {
        Errand::Webhook => {
            counter!(names::WEBHOOK_REJECTIONS, "provider" => carrier, "reason" => reason, "layer" => layer)
                .increment(1);
        }
        Errand::Socket => {
            counter!(names::MEDIA_REFUSALS, "carrier" => carrier, "reason" => reason).increment(1);
        }
    }
    let event_type = match errand {
        Errand::Webhook => kinds::WEBHOOK_REFUSED,
        Errand::Socket => kinds::MEDIA_REFUSED,
    };
    if away == TurnedAway::Rejected(Rejection::NoKey) {
        error!(event_type, error_type = "carrier_key_missing", %correlation, carrier, "{what} refused: the key of this carrier is not set, so it is closed");
    } else if away.layer() == Layer::Rate {
        // A flood must not become a flood of log lines; the counter has them all.
        debug!(event_type, %correlation, carrier, reason, %client, "{what} refused: {away}");
    } else {
        warn!(event_type, %correlation, carrier, reason, %client, "{what} refused: {away}");
    }
    let status = StatusCode::from_u16(away.status()).unwrap_or(StatusCode::FORBIDDEN);
    let mut response = (status, reason).into_response();
    if let Some(seconds) = away.retry_after_secs() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

impl Errand {
    const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Socket => "media socket",
        }
    }
}
