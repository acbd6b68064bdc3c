//! Health, readiness, metrics, correlation.

use std::future::poll_fn;

use voice_core::driver::Dial;
use voice_core::wire::{Endpoint, EndpointKind, LineEnd};
use voice_providers::dial::Dialer;

use crate::world::Server;

#[tokio::test]
async fn the_operators_routes_answer() {
    let server = Server::start().await;
    for (path, expected) in [
        ("/health", r#"{"status":"ok","version":"#),
        ("/live", "ok"),
        ("/ready", r#"{"ready":true,"reasons":[]}"#),
        ("/metrics", ""),
    ] {
        let body = fetch(&server, path).await.unwrap();
        assert!(body.starts_with(expected), "{path}: {body}");
    }
    assert!(matches!(fetch(&server, "/nowhere").await, Err(LineEnd::Refused { status: 404, .. })));
    let get = fetch(&server, voice_bin::server::TWILIO_WEBHOOK).await;
    assert!(matches!(get, Err(LineEnd::Refused { status: 405, .. })), "{get:?}");
    let media = fetch(&server, "/api/v1/telephony/media/twilio").await;
    assert!(matches!(media, Err(LineEnd::Refused { status: 426, .. })), "{media:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_room_is_not_ready() {
    let server = Server::with(|parts| parts.limits.calls_max = 0).await;
    let end = fetch(&server, "/ready").await.unwrap_err();
    let LineEnd::Refused { status: 503, body, .. } = end else { panic!("{end:?}") };
    assert_eq!(body, r#"{"ready":false,"reasons":["no_room_for_a_call"]}"#);
    server.stop().await;
}

async fn fetch(server: &Server, path: &str) -> Result<String, LineEnd> {
    let endpoint = Endpoint {
        kind: EndpointKind::Http { method: "GET", body: Default::default() },
        ..Endpoint::post(format!("http://{}{path}", server.address), "")
    };
    let mut line = Dialer::plain().dial(endpoint).await?;
    let mut body = Vec::new();
    loop {
        match poll_fn(|cx| line.poll(cx)).await {
            Ok(piece) => body.extend_from_slice(piece.as_bytes()),
            Err(LineEnd::Ended) => return Ok(String::from_utf8(body).unwrap()),
            Err(end) => return Err(end),
        }
    }
}
