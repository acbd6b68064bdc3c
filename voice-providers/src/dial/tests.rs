//! The dialler against servers on the loopback interface.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::{Context, Waker};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use voice_core::audio::FRAME;
use voice_core::limits::{
    CONTEXT_BYTES, FOREIGN_TEXT_BYTES_MAX, HELD_MAX, LINE_BACKLOG_BYTES_MAX, TOOL_OUTPUT_BYTES_MAX,
};
use voice_core::wire::WireMessage;

use super::*;

#[tokio::test]
async fn messages_go_both_ways_and_pings_stay_below() {
    let (mut line, mut server) = web_socket_pair().await;
    line.offer(WireMessage::text("hello")).unwrap();
    server.send(Message::Ping("are you there".into())).await.unwrap();
    server.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(next(&mut line).await, Ok(WireMessage::Binary(vec![1, 2, 3].into())));
    assert_eq!(told(&mut server).await, Message::text("hello"));
    server.send(Message::text("good bye")).await.unwrap();
    assert_eq!(next(&mut line).await, Ok(WireMessage::text("good bye")));
    assert_eq!(told(&mut server).await, Message::Pong("are you there".into()));
}

#[tokio::test]
async fn a_close_frame_is_told_and_answered() {
    let (mut line, mut server) = web_socket_pair().await;
    let frame = CloseFrame { code: 4001.into(), reason: "session over".into() };
    server.send(Message::Close(Some(frame.clone()))).await.unwrap();
    let end = next(&mut line).await;
    assert_eq!(end, Err(LineEnd::Closed { code: 4001, reason: "session over".to_owned() }));
    assert_eq!(told(&mut server).await, Message::Close(Some(frame)));
}

#[tokio::test]
async fn closing_delivers_what_was_offered_first() {
    let (mut line, mut server) = web_socket_pair().await;
    line.offer(WireMessage::text("last words")).unwrap();
    line.close();
    assert_eq!(told(&mut server).await, Message::text("last words"));
    let Message::Close(Some(frame)) = told(&mut server).await else { panic!("a close frame") };
    assert_eq!(u16::from(frame.code), 1000);
}

#[tokio::test]
async fn a_vanished_peer_is_cut() {
    let (mut line, server) = web_socket_pair().await;
    drop(server);
    assert_eq!(next(&mut line).await, Err(LineEnd::Cut));
}

