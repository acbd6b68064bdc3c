//! Two servers share their calls: any of them answers for all, and either may die, leave, or lose Redis.

use std::time::Duration;

use serde_json::Value;
use voice_bin::store::Store;
use voice_core::record::CallEvent;

use crate::servers::Servers;

/// Whether the services are there; where they are not, the test says so.
fn has_services() -> bool {
    let is_there = ["VOICE_TEST_POSTGRES", "VOICE_TEST_REDIS"]
        .iter()
        .all(|name| std::env::var(name).is_ok_and(|url| !url.is_empty()));
    if !is_there {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no services; see scripts/services");
        println!("SKIPPED: no PostgreSQL and Redis; try scripts/services run");
    }
    is_there
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_share_their_calls() {
    if !has_services() {
        return;
    }
    let mut servers = Servers::start().await.unwrap();
    servers.until(0, "/health", |body| body.contains(r#""servers":2"#)).await.unwrap();
    servers.call().await.unwrap();
    servers.call().await.unwrap();
    say("talked with at first", &servers.all_heard().await.unwrap());

    webhooks_came_here_and_media_went_there(&servers).await;
    let session = a_session(&servers, 0).await;
    any_server_answers_for_any_call(&servers, &session).await;
    redis_may_be_gone_for_a_while(&mut servers, &session).await;

    servers.kill(1).unwrap();
    say("after the death of the server", &servers.all_heard().await.unwrap());
    let adopted = servers.metric(0, "voice_calls_adopted_total", "").await.unwrap();
    assert!(adopted >= 3.0, "Telnyx waits to be asked, and was: {adopted}");
    let (_, health) = servers.ask(0, "GET", "/health").await.unwrap();
    assert!(health.contains(r#""calls":6"#), "{health}");

    servers.run(1).await.unwrap();
    servers.until(1, "/health", |body| body.contains(r#""servers":2"#)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    servers.balancer.prefer(1);
    servers.stop(0).await.unwrap();
    say("after a deployment", &servers.all_heard().await.unwrap());
    servers.until(1, "/health", |body| body.contains(r#""calls":6"#)).await.unwrap();

    // The database is gone for a moment, and nobody who talks notices.
    servers.services.order(&["stop", "postgres"]).unwrap();
    servers.all_heard().await.unwrap();
    servers.services.order(&["start", "postgres"]).unwrap();
    servers.until(1, "/ready", |body| body.contains("true")).await.unwrap();
    say("with the database back", &servers.all_heard().await.unwrap());
    nothing_is_lost(&mut servers).await;
}

async fn webhooks_came_here_and_media_went_there(servers: &Servers) {
    let (_, here) = servers.ask(0, "GET", "/health").await.unwrap();
    let (_, there) = servers.ask(1, "GET", "/health").await.unwrap();
    assert!(here.contains(r#""calls":0"#) && here.contains(r#""redis":"up""#), "{here}");
    assert!(there.contains(r#""calls":4"#) && there.contains(r#""servers":2"#), "{there}");
    let voices = servers.metric(0, "webhook_requests_total", r#"kind="voice""#).await.unwrap();
    assert_eq!(voices, 2.0, "Twilio asked here");
}

/// Some running session, as this server lists it.
async fn a_session(servers: &Servers, server: usize) -> String {
    let running = |body: &str| {
        let list: Value = serde_json::from_str(body).unwrap_or_default();
        let sessions = list["sessions"].as_array().cloned().unwrap_or_default();
        (sessions.len() == 4).then(|| sessions[0]["session_id"].as_str().unwrap_or_default().to_owned())
    };
    let path = "/api/v1/sessions?status=active";
    let body = servers.until(server, path, |body| running(body).is_some()).await.unwrap();
    running(&body).unwrap()
}

async fn any_server_answers_for_any_call(servers: &Servers, session: &str) {
    for server in [0, 1] {
        for (method, what, status) in [
            ("GET", "", 200),
            ("GET", "/transcript", 200),
            ("GET", "/events", 200),
            ("GET", "/switch-status", 200),
            ("GET", "/metrics", 200),
            ("POST", "/auto-failover", 200),
            ("POST", "/mute", 202),
            ("POST", "/events/ticket", 201),
            ("POST", "/switch-back", 409),
            ("POST", "/nonsense", 404),
        ] {
            let path = format!("/api/v1/sessions/{session}{what}");
            let (got, body) = servers.ask(server, method, &path).await.unwrap();
            assert_eq!(got, status, "{method} {path} of server {server}: {body}");
        }
    }
    let led = servers.metric(0, "voice_requests_led_total", r#"kind="api",outcome="answered""#).await;
    assert!(led.unwrap() >= 4.0);
    assert_eq!(servers.metric(1, "voice_requests_led_total", r#"kind="api""#).await.unwrap(), 0.0);
    // What the other server did is in the record, for both to read.
    let path = format!("/api/v1/sessions/{session}/events?limit=1000");
    servers.until(0, &path, |body| body.contains("muted")).await.unwrap();
}

async fn redis_may_be_gone_for_a_while(servers: &mut Servers, session: &str) {
    servers.services.order(&["kill", "redis"]).unwrap();
    servers.until(0, "/health", |body| body.contains(r#""redis":"down""#)).await.unwrap();
    assert_eq!(servers.metric(0, "redis_up", "").await.unwrap(), 0.0);
    let order = format!("/api/v1/sessions/{session}/switch-status");
    let (status, body) = servers.ask(0, "GET", &order).await.unwrap();
    assert!(status == 503 && body.contains("other_server") && body.contains("server b"), "{status} {body}");
    // Whoever calls now is talked with, too, though the media goes to the other server.
    servers.call().await.unwrap();
    say("without Redis", &servers.all_heard().await.unwrap());
    let read = format!("/api/v1/sessions/{session}/transcript");
    assert_eq!(servers.ask(0, "GET", &read).await.unwrap().0, 200, "the database knows");
    servers.services.order(&["start", "redis"]).unwrap();
    servers.until_done(0, "GET", &order, |status, _| status == 200).await.unwrap();
    servers.until(0, "/health", |body| body.contains(r#""redis":"up""#)).await.unwrap();
    assert_eq!(servers.metric(0, "voice_calls_adopted_total", "").await.unwrap(), 0.0, "nobody was dead");
}

async fn nothing_is_lost(servers: &mut Servers) {
    // What was brought along the last time is looked at, too.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = servers.memory.found();
    assert!(found.missing.is_empty(), "not brought along: {:?}", found.missing);
    assert!(found.twice.is_empty(), "brought along twice: {:?}", found.twice);
    assert_eq!(found.began, 6, "each call is one conversation");
    assert!(found.resumed >= 12 && found.turns > 0, "{found:?}");
    servers.stop(1).await.unwrap();
    let store = Store::open(&servers.database().unwrap()).await.unwrap();
    let rows = store.calls(100).await.unwrap();
    assert_eq!(rows.len(), 6, "no call twice");
    for row in rows {
        let entries = store.entries(row.call).await.unwrap();
        assert!(entries.iter().zip(1..).all(|(entry, seq)| entry.seq == seq), "{} has a gap", row.call);
        let returned = |event: &CallEvent| matches!(event, CallEvent::Returned { .. });
        let returns = entries.iter().filter(|entry| entry.event.as_ref().is_ok_and(returned)).count();
        assert!(returns >= 2, "{} came back {returns} times", row.call);
        let losses = store.losses(row.call).await.unwrap();
        assert!(losses.iter().all(|loss| loss.reason == "superseded"), "{losses:?}");
    }
    assert!(store.beats().await.unwrap().is_empty(), "whoever leaves takes their name along");
}

fn say(what: &str, silent: &[(Duration, &'static str)]) {
    let shown: Vec<_> = silent.iter().map(|(at, who)| format!("{who} {} ms", at.as_millis())).collect();
    println!("{what}: {}", shown.join(", "));
}
