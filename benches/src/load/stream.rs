//! A media stream as a carrier opens it, and what travels on it: a signed webhook, the socket that its answer
//! names, `connected` and `start`, then a frame every 20 ms.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::socket::{WebSocket, read_head};
use super::{between, encode};

/// What one message carries.
pub const FRAME: Duration = Duration::from_millis(20);

/// Where a call goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Our server: webhook, then the media socket it names.
    Voice {
        /// Where it listens.
        address: SocketAddr,
        /// Signs.
        token: String,
    },
    /// A relay that takes the media socket as it comes.
    Relay(SocketAddr),
}

/// The stream of one call.
#[derive(Debug)]
pub struct MediaStream {
    socket: WebSocket,
    call_sid: String,
    stream_sid: String,
    frames: u64,
}

/// What the other side says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// A frame to be played, in base64.
    Audio(&'a str),
    /// To be sent back when everything before it has been played.
    Mark(&'a str),
    /// What was not played is to be thrown away.
    Clear,
    /// Something else.
    Other,
}

impl<'a> Told<'a> {
    /// Out of a message as our server and the relays write it.
    pub fn read(message: &'a str) -> Self {
        if let Some(payload) = between(message, r#""payload":""#, "\"") {
            return Self::Audio(payload);
        }
        if message.contains(r#""event":"clear""#) {
            return Self::Clear;
        }
        let is_mark = message.contains(r#""event":"mark""#);
        let name = between(message, r#""name":""#, "\"").filter(|_| is_mark);
        name.map_or(Self::Other, Self::Mark)
    }
}

impl MediaStream {
    /// Calls, and returns when `start` has been sent.
    ///
    /// # Errors
    /// If the call is not taken.
    pub async fn open(target: &Target, number: u64) -> io::Result<Self> {
        let (call_sid, stream_sid) = (format!("CA{number:032x}"), format!("MZ{number:032x}"));
        let (mut socket, parameters) = connect(target, &call_sid).await?;
        socket.write(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#).await?;
        socket
            .write(&format!(
                r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"{ACCOUNT}","streamSid":"{stream_sid}","callSid":"{call_sid}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"customParameters":{{{parameters}}}}},"streamSid":"{stream_sid}"}}"#
            ))
            .await?;
        Ok(Self { socket, call_sid, stream_sid, frames: 0 })
    }

    /// When frames are due, from now on; those that were missed are made up for.
    pub fn ticks() -> Interval {
        let mut ticks = interval_at(Instant::now(), FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    }

    /// The caller's next frame, in base64.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn speak(&mut self, payload: &str) -> io::Result<()> {
        self.frames += 1;
        let number = self.frames;
        let message = format!(
            r#"{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{number}","timestamp":"{}","payload":"{payload}"}},"streamSid":"{}"}}"#,
            number + 1,
            number * 20,
            self.stream_sid
        );
        self.socket.write(&message).await
    }

    /// Everything before that mark has been played.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn played(&mut self, name: &str) -> io::Result<()> {
        let mark = format!(
            r#"{{"event":"mark","sequenceNumber":"1","streamSid":"{}","mark":{{"name":"{name}"}}}}"#,
            self.stream_sid
        );
        self.socket.write(&mark).await
    }

    /// The next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If the connection breaks or is closed.
    pub async fn read(&mut self) -> io::Result<String> {
        let message = self.socket.read().await?;
        message.ok_or_else(|| io::Error::other("the server closed the media socket"))
    }

    /// Frames of the caller so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The caller hangs up.
    pub async fn hang_up(mut self) {
        let stop = format!(
            r#"{{"event":"stop","sequenceNumber":"{}","streamSid":"{}","stop":{{"accountSid":"{ACCOUNT}","callSid":"{}"}}}}"#,
            self.frames + 2,
            self.stream_sid,
            self.call_sid
        );
        let _already_gone = self.socket.write(&stop).await;
        self.socket.close().await;
    }
}

const ACCOUNT: &str = "AC00000000000000000000000000000000";

/// The media socket, and the parameters that its start must carry.
async fn connect(target: &Target, call_sid: &str) -> io::Result<(WebSocket, String)> {
    let (address, token) = match target {
        Target::Relay(address) => {
            return Ok((WebSocket::connect(address, "/", &[]).await?, String::new()));
        }
        Target::Voice { address, token } => (*address, token),
    };
    let document = webhook(address, token, call_sid).await?;
    let url = between(&document, "url=\"", "\"").ok_or_else(|| io::Error::other("no stream in the TwiML"))?;
    let path = url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
    let signature = sign(token, url);
    let socket = WebSocket::connect(address, &path, &[("X-Twilio-Signature", &signature)]).await?;
    let parameters: Vec<String> = document
        .split("<Parameter ")
        .skip(1)
        .filter_map(|tag| Some((between(tag, "name=\"", "\"")?, between(tag, "value=\"", "\"")?)))
        .map(|(name, value)| format!("\"{name}\":\"{value}\""))
        .collect();
    Ok((socket, parameters.join(",")))
}

/// The answer to the webhook of an incoming call.
async fn webhook(address: SocketAddr, token: &str, call_sid: &str) -> io::Result<String> {
    const PATH: &str = "/api/v1/telephony/webhooks/twilio";
    // In the order of their names, as they are signed; no value needs escaping.
    let parameters = [
        ("AccountSid", ACCOUNT),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", call_sid),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("From", "15005550009"),
        ("To", "15005550006"),
    ];
    let signed = parameters.iter().map(|(name, value)| format!("{name}{value}")).collect::<String>();
    let signature = sign(token, &format!("http://{address}{PATH}{signed}"));
    let body = parameters.map(|(name, value)| format!("{name}={value}")).join("&");
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Twilio-Signature: {signature}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let (head, mut rest) = read_head(&mut stream).await?;
    stream.read_to_end(&mut rest).await?;
    let body = String::from_utf8_lossy(&rest).into_owned();
    if head.starts_with("HTTP/1.1 200") {
        return Ok(body);
    }
    Err(io::Error::other(format!(
        "the webhook was answered with {}",
        head.lines().next().unwrap_or_default()
    )))
}

fn sign(token: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("any key length is fine");
    mac.update(text.as_bytes());
    encode(&mac.finalize().into_bytes())
}
