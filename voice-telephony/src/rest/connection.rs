//! One connection to a carrier's API: opened, used for one exchange at a time, perhaps used again.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Place, RestError, Why, tls};
use crate::carrier_error::Reach;

/// A connection. It has no task of its own: whoever waits for an answer turns it.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes; `None` once the connection is closed.
    pump: Option<Pump>,
}

type Pump = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Name, TCP, TLS and handshake; nothing of a request is sent.
pub(super) async fn open(place: &Place, tls: Option<&tls::Connector>) -> Result<Connection, Why> {
    let stream = TcpStream::connect((place.host.as_str(), place.port)).await.map_err(|error| {
        tracing::debug!(host = place.host, %error, "no connection");
        // What the name server says comes without an error number of the system's.
        if error.raw_os_error().is_none() { Why::Address } else { Why::Connect }
    })?;
    let _unset_is_only_slower = stream.set_nodelay(true);
    if !place.is_tls {
        return Connection::over(stream).await;
    }
    let tls = tls.ok_or(Why::Tls)?;
    let stream = tls.connect(&place.host, stream).await.map_err(|error| {
        tracing::debug!(host = place.host, %error, "no tls");
        Why::Tls
    })?;
    Connection::over(stream).await
}

impl Connection {
    async fn over<S>(stream: S) -> Result<Self, Why>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| Why::Broken)?;
        // How a connection ended is told by the request on it.
        let pump = async move { drop(connection.await) };
        Ok(Self { sender, pump: Some(Box::pin(pump)) })
    }

    /// Whether the peer has left it open, as far as one can know without asking.
    pub(super) async fn is_usable(&mut self) -> bool {
        poll_fn(|cx| {
            self.turn(cx);
            Poll::Ready(())
        })
        .await;
        self.pump.is_some() && self.sender.is_ready()
    }

    /// Sends a request and reads its answer. The flag says whether the connection can be used again.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Bytes>,
        until: Instant,
        bytes_max: usize,
    ) -> Result<(Response<Bytes>, bool), RestError> {
        let request = request.map(Full::new);
        let unknown = |why| RestError { reach: Reach::Unknown, why };
        let head = match timeout_at(until, self.head(request)).await {
            Ok(Ok(head)) => head,
            Ok(Err(reach)) => return Err(RestError { reach, why: Why::Broken }),
            Err(_late) => return Err(unknown(Why::Timeout)),
        };
        let (head, body) = head.into_parts();
        let reading = self.body(body, bytes_max);
        let body = match timeout_at(until, reading).await.unwrap_or(Err((Why::Timeout, Bytes::new()))) {
            Ok(body) => body,
            // The status of a refusal says enough; a success without its body says too little.
            Err((_, part)) if !head.status.is_success() => {
                return Ok((Response::from_parts(head, part), false));
            }
            Err((why, _)) => {
                return Err(RestError { reach: Reach::Answered { status: head.status.as_u16() }, why });
            }
        };
        let says_close =
            head.headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        Ok((Response::from_parts(head, body), !says_close && self.pump.is_some()))
    }

    async fn head(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Reach> {
        // The sender is free again once the pump has been turned after the last answer.
        let ready = poll_fn(|cx| {
            self.turn(cx);
            self.sender.poll_ready(cx)
        });
        ready.await.map_err(|_closed| Reach::NeverSent)?;
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let pump = &mut self.pump;
        poll_fn(|cx| {
            turn(pump, cx);
            answer.as_mut().poll(cx)
        })
        .await
        // What comes back was never written.
        .map_err(|mut error| if error.take_message().is_some() { Reach::NeverSent } else { Reach::Unknown })
    }

    async fn body(&mut self, mut body: Incoming, bytes_max: usize) -> Result<Bytes, (Why, Bytes)> {
        let mut kept = BytesMut::new();
        loop {
            let frame = {
                let mut frame = std::pin::pin!(body.frame());
                let pump = &mut self.pump;
                poll_fn(|cx| {
                    turn(pump, cx);
                    frame.as_mut().poll(cx)
                })
                .await
            };
            match frame {
                None => return Ok(kept.freeze()),
                Some(Err(_)) => return Err((Why::Broken, kept.freeze())),
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    if kept.len() + data.len() > bytes_max {
                        return Err((Why::TooLarge, kept.freeze()));
                    }
                    kept.extend_from_slice(&data);
                }
            }
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) {
        turn(&mut self.pump, cx);
    }
}

fn turn(pump: &mut Option<Pump>, cx: &mut Context<'_>) {
    if let Some(moving) = pump
        && moving.as_mut().poll(cx).is_ready()
    {
        *pump = None;
    }
}
