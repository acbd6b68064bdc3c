//! The server's API, as an operator calls it.

use std::io;
use std::net::SocketAddr;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::socket::read_head;

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub struct Api(pub SocketAddr);

/// The list of calls.
#[derive(Debug, Deserialize)]
pub struct Sessions {
    /// Those that run.
    pub sessions: Vec<Session>,
}

/// One call.
#[derive(Debug, Deserialize)]
pub struct Session {
    /// Its name in all paths.
    pub session_id: String,
    /// `active` once somebody talks.
    pub status: String,
    /// Who talks.
    pub provider: Option<String>,
    /// Who is to take over.
    pub successor: Option<String>,
    /// Who stands by.
    pub standby: Option<String>,
}

/// The switches of one call.
#[derive(Debug, Deserialize)]
pub struct History {
    /// The last ones, oldest first.
    pub switches: Vec<Switched>,
}

/// One switch, as the record has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Switched {
    /// Why.
    pub reason: String,
    /// How long nobody heard the caller.
    pub gap_ms: u64,
    /// How much of the caller nobody heard.
    pub audio_lost_ms: u64,
}

impl Api {
    /// All calls.
    ///
    /// # Errors
    /// If the server does not answer as it should.
    pub async fn sessions(self) -> io::Result<Vec<Session>> {
        self.ask::<Sessions>("GET", "/api/v1/sessions", "").await.map(|all| all.sessions)
    }

    /// The switches of a call.
    ///
    /// # Errors
    /// If the server does not answer as it should.
    pub async fn history(self, session: &str) -> io::Result<Vec<Switched>> {
        let path = format!("/api/v1/sessions/{session}/switch-history");
        self.ask::<History>("GET", &path, "").await.map(|history| history.switches)
    }

    /// Somebody else is to talk in that call.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn switch(self, session: &str, provider: &str) -> io::Result<()> {
        let body = format!(r#"{{"provider":"{provider}","preserve_context":true,"reason":"measured"}}"#);
        self.order(&format!("/api/v1/sessions/{session}/switch-provider"), &body).await
    }

    /// Forgets what the breakers of a provider have seen.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn reset(self, provider: &str) -> io::Result<()> {
        self.order(&format!("/api/v1/providers/{provider}/breaker"), r#"{"action":"reset"}"#).await
    }

    async fn order(self, path: &str, body: &str) -> io::Result<()> {
        self.send("POST", path, body).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(self, method: &str, path: &str, body: &str) -> io::Result<T> {
        let answer = self.send(method, path, body).await?;
        serde_json::from_slice(&answer).map_err(io::Error::other)
    }

    async fn send(self, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.0).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.0,
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let (head, mut rest) = read_head(&mut stream).await?;
        stream.read_to_end(&mut rest).await?;
        if head.starts_with("HTTP/1.1 2") {
            return Ok(rest);
        }
        let line = head.lines().next().unwrap_or_default();
        Err(io::Error::other(format!("{method} {path}: {line}: {}", String::from_utf8_lossy(&rest))))
    }
}
