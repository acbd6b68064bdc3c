//! Which request goes where.

mod correlation;
mod health;
mod media;
mod providers;
mod twilio;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};

use crate::server::App;

/// Twilio asks here what to do with a call, and tells how it goes.
pub(crate) const TWILIO_WEBHOOK: &str = "/api/v1/telephony/webhooks/twilio";

/// Twilio's media sockets.
pub(crate) const TWILIO_MEDIA: &str = "/api/v1/telephony/media/twilio";

/// All routes of the server.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(TWILIO_WEBHOOK, post(twilio::webhook))
        .route(TWILIO_MEDIA, get(media::socket))
        .route("/api/v1/providers/health", get(providers::all))
        .route("/api/v1/providers/{id}/health", get(providers::one))
        .route("/health", get(health::health))
        .route("/live", get(health::live))
        .route("/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(from_fn(correlation::correlate))
        .with_state(app)
}
