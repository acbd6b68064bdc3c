//! Running calls are ordered about over the API.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use voice_bin::server::OutboundParts;
use voice_core::call::{CallConfig, Greeting};
use voice_core::driver::SharedRoster;
use voice_core::id::ProviderId;
use voice_core::roster::{Candidate, RosterConfig};
use voice_core::sensitive::Secret;

use crate::contract;
use crate::world::{Server, Silent};

/// A server with two providers, and a call that the first one hears.
pub(crate) async fn talking() -> (Server, String) {
    let server = Server::with(|parts| {
        let candidate = |name| Candidate::new(ProviderId::from_static(name), Silent::provider());
        let candidates = vec![candidate("ada"), candidate("bob")];
        parts.world.fleet = Arc::new(SharedRoster::new(RosterConfig::default(), candidates));
        // Nobody is owed a word by voices that never say one.
        let agent = CallConfig::builder("You are a test.").greeting(Greeting::Caller);
        parts.agent = Arc::new(agent.build().unwrap());
    })
    .await;
    // The caller talks on beside the test, until they are hung up on.
    tokio::spawn(server.place(server.plan()));
    server.record.wait_for_live().await;
    let (status, sessions) = get(&server, "/api/v1/sessions").await;
    assert_eq!((status, sessions["sessions"].as_array().map(Vec::len)), (200, Some(1)));
    let id = sessions["sessions"][0]["session_id"].as_str().unwrap().to_owned();
    (server, format!("/api/v1/sessions/{id}"))
}

