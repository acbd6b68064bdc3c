//! Requests to peers on this machine that answer, hang up, stall or flood.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A peer whose connections each get these answers, one per request, and are then closed.
async fn peer(answers: &[&[&str]]) -> (SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
    let answers: Vec<Vec<String>> =
        answers.iter().map(|answers| answers.iter().map(|&answer| answer.to_owned()).collect()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let task = tokio::spawn(async move {
        let mut seen = Vec::new();
        for answers in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            for answer in answers {
                let mut buffer = vec![0; 4096];
                let count = stream.read(&mut buffer).await.unwrap_or(0);
                seen.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
                stream.write_all(answer.as_bytes()).await.expect("the other side reads");
            }
        }
        seen
    });
    (address, task)
}

fn request(address: SocketAddr, method: &str) -> Request<Bytes> {
    let uri = format!("http://{address}/2010/Calls.json?a=1");
    Request::builder().method(method).uri(uri).body(Bytes::from_static(b"To=1")).expect("a good request")
}

async fn check(answers: &[&[&str]]) -> Result<(u16, Bytes), RestError> {
    let (address, _peer) = peer(answers).await;
    let response = Rest::plain().send(request(address, "POST")).await?;
    Ok((response.status().as_u16(), response.into_body()))
}

fn failed(reach: Reach, why: Why) -> Result<(u16, Bytes), RestError> {
    Err(RestError { reach, why })
}

#[tokio::test]
async fn an_answer_is_an_answer() {
    assert_eq!(check(&[&[OK]]).await, Ok((200, Bytes::from_static(b"ok"))));
    let moved = "HTTP/1.1 301 Moved\r\nlocation: http://elsewhere.test/\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(check(&[&[moved]]).await, Ok((301, Bytes::new())));
}

#[tokio::test]
async fn a_connection_is_used_again_and_the_request_is_well_formed() {
    let (address, peer) = peer(&[&[OK, OK]]).await;
    let rest = Rest::plain();
    for _ in 0..2 {
        rest.send(request(address, "POST")).await.expect("an answer");
    }
    let seen = peer.await.expect("the peer is done");
    let head = seen[1].to_lowercase();
    assert!(head.starts_with("post /2010/calls.json?a=1 http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {address}\r\n")) && head.contains("user-agent: voice/"), "{head}");
}

#[tokio::test]
async fn a_connection_that_the_peer_closed_is_not_used_again() {
    let (address, peer) = peer(&[&[OK], &[OK]]).await;
    let rest = Rest::plain();
    for _ in 0..2 {
        rest.send(request(address, "POST")).await.expect("an answer");
        // Lets the peer's end of the connection be seen.
        tokio::task::yield_now().await;
        while rest.0.idle.lock().expect("nobody panicked").values().flatten().count() == 1
            && !closed(&rest).await
        {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(peer.await.expect("the peer is done").len(), 2);
}

/// Whether the one idle connection is found closed; puts it back.
async fn closed(rest: &Rest) -> bool {
    let place = rest.0.idle.lock().expect("nobody panicked").keys().next().cloned().expect("one peer");
    let mut idle = rest.take_idle(&place).expect("one connection");
    let is_usable = idle.connection.is_usable().await;
    rest.put_back(place, idle.connection);
    !is_usable
}

#[tokio::test]
async fn nobody_there_means_never_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens");
    drop(listener);
    let refused = Rest::plain().send(request(address, "POST")).await.map(|_| (0, Bytes::new()));
    assert_eq!(refused, failed(Reach::NeverSent, Why::Connect));
    let https = Request::post(format!("https://{address}/")).body(Bytes::new()).expect("a good request");
    for bad in [https, Request::post("/nowhere").body(Bytes::new()).expect("a good request")] {
        let refused = Rest::plain().send(bad).await.expect_err("cannot be sent");
        assert_eq!(refused.reach, Reach::NeverSent);
    }
}

#[tokio::test]
async fn a_peer_that_reads_and_hangs_up_leaves_us_without_knowledge() {
    assert_eq!(check(&[&[""]]).await, failed(Reach::Unknown, Why::Broken));
    assert_eq!(check(&[&["SMTP ready\r\n\r\n"]]).await, failed(Reach::Unknown, Why::Broken));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_known_by_its_status() {
    let cut = "HTTP/1.1 201 Created\r\ncontent-length: 99\r\n\r\n{";
    assert_eq!(check(&[&[cut]]).await, failed(Reach::Answered { status: 201 }, Why::Broken));
    let refusal = "HTTP/1.1 429 Too Many\r\ncontent-length: 99\r\n\r\n{";
    assert_eq!(check(&[&[refusal]]).await, Ok((429, Bytes::from_static(b"{"))));
}

#[tokio::test]
async fn a_flood_is_cut_off() {
    let body = "x".repeat(REST_ANSWER_BYTES_MAX + 1);
    let flood = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
    assert_eq!(check(&[&[&flood]]).await, failed(Reach::Answered { status: 200 }, Why::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let stalled = Rest::plain().send(request(address, "POST")).await.map(|_| (0, Bytes::new()));
    assert_eq!(stalled, failed(Reach::Unknown, Why::Timeout));
}

#[test]
fn tls_is_set_up() {
    assert!(Rest::new().is_ok());
    assert!(Rest::trusting(&[b"no certificate".to_vec()]).is_err());
}
