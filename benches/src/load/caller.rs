//! Carriers that call: a signed webhook, a media socket, a frame every 20 ms, and an eye on what comes back.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use voice_core::driver::Clock;
use voice_core::time::MonoTime;

use super::report::CallFigures;
use super::socket::{WebSocket, read_head};
use super::{between, encode, marked, silence};

const FRAME: Duration = Duration::from_millis(20);

/// One frame in so many is marked.
const MARK_EVERY: u64 = 50;

/// The first seconds are not counted: connections are opened, caches are cold.
pub const WARM_UP: Duration = Duration::from_secs(3);

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

/// One call of that length, counted from its first frame.
///
/// # Errors
/// If it cannot be set up, or breaks.
pub async fn call(target: Target, number: u64, lasts: Duration, clock: Clock) -> io::Result<CallFigures> {
    let call_sid = format!("CA{number:032x}");
    let (mut socket, parameters) = connect(&target, &call_sid).await?;
    let stream_sid = format!("MZ{number:032x}");
    socket.write(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#).await?;
    socket
        .write(&format!(
            r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"AC00000000000000000000000000000000","streamSid":"{stream_sid}","callSid":"{call_sid}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"customParameters":{{{parameters}}}}},"streamSid":"{stream_sid}"}}"#
        ))
        .await?;
    let mut call = Call::new(stream_sid, clock);
    let ended = call.talk(&mut socket, lasts).await;
    socket.close().await;
    ended.map(|()| call.figures)
}

struct Call {
    stream_sid: String,
    clock: Clock,
    began: MonoTime,
    silence: String,
    marked: String,
    /// Marked frames on their way, oldest first.
    sent: std::collections::VecDeque<MonoTime>,
    /// The last frame that came back was part of a mark.
    in_mark: bool,
    figures: CallFigures,
}

impl Call {
    fn new(stream_sid: String, clock: Clock) -> Self {
        Self {
            stream_sid,
            clock,
            began: clock.now(),
            silence: silence(),
            marked: marked(),
            sent: std::collections::VecDeque::new(),
            in_mark: false,
            figures: CallFigures::default(),
        }
    }

    async fn talk(&mut self, socket: &mut WebSocket, lasts: Duration) -> io::Result<()> {
        let frames = lasts.as_millis() as u64 / FRAME.as_millis() as u64;
        let mut ticks = interval_at(Instant::now(), FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut number = 0;
        while number < frames {
            tokio::select! {
                _ = ticks.tick() => {
                    number += 1;
                    self.speak(socket, number).await?;
                }
                message = socket.read() => match message? {
                    Some(message) => self.hear(socket, &message).await?,
                    None => return Err(io::Error::other("the server closed the media socket")),
                },
            }
        }
        self.figures.frames_sent = number;
        Ok(())
    }

    async fn speak(&mut self, socket: &mut WebSocket, number: u64) -> io::Result<()> {
        let is_marked = number.is_multiple_of(MARK_EVERY);
        let payload = if is_marked { &self.marked } else { &self.silence };
        let message = format!(
            r#"{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{number}","timestamp":"{}","payload":"{payload}"}},"streamSid":"{}"}}"#,
            number + 1,
            number * 20,
            self.stream_sid
        );
        if is_marked {
            self.sent.push_back(self.clock.now());
        }
        socket.write(&message).await
    }

    async fn hear(&mut self, socket: &mut WebSocket, message: &str) -> io::Result<()> {
        if let Some(payload) = between(message, r#""payload":""#, "\"") {
            self.figures.frames_received += 1;
            self.listen(payload);
        } else if message.contains(r#""event":"mark""#)
            && let Some(name) = between(message, r#""name":""#, "\"")
        {
            let mark = format!(
                r#"{{"event":"mark","sequenceNumber":"1","streamSid":"{}","mark":{{"name":"{name}"}}}}"#,
                self.stream_sid
            );
            socket.write(&mark).await?;
        }
        Ok(())
    }

    /// A mark begins where a quiet frame is followed by one that is not.
    fn listen(&mut self, payload: &str) {
        let now = self.clock.now();
        let is_loud = super::socket::decode(payload).iter().filter(|code| **code & 0x7f < 0x78).count() > 16;
        let begins = is_loud && !std::mem::replace(&mut self.in_mark, is_loud);
        self.in_mark = is_loud;
        if !begins {
            return;
        }
        while self.sent.len() > 1 && now.since(self.sent[0]) > Duration::from_secs(1) {
            self.sent.pop_front();
            self.figures.marks_lost += 1;
        }
        if let Some(sent) = self.sent.pop_front()
            && now.since(self.began) > WARM_UP
        {
            self.figures.latencies.push(now.since(sent));
        }
    }
}

/// The media socket, and the parameters that its start must carry.
pub(crate) async fn connect(target: &Target, call_sid: &str) -> io::Result<(WebSocket, String)> {
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
        ("AccountSid", "AC00000000000000000000000000000000"),
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
