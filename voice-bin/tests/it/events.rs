//! Sessions are read and followed: while they run, after their end, from memory and from the store.

use std::future::poll_fn;

use serde_json::{Value, json};
use voice_bin::server::OutboundParts;
use voice_bin::store::{Journal, Store};
use voice_core::driver::{Dial, Line};
use voice_core::record::Reader;
use voice_core::sensitive::Secret;
use voice_core::wire::{Endpoint, LineEnd, WireMessage};
use voice_providers::dial::Dialer;

use crate::sessions::{get, post, talking, until};
use crate::world::{Server, Silent};

/// Follows a session to its end, and gives back all messages.
async fn follow(server: &Server, path: &str) -> (Vec<Value>, LineEnd) {
    let mut line = open(server, path, &[]).await.unwrap();
    read(line.as_mut()).await
}

async fn open(
    server: &Server,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Box<dyn Line>, LineEnd> {
    let endpoint = Endpoint::web_socket(format!("ws://{}{path}", server.address));
    let endpoint = headers.iter().fold(endpoint, |endpoint, (name, value)| endpoint.header(name, *value));
    Dialer::plain().dial(endpoint).await
}

async fn read(line: &mut dyn Line) -> (Vec<Value>, LineEnd) {
    let mut messages = Vec::new();
    loop {
        match poll_fn(|cx| line.poll(cx)).await {
            Ok(WireMessage::Text(text)) => messages.push(serde_json::from_str(text.as_str()).unwrap()),
            Ok(WireMessage::Binary(bytes)) => panic!("{bytes:?}"),
            Err(end) => return (messages, end),
        }
    }
}

fn seqs(messages: &[Value]) -> Vec<u64> {
    let events = messages.iter().filter(|message| message["type"] == "event");
    events.map(|event| event["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn history_comes_first_then_what_happens_without_a_gap_or_anything_twice() {
    let (server, session) = talking().await;
    let socket = session.replace("/api/v1", "/ws");
    let follower = async {
        let mut line = open(&server, &socket, &[]).await.unwrap();
        assert_eq!(post(&server, &format!("{session}/mute"), "").await.0, 202);
        until(&server, &session, |session| session["muted"] == true).await;
        assert_eq!(post(&server, &format!("{session}/end"), "").await.0, 202);
        read(line.as_mut()).await
    };
    let (messages, end) = follower.await;
    let (first, last) = (messages.first().unwrap(), messages.last().unwrap());
    assert_eq!((&first["type"], &first["protocol"]), (&json!("hello"), &json!(1)));
    let seqs_seen = seqs(&messages);
    assert_eq!(seqs_seen, (1..=seqs_seen.len() as u64).collect::<Vec<_>>());
    assert_eq!(last, &json!({"type": "end", "last_seq": seqs_seen.len()}));
    assert_eq!(end, LineEnd::Closed { code: 1000, reason: "the session is over".to_owned() });
    let kinds: Vec<&str> = messages.iter().filter_map(|message| message["event"]["kind"].as_str()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"started"), Some(&"ended")));
    assert!(kinds.contains(&"muted"));

    // The same is read page by page, and by whoever comes back after they were cut off.
    let (status, page) = get(&server, &format!("{session}/events?limit=3")).await;
    assert_eq!((status, &page["next_after"]), (200, &json!(3)));
    let told = &messages[1];
    assert_eq!(page["events"][0]["event"], told["event"]);
    let (rest, _) = follow(&server, &format!("{socket}?after=3")).await;
    assert_eq!(seqs(&rest), seqs_seen[3..]);
    let (none, _) = follow(&server, &format!("{socket}?after={}", seqs_seen.len())).await;
    assert_eq!(seqs(&none), Vec::<u64>::new());
    server.stop().await;
}

#[tokio::test]
async fn who_may_not_follow_is_told_so_and_a_ticket_opens_one_socket_once() {
    let server = Server::with(|parts| {
        parts.world.fleet = Silent::fleet();
        let api_token = Some(Secret::new("t0ken-for-tests".to_owned()));
        parts.outbound = OutboundParts { api_token, ..OutboundParts::default() };
    })
    .await;
    tokio::spawn(server.place(server.plan()));
    server.record.wait_for_live().await;
    let call = server.record.calls().remove(0);
    let path = format!("/ws/sessions/{call}");
    let bearer = ("authorization", "Bearer t0ken-for-tests");
    let refused =
        async |path: &str, headers: &[(&'static str, &str)]| match open(&server, path, headers).await {
            Ok(_) => 101,
            Err(LineEnd::Refused { status, .. }) => status,
            Err(end) => panic!("{end:?}"),
        };
    assert_eq!(refused(&path, &[]).await, 401);
    assert_eq!(refused(&format!("{path}?token=t0ken-for-tests"), &[]).await, 401);
    assert_eq!(refused(&format!("{path}?token=t0ken-for-tests"), &[bearer]).await, 422);
    assert_eq!(refused("/ws/sessions/00000000-0000-0000-0000-000000000000", &[bearer]).await, 404);
    assert_eq!(refused(&path, &[bearer]).await, 101);

    let ticket = format!(
        "POST /api/v1/sessions/{call}/events/ticket HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer t0ken-for-tests\r\ncontent-length: 0\r\n\r\n"
    );
    let (status, ticket) = crate::sessions::split(&server.exchange(&ticket).await);
    assert_eq!(status, 201, "{ticket}");
    assert_eq!(ticket["websocket_url"], format!("ws://{}{path}", server.address));
    let protocols =
        format!("{}, {}", ticket["protocols"][0].as_str().unwrap(), ticket["protocols"][1].as_str().unwrap());
    let upgrade = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\norigin: https://console.example\r\nconnection: upgrade, close\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {protocols}\r\n\r\n"
    );
    let elsewhere = upgrade.replace(&call, "00000000-0000-0000-0000-000000000001");
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, upgrade.as_bytes()).await.unwrap();
    let mut head = vec![0; 4_096];
    let count = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await.unwrap();
    let head = String::from_utf8_lossy(&head[..count]).into_owned();
    assert!(
        head.starts_with("HTTP/1.1 101") && head.contains("sec-websocket-protocol: voice.events.v1"),
        "{head}"
    );
    for again in [upgrade, elsewhere] {
        let answer = server.exchange(&again).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_session_looks_the_same_from_memory_and_from_the_store() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let mut journal = None;
    let (kept, slot) = (store.clone(), &mut journal);
    let server = Server::with(|parts| {
        parts.world.fleet = Silent::fleet();
        let started = Journal::start(kept.clone(), parts.world.clock);
        let readers = parts.world.readers.iter().cloned();
        let journal: std::sync::Arc<dyn Reader> = std::sync::Arc::new(started.reader());
        parts.world.readers = readers.chain([journal]).collect();
        parts.store = Some(kept);
        *slot = Some(started);
    })
    .await;
    let later = Server::with(|parts| parts.store = Some(store.clone())).await;
    tokio::spawn(server.place(server.plan()));
    server.record.wait_for_live().await;
    let call = server.record.calls().remove(0);
    let session = format!("/api/v1/sessions/{call}");
    let (_, running) = get(&server, &session).await;
    assert_eq!((&running["status"], &running["ended_at"]), (&json!("active"), &Value::Null));
    assert_eq!(post(&server, &format!("{session}/end"), "").await.0, 202);
    let ended = until(&server, &session, |session| session["status"] == "completed").await;
    assert_eq!((&ended["end_reason"], &ended["provider"]), (&json!("hung_up"), &json!("silent")));
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ended), names(&running));

    // The other server has only the store.
    let stored = until(&later, &session, |session| session["status"] == "completed").await;
    assert_eq!(stored, ended);
    for what in ["events", "transcript"] {
        let path = format!("{session}/{what}");
        assert_eq!(get(&later, &path).await, get(&server, &path).await);
    }
    let (_, page) = get(&later, "/api/v1/sessions?status=completed&carrier=twilio").await;
    assert_eq!(page, json!({"sessions": [ended], "next_cursor": null}));
    let correlation = ended["correlation_id"].as_str().unwrap();
    let (_, by_id) = get(&later, &format!("/api/v1/sessions?correlation_id={correlation}")).await;
    assert_eq!(by_id, page);
    for none in ["status=error", "carrier=telnyx", "correlation_id=c", "until=2020-01-01T00:00:00Z"] {
        let (status, page) = get(&later, &format!("/api/v1/sessions?{none}")).await;
        assert_eq!((status, &page["sessions"]), (200, &json!([])), "{none}");
    }
    let socket = session.replace("/api/v1", "/ws");
    let ((from_store, _), (from_memory, _)) = tokio::join!(follow(&later, &socket), follow(&server, &socket));
    assert_eq!(from_store[1..], from_memory[1..]);
    server.stop().await;
    later.stop().await;
}

#[tokio::test]
async fn a_list_is_read_page_by_page_newest_first() {
    let server = Server::with(|parts| parts.world.fleet = Silent::fleet()).await;
    for _ in 0..5 {
        tokio::spawn(server.place(server.plan()));
        server.record.wait_for_live().await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = get(&server, &format!("/api/v1/sessions?limit=2{cursor}")).await;
        assert_eq!(status, 200);
        for session in page["sessions"].as_array().unwrap() {
            seen.push(session["session_id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort_by(|a, b| b.cmp(a));
    sorted.dedup();
    // Ids are made as calls come in, and so are their beginnings.
    assert_eq!((seen.len(), seen), (5, sorted));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("status=odd", "status"),
        ("cursor=7", "cursor"),
        ("from=yesterday", "from"),
        ("offset=1", "offset"),
        ("limit=1&limit=1", "limit"),
    ] {
        let (status, problem) = get(&server, &format!("/api/v1/sessions?{query}")).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{query}");
    }
    server.stop().await;
}
