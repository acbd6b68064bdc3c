//! A fake service behind a TCP listener: WebSocket upgrades and streamed answers.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voice_core::driver::{Clock, Line};
use voice_core::limits::PROVIDER_MESSAGE_BYTES_MAX;
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};
use voice_providers::dial::{WebSocketLine, accept_key};

/// Makes the fake for one more connection.
pub type MakeService = Arc<dyn Fn() -> Box<dyn FakeService> + Send + Sync>;

type Body = BoxBody<Bytes, io::Error>;

/// Of a request's body this much is read.
const BODY_BYTES_MAX: usize = PROVIDER_MESSAGE_BYTES_MAX;

/// Pieces of an answer's body that may wait for a slow reader; then the fake waits too.
const PIECES_MAX: usize = 64;

/// Serves a fake until `shutdown`; then closes what is open (1001) and returns when all have gone.
pub async fn serve(
    listener: TcpListener,
    clock: Clock,
    make: MakeService,
    shutdown: impl Future<Output = ()>,
) {
    let connections = TaskTracker::new();
    let stop = CancellationToken::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let host =
                    Host { clock, make: make.clone(), stop: stop.clone(), connections: connections.clone() };
                // A task for each connection, so that a slow one holds up nobody.
                connections.spawn(host.connection(stream));
            }
            Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
        }
    }
    stop.cancel();
    connections.close();
    connections.wait().await;
}

