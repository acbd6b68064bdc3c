//! The first request on a fresh connection, and the line that reads a streamed answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use voice_core::driver::line::Line;
use voice_core::limits::FOREIGN_TEXT_BYTES_MAX;
use voice_core::sensitive::Secret;
use voice_core::wire::{LineEnd, Unreachable, WireMessage};

use super::web_socket::{WebSocketLine, accept_key};
use super::{Place, unreachable};

/// A refusal is known by its status; its body may take this long and no longer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a request goes, and what it carries besides.
pub(super) struct Head<'a> {
    pub(super) place: &'a Place,
    pub(super) headers: &'a [(&'static str, Secret<String>)],
}

impl Head<'_> {
    fn request(&self, method: &str, body: Bytes) -> Result<Request<Full<Bytes>>, LineEnd> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.place.target)
            .header(HOST, &self.place.authority)
            .header(USER_AGENT, concat!("voice/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|_| unreachable(Unreachable::Address))?;
        for (name, value) in self.headers {
            let pair =
                HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value.expose()).ok());
            let Some((key, mut value)) = pair else {
                tracing::warn!(
                    header = name,
                    "a header of this endpoint cannot be sent; does a key contain a line break?"
                );
                return Err(unreachable(Unreachable::Address));
            };
            value.set_sensitive(true);
            request.headers_mut().append(key, value);
        }
        Ok(request)
    }
}

/// Asks for a WebSocket.
pub(super) async fn upgrade<S>(
    stream: S,
    head: Head<'_>,
    message_bytes_max: usize,
    until: Instant,
) -> Result<Box<dyn Line>, LineEnd>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let key = tokio_tungstenite::tungstenite::handshake::client::generate_key();
    let mut request = head.request("GET", Bytes::new())?;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(
        SEC_WEBSOCKET_KEY,
        HeaderValue::from_str(&key).map_err(|_| unreachable(Unreachable::Handshake))?,
    );

    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| no_answer(&error))?;
    let mut connection = Connection(Some(Box::pin(connection.with_upgrades())));
    let mut response = alongside(&mut connection, sender.send_request(request)).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(&mut connection, response, until).await);
    }
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|value| value.as_bytes() != accept_key(key.as_bytes()).as_bytes()) {
        return Err(unreachable(Unreachable::Handshake));
    }
    let upgraded = alongside(&mut connection, hyper::upgrade::on(&mut response)).await?;
    let parts = upgraded.downcast::<TokioIo<S>>().map_err(|_| unreachable(Unreachable::Handshake))?;
    let line = WebSocketLine::client(parts.io.into_inner(), parts.read_buf, message_bytes_max).await;
    Ok(Box::new(line))
}

/// Sends a request; the answer is read by the line.
pub(super) async fn request<S>(
    stream: S,
    head: Head<'_>,
    method: &str,
    body: Bytes,
    until: Instant,
) -> Result<Box<dyn Line>, LineEnd>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = head.request(method, body)?;
    request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| no_answer(&error))?;
    let mut connection = Connection(Some(Box::pin(connection)));
    let response = alongside(&mut connection, sender.send_request(request)).await?;
    if !response.status().is_success() {
        return Err(refusal(&mut connection, response, until).await);
    }
    Ok(Box::new(HttpLine { connection, body: response.into_body() }))
}

/// The half of a connection that moves bytes. It has no task of its own: whoever waits turns it.
struct Connection<F>(Option<Pin<Box<F>>>);

impl<F: Future> Connection<F> {
    fn turn(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && connection.as_mut().poll(cx).is_ready()
        {
            // How it ended is told by the response or its body.
            self.0 = None;
        }
    }
}

/// The answer to a plain request, read as it comes.
struct HttpLine<F> {
    connection: Connection<F>,
    body: Incoming,
}

impl<F: Future + Send> Line for HttpLine<F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WireMessage, LineEnd>> {
        loop {
            self.connection.turn(cx);
            return match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => Poll::Ready(Err(LineEnd::Ended)),
                Some(Err(_)) => Poll::Ready(Err(LineEnd::Cut)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => Poll::Ready(Ok(WireMessage::Binary(data))),
                    Ok(_) | Err(_) => continue,
                },
            };
        }
    }

    /// The request is complete when the line exists, so nothing can be added.
    fn offer(&mut self, _message: WireMessage) -> Result<(), LineEnd> {
        Err(LineEnd::Broken)
    }

    fn close(self: Box<Self>) {}
}

/// Waits for something that only happens while the connection is polled too.
async fn alongside<F, W, T>(connection: &mut Connection<F>, wanted: W) -> Result<T, LineEnd>
where
    F: Future,
    W: Future<Output = hyper::Result<T>>,
{
    let mut wanted = std::pin::pin!(wanted);
    std::future::poll_fn(|cx| {
        connection.turn(cx);
        wanted.as_mut().poll(cx).map_err(|error| no_answer(&error))
    })
    .await
}

fn no_answer(error: &hyper::Error) -> LineEnd {
    tracing::debug!(%error, "no answer to the request");
    if error.is_parse() { unreachable(Unreachable::Handshake) } else { LineEnd::Cut }
}

async fn refusal<F: Future>(
    connection: &mut Connection<F>,
    response: Response<Incoming>,
    until: Instant,
) -> LineEnd {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let mut body = response.into_body();
    let mut kept = BytesMut::new();
    let read = async {
        while kept.len() < FOREIGN_TEXT_BYTES_MAX {
            let Some(Ok(frame)) = body.frame().await else { break };
            let data = frame.into_data().unwrap_or_default();
            let room = FOREIGN_TEXT_BYTES_MAX - kept.len();
            kept.extend_from_slice(&data[..data.len().min(room)]);
        }
        Ok(())
    };
    let until = until.min(Instant::now() + REFUSAL_TIMEOUT);
    // Whatever was read in time is enough: the status alone is an answer.
    let _late = timeout_at(until, alongside(connection, read)).await;
    LineEnd::Refused { status, retry_after, body: kept.freeze() }
}

/// Only the form in seconds; no service of ours sends a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u32 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}
