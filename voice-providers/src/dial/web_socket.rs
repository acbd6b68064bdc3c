//! A WebSocket as a line: polled by whoever owns it, with a bounded backlog and a polite end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use voice_core::driver::line::Line;
use voice_core::limits::{FOREIGN_TEXT_BYTES_MAX, LINE_BACKLOG_BYTES_MAX, PROVIDER_BACKLOG_BYTES_MAX};
use voice_core::wire::{LineEnd, Text, WireMessage};

/// A frame of 20 ms has 400 bytes; the library's default of 128 KiB would be most of a call's memory.
const READ_BUFFER_BYTES: usize = 3 << 10;

/// What is offered within one step of a call, a frame and its mark, goes out in one write; more than this
/// does not wait for the rest.
const WRITE_BATCH_BYTES: usize = 2 << 10;

/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a line that we opened is looked at: if nothing has come since the last time, a ping goes out.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// So many looks without a byte from the peer, pongs included, and the connection is only half there.
/// Services were seen to take half a minute for a pong while they had nothing to say, so it is not less.
const LOOKS_MAX: u32 = 8;

/// Who is doubted must answer a ping within twice this, if they always did: a network that loses a packet
/// sends it again within a second. Twice, because a machine that was busy for so long itself has not looked.
const ANSWER_HALF: Duration = Duration::from_millis(600);

/// The longest reason that fits into a close frame.
const REASON_BYTES_MAX: usize = 123;

/// The answer to a client's `Sec-WebSocket-Key`, for servers that do the upgrade themselves.
pub fn accept_key(key: &[u8]) -> String {
    tungstenite::handshake::derive_accept_key(key)
}

/// A WebSocket over any byte stream whose handshake is done.
///
/// Pings are answered and neither pings nor pongs are delivered. On a line that we opened a ping goes out
/// whenever nothing has come for five seconds, and after forty the connection counts as cut: a half-open
/// one would otherwise look like a service that thinks. One that is doubted ([`Line::doubt`]) and has answered
/// every ping at once so far counts as cut when nothing comes within 1.2 s of the next. What was offered is written by
/// the next `poll`, as far as the peer takes it; `poll` must be called after `offer`, as a run loop does
/// anyway. Dropping the line cuts the connection without a word.
pub struct WebSocketLine<S> {
    /// `None` once the peer broke the protocol and a detached goodbye has the stream.
    stream: Option<WebSocketStream<S>>,
    unflushed: bool,
    /// Where we opened the line. Who opened one to us sends audio all the time, or is missed elsewhere.
    pulse: Option<Pulse>,
}

/// Whether the peer is still there.
struct Pulse {
    looks: Interval,
    /// Looks since anything came.
    quiet: u32,
    /// Something is due and does not come: somebody wants to know.
    doubted: bool,
    ping: Ping,
    /// Rings when the ping that is under way should have been answered.
    deadline: Interval,
    manners: Manners,
}

/// The oldest ping that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    /// There is none.
    Answered,
    /// It is to be sent.
    Wanted,
    /// It was sent; whether anything else has come since, and whether half of the time is over.
    Sent { heard: bool, half: bool },
    /// Nothing at all has come in time.
    Overdue,
}

/// What is known of how a peer answers pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manners {
    Unknown,
    /// At once, every time.
    Prompt,
    /// It was there, and did not answer for a while: its silence proves nothing.
    Late,
}

impl Pulse {
    fn new() -> Self {
        let [looks, deadline] = [LOOK_EVERY, ANSWER_HALF].map(|every| {
            let mut looks = tokio::time::interval(every);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks
        });
        // The first ping goes out at once: how a peer answers must be known before it is doubted.
        let (ping, manners) = (Ping::Wanted, Manners::Unknown);
        Self { looks, quiet: 0, doubted: false, ping, deadline, manners }
    }

    /// True if it is time for a ping; an error if the peer is gone.
    fn poll(&mut self, cx: &mut Context<'_>) -> Result<bool, LineEnd> {
        let mut ping = false;
        while self.looks.poll_tick(cx).is_ready() {
            // The first look comes at once, and after it nobody can have been quiet.
            ping = self.quiet > 0;
            self.quiet += 1;
            if self.quiet > LOOKS_MAX {
                return Err(LineEnd::Cut);
            }
        }
        if self.ping == Ping::Wanted || (ping && self.ping == Ping::Answered) {
            self.ping = Ping::Sent { heard: false, half: false };
            self.deadline.reset();
            ping = true;
        }
        Ok(ping)
    }

