//! Which request goes where.

mod authorise;
mod correlation;
mod door;
mod health;
mod media;
mod operations;
mod outbound;
pub(crate) mod problem;
mod providers;
mod recording;
mod sessions;
mod telnyx;
mod twilio;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use voice_telephony::telnyx::CARRIER as TELNYX;
use voice_telephony::twilio::CARRIER as TWILIO;

use crate::server::{App, Errand};
use door::{Entrance, knock};

/// Twilio asks here what to do with a call, and tells how it goes.
pub(crate) const TWILIO_WEBHOOK: &str = "/api/v1/telephony/webhooks/twilio";

/// Twilio's media sockets.
pub(crate) const TWILIO_MEDIA: &str = "/api/v1/telephony/media/twilio";

/// Telnyx tells here what happens.
pub(crate) const TELNYX_WEBHOOK: &str = "/api/v1/telephony/webhooks/telnyx";

/// Telnyx's media sockets.
pub(crate) const TELNYX_MEDIA: &str = "/api/v1/telephony/media/telnyx";

/// Calls that we place.
pub(crate) const OUTBOUND: &str = "/api/v1/telephony/outbound";

/// One of them.
const OUTBOUND_CALL: &str = "/api/v1/telephony/outbound/{call}";

/// All routes of the server.
pub(crate) fn router(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .merge(sessions::routes())
        .merge(providers::routes())
        .merge(recording::routes())
        .merge(operations::routes())
        .layer(from_fn_with_state(app.clone(), authorise::guard));
    let behind = |carrier, errand| from_fn_with_state(Entrance { app: app.clone(), carrier, errand }, knock);
    Router::new()
        .merge(guarded)
        .route(TWILIO_WEBHOOK, post(twilio::webhook).layer(behind(TWILIO, Errand::Webhook)))
        .route(TWILIO_MEDIA, get(media::socket::<twilio::Opens>).layer(behind(TWILIO, Errand::Socket)))
        .route(TELNYX_WEBHOOK, post(telnyx::webhook).layer(behind(TELNYX, Errand::Webhook)))
        .route(TELNYX_MEDIA, get(media::socket::<telnyx::Opens>).layer(behind(TELNYX, Errand::Socket)))
        .route(OUTBOUND, post(outbound::place))
        .route(OUTBOUND_CALL, get(outbound::show).delete(outbound::end))
        .route("/health", get(health::health))
        .route("/live", get(health::live))
        .route("/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(from_fn(correlation::correlate))
        .with_state(app)
}
