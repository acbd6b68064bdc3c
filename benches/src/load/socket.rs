//! A WebSocket with nothing around it: one read buffer, one write per message, no queue.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};

use super::between;
use super::tls::Stream;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Larger than any message of a call.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The longest head of an HTTP message.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// One connection.
#[derive(Debug)]
pub struct WebSocket {
    stream: Stream,
    /// What has arrived and was not yet looked at.
    buffer: Vec<u8>,
    /// Where in it the next frame begins.
    at: usize,
    out: Vec<u8>,
    /// Clients mask what they send.
    is_client: bool,
}

impl WebSocket {
    /// Connects as a client.
    ///
    /// # Errors
    /// If the connection fails, or the upgrade is refused.
    pub async fn connect(
        address: impl ToSocketAddrs,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let host = stream.peer_addr()?.to_string();
        Self::upgrade(stream.into(), &host, path, headers).await
    }

    /// Becomes a client on a connection that stands.
    ///
    /// # Errors
    /// If the upgrade is refused.
    pub async fn upgrade(
        mut stream: Stream,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Self> {
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
        let (answer, rest) = read_head(&mut stream).await?;
        if !answer.starts_with("HTTP/1.1 101") {
            let line = answer.lines().next().unwrap_or_default();
            return Err(io::Error::other(format!("the upgrade was refused: {line}")));
        }
        Ok(Self { stream, buffer: rest, at: 0, out: Vec::new(), is_client: true })
    }

    /// Accepts a client; also its path.
    ///
    /// # Errors
    /// If it does not ask for an upgrade.
    pub async fn accept(stream: impl Into<Stream>) -> io::Result<(Self, String)> {
        let mut stream = stream.into();
        let (head, rest) = read_head(&mut stream).await?;
        let path = between(&head, "GET ", " ").unwrap_or("/").to_owned();
        let key = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
            .ok_or_else(|| io::Error::other("no WebSocket was asked for"))?;
        let accept = voice_providers::dial::accept_key(key.1.trim().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
        Ok((Self { stream, buffer: rest, at: 0, out: Vec::new(), is_client: false }, path))
    }

    /// The next message; `None` once the peer has closed. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If the connection breaks, or the peer sends what no peer of a call sends.
    pub async fn read(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some((kind, start, end)) = self.frame()? {
                let payload = self.buffer[start..end].to_vec();
                self.at = end;
                match kind {
                    TEXT | BINARY => {
                        return String::from_utf8(payload).map(Some).map_err(io::Error::other);
                    }
                    CLOSE => return Ok(None),
                    PING => self.write_frame(PONG, &payload).await?,
                    _pong => {}
                }
                continue;
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            self.buffer.reserve(4 << 10);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn write(&mut self, text: &str) -> io::Result<()> {
        self.write_frame(TEXT, text.as_bytes()).await
    }

    /// Says goodbye.
    pub async fn close(&mut self) {
        self.close_with(1000).await;
    }

    /// Says goodbye, with this code.
    pub async fn close_with(&mut self, code: u16) {
        let _already_gone = self.write_frame(CLOSE, &code.to_be_bytes()).await;
    }

    async fn write_frame(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let mask_bit = if self.is_client { 0x80 } else { 0 };
        self.out.clear();
        self.out.push(0x80 | kind);
        match payload.len() {
            short @ 0..=125 => self.out.push(mask_bit | short as u8),
            medium @ 126..=0xffff => {
                self.out.push(mask_bit | 126);
                self.out.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                self.out.push(mask_bit | 127);
                self.out.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        if self.is_client {
            const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
            self.out.extend_from_slice(&MASK);
            let start = self.out.len();
            self.out.extend_from_slice(payload);
            mask(&mut self.out[start..], MASK);
        } else {
            self.out.extend_from_slice(payload);
        }
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await
    }

    /// The whole frame that is next in the buffer, unmasked: its kind, and where its payload lies.
    fn frame(&mut self) -> io::Result<Option<(u8, usize, usize)>> {
        let left = &self.buffer[self.at..];
        let &[first, second, ..] = left else { return Ok(None) };
        let (length, mut head) = match second & 0x7f {
            126 if left.len() < 4 => return Ok(None),
            126 => (usize::from(u16::from_be_bytes([left[2], left[3]])), 4),
            127 if left.len() < 10 => return Ok(None),
            127 => (u64::from_be_bytes(left[2..10].try_into().unwrap_or_default()) as usize, 10),
            short => (usize::from(short), 2),
        };
        if first & 0x80 == 0 || length > MESSAGE_BYTES_MAX {
            return Err(io::Error::other("a fragment, or a message too long"));
        }
        let is_masked = second & 0x80 != 0;
        head += if is_masked { 4 } else { 0 };
        if left.len() < head + length {
            return Ok(None);
        }
        let (start, end) = (self.at + head, self.at + head + length);
        if is_masked {
            let key: [u8; 4] = self.buffer[start - 4..start].try_into().unwrap_or_default();
            mask(&mut self.buffer[start..end], key);
        }
        Ok(Some((first & 0x0f, start, end)))
    }
}

fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The head of an HTTP message, and what came after it.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(String, Vec<u8>)> {
    let mut buffer = Vec::with_capacity(1 << 10);
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            return String::from_utf8(buffer).map(|head| (head, rest)).map_err(io::Error::other);
        }
        if buffer.len() > HEAD_BYTES_MAX || stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::Error::other("no HTTP"));
        }
    }
}

/// Bytes out of base64.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}
