//! Taking calls in an axum app: two routes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use voice_telephony::limits::WEBHOOK_BYTES_MAX;
use voice_telephony::webhook::RawRequest;

use crate::desk::{Desk, MEDIA, WEBHOOK};

/// The two routes, to be merged into any router that is served with `ConnectInfo<SocketAddr>`.
pub fn router(desk: Arc<Desk>) -> Router {
    Router::new().route(WEBHOOK, post(webhook)).route(MEDIA, get(media)).with_state(desk)
}

/// The signature covers the raw bytes, so the body is taken as it comes and not as a form.
async fn webhook(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, WEBHOOK_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let url = desk.public(head.uri.path_and_query().map_or(WEBHOOK, |target| target.as_str()));
    let headers = texts(&head.headers);
    let raw = RawRequest { method: head.method.as_str(), url: &url, headers: &headers, body: &body };
    let answer = desk.webhook(client.ip(), &raw);
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::FORBIDDEN);
    (status, [(CONTENT_TYPE, answer.content_type)], answer.body).into_response()
}

async fn media(State(desk): State<Arc<Desk>>, mut request: Request) -> Response {
    let Some(accept) = desk.upgrade(&texts(request.headers())) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    // A call is a task of its own, so that a bug in it costs one call.
    tokio::spawn(async move {
        if let Ok(socket) = upgrade.await {
            desk.media(TokioIo::new(socket)).await;
        }
    });
    let accepted = [(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_ACCEPT, accept.as_str())];
    (StatusCode::SWITCHING_PROTOCOLS, accepted, Body::empty()).into_response()
}

fn texts(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}
