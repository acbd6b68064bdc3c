//! Calls that the server places, over sockets: a fake Twilio API, a callee, and the ordinary way of a call.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use voice_bin::server::{OutboundParts, TwilioLine};
use voice_bin::sim_net::serve_twilio_api;
use voice_core::driver::Clock;
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_providers::dial::Dialer;
use voice_telephony::rest::{HttpSend, Rest};
use voice_telephony::sim::{ApiRudeness, Script, Step, TwilioApiPlan};
use voice_telephony::twilio::rest::{Credentials, TwilioApi};

use crate::world::{Server, Silent, TOKEN};

const ACCOUNT: &str = "AC00112233445566778899aabbccddeeff";
const PATH: &str = "/api/v1/telephony/outbound";

/// A callee who hangs up soon.
fn short() -> Script {
    Script::new(vec![Step::Pause(Duration::from_millis(100)), Step::HangUp])
}

/// A callee who stays.
fn long() -> Script {
    Script::new(vec![Step::Pause(Duration::from_secs(60)), Step::HangUp])
}

/// A server that places calls at a fake Twilio.
async fn server(rudeness: &[ApiRudeness], script: Script, token: Option<&str>) -> Server {
    server_with(rudeness, script, token, None).await
}

async fn server_with(
    rudeness: &[ApiRudeness],
    script: Script,
    token: Option<&str>,
    per_minute: Option<NonZeroU32>,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = Clock::start();
    let mut plan = TwilioApiPlan::new(ACCOUNT, Secret::new(TOKEN.to_owned()));
    plan.rudeness = rudeness.to_vec();
    plan.script = script;
    plan.unix = clock.unix(MonoTime::ZERO);
    let dial = Arc::new(Dialer::plain());
    tokio::spawn(serve_twilio_api(listener, clock, plan, dial, std::future::pending()));
    let credentials = Credentials::AuthToken(Secret::new(TOKEN.to_owned()));
    let api = TwilioApi::new(ACCOUNT.parse().unwrap(), credentials).with_url(&url).unwrap();
    Server::with(|parts| {
        parts.world.fleet = Silent::fleet();
        parts.door.orders_per_minute = per_minute.or(parts.door.orders_per_minute);
        parts.outbound = OutboundParts {
            http: Some(Arc::new(Rest::plain())),
            twilio: Some(TwilioLine { api, from: "+15005550009".parse().unwrap() }),
            api_token: token.map(|token| Secret::new(token.to_owned())),
            ..OutboundParts::default()
        };
    })
    .await
}

async fn ask(server: &Server, method: &str, path: &str, token: &str, body: &str) -> Response<Bytes> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", server.address))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    Rest::plain().send(request).await.unwrap()
}

fn json(response: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(response.body()).unwrap()
}

async fn order(server: &Server, body: &str) -> String {
    let response = ask(server, "POST", PATH, "", body).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED, "{:?}", response.body());
    let call = json(&response)["call_id"].as_str().unwrap().to_owned();
    assert_eq!(response.headers()["location"], format!("{PATH}/{call}"));
    call
}

