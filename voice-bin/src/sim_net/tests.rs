//! A small fake behind a real listener, spoken to by the real dialler.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use voice_core::driver::{Clock, Dial, Line};
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, LineEnd, WireMessage};
use voice_providers::dial::Dialer;

use super::serve;

#[tokio::test]
async fn a_web_socket_is_accepted_spoken_on_and_closed() {
    let server = Server::start().await;
    let mut line =
        server.dial(Endpoint::web_socket(server.url("ws", "/talk")).header("x-who", "me")).await.unwrap();
    assert_eq!(next(&mut line).await, Ok(WireMessage::text("hello me")));
    line.offer(WireMessage::Binary(vec![1, 2].into())).unwrap();
    assert_eq!(next(&mut line).await, Ok(WireMessage::Binary(vec![1, 2].into())));
    line.offer(WireMessage::text("bye")).unwrap();
    assert_eq!(next(&mut line).await, Err(LineEnd::Closed { code: 4000, reason: "as you wish".to_owned() }));
    server.stop().await;
}

#[tokio::test]
async fn an_answer_is_streamed() {
    let server = Server::start().await;
    let mut line = server.dial(Endpoint::post(server.url("http", "/"), "a question")).await.unwrap();
    let mut body = Vec::new();
    let end = loop {
        match next(&mut line).await {
            Ok(piece) => body.extend_from_slice(piece.as_bytes()),
            Err(end) => break end,
        }
    };
    assert_eq!((body.as_slice(), end), (b"an answer to a question".as_slice(), LineEnd::Ended));
    server.stop().await;
}

#[tokio::test]
async fn a_rude_fake_refuses_or_cuts() {
    let server = Server::start().await;
    let refused = server.dial(Endpoint::web_socket(server.url("ws", "/refuse"))).await.err();
    let Some(LineEnd::Refused { status: 401, body, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(body, "no");
    let cut = server.dial(Endpoint::web_socket(server.url("ws", "/cut"))).await.err();
    assert_eq!(cut, Some(LineEnd::Cut));
    server.stop().await;
}

#[tokio::test]
async fn stopping_closes_what_is_open() {
    let server = Server::start().await;
    let mut line = server.dial(Endpoint::web_socket(server.url("ws", "/talk"))).await.unwrap();
    assert!(next(&mut line).await.is_ok());
    server.stop().await;
    assert!(matches!(next(&mut line).await, Err(LineEnd::Closed { code: 1001, .. })));
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let make = Arc::new(|| Box::new(Polite::default()) as Box<dyn FakeService>);
        let task = tokio::spawn(serve(listener, Clock::start(), make, stop.clone().cancelled_owned()));
        Self { address, stop, task }
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }

    async fn dial(&self, endpoint: Endpoint) -> Result<Box<dyn Line>, LineEnd> {
        Dialer::plain().dial(endpoint).await
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn next(line: &mut Box<dyn Line>) -> Result<WireMessage, LineEnd> {
    poll_fn(|cx| line.poll(cx)).await
}

/// Greets after a moment, says everything back, closes on "bye". Refuses and cuts by path.
#[derive(Default)]
struct Polite {
    wants: VecDeque<ServiceOutput>,
    greeting: Option<(MonoTime, String)>,
}

impl FakeService for Polite {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        match input {
            ServiceInput::Request(request) => self.answer(now, request),
            ServiceInput::Wire(message) if message.as_bytes() == b"bye" => {
                self.wants.push_back(ServiceOutput::Close { code: 4000, reason: "as you wish".to_owned() });
            }
            ServiceInput::Wire(message) => self.wants.push_back(ServiceOutput::Send(message.clone())),
            ServiceInput::Gone => {}
            ServiceInput::Tick => {
                if let Some((_, text)) = self.greeting.take_if(|(at, _)| *at <= now) {
                    self.wants.push_back(ServiceOutput::Send(WireMessage::text(text)));
                }
            }
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        let waits = ServiceOutput::WaitUntil(self.greeting.as_ref().map(|(at, _)| *at));
        self.wants.pop_front().unwrap_or(waits)
    }
}

impl Polite {
    fn answer(&mut self, now: MonoTime, request: &Request) {
        let close = ServiceOutput::Close { code: 1000, reason: String::new() };
        match request.target.as_str() {
            "/cut" => self.wants.push_back(ServiceOutput::Cut),
            "/refuse" => self.wants.extend([
                ServiceOutput::Respond { status: 401, headers: Vec::new() },
                ServiceOutput::Send(WireMessage::text("no")),
                close,
            ]),
            _talk if request.upgrade => {
                self.wants.push_back(ServiceOutput::Accept { subprotocol: None });
                let who = request.header("x-who").unwrap_or("stranger");
                self.greeting = Some((now + Duration::from_millis(5), format!("hello {who}")));
            }
            _question => {
                let question = String::from_utf8_lossy(&request.body);
                self.wants.extend([
                    ServiceOutput::Respond {
                        status: 200,
                        headers: vec![("content-type", "text/plain".to_owned())],
                    },
                    ServiceOutput::Send(WireMessage::text("an answer to ")),
                    ServiceOutput::Send(WireMessage::text(question)),
                    close,
                ]);
            }
        }
    }
}
