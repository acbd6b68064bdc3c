//! The yardsticks: relays between a caller and an echo that decide nothing and remember nothing.

use std::io;
use std::str::FromStr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use super::between;
use super::socket::WebSocket;
use super::tls::Dialler;

/// On which sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The harness's own, which do the least.
    Raw,
    /// tokio-tungstenite as it comes.
    Tungstenite,
}

impl Kind {
    /// As it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Tungstenite => "tungstenite",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "raw" => Ok(Self::Raw),
            "tungstenite" => Ok(Self::Tungstenite),
            other => Err(format!("there is no relay {other:?}; there are raw and tungstenite")),
        }
    }
}

/// Relays every caller to a service that speaks as OpenAI Realtime does, for ever.
///
/// # Errors
/// If the listener breaks.
pub async fn serve(kind: Kind, listener: TcpListener, service: Dialler) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        // One task for each call, as in the server.
        tokio::spawn(async move {
            let ended = match kind {
                Kind::Raw => raw(stream, &service).await,
                Kind::Tungstenite => tungstenite(stream, &service).await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a call ended");
            }
        });
    }
}

async fn raw(stream: TcpStream, service: &Dialler) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut caller, _) = WebSocket::accept(stream).await?;
    let host = service.origin().address.to_string();
    let mut service = WebSocket::upgrade(service.dial().await?, &host, "/", &[]).await?;
    let mut stream_sid = String::new();
    loop {
        tokio::select! {
            message = caller.read() => match message? {
                None => return Ok(()),
                Some(message) => if let Some(append) = to_service(&message, &mut stream_sid) {
                    service.write(&append).await?;
                },
            },
            message = service.read() => match message? {
                None => return Ok(()),
                Some(message) => if let Some(media) = to_caller(&message, &stream_sid) {
                    caller.write(&media).await?;
                },
            },
        }
    }
}

async fn tungstenite(stream: TcpStream, service: &Dialler) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut caller = tokio_tungstenite::accept_async(stream).await.map_err(io::Error::other)?;
    let (url, stream) = (format!("{}/", service.origin()), service.dial().await?);
    let (mut service, _) = tokio_tungstenite::client_async(url, stream).await.map_err(io::Error::other)?;
    let mut stream_sid = String::new();
    loop {
        tokio::select! {
            message = caller.next() => match message {
                None => return Ok(()),
                Some(message) => if let Message::Text(text) = message.map_err(io::Error::other)?
                    && let Some(append) = to_service(&text, &mut stream_sid)
                {
                    service.send(Message::text(append)).await.map_err(io::Error::other)?;
                },
            },
            message = service.next() => match message {
                None => return Ok(()),
                Some(message) => if let Message::Text(text) = message.map_err(io::Error::other)?
                    && let Some(media) = to_caller(&text, &stream_sid)
                {
                    caller.send(Message::text(media)).await.map_err(io::Error::other)?;
                },
            },
        }
    }
}

fn to_service(message: &str, stream_sid: &mut String) -> Option<String> {
    if let Some(payload) = between(message, r#""payload":""#, "\"") {
        return Some(format!(r#"{{"type":"input_audio_buffer.append","audio":"{payload}"}}"#));
    }
    if message.contains(r#""event":"start""#) {
        stream_sid.push_str(between(message, r#""streamSid":""#, "\"")?);
    }
    None
}

fn to_caller(message: &str, stream_sid: &str) -> Option<String> {
    let payload = between(message, r#""delta":""#, "\"")?;
    Some(format!(r#"{{"event":"media","streamSid":"{stream_sid}","media":{{"payload":"{payload}"}}}}"#))
}
