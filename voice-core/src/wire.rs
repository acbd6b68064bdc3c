//! What travels on a line, where a line leads, and how it ends. Pure data; nothing here opens a socket.

use std::fmt;
use std::str::Utf8Error;
use std::time::Duration;

use bytes::Bytes;

use crate::sensitive::Secret;

/// One message on a line. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum WireMessage {
    /// A WebSocket text message.
    Text(Text),
    /// A WebSocket binary message, or a piece of an HTTP body.
    Binary(Bytes),
}

impl WireMessage {
    /// A text message from a string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text::from(text.into()))
    }

    /// The bytes, whichever kind it is.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// Prints the size only: messages carry audio, transcripts and tickets.
impl fmt::Debug for WireMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.as_bytes().len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

/// Bytes that are known to be UTF-8. Cloning shares them.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Bytes);

impl Text {
    /// Checks the bytes.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }

    /// Takes bytes that somebody else has checked, as every WebSocket library must. If they lied, nothing but
    /// this message is lost: it reads as empty, and no parser takes it.
    pub const fn checked(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes, which a JSON parser wants.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text. Checked again here, because this crate forbids unsafe code; use [`Self::as_bytes`] on
    /// the way of every frame.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The bytes without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// Where a line leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `wss://`, `ws://`, `https://` or `http://`, with path and query.
    pub url: String,
    /// Sent with the upgrade or request. Values may be keys, so none is ever printed.
    pub headers: Vec<(&'static str, Secret<String>)>,
    /// WebSocket, or an HTTP request whose answer is read as it comes.
    pub kind: EndpointKind,
}

/// The two kinds of line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointKind {
    /// A WebSocket.
    WebSocket {
        /// Largest message accepted from the peer.
        message_bytes_max: usize,
    },
    /// One request; the answer's body arrives in pieces as [`WireMessage::Binary`].
    Http {
        /// `GET`, `POST`…
        method: &'static str,
        /// Body of the request.
        body: Bytes,
    },
}

impl Endpoint {
    /// A WebSocket with the usual limit on messages.
    pub fn web_socket(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            kind: EndpointKind::WebSocket { message_bytes_max: crate::limits::PROVIDER_MESSAGE_BYTES_MAX },
        }
    }

    /// An HTTP request without a body.
    pub fn get(url: impl Into<String>) -> Self {
        let kind = EndpointKind::Http { method: "GET", body: Bytes::new() };
        Self { url: url.into(), headers: Vec::new(), kind }
    }

    /// An HTTP request with a body.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            kind: EndpointKind::Http { method: "POST", body: body.into() },
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Secret::new(value.into())));
        self
    }
}

/// Why a line is no more (or never was).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineEnd {
    /// Never came up: name, TCP, TLS or time.
    Unreachable(Unreachable),
    /// The peer answered the upgrade or request with an HTTP status other than success.
    Refused {
        /// The status code.
        status: u16,
        /// The `Retry-After` header in seconds, where there was one.
        retry_after: Option<Duration>,
        /// The beginning of the body, for sessions that read error codes out of it; never logged as it is.
        body: Bytes,
    },
    /// The peer closed the WebSocket with a close frame (1005 where it gave no code).
    Closed {
        /// RFC 6455 close code.
        code: u16,
        /// The peer's reason; foreign text, shortened.
        reason: String,
    },
    /// The HTTP body is complete.
    Ended,
    /// Gone without a word (1006 in WebSocket terms).
    Cut,
    /// The peer broke the WebSocket protocol or sent a message over the limit.
    Broken,
    /// The peer reads so slowly that our bounded queue to it is full.
    Clogged,
}

/// What kept a line from coming up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreachable {
    /// The address cannot be understood or found.
    Address,
    /// Nobody listens, or the network is down.
    Tcp,
    /// No trustworthy TLS connection.
    Tls,
    /// It took too long.
    Timeout,
    /// The peer does not speak WebSocket.
    Handshake,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_private_is_printed() {
        let endpoint = Endpoint::web_socket("wss://a.example/x").header("authorization", "Bearer sk-123");
        let message = WireMessage::text("my number is 5550100");
        let printed = format!("{endpoint:?} {message:?}");
        assert!(!printed.contains("sk-123") && !printed.contains("5550100"), "{printed}");
    }

    #[test]
    fn text_is_utf8() {
        assert!(Text::from_utf8(Bytes::from_static(&[0xff])).is_err());
        assert_eq!(Text::from("ä".to_owned()).as_str(), "ä");
    }
}