    /// Nothing more is there to be read. Whether that proves that nobody is there.
    fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        while let Ping::Sent { heard, half } = self.ping
            && self.deadline.poll_tick(cx).is_ready()
        {
            self.ping = match (half, heard) {
                (false, _) => Ping::Sent { heard, half: true },
                (true, false) => Ping::Overdue,
                (true, true) => {
                    self.manners = Manners::Late;
                    Ping::Answered
                }
            };
        }
        self.doubted && self.ping == Ping::Overdue && self.manners == Manners::Prompt
    }

    fn doubt(&mut self) {
        self.doubted = true;
        if self.ping == Ping::Answered {
            self.ping = Ping::Wanted;
        }
    }

    /// Something has come: whoever sent it is there.
    fn heard(&mut self, is_pong: bool) {
        self.quiet = 0;
        self.doubted = false;
        match self.ping {
            Ping::Sent { .. } if is_pong => {
                self.ping = Ping::Answered;
                if self.manners == Manners::Unknown {
                    self.manners = Manners::Prompt;
                }
            }
            Ping::Sent { half, .. } => self.ping = Ping::Sent { heard: true, half },
            Ping::Overdue => {
                self.ping = Ping::Answered;
                self.manners = Manners::Late;
            }
            Ping::Answered | Ping::Wanted => {}
        }
    }
}

impl<S> WebSocketLine<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// The client's end. `received` is what already came after the handshake.
    pub async fn client(stream: S, received: Bytes, message_bytes_max: usize) -> Self {
        Self::new(stream, received, Role::Client, message_bytes_max).await
    }

    /// The server's end. `received` is what already came after the handshake.
    pub async fn server(stream: S, received: Bytes, message_bytes_max: usize) -> Self {
        Self::new(stream, received, Role::Server, message_bytes_max).await
    }

    /// Closes politely with a code of RFC 6455 section 7.4 and a reason, of which 123 bytes are sent.
    pub fn close_with(self, code: u16, reason: &str) {
        if let Some(stream) = self.stream {
            farewell(stream, code, reason);
        }
    }

    /// Ready once all that was offered is written: for those who would rather wait for a slow peer than be
    /// cut off for what piles up. An error is the end of the line.
    pub fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LineEnd>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(LineEnd::Cut)) };
        let written = ready!(Pin::new(stream).poll_flush(cx));
        self.unflushed = false;
        Poll::Ready(written.map_err(|error| judge(&error).1))
    }

    async fn new(stream: S, received: Bytes, role: Role, message_bytes_max: usize) -> Self {
        let backlog = match role {
            Role::Client => PROVIDER_BACKLOG_BYTES_MAX,
            Role::Server => LINE_BACKLOG_BYTES_MAX,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BATCH_BYTES)
            .max_write_buffer_size(backlog)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        // A copy, mostly of nothing: what has come lies in the large buffer of an HTTP connection.
        let received = received.to_vec();
        let stream = WebSocketStream::from_partially_read(stream, received, role, Some(config)).await;
        let pulse = (role == Role::Client).then(Pulse::new);
        Self { stream: Some(stream), unflushed: false, pulse }
    }

    /// Nothing is there to be read: somebody may be gone, or has to be asked.
    fn poll_pulse<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, LineEnd>> {
        let (Some(stream), Some(pulse)) = (&mut self.stream, &mut self.pulse) else { return Poll::Pending };
        let mut stream = Pin::new(stream);
        match pulse.poll(cx) {
            // A ping that finds no room is one among many that wait: the peer is slow, not gone.
            Ok(true) if stream.as_mut().start_send(Message::Ping(Bytes::new())).is_ok() => {
                self.unflushed = stream.as_mut().poll_flush(cx).is_pending();
            }
            Ok(_) => {}
            Err(end) => return Poll::Ready(Err(end)),
        }
        if pulse.is_gone(cx) {
            return Poll::Ready(Err(LineEnd::Cut));
        }
        Poll::Pending
    }

    /// The peer cannot be understood: tell it which rule it broke, without keeping the call waiting.
    fn broken(&mut self, error: &tungstenite::Error) -> LineEnd {
        let (code, end) = judge(error);
        if let (Some(code), Some(stream)) = (code, self.stream.take()) {
            tracing::debug!(%error, "the peer broke the websocket protocol");
            farewell(stream, code.into(), "");
        }
        end
    }
}