#[tokio::test]
async fn another_provider_takes_over_and_the_history_tells() {
    let (server, session) = talking().await;
    let (status, order) = post(&server, &format!("{session}/switch-provider"), r#"{"provider":"bob"}"#).await;
    assert_eq!((status, &order["from_provider"], &order["to_provider"]), (202, &json!("ada"), &json!("bob")));
    server.record.wait_for_live().await;
    let now = until(&server, &session, |session| session["provider"] == "bob").await;
    assert_eq!((&now["status"], &now["total_switches"]), (&json!("active"), &json!(1)));
    let (_, idle) = get(&server, &format!("{session}/switch-status")).await;
    assert_eq!((&idle["in_progress"], &idle["from_provider"]), (&json!(false), &json!("bob")));

    let (_, history) = get(&server, &format!("{session}/switch-history")).await;
    let switch = &history["switches"][0];
    assert_eq!(
        (&switch["from_provider"], &switch["to_provider"], &switch["reason"], &switch["gap_ms"]),
        (&json!("ada"), &json!("bob"), &json!("wish"), &json!(0))
    );

    assert_eq!(post(&server, &format!("{session}/switch-back"), "").await.0, 202);
    server.record.wait_for_live().await;
    until(&server, &session, |session| session["provider"] == "ada").await;
}

#[tokio::test]
async fn what_cannot_be_switched_is_told_by_its_status() {
    let (server, session) = talking().await;
    let switch = format!("{session}/switch-provider");
    let problem = async |body: &str| {
        let (status, problem) = post(&server, &switch, body).await;
        (status, problem["type"].as_str().unwrap_or_default().replace("urn:voice:problem:", ""))
    };
    let is = |status: u16, name: &str| (status, name.to_owned());
    assert_eq!(problem(r#"{"provider":"ada"}"#).await, is(409, "same_provider"));
    for wrong in [
        r#"{"provider":"eve"}"#,
        r#"{"provider":"No Name"}"#,
        r#"{"provider":7}"#,
        r#"{"provider":"bob","preserve_context":false}"#,
        r#"{"provider":"bob","more":1}"#,
        r#"["bob"]"#,
        "",
    ] {
        assert_eq!(problem(wrong).await, is(422, "invalid_request"), "{wrong}");
    }
    assert_eq!(problem("{").await, is(400, "invalid_json"));
    let (_, problem_with_names) = post(&server, &switch, r#"{"provider":"eve"}"#).await;
    assert!(problem_with_names.to_string().contains("ada, bob"), "{problem_with_names}");

    let breaker = "/api/v1/providers/bob/breaker";
    let (status, opened) = post(&server, breaker, r#"{"action":"force_open"}"#).await;
    assert_eq!((status, &opened["breakers"][0]["state"]), (200, &json!("open")));
    assert_eq!(problem(r#"{"provider":"bob"}"#).await, is(503, "breaker_open"));
    let (status, closed) = post(&server, breaker, r#"{"action":"reset"}"#).await;
    assert_eq!((status, &closed["breakers"][0]["state"]), (200, &json!("closed")));
    assert_eq!(post(&server, "/api/v1/providers/eve/breaker", r#"{"action":"reset"}"#).await.0, 404);

    assert_eq!(post(&server, "/api/v1/providers/bob/drain", "").await.0, 200);
    assert_eq!(problem(r#"{"provider":"bob"}"#).await, is(503, "drained"));

    for unknown in ["nonsense", "00000000-0000-0000-0000-000000000000"] {
        let path = format!("/api/v1/sessions/{unknown}/switch-provider");
        assert_eq!(post(&server, &path, r#"{"provider":"bob"}"#).await.0, 404);
    }
}

#[tokio::test]
async fn a_provider_is_left_by_force_by_drain_or_not_at_all() {
    let (server, session) = talking().await;
    let failover = format!("{session}/auto-failover");
    let (status, well) = post(&server, &failover, "").await;
    assert_eq!((status, &well["failover_triggered"]), (200, &json!(false)));
    let (status, forced) = post(&server, &failover, r#"{"force":true}"#).await;
    assert_eq!((status, &forced["from_provider"]), (202, &json!("ada")));
    server.record.wait_for_live().await;
    until(&server, &session, |session| session["provider"] == "bob").await;

    let (status, drained) = post(&server, "/api/v1/providers/bob/drain", "").await;
    assert_eq!((status, &drained["drained"]), (200, &json!(true)));
    server.record.wait_for_live().await;
    until(&server, &session, |session| session["provider"] == "ada").await;
    let (_, back) = post(&server, "/api/v1/providers/bob/drain", r#"{"drain":false}"#).await;
    assert_eq!(back["drained"], json!(false));
}

#[tokio::test]
async fn a_failover_that_would_lead_nowhere_is_not_begun() {
    let (server, session) = talking().await;
    assert_eq!(post(&server, "/api/v1/providers/bob/drain", "").await.0, 200);
    let (status, nobody) = post(&server, &format!("{session}/auto-failover"), r#"{"force":true}"#).await;
    assert_eq!((status, &nobody["failover_triggered"]), (200, &json!(false)));
    assert!(nobody["message"].as_str().unwrap().contains("nobody else"), "{nobody}");
    let (_, now) = get(&server, &session).await;
    assert_eq!((&now["provider"], &now["status"]), (&json!("ada"), &json!("active")));
}

#[tokio::test]
async fn switches_that_came_to_nothing_stand_in_the_history_too() {
    let (server, session) = talking().await;
    // Nobody is left for it: that is noticed only when the roster is asked.
    let (status, _) = post(&server, "/api/v1/providers/bob/drain", "").await;
    assert_eq!(status, 200);
    assert_eq!(post(&server, "/api/v1/providers/ada/drain", "").await.0, 200);
    let history = format!("{session}/switch-history");
    let history = until(&server, &history, |history| history["failed_switches"] == 1).await;
    assert_eq!((&history["total_switches"], &history["switches"][0]["success"]), (&json!(0), &json!(false)));
    let attempt = &history["switches"][0];
    assert_eq!(
        (&attempt["from_provider"], &attempt["to_provider"], &attempt["reason"], &attempt["cause"]),
        (&json!("ada"), &Value::Null, &json!("drain"), &json!("nobody"))
    );
}

#[tokio::test]
async fn callers_are_held_muted_and_hung_up_on() {
    let (server, session) = talking().await;
    assert_eq!(post(&server, &format!("{session}/hold"), r#"{"music":false}"#).await.0, 202);
    until(&server, &session, |session| session["on_hold"] == true && session["status"] == "paused").await;
    assert_eq!(post(&server, &format!("{session}/resume"), "").await.0, 202);
    until(&server, &session, |session| session["on_hold"] == false).await;
    assert_eq!(post(&server, &format!("{session}/mute"), "").await.0, 202);
    until(&server, &session, |session| session["muted"] == true).await;
    assert_eq!(post(&server, &format!("{session}/mute"), r#"{"muted":false}"#).await.0, 202);
    until(&server, &session, |session| session["muted"] == false).await;
    assert_eq!(post(&server, &format!("{session}/end"), "").await.0, 202);
    server.stop().await.settled(&["hung_up"]);
}

#[tokio::test]
async fn the_api_is_for_this_machine_or_for_those_with_the_token() {
    let ask = async |server: &Server, header: &str| {
        let request =
            format!("GET /api/v1/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{header}\r\n");
        split(&server.exchange(&request).await).0
    };
    let open = Server::start().await;
    assert_eq!(ask(&open, "").await, 200);
    assert_eq!(ask(&open, "x-forwarded-for: 203.0.113.7\r\n").await, 401);
    let guarded = Server::with(|parts| {
        let api_token = Some(Secret::new("t0ken-for-tests".to_owned()));
        parts.outbound = OutboundParts { api_token, ..OutboundParts::default() };
    })
    .await;
    assert_eq!(ask(&guarded, "").await, 401);
    assert_eq!(ask(&guarded, "authorization: Bearer t0ken-for-test\r\n").await, 401);
    assert_eq!(ask(&guarded, "authorization: Bearer t0ken-for-tests\r\n").await, 200);
}

pub(crate) async fn get(server: &Server, path: &str) -> (u16, Value) {
    let answer = server.ask(path).await;
    contract::check("GET", path, &answer);
    split(&answer)
}

pub(crate) async fn post(server: &Server, path: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let answer = server.exchange(&request).await;
    contract::check("POST", path, &answer);
    split(&answer)
}

/// Orders are carried out by the call's own task, soon.
pub(crate) async fn until(server: &Server, session: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let (_, shown) = get(server, session).await;
        if is_so(&shown) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came about: {:?}", get(server, session).await);
}

pub(crate) fn split(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