/// What is told of a call once it is over.
async fn outcome(server: &Server, call: &str) -> serde_json::Value {
    loop {
        let shown = json(&ask(server, "GET", &format!("{PATH}/{call}"), "", "").await);
        if shown["end"].is_string() {
            return shown;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_is_placed_answered_talked_and_over() {
    let server = server(&[], short(), None).await;
    let call = order(&server, r#"{"to_number":"+1 500 555 0006","metadata":{"order":"77"}}"#).await;
    let shown = outcome(&server, &call).await;
    assert_eq!((&shown["status"], &shown["end"]), (&"completed".into(), &"completed".into()), "{shown}");
    assert_eq!((&shown["telephony_provider"], &shown["metadata"]["order"]), (&"twilio".into(), &"77".into()));
    // The call that was talked is the one that was ordered.
    assert_eq!(server.record.calls(), [call]);
    server.stop().await;
}

#[tokio::test]
async fn a_call_whose_order_was_never_answered_is_talked_once() {
    let server =
        server(&[ApiRudeness::AcceptsThenCuts, ApiRudeness::DuplicateCallbacks], short(), None).await;
    let call = order(&server, r#"{"to_number":"+15005550006"}"#).await;
    assert_eq!(outcome(&server, &call).await["end"], "completed");
    assert_eq!(server.record.calls(), [call]);
    server.stop().await;
}

#[tokio::test]
async fn a_call_can_be_ended_by_whoever_ordered_it() {
    let server = server(&[], long(), None).await;
    let call = order(&server, r#"{"to_number":"+15005550006"}"#).await;
    server.record.wait_for_live().await;
    let ended = ask(&server, "DELETE", &format!("{PATH}/{call}"), "", "").await;
    assert_eq!(ended.status(), StatusCode::ACCEPTED);
    assert_eq!(outcome(&server, &call).await["end"], "completed");
    server.stop().await;
}

#[tokio::test]
async fn who_is_busy_is_not_called_again() {
    let server = server(&[ApiRudeness::Busy], short(), None).await;
    let call = order(&server, r#"{"to_number":"+15005550006","voicemail":"hang_up"}"#).await;
    let shown = outcome(&server, &call).await;
    assert_eq!((&shown["status"], &shown["end"]), (&"failed".into(), &"busy".into()), "{shown}");
    assert!(server.record.calls().is_empty());
    // It never had any audio, and is known all the same.
    let path = format!("/api/v1/sessions/{call}/statuses");
    let told = json(&ask(&server, "GET", &path, "", "").await);
    let of = |number: usize| (&told["transitions"][number]["to"], &told["transitions"][number]["reason"]);
    assert_eq!(of(0), (&"initiated".into(), &"ordered".into()), "{told:#}");
    assert_eq!(of(1), (&"ringing".into(), &"carrier".into()), "{told:#}");
    assert_eq!(of(2), (&"failed".into(), &"busy".into()), "{told:#}");
    assert_eq!((&told["status"], &told["transitions"][3]), (&"failed".into(), &serde_json::Value::Null));
    server.stop().await;
}

#[tokio::test]
async fn a_refused_order_says_everything_that_is_wrong() {
    let server = server(&[], short(), None).await;
    for (body, status, said) in [
        ("", 422, "to_number"),
        ("{", 400, "invalid_json"),
        ("{}", 422, "to_number"),
        (r#"{"to_number":"500"}"#, 422, "country code"),
        (r#"{"to_number":"+15005550006","wish":1}"#, 422, "unknown field"),
        (r#"{"to_number":"+15005550006","telephony_provider":"pigeon"}"#, 422, "telephony_provider"),
        (r#"{"to_number":"+15005550006","voicemail":"leave_message"}"#, 422, "voicemail_message"),
        (r#"{"to_number":"+15005550006","ring_seconds":3}"#, 422, "ring_seconds"),
        (r#"{"to_number":"+15005550006","agent":"shop"}"#, 422, "agent"),
    ] {
        let response = ask(&server, "POST", PATH, "", body).await;
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{body}");
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert!(response.status() == status && text.contains(said), "{body}: {text}");
    }
    let nobody = ask(&server, "GET", &format!("{PATH}/00000000-0000-0000-0000-000000000001"), "", "").await;
    assert_eq!(nobody.status(), 404);
    server.stop().await;
}

#[tokio::test]
async fn the_token_is_asked_for_where_there_is_one() {
    let server = server(&[ApiRudeness::Busy], short(), Some("0123456789abcdef")).await;
    let body = r#"{"to_number":"+15005550006"}"#;
    for token in ["", "0123456789abcdee"] {
        let response = ask(&server, "POST", PATH, token, body).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
    }
    assert_eq!(ask(&server, "POST", PATH, "0123456789abcdef", body).await.status(), 202);
    server.stop().await;
}

#[tokio::test]
async fn without_a_carrier_no_call_is_placed() {
    let server = Server::start().await;
    let response = ask(&server, "POST", PATH, "", r#"{"to_number":"+15005550006"}"#).await;
    assert_eq!(
        (response.status().as_u16(), &json(&response)["type"]),
        (503, &"urn:voice:problem:no_carrier".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_takes_back_the_calls_that_still_ring() {
    let server = server(&[ApiRudeness::NoAnswer], short(), None).await;
    order(&server, r#"{"to_number":"+15005550006"}"#).await;
    // Ends by itself, and soon: the call is canceled, not waited for.
    server.stop().await;
}

#[tokio::test]
async fn a_session_is_prepared_started_talked_and_over() {
    let server = server(&[], short(), None).await;
    let ask = async |method: &str, path: &str, body: &str| {
        let response = ask(&server, method, path, "", body).await;
        (response.status().as_u16(), json(&response))
    };
    const SESSIONS: &str = "/api/v1/sessions";
    let wish = r#"{"to_number":"+15005550006","metadata":{"order":"77"}}"#;
    let (status, made) = ask("POST", &format!("{SESSIONS}/bootstrap"), wish).await;
    assert_eq!((status, &made["status"], &made["metadata"]["order"]), (201, &"pending".into(), &"77".into()));
    assert_eq!(made["protocols"][0], "voice.events.v1");
    let id = made["session_id"].as_str().unwrap().to_owned();
    let session = format!("{SESSIONS}/{id}");
    assert!(made["websocket_url"].as_str().unwrap().ends_with(&format!("/ws/sessions/{id}")));
    assert_eq!(ask("GET", &session, "").await.1["to_number"], "+15005550006");
    let (_, listed) = ask("GET", &format!("{SESSIONS}?status=pending"), "").await;
    assert_eq!(listed["sessions"][0]["session_id"], id.as_str());
    assert_eq!(ask("POST", &format!("{session}/hold"), "").await.1["type"], "urn:voice:problem:not_running");

    assert_eq!(ask("POST", &format!("{session}/start"), "").await.0, 202);
    assert_eq!(ask("POST", &format!("{session}/start"), "").await.0, 409);
    assert_eq!(outcome(&server, &id).await["end"], "completed");
    let (_, over) = ask("GET", &session, "").await;
    assert_eq!((&over["status"], &over["provider"]), (&"completed".into(), &"silent".into()), "{over}");
    assert_eq!(over["created_at"], made["created_at"]);
    // The call that was talked is the one that was prepared.
    assert_eq!(server.record.calls(), [id]);
    assert_eq!(ask("POST", &format!("{session}/end"), "").await.0, 409);
    server.stop().await;
}

/// To prepare a session and to start it is no way around the limit of calls.
#[tokio::test]
async fn sessions_are_started_no_more_often_than_calls_are_ordered() {
    let server = server_with(&[], long(), None, NonZeroU32::new(2)).await;
    let wish = r#"{"to_number":"+15005550006"}"#;
    let mut started = Vec::new();
    for _ in 0..3 {
        let made = json(&ask(&server, "POST", "/api/v1/sessions", "", wish).await);
        let session = format!("/api/v1/sessions/{}", made["session_id"].as_str().unwrap());
        let response = ask(&server, "POST", &format!("{session}/start"), "", "").await;
        assert_eq!(response.headers().contains_key("retry-after"), started.len() == 2);
        started.push(response.status().as_u16());
        if started.len() == 3 {
            let shown = json(&ask(&server, "GET", &session, "", "").await);
            assert_eq!(shown["status"], "pending", "it may be started later");
        }
    }
    assert_eq!(started, [202, 202, 429]);
    assert_eq!(ask(&server, "POST", PATH, "", wish).await.status(), 429, "the same account");
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_is_given_up_places_no_call() {
    let server = server(&[], short(), None).await;
    let ask = async |method: &str, path: &str, body: &str| {
        let response = ask(&server, method, path, "", body).await;
        (response.status().as_u16(), json(&response))
    };
    let (status, made) = ask("POST", "/api/v1/sessions", r#"{"to_number":"+15005550006"}"#).await;
    assert_eq!(status, 201);
    let session = format!("/api/v1/sessions/{}", made["session_id"].as_str().unwrap());
    assert_eq!(ask("POST", &format!("{session}/end"), "").await.0, 202);
    let (_, over) = ask("GET", &session, "").await;
    assert_eq!((&over["status"], &over["end_reason"]), (&"terminated".into(), &"hung_up".into()));
    assert_eq!(ask("POST", &format!("{session}/start"), "").await.1["type"], "urn:voice:problem:ended");
    let (status, problem) = ask("POST", "/api/v1/sessions", r#"{"to_number":"7","limit":1}"#).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &"limit".into()));
    server.stop().await;
}

/// Orders a call under a key: the status, the answer, and the header that says when to come again.
async fn order_under(server: &Server, key: &str, body: &str) -> (u16, serde_json::Value, Option<String>) {
    let request = Request::builder()
        .method("POST")
        .uri(format!("http://{}{PATH}", server.address))
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    let answer = Rest::plain().send(request).await.unwrap();
    let wait = answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
    (answer.status().as_u16(), json(&answer), wait)
}

#[tokio::test]
async fn an_order_that_is_repeated_under_its_key_calls_nobody_twice() {
    let server = server(&[ApiRudeness::Busy], short(), None).await;
    let body = r#"{"to_number":"+15005550006","metadata":{"order":"77"}}"#;
    let (status, first, _) = order_under(&server, "order-77", body).await;
    let (again_status, again, _) = order_under(&server, "order-77", body).await;
    assert_eq!((status, again_status, &first), (202, 202, &again));
    let (status, problem, _) = order_under(&server, "order-77", r#"{"to_number":"+15005550007"}"#).await;
    assert_eq!((status, &problem["type"]), (422, &"urn:voice:problem:idempotency_key_reused".into()));
    let (status, problem, _) = order_under(&server, "order 78", body).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &"Idempotency-Key".into()));
    let (_, other, _) = order_under(&server, "order-78", body).await;
    assert_ne!(first["call_id"], other["call_id"]);
    for call in [&first, &other] {
        assert_eq!(outcome(&server, call["call_id"].as_str().unwrap()).await["end"], "busy");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_orders_too_many_calls_waits() {
    let server = server(&[ApiRudeness::Busy], short(), None).await;
    for number in 0..20 {
        // What is wrong counts as well, or guessing would cost nothing.
        let (status, _, _) = order_under(&server, &number.to_string(), "{}").await;
        assert_eq!(status, 422);
    }
    let (status, problem, wait) = order_under(&server, "one-more", r#"{"to_number":"+15005550006"}"#).await;
    assert_eq!((status, &problem["type"]), (429, &"urn:voice:problem:too_many_requests".into()));
    assert!(wait.is_some_and(|wait| (1..=4).contains(&wait.parse::<u32>().unwrap())));
    server.stop().await;
}

#[tokio::test]
async fn a_carrier_that_is_left_alone_is_shown_to_be() {
    let server = server(&[ApiRudeness::ThrottledWithTime], short(), None).await;
    let carriers = async || {
        let shown = json(&ask(&server, "GET", "/api/v1/telephony/carriers", "", "").await);
        shown["carriers"][0].clone()
    };
    let shown = carriers().await;
    assert_eq!(
        (&shown["carrier"], &shown["state"], &shown["calls"]),
        (&"twilio".into(), &"closed".into(), &0.into())
    );
    let call = order(&server, r#"{"to_number":"+15005550006"}"#).await;
    assert_eq!(carriers().await["calls"], 1);
    assert_eq!(outcome(&server, &call).await["end"], "not_placed");
    let shown = carriers().await;
    assert_eq!((&shown["state"], &shown["reason"]), (&"open".into(), &"throttled".into()), "{shown}");
    assert!(shown["retry_after_seconds"].as_f64().is_some_and(|wait| wait > 0.0) && shown["calls"] == 0);
    server.stop().await;
}
