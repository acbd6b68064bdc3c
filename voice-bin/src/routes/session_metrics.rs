//! The figures of one call: how long answers took, how it sounds, what it costs.
//!
//! Metrics have no label that names a call; this is where those who want to know ask. A call can be asked about
//! while it runs and, until a thousand others are over, afterwards.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use voice_core::id::CallId;
use voice_core::record::{Sound, VoiceToVoice};

use super::answers::FailsForOne;
use super::problem::Problem;
use crate::output::millis;
use crate::server::App;
use crate::telemetry::CallFigures;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show))
}

#[derive(Serialize, ToSchema)]
#[schema(as = SessionMetrics)]
struct Shown {
    session_id: String,
    carrier: String,
    direction: &'static str,
    status: &'static str,
    /// Why it is over.
    end_reason: Option<&'static str>,
    duration_ms: u64,
    providers: Vec<String>,
    latency: Latency,
    quality: Option<Quality>,
    cost: Cost,
}

/// From the caller's last word to the first sound of the answer.
#[derive(Serialize, ToSchema)]
#[schema(as = AnswerLatency)]
struct Latency {
    answers: u32,
    mean_ms: Option<u64>,
    longest_ms: u64,
    last: Option<Parts>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AnswerParts)]
struct Parts {
    total_ms: u64,
    detection_ms: u64,
    provider_ms: u64,
    pacing_ms: u64,
    network_ms: u64,
}

/// The last ten seconds of the caller's line; what was lost is of the whole call.
#[derive(Serialize, ToSchema)]
#[schema(as = SoundQuality)]
struct Quality {
    mos: Option<f64>,
    r_factor: Option<f64>,
    packet_loss_percent: f64,
    jitter_ms: f64,
    way_ms: u64,
    lost_in_all_ms: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SessionCost)]
struct Cost {
    dollars: f64,
    /// False if something was used whose price is not known: then it is more than that.
    is_complete: bool,
    providers: Vec<Bill>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProviderBill)]
struct Bill {
    provider: String,
    dollars: f64,
    is_complete: bool,
    connected_ms: u64,
    text_in: u32,
    audio_in: u32,
    cached_in: u32,
    text_out: u32,
    audio_out: u32,
    /// When and where the price was read, if it is known.
    price_as_of: Option<&'static str>,
    price_source: Option<&'static str>,
}

/// The figures of one session: how long answers took, how it sounds, what it costs.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/metrics", tag = "sessions", operation_id = "session_metrics",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = Shown), FailsForOne),
)]
async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Shown>, Problem> {
    let call: CallId =
        id.parse().map_err(|_| Problem::not_found().detail("a session id is a UUID, as lists show it"))?;
    let figures = app.parts.metrics.call(call).ok_or_else(Problem::not_found)?;
    let now = app.parts.world.clock.now();
    let until = if figures.end.is_some() { figures.last } else { now };
    Ok(Json(Shown {
        session_id: call.to_string(),
        carrier: figures.carrier.clone(),
        direction: figures.direction,
        status: figures.status,
        end_reason: figures.end,
        duration_ms: millis(until.since(figures.started)),
        providers: figures.bills().map(|(provider, _)| provider.to_string()).collect(),
        latency: latency(&figures),
        quality: figures.sound.as_ref().map(|sound| quality(sound, figures.lost)),
        cost: cost(&app, &figures),
    }))
}

fn latency(figures: &CallFigures) -> Latency {
    let answers = &figures.answers;
    let parts = |told: VoiceToVoice| Parts {
        total_ms: millis(told.total()),
        detection_ms: millis(told.detection),
        provider_ms: millis(told.provider),
        pacing_ms: millis(told.pacing),
        network_ms: millis(told.network),
    };
    Latency {
        answers: answers.count,
        mean_ms: answers.mean().map(millis),
        longest_ms: millis(answers.longest),
        last: answers.last.map(parts),
    }
}

fn quality(sound: &Sound, lost: Duration) -> Quality {
    Quality {
        mos: sound.rating.map(|rating| rating.mos()),
        r_factor: sound.rating.map(|rating| rating.r()),
        packet_loss_percent: sound.line.loss() * 100.0,
        jitter_ms: sound.line.jitter.as_secs_f64() * 1_000.0,
        way_ms: millis(sound.way),
        lost_in_all_ms: millis(lost),
    }
}

fn cost(app: &App, figures: &CallFigures) -> Cost {
    let (known, is_incomplete) = figures.bills.total();
    let providers = figures.bills().map(|(provider, bill)| {
        let price = app.parts.metrics.prices().of(provider);
        let tokens = bill.tokens;
        Bill {
            provider: provider.to_string(),
            dollars: bill.dollars(),
            is_complete: !bill.is_incomplete(),
            connected_ms: millis(bill.connected),
            text_in: tokens.text_in,
            audio_in: tokens.audio_in,
            cached_in: tokens.cached_in,
            text_out: tokens.text_out,
            audio_out: tokens.audio_out,
            price_as_of: price.map(|price| price.as_of),
            price_source: price.map(|price| price.source),
        }
    });
    Cost { dollars: known.0 as f64 / 1e6, is_complete: !is_incomplete, providers: providers.collect() }
}