#[derive(Clone)]
struct Host {
    clock: Clock,
    make: MakeService,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Host {
    async fn connection(self, stream: TcpStream) {
        let _unset_is_only_slower = stream.set_nodelay(true);
        let stop = self.stop.clone();
        let service = service_fn(move |request| {
            let host = self.clone();
            async move { host.answer(request).await }
        });
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to a fake ended");
                }
            }
            () = stop.cancelled() => {}
        }
    }

    /// An error cuts the TCP connection, which is what a rude fake wants.
    async fn answer(self, mut request: hyper::Request<Incoming>) -> Result<Response<Body>, io::Error> {
        let upgrade = request
            .headers()
            .get(UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let key = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| accept_key(key.as_bytes()));
        let on_upgrade = hyper::upgrade::on(&mut request);
        let seen = seen(request, upgrade).await?;
        let mut fake = Fake { fake: (self.make)(), clock: self.clock, waits_until: None };
        fake.handle(ServiceInput::Request(&seen));
        loop {
            match fake.step().await {
                ServiceOutput::Accept { subprotocol } => {
                    let Some(key) = key.filter(|_| upgrade) else {
                        return Ok(plain(StatusCode::BAD_REQUEST));
                    };
                    let stop = self.stop;
                    // The upgrade is only there once this answer has been sent.
                    self.connections.spawn(async move {
                        if let Ok(upgraded) = on_upgrade.await
                            && let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>()
                        {
                            let (io, received) = (parts.io.into_inner(), parts.read_buf);
                            let line = WebSocketLine::server(io, received, PROVIDER_MESSAGE_BYTES_MAX).await;
                            fake.speak(line, stop).await;
                        }
                    });
                    return accepted(&key, subprotocol);
                }
                ServiceOutput::Respond { status, headers } => {
                    let (pieces, body) = mpsc::channel(PIECES_MAX);
                    // The body is told piece by piece while the answer is under way.
                    self.connections.spawn(fake.stream(pieces, self.stop));
                    return answered(status, headers, body);
                }
                // Nothing can be sent before an answer.
                ServiceOutput::Send(_) | ServiceOutput::WaitUntil(_) => {}
                ServiceOutput::Close { .. } | ServiceOutput::Cut => {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
        }
    }
}

/// A fake and its clock.
struct Fake {
    fake: Box<dyn FakeService>,
    clock: Clock,
    waits_until: Option<MonoTime>,
}

impl Fake {
    fn handle(&mut self, input: ServiceInput<'_>) {
        self.fake.handle(self.clock.now(), input);
    }

    /// What it wants next, other than to wait.
    async fn step(&mut self) -> ServiceOutput {
        loop {
            match self.next() {
                Some(wanted) => return wanted,
                None => self.alarm().await,
            }
            self.handle(ServiceInput::Tick);
        }
    }

    fn next(&mut self) -> Option<ServiceOutput> {
        match self.fake.poll() {
            ServiceOutput::WaitUntil(at) => {
                self.waits_until = at;
                None
            }
            wanted @ (ServiceOutput::Accept { .. }
            | ServiceOutput::Respond { .. }
            | ServiceOutput::Send(_)
            | ServiceOutput::Close { .. }
            | ServiceOutput::Cut) => Some(wanted),
        }
    }

    /// Borrows nothing, because a fake need not be `Sync`.
    fn alarm(&self) -> impl Future<Output = ()> + use<> {
        let at = self.waits_until.map(|at| self.clock.instant(at));
        async move {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    /// A WebSocket, to its end.
    async fn speak(mut self, mut line: WebSocketLine<TcpStream>, stop: CancellationToken) {
        loop {
            while let Some(wanted) = self.next() {
                match wanted {
                    ServiceOutput::Send(message) => {
                        if line.offer(message).is_err() {
                            self.handle(ServiceInput::Gone);
                            return;
                        }
                    }
                    ServiceOutput::Close { code, reason } => return line.close_with(code, &reason),
                    ServiceOutput::Cut => return,
                    ServiceOutput::Accept { .. }
                    | ServiceOutput::Respond { .. }
                    | ServiceOutput::WaitUntil(_) => {}
                }
            }
            let message: Option<Result<WireMessage, LineEnd>> = tokio::select! {
                message = poll_fn(|cx| line.poll(cx)) => Some(message),
                () = self.alarm() => None,
                () = stop.cancelled() => return line.close_with(1001, "the fake is going away"),
            };
            match message {
                None => self.handle(ServiceInput::Tick),
                Some(Ok(message)) => self.handle(ServiceInput::Wire(&message)),
                Some(Err(_)) => {
                    self.handle(ServiceInput::Gone);
                    return;
                }
            }
        }
    }

    /// The body of an answer, to its end.
    async fn stream(mut self, pieces: mpsc::Sender<Result<Bytes, io::Error>>, stop: CancellationToken) {
        loop {
            let wanted = tokio::select! {
                wanted = self.step() => wanted,
                () = pieces.closed() => return self.handle(ServiceInput::Gone),
                () = stop.cancelled() => return,
            };
            match wanted {
                ServiceOutput::Send(message) => {
                    if pieces.send(Ok(Bytes::copy_from_slice(message.as_bytes()))).await.is_err() {
                        return self.handle(ServiceInput::Gone);
                    }
                }
                ServiceOutput::Cut => {
                    let _reader_may_be_gone = pieces.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                    return;
                }
                ServiceOutput::Close { .. } => return,
                ServiceOutput::Accept { .. }
                | ServiceOutput::Respond { .. }
                | ServiceOutput::WaitUntil(_) => {}
            }
        }
    }
}

/// The request as fakes see it.
async fn seen(request: hyper::Request<Incoming>, upgrade: bool) -> Result<Request, io::Error> {
    let (head, body) = request.into_parts();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(io::Error::other)?.to_bytes();
    let target = head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    Ok(Request { method: head.method.to_string(), target, headers, body, upgrade })
}

fn accepted(key: &str, subprotocol: Option<&'static str>) -> Result<Response<Body>, io::Error> {
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, key);
    if let Some(subprotocol) = subprotocol {
        response = response.header(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    response.body(empty()).map_err(io::Error::other)
}

fn answered(
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: mpsc::Receiver<Result<Bytes, io::Error>>,
) -> Result<Response<Body>, io::Error> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?, value);
    }
    let pieces = stream::unfold(body, |mut body| async move {
        let piece = body.recv().await?;
        Some((piece.map(Frame::data), body))
    });
    response.body(BodyExt::boxed(StreamBody::new(Box::pin(pieces)))).map_err(io::Error::other)
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

fn empty() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed()
}
