//! Coming to an end: what is still answered, what is waited for, and what is not.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use voice_telephony::sim::{Script, Step};

use crate::world::{Server, Silent};

/// A server in which one call runs that does not end by itself.
async fn with_a_long_call() -> (Server, tokio::task::JoinHandle<voice_telephony::sim::CallReport>) {
    let server = Server::with(|parts| {
        parts.world.fleet = Silent::fleet();
        parts.limits.drain = Duration::from_secs(3_600);
    })
    .await;
    let script = Script::new(vec![Step::Pause(Duration::from_secs(3_600))]);
    let call = tokio::spawn(server.place(server.plan().with_script(script)));
    server.record.wait_for_live().await;
    (server, call)
}

async fn until_draining(server: &Server) -> String {
    loop {
        let answer = server.ask("/ready").await;
        if answer.contains("draining") {
            return answer;
        }
    }
}

#[tokio::test]
async fn while_draining_the_server_answers_and_takes_no_calls() {
    let (mut server, call) = with_a_long_call().await;
    server.tell_to_stop();
    let ready = until_draining(&server).await;
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains(r#""reasons":["draining"]"#), "{ready}");
    assert!(server.ask("/health").await.contains(r#""status":"draining""#));
    assert!(server.ask("/live").await.starts_with("HTTP/1.1 200 "));
    let another = server.call(&[]).await;
    assert_eq!((another.webhook_status, another.completed), (Some(200), false), "a busy tone");
    assert!(server.record.ends().is_empty(), "the call that runs goes on");
    // The caller hangs up, so there is nothing left to wait for.
    call.abort();
    server.stop().await.settled(&["carrier_line_down"]);
}

#[tokio::test]
async fn the_second_word_ends_calls_at_once_and_says_so_in_their_record() {
    let (mut server, call) = with_a_long_call().await;
    server.tell_to_stop();
    until_draining(&server).await;
    server.tell_to_stop_at_once();
    server.stop().await.settled(&["shutdown"]);
    assert!(!call.await.unwrap().closed.is_empty());
}

/// The drain is an hour, so a test that ends shows that nobody waited for these.
#[tokio::test]
async fn connections_that_do_nothing_do_not_keep_the_server() {
    let server = Server::with(|parts| parts.limits.drain = Duration::from_secs(3_600)).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(
        b"POST /api/v1/telephony/webhooks/twilio HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n",
    )
    .await
    .unwrap();
    let mut deaf = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..100 {
        deaf.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    }
    server.ask("/live").await;
    server.stop().await;
    drop((idle, half, deaf));
}