#[tokio::test]
async fn all_that_was_held_fits_into_a_line_that_has_just_been_opened() {
    let (near, _far) = tokio::io::duplex(16 << 10);
    let mut line = WebSocketLine::client(near, Bytes::new(), 1_000).await;
    line.offer(WireMessage::text("t".repeat(CONTEXT_BYTES + TOOL_OUTPUT_BYTES_MAX))).unwrap();
    // 20 ms of PCM at 24 kHz in base64, and the JSON around it.
    let frame = "f".repeat(960 / 3 * 4 + 100);
    for _ in 0..HELD_MAX.as_millis() / FRAME.as_millis() {
        line.offer(WireMessage::text(&frame)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_found_out() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let mut line = Box::new(WebSocketLine::client(near, Bytes::new(), 1_000).await);
    // The peer's machine takes what we send, and that is all it does.
    let asked = Instant::now();
    let end = poll_fn(|cx| line.poll(cx)).await;
    assert_eq!((end, asked.elapsed().as_secs()), (Err(LineEnd::Cut), 40));
    drop(far);
}

/// What the peer is told next. That we look whether it is there is none of it.
async fn told<S>(peer: &mut S) -> Message
where
    S: futures_util::Stream<Item = tokio_tungstenite::tungstenite::Result<Message>> + Unpin,
{
    loop {
        let message = peer.next().await.unwrap().unwrap();
        if !matches!(message, Message::Ping(_)) {
            return message;
        }
    }
}

type Server = WebSocketLine<tokio::io::DuplexStream>;

/// Polls both ends for so long. How the near one ended, if it did.
async fn together<L: Line, P: Line>(line: &mut L, peer: Option<&mut P>, millis: u64) -> Option<LineEnd> {
    let mut peer = peer;
    let both = poll_fn(|cx| {
        if let Some(peer) = &mut peer {
            let _quiet = peer.poll(cx);
        }
        line.poll(cx).map(|message| message.expect_err("nobody says anything"))
    });
    timeout(Duration::from_millis(millis), both).await.ok()
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_doubted_and_answers_no_ping_any_more_is_gone() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let mut line = WebSocketLine::client(near, Bytes::new(), 1_000).await;
    let mut peer = WebSocketLine::server(far, Bytes::new(), 1_000).await;
    assert_eq!(together(&mut line, Some(&mut peer), 3_000).await, None, "it answers the first ping");
    for _ in 0..20 {
        line.doubt();
        assert_eq!(together(&mut line, Some(&mut peer), 700).await, None, "it thinks");
    }
    // From now on the peer neither reads nor writes, and its socket stands.
    line.doubt();
    let asked = Instant::now();
    assert_eq!(together(&mut line, None::<&mut Server>, 10_000).await, Some(LineEnd::Cut));
    assert_eq!(asked.elapsed().as_millis(), 1_200);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_lets_pings_wait_is_not_cut_for_it() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let mut line = WebSocketLine::client(near, Bytes::new(), 1_000).await;
    let mut peer = WebSocketLine::server(far, Bytes::new(), 1_000).await;
    // It was never seen to answer: nothing is known of it.
    line.doubt();
    assert_eq!(together(&mut line, None::<&mut Server>, 4_000).await, None);
    assert_eq!(together(&mut line, Some(&mut peer), 4_000).await, None);
    // It answers, but late: its silence proves nothing.
    line.doubt();
    assert_eq!(together(&mut line, None::<&mut Server>, 20_000).await, None);
    assert_eq!(together(&mut line, Some(&mut peer), 4_000).await, None);
    line.doubt();
    assert_eq!(together(&mut line, None::<&mut Server>, 20_000).await, None);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_doubted_may_be_silent() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let mut line = WebSocketLine::client(near, Bytes::new(), 1_000).await;
    let mut peer = WebSocketLine::server(far, Bytes::new(), 1_000).await;
    assert_eq!(together(&mut line, Some(&mut peer), 3_000).await, None);
    assert_eq!(together(&mut line, None::<&mut Server>, 30_000).await, None);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_peer_that_answers_pings_stays() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let mut line = Box::new(WebSocketLine::client(near, Bytes::new(), 1_000).await);
    let mut peer = Box::new(WebSocketLine::server(far, Bytes::new(), 1_000).await);
    let both = poll_fn(|cx| match (line.poll(cx), peer.poll(cx)) {
        (std::task::Poll::Pending, std::task::Poll::Pending) => std::task::Poll::<()>::Pending,
        (near, far) => panic!("{near:?} {far:?}"),
    });
    assert!(timeout(Duration::from_secs(600), both).await.is_err());
}

#[tokio::test]
async fn a_message_over_the_limit_breaks_the_line_and_the_peer_is_told() {
    let (address, listener) = listen().await;
    let endpoint = Endpoint {
        kind: EndpointKind::WebSocket { message_bytes_max: 1_000 },
        ..Endpoint::web_socket(format!("ws://{address}/"))
    };
    let dialer = Dialer::plain();
    let (line, server) = tokio::join!(dialer.dial(endpoint), accept(&listener));
    let (mut line, mut server) = (line.unwrap(), server);
    server.send(Message::text("x".repeat(1_001))).await.unwrap();
    assert_eq!(next(&mut line).await, Err(LineEnd::Broken));
    let Message::Close(Some(frame)) = told(&mut server).await else { panic!("a close frame") };
    assert_eq!(u16::from(frame.code), 1009);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_clogged_and_costs_a_bounded_backlog() {
    let (mut line, server) = web_socket_pair().await;
    let message = WireMessage::Binary(vec![0; 32 << 10].into());
    // The kernel's own buffers take some megabytes before ours fills up.
    let mut taken = 0_usize;
    let end = loop {
        match line.offer(message.clone()) {
            Ok(()) => taken += message.as_bytes().len(),
            Err(end) => break end,
        }
        assert!(taken < 512 << 20, "the backlog has no bound");
        let _idle = line.poll(&mut Context::from_waker(Waker::noop()));
    };
    assert_eq!(end, LineEnd::Clogged);
    assert!(taken > LINE_BACKLOG_BYTES_MAX);
    drop(server);
}

#[tokio::test]
async fn a_refused_upgrade_tells_status_delay_and_the_beginning_of_the_body() {
    let body = format!("{{\"error\":\"{}\"}}", "x".repeat(5_000));
    let head =
        format!("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: {}\r\n\r\n", body.len());
    // Head and body in separate packets, as busy services send them.
    let (address, server) = scripted(vec![head, body.clone()]).await;
    let endpoint =
        Endpoint::web_socket(format!("ws://{address}/v1?model=x")).header("authorization", "Bearer k");
    let Err(LineEnd::Refused { status, retry_after, body: kept }) = Dialer::plain().dial(endpoint).await
    else {
        panic!("refused")
    };
    assert_eq!((status, retry_after), (429, Some(Duration::from_secs(7))));
    assert_eq!(kept, body.as_bytes()[..FOREIGN_TEXT_BYTES_MAX]);
    let request = server.await.unwrap().to_lowercase();
    assert!(request.starts_with("get /v1?model=x http/1.1\r\n"), "{request}");
    for header in
        [format!("host: {address}"), "authorization: bearer k".into(), "sec-websocket-version: 13".into()]
    {
        assert!(request.contains(&header), "{header} in {request}");
    }
}

#[tokio::test]
async fn a_streamed_answer_arrives_in_pieces_and_ends() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_owned();
    let (address, _server) = scripted(vec![head, "6\r\n world\r\n0\r\n\r\n".to_owned()]).await;
    let endpoint = Endpoint::post(format!("http://{address}/speak"), "say hello");
    let mut line = Dialer::plain().dial(endpoint).await.unwrap();
    let mut body = Vec::new();
    let end = loop {
        match next(&mut line).await {
            Ok(piece) => body.extend_from_slice(piece.as_bytes()),
            Err(end) => break end,
        }
    };
    assert_eq!((body.as_slice(), end), (b"hello world".as_slice(), LineEnd::Ended));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut() {
    let (address, _server) =
        scripted(vec!["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned()]).await;
    let mut line = Dialer::plain().dial(Endpoint::post(format!("http://{address}/"), "")).await.unwrap();
    assert_eq!(next(&mut line).await, Ok(WireMessage::Binary("half".into())));
    assert_eq!(next(&mut line).await, Err(LineEnd::Cut));
}

#[tokio::test]
async fn what_keeps_a_line_from_coming_up_has_a_name() {
    let (closed, listener) = listen().await;
    drop(listener);
    let (wrong_key, _server) = scripted(vec![
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: no\r\n\r\n"
            .to_owned(),
    ])
    .await;
    let (not_http, _server) = scripted(vec!["220 mail.example ESMTP\r\n".to_owned()]).await;
    let (not_tls, _server) = scripted(vec!["HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()]).await;
    for (url, why) in [
        ("not a url".to_owned(), Unreachable::Address),
        (format!("ftp://{closed}/"), Unreachable::Address),
        (format!("http://{closed}/"), Unreachable::Address),
        ("ws://name.invalid/".to_owned(), Unreachable::Address),
        (format!("ws://{closed}/"), Unreachable::Tcp),
        (format!("ws://{wrong_key}/"), Unreachable::Handshake),
        (format!("ws://{not_http}/"), Unreachable::Handshake),
        (format!("wss://{not_tls}/"), Unreachable::Tls),
    ] {
        let end = dialer().dial(Endpoint::web_socket(&url)).await.err();
        assert_eq!(end, Some(LineEnd::Unreachable(why)), "{url}");
    }
}

#[tokio::test]
async fn a_silent_peer_costs_the_deadline_only() {
    let (address, _listener) = listen().await;
    let dialer = Dialer::plain().deadline(Duration::from_millis(20));
    let end = dialer.dial(Endpoint::web_socket(format!("ws://{address}/"))).await.err();
    assert_eq!(end, Some(LineEnd::Unreachable(Unreachable::Timeout)));
}

#[test]
fn authority_and_target_are_as_http_wants_them() {
    let kind = EndpointKind::WebSocket { message_bytes_max: 1 };
    for (url, authority, target, port) in [
        ("wss://api.example/v1/realtime?model=a%20b", "api.example", "/v1/realtime?model=a%20b", 443),
        ("ws://[::1]:8080", "[::1]:8080", "/", 8080),
    ] {
        let place = Place::parse(url, &kind).unwrap();
        assert_eq!((place.authority.as_str(), place.target.as_str(), place.port), (authority, target, port));
    }
}

#[cfg(feature = "tls-aws-lc-rs")]
fn dialer() -> Dialer {
    Dialer::new().unwrap()
}

#[cfg(not(feature = "tls-aws-lc-rs"))]
fn dialer() -> Dialer {
    Dialer::plain()
}

async fn next(line: &mut Box<dyn Line>) -> Result<WireMessage, LineEnd> {
    poll_fn(|cx| line.poll(cx)).await
}

async fn listen() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    tokio_tungstenite::accept_async(stream).await.unwrap()
}

async fn web_socket_pair() -> (Box<dyn Line>, WebSocketStream<TcpStream>) {
    let (address, listener) = listen().await;
    let endpoint = Endpoint::web_socket(format!("ws://{address}/"));
    let dialer = Dialer::plain();
    let (line, server) = tokio::join!(dialer.dial(endpoint), accept(&listener));
    (line.unwrap(), server)
}

/// Accepts one connection, reads a request's head, writes the pieces, and returns what was read.
async fn scripted(pieces: Vec<String>) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let (address, listener) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && !head.starts_with(&[0x16]) {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => panic!("{error}"),
            }
        }
        for piece in pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        String::from_utf8_lossy(&head).into_owned()
    });
    (address, server)
}

#[cfg(feature = "tls-aws-lc-rs")]
mod over_tls {
    use std::sync::Arc;

    use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const AUTHORITY: &[u8] = include_bytes!("test-certificates/authority.der");
    const CERTIFICATE: &[u8] = include_bytes!("test-certificates/localhost.der");
    const KEY: &[u8] = include_bytes!("test-certificates/localhost-key.der");

    #[tokio::test]
    async fn a_trusted_peer_is_spoken_to() {
        let (port, server) = echo_once().await;
        let dialer = Dialer::trusting(&[AUTHORITY.to_vec()]).unwrap();
        let mut line = dialer.dial(Endpoint::web_socket(format!("wss://localhost:{port}/"))).await.unwrap();
        // Larger than a TLS record, so that it does not leave in one piece.
        let message = WireMessage::text("x".repeat(100_000));
        line.offer(message.clone()).unwrap();
        assert_eq!(next(&mut line).await, Ok(message));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_stranger_is_not() {
        let (port, _server) = echo_once().await;
        let end =
            Dialer::new().unwrap().dial(Endpoint::web_socket(format!("wss://localhost:{port}/"))).await.err();
        assert_eq!(end, Some(LineEnd::Unreachable(Unreachable::Tls)));
    }

    #[tokio::test]
    async fn neither_is_somebody_with_another_name() {
        let (port, _server) = echo_once().await;
        let dialer = Dialer::trusting(&[AUTHORITY.to_vec()]).unwrap();
        let end = dialer.dial(Endpoint::web_socket(format!("wss://127.0.0.2:{port}/"))).await.err();
        assert_eq!(end, Some(LineEnd::Unreachable(Unreachable::Tls)));
    }

    async fn echo_once() -> (u16, tokio::task::JoinHandle<()>) {
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], PrivatePkcs8KeyDer::from(KEY).into())
        .unwrap();
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(tls) = TlsAcceptor::from(Arc::new(config)).accept(tcp).await else { return };
            let mut socket = tokio_tungstenite::accept_async(tls).await.unwrap();
            let message = socket.next().await.unwrap().unwrap();
            socket.send(message).await.unwrap();
        });
        (port, server)
    }
}
