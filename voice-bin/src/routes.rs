//! Which request goes where.

mod answers;
mod authorise;
mod body;
mod correlation;
mod document;
mod door;
mod elsewhere;
mod health;
mod measure;
mod media;
mod operations;
mod outbound;
pub(crate) mod problem;
mod providers;
mod recording;
mod session_metrics;
pub(crate) mod sessions;
mod telnyx;
mod twilio;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use http::StatusCode;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;
use voice_telephony::telnyx::CARRIER as TELNYX;
use voice_telephony::twilio::CARRIER as TWILIO;

use crate::server::{App, Errand};
use door::{Entrance, knock};
pub(crate) use elsewhere::{Answers, let_go_there};
use problem::Problem;

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
    let (router, document) = documented(&app).split_for_parts();
    router
        .merge(document::routes(document))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::of(StatusCode::METHOD_NOT_ALLOWED) })
        .layer(from_fn(correlation::correlate))
        .layer(from_fn_with_state(app.clone(), measure::measure))
        .with_state(app)
}

/// What can be asked about a call, for a request that another server led here.
fn about_calls() -> Router<Arc<App>> {
    Router::from(calls())
}

fn calls() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(sessions::routes())
        .merge(session_metrics::routes())
        .merge(recording::routes())
        .merge(operations::routes())
        .merge(outbound::routes())
}

/// Everything that is registered is in the document, and the other way round: there is no second list.
fn documented(app: &Arc<App>) -> OpenApiRouter<Arc<App>> {
    let guarded = OpenApiRouter::new()
        .merge(calls())
        .merge(providers::routes())
        .layer(from_fn_with_state(app.clone(), elsewhere::lead))
        .layer(from_fn(body::take))
        .layer(from_fn_with_state(app.clone(), authorise::guard));
    let behind = |carrier, errand| from_fn_with_state(Entrance { app: app.clone(), carrier, errand }, knock);
    OpenApiRouter::with_openapi(document::beginning())
        .merge(guarded)
        .merge(sessions::open_routes())
        .routes(routes!(twilio::webhook).layer(behind(TWILIO, Errand::Webhook)))
        .routes(routes!(media::twilio).layer(behind(TWILIO, Errand::Socket)))
        .routes(routes!(telnyx::webhook).layer(behind(TELNYX, Errand::Webhook)))
        .routes(routes!(media::telnyx).layer(behind(TELNYX, Errand::Socket)))
        .merge(health::routes())
}
