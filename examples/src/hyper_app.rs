//! Taking calls with hyper alone: one function from request to response.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use voice_telephony::limits::WEBHOOK_BYTES_MAX;
use voice_telephony::webhook::RawRequest;

use crate::desk::{Desk, MEDIA, WEBHOOK};

/// Serves until the listener breaks.
///
/// # Errors
/// If no connection can be accepted.
pub async fn serve(listener: TcpListener, desk: Arc<Desk>) -> std::io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        let desk = desk.clone();
        let service = service_fn(move |request| respond(desk.clone(), peer.ip(), request));
        // One task per connection, so that a slow peer keeps nobody else waiting.
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let _the_peer_may_be_gone = connection.await;
        });
    }
}

async fn respond(
    desk: Arc<Desk>,
    client: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::POST, WEBHOOK) => webhook(&desk, client, request).await,
        (&Method::GET, MEDIA) => media(desk, request),
        _ => empty(StatusCode::NOT_FOUND),
    })
}

/// The signature covers the raw bytes, so the body is taken as it comes.
async fn webhook(desk: &Desk, client: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, WEBHOOK_BYTES_MAX).collect().await else {
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    let url = desk.public(head.uri.path_and_query().map_or(WEBHOOK, |target| target.as_str()));
    let headers = texts(&head.headers);
    let raw = RawRequest { method: head.method.as_str(), url: &url, headers: &headers, body: &body };
    let answer = desk.webhook(client, &raw);
    let response = Response::builder()
        .status(answer.status)
        .header(CONTENT_TYPE, answer.content_type)
        .body(answer.body.into());
    response.unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

fn media(desk: Arc<Desk>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(accept) = desk.upgrade(&texts(request.headers())) else {
        return empty(StatusCode::FORBIDDEN);
    };
    let upgrade = hyper::upgrade::on(&mut request);
    // A call is a task of its own, so that a bug in it costs one call.
    tokio::spawn(async move {
        if let Ok(socket) = upgrade.await {
            desk.media(TokioIo::new(socket)).await;
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(Full::default());
    response.unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn texts(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}