impl<S> Line for WebSocketLine<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WireMessage, LineEnd>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(LineEnd::Cut)) };
        let mut stream = Pin::new(stream);
        if self.unflushed && stream.as_mut().poll_flush(cx).is_ready() {
            // Were it a failure, reading would tell.
            self.unflushed = false;
        }
        loop {
            let Poll::Ready(next) = stream.as_mut().poll_next(cx) else { return self.poll_pulse(cx) };
            let message = match next {
                None => return Poll::Ready(Err(LineEnd::Cut)),
                Some(Err(error)) => return Poll::Ready(Err(self.broken(&error))),
                Some(Ok(message)) => message,
            };
            if let Some(pulse) = &mut self.pulse {
                pulse.heard(matches!(message, Message::Pong(_)));
            }
            match message {
                Message::Text(text) => {
                    return Poll::Ready(Ok(WireMessage::Text(Text::checked(text.into()))));
                }
                Message::Binary(bytes) => return Poll::Ready(Ok(WireMessage::Binary(bytes))),
                Message::Close(frame) => {
                    // The library has prepared the answer; if it cannot be written now, so be it.
                    let _sent = stream.as_mut().poll_flush(cx);
                    return Poll::Ready(Err(closed(frame)));
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    fn offer(&mut self, message: WireMessage) -> Result<(), LineEnd> {
        let Some(stream) = &mut self.stream else { return Err(LineEnd::Cut) };
        let message = match message {
            // As a frame, because a message would be checked once more for being UTF-8.
            WireMessage::Text(text) => {
                Message::Frame(Frame::message(text.into_bytes(), OpCode::Data(Data::Text), true))
            }
            WireMessage::Binary(bytes) => Message::Binary(bytes),
        };
        self.unflushed = true;
        // It waits inside for the next `poll`, and then for the peer, up to the configured backlog.
        Pin::new(stream).start_send(message).map_err(|error| judge(&error).1)
    }

    fn doubt(&mut self) {
        if let Some(pulse) = &mut self.pulse {
            pulse.doubt();
        }
    }

    fn close(self: Box<Self>) {
        self.close_with(CloseCode::Normal.into(), "");
    }
}

/// Says goodbye on a task of its own: what was offered, the close frame, then reading until the peer
/// has gone too, because closing with unread data would tear down what was just written.
fn farewell<S>(mut stream: WebSocketStream<S>, code: u16, reason: &str)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let end =
        (0..=reason.len().min(REASON_BYTES_MAX)).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
    let frame = CloseFrame { code: code.into(), reason: reason[..end].into() };
    // Outside a runtime (a driver being torn down) dropping the stream is all that is left.
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(tokio::time::timeout(CLOSE_TIMEOUT, async move {
        let _peer_may_be_gone = stream.send(Message::Close(Some(frame))).await;
        let mut io = stream.into_inner();
        let _half = io.shutdown().await;
        let _drained = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
    }));
}

fn closed(frame: Option<CloseFrame>) -> LineEnd {
    let Some(frame) = frame else {
        return LineEnd::Closed { code: CloseCode::Status.into(), reason: String::new() };
    };
    let reason: String = frame.reason.chars().take(FOREIGN_TEXT_BYTES_MAX / 4).collect();
    LineEnd::Closed { code: frame.code.into(), reason }
}

/// Which close code the peer gets, if it is worth telling, and what the end is called.
fn judge(error: &tungstenite::Error) -> (Option<CloseCode>, LineEnd) {
    use tungstenite::Error;
    use tungstenite::error::ProtocolError;
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => (None, LineEnd::Cut),
        Error::Protocol(_) | Error::AttackAttempt => (Some(CloseCode::Protocol), LineEnd::Broken),
        Error::Capacity(_) => (Some(CloseCode::Size), LineEnd::Broken),
        Error::Utf8(_) => (Some(CloseCode::Invalid), LineEnd::Broken),
        Error::WriteBufferFull(_) => (None, LineEnd::Clogged),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => (None, LineEnd::Cut),
    }
}
