//! The door of a running server: layer by layer, from outside.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use voice_bin::config::DoorConfig;
use voice_bin::server::TWILIO_WEBHOOK;
use voice_bin::sim_net::run_caller;
use voice_core::driver::{Dial, Line};
use voice_core::limits::CARRIER_MESSAGE_BYTES_MAX;
use voice_core::wire::{Endpoint, EndpointKind, LineEnd, WireMessage};
use voice_providers::dial::Dialer;
use voice_telephony::door::{ForwardedBy, Rate, TrustedProxies};
use voice_telephony::sim::{FakeTwilioCall, Rudeness, Script, Step};

use crate::world::{Server, Silent};

/// An unsigned webhook with one more header.
fn unsigned(header: &str) -> String {
    format!(
        "POST {TWILIO_WEBHOOK} HTTP/1.1\r\nhost: localhost\r\n{header}connection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n\r\na=b"
    )
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[tokio::test]
async fn a_stranger_who_asks_too_often_is_told_when_to_come_again() {
    let server = Server::start().await;
    for _ in 0..20 {
        assert_eq!(status(&server.exchange(&unsigned("")).await), "403");
    }
    let answer = server.exchange(&unsigned("")).await;
    assert_eq!(status(&answer), "429", "{answer}");
    assert!(
        answer.to_lowercase().contains("retry-after: ") && answer.contains(r#""detail":"address_rate""#),
        "{answer}"
    );
    let answer = server.exchange(&unsigned("x-forwarded-for: 192.0.2.1\r\n")).await;
    assert_eq!(status(&answer), "429", "a stranger's word on who they are is not believed: {answer}");
    let metrics = server.ask("/live").await;
    assert_eq!(status(&metrics), "200", "other routes are not behind that door");
    server.stop().await;
}

#[tokio::test]
async fn calls_that_prove_to_be_the_carriers_are_not_counted_as_a_strangers() {
    let server = Server::with(|parts| {
        parts.limits.calls_max = 100;
        // Status callbacks are held back by that; calls are not.
        parts.door.webhooks.carrier = Some(Rate { per_minute: 20, burst: 20 });
    })
    .await;
    // All from one address, and all at once.
    let calls: Vec<_> = (0..60).map(|_| tokio::spawn(server.place(server.plan()))).collect();
    for call in calls {
        let report = call.await.unwrap();
        assert_eq!(report.webhook_status, Some(200), "{:?}", report.failure);
    }
    server.stop().await.settled(&["no_provider"; 60]);
}

#[tokio::test]
async fn behind_our_proxy_each_client_is_counted_for_itself() {
    let server = Server::with(|parts| {
        let proxies = "127.0.0.0/8".parse().unwrap();
        parts.door.proxies = TrustedProxies::new(proxies, ForwardedBy::XForwardedFor);
    })
    .await;
    for number in 0..30 {
        let header = format!("x-forwarded-for: 10.9.9.9, 192.0.2.{number}\r\n");
        assert_eq!(status(&server.exchange(&unsigned(&header)).await), "403");
    }
    let one = "x-forwarded-for: 127.0.0.1\r\nx-forwarded-for: 198.51.100.7\r\n";
    let mut answers = Vec::new();
    for _ in 0..21 {
        answers.push(status(&server.exchange(&unsigned(one)).await).to_owned());
    }
    assert_eq!((answers[19].as_str(), answers[20].as_str()), ("403", "429"));
    server.stop().await;
}

#[tokio::test]
async fn who_is_not_on_the_list_is_refused_however_well_signed() {
    let server = Server::with(|parts| {
        let lists = Some([("twilio", "192.0.2.0/24".parse().unwrap())].into());
        parts.door.webhooks.lists = lists.clone();
        parts.door.sockets.lists = lists;
    })
    .await;
    assert_eq!(server.call(&[]).await.webhook_status, Some(403));
    let answer = server.exchange(&unsigned("")).await;
    assert!(answer.contains(r#""detail":"not_listed""#), "{answer}");
    let socket = server.ask("/api/v1/telephony/media/twilio").await;
    assert!(socket.contains(r#""detail":"not_listed""#), "{socket}");
    server.stop().await;

    let listed = Server::with(|parts| {
        let lists = Some([("twilio", "127.0.0.1".parse().unwrap())].into());
        parts.door.webhooks.lists = lists.clone();
        parts.door.sockets.lists = lists;
    })
    .await;
    assert_eq!(listed.call(&[]).await.webhook_status, Some(200));
    listed.stop().await;
}

#[tokio::test]
async fn media_sockets_have_a_rate_of_their_own() {
    let server =
        Server::with(|parts| parts.door.sockets.address = Some(Rate { per_minute: 2, burst: 2 })).await;
    for expected in ["426", "426", "429"] {
        assert_eq!(status(&server.ask("/api/v1/telephony/media/twilio").await), expected);
    }
    server.stop().await;
}

/// Dials, and remembers what.
struct Wiretap(Mutex<Vec<Endpoint>>);

#[async_trait]
impl Dial for Wiretap {
    async fn dial(&self, endpoint: Endpoint) -> Result<Box<dyn Line>, LineEnd> {
        self.0.lock().unwrap().push(endpoint.clone());
        Dialer::plain().dial(endpoint).await
    }
}

async fn body_of(endpoint: Endpoint) -> Result<String, LineEnd> {
    let mut line = Dialer::plain().dial(endpoint).await?;
    let mut body = Vec::new();
    loop {
        match std::future::poll_fn(|cx| line.poll(cx)).await {
            Ok(piece) => body.extend_from_slice(piece.as_bytes()),
            Err(LineEnd::Ended) => return Ok(String::from_utf8(body).unwrap()),
            Err(end) => return Err(end),
        }
    }
}

#[tokio::test]
async fn a_retry_gets_the_same_document_and_a_replay_none() {
    let server = Server::start().await;
    let tap = Arc::new(Wiretap(Mutex::default()));
    let call = FakeTwilioCall::new(server.clock.now(), server.plan());
    run_caller(call, tap.clone(), server.clock).await;
    let voice = tap.0.lock().unwrap()[0].clone();

    let first = body_of(voice.clone()).await.unwrap();
    assert!(first.contains("<Connect>"), "{first}");
    assert_eq!(body_of(voice.clone()).await.unwrap(), first, "with the very same ticket");

    let mut replay = voice.clone();
    for (name, value) in &mut replay.headers {
        if name.eq_ignore_ascii_case("i-twilio-idempotency-token") {
            *value = voice_core::sensitive::Secret::new("another".to_owned());
        }
    }
    let end = body_of(replay).await.unwrap_err();
    assert!(
        matches!(&end, LineEnd::Refused { status: 403, body, .. } if body.windows(8).any(|part| part == b"replayed")),
        "{end:?}"
    );

    // Written another way, but signed alike: parameters in another order.
    let mut rewritten = voice;
    if let EndpointKind::Http { body, .. } = &mut rewritten.kind {
        let text = String::from_utf8(body.to_vec()).unwrap();
        *body = text.split('&').rev().collect::<Vec<_>>().join("&").into_bytes().into();
    }
    assert_eq!(body_of(rewritten).await.unwrap(), first, "no second ticket");
    server.stop().await.settled(&["no_provider"]);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_named_as_the_reason() {
    let server = Server::start().await;
    let tap = Arc::new(Wiretap(Mutex::default()));
    let call = FakeTwilioCall::new(server.clock.now(), server.plan());
    run_caller(call, tap.clone(), server.clock).await;
    let is_socket = |endpoint: &&Endpoint| matches!(endpoint.kind, EndpointKind::WebSocket { .. });
    let socket = tap.0.lock().unwrap().iter().find(is_socket).unwrap().clone();
    let mut line = Dialer::plain().dial(socket).await.unwrap();
    line.offer(WireMessage::text("x".repeat(CARRIER_MESSAGE_BYTES_MAX + 1))).unwrap();
    let end = std::future::poll_fn(|cx| line.poll(cx)).await.unwrap_err();
    assert!(matches!(end, LineEnd::Closed { code: 1009, .. }), "{end:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_place_is_kept_from_the_webhook_on() {
    let server = Server::with(|parts| {
        parts.limits.calls_max = 1;
        parts.limits.drain = Duration::ZERO;
        parts.world.fleet = Silent::fleet();
    })
    .await;
    let script = Script::new(vec![Step::Pause(Duration::from_secs(3_600))]);
    // It is told to come, and its socket says nothing.
    let silent = server.plan().with_rudeness([Rudeness::NoStart]).with_script(script);
    let tap = Arc::new(Wiretap(Mutex::default()));
    let promised = FakeTwilioCall::new(server.clock.now(), silent);
    let running = tokio::spawn(run_caller(promised, tap.clone(), server.clock));
    while server.ask("/ready").await.ends_with(r#""reasons":[]}"#) {
        tokio::task::yield_now().await;
    }
    let second = server.call(&[]).await;
    assert_eq!((second.webhook_status, second.completed), (Some(200), false));
    assert!(second.closed.is_empty(), "it was never told to open a socket: {:?}", second.closed);
    running.abort();
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_make_room_and_busy_ones_leave_some_for_those_who_ask_whether_it_lives() {
    let server = Server::with(|parts| {
        parts.door = DoorConfig { connections_max: 3, connections_from_one_max: 3, ..DoorConfig::default() };
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    // Those who say nothing are no match for somebody who does.
    assert!(server.ask("/health").await.starts_with("HTTP/1.1 200 "));
    let mut first = idle.remove(0);
    assert_eq!(first.read(&mut [0]).await.unwrap_or_default(), 0, "the idlest was closed");

    // A connection counts as idle until its request has been read; whoever is told to go on has been. The
    // rest of their bodies does not come.
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = b"POST /api/v1/sessions HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
            content-length: 9\r\n\r\n{";
        stream.write_all(request).await.unwrap();
        let mut goes_on = [0; 25];
        stream.read_exact(&mut goes_on).await.unwrap();
        assert_eq!(&goes_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        busy.push(stream);
    }
    assert!(server.ask("/openapi.json").await.starts_with("HTTP/1.1 503 "));
    // Places for those who ask whether it lives come free by themselves.
    loop {
        let mut asks = TcpStream::connect(server.address).await.unwrap();
        let question = b"GET /live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let _sent_or_turned_away = asks.write_all(question).await;
        let mut answer = String::new();
        if asks.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
    }
    server.stop().await;
}
