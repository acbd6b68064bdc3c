//! What a server of your own needs besides its HTTP library: the webhook's answer and the media socket.
//!
//! `axum_app.rs` and `hyper_app.rs` are the same server with different HTTP libraries around this.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;
use voice_core::call::{CallConfig, CallStart};
use voice_core::driver::{Line, World, place};
use voice_core::id::{CallId, CarrierId, CorrelationId};
use voice_core::limits::CARRIER_MESSAGE_BYTES_MAX;
use voice_core::sensitive::Pii;
use voice_providers::dial::{WebSocketLine, accept_key};
use voice_telephony::door::{Arrival, Door, DoorSettings, Fingerprint, Layer, Replays, TurnedAway};
use voice_telephony::opening::{Refusal, Step};
use voice_telephony::ticket::Tickets;
use voice_telephony::twilio::{
    CARRIER, ConnectStream, Opened, Opening, StreamUrl, Tokens, TwilioWebhook, Twiml, TwimlError,
    verify_upgrade,
};
use voice_telephony::webhook::{RawRequest, verify};

/// Where Twilio asks what to do with a call.
pub const WEBHOOK: &str = "/twilio/voice";

/// Where our answer leads the call's audio.
pub const MEDIA: &str = "/twilio/media";

/// Takes calls of Twilio, whatever server it stands in.
pub struct Desk {
    /// How Twilio reaches us; part of what it signs.
    public_url: String,
    media_url: StreamUrl,
    tokens: Tokens,
    agent: Arc<CallConfig>,
    world: World,
    /// Held for a look-up, never over an await.
    memory: Mutex<Memory>,
}

/// What lasts from one request to the next.
struct Memory {
    door: Door,
    replays: Replays<Answer>,
    tickets: Tickets<Caller>,
}

/// What a ticket stands for.
struct Caller {
    from: Pii<String>,
    to: Pii<String>,
}

/// What a webhook is answered, for any HTTP library.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Desk {
    /// `public_url` is `https://host` as Twilio calls it.
    ///
    /// # Errors
    /// If Twilio could not stream to that address.
    pub fn new(
        public_url: impl Into<String>,
        tokens: Tokens,
        agent: CallConfig,
        world: World,
    ) -> Result<Self, TwimlError> {
        let public_url = public_url.into();
        let media_url = StreamUrl::new(format!("{}{MEDIA}", public_url.replacen("http", "ws", 1)))?;
        let memory = Memory {
            door: Door::new(DoorSettings::default()),
            replays: Replays::default(),
            tickets: Tickets::default(),
        };
        Ok(Self { public_url, media_url, tokens, agent: Arc::new(agent), world, memory: Mutex::new(memory) })
    }

    /// The address that Twilio signed, of a request's path and query.
    pub fn public(&self, target: &str) -> String {
        format!("{}{target}", self.public_url)
    }

    /// Answers a webhook: TwiML that leads the call to us, an empty success for whatever else Twilio tells,
    /// or a refusal.
    pub fn webhook(&self, client: IpAddr, request: &RawRequest<'_>) -> Answer {
        let now = self.world.clock.now();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match memory.door.knock(now, CARRIER, client) {
            Ok(()) => {
                self.admit(&mut memory, client, request).inspect_err(|_| memory.door.failed(now, client))
            }
            Err(away) => Err(away),
        };
        if matches!(&answer, Err(away) if away.layer() != Layer::Rate) {
            memory.door.failed(now, client);
        }
        answer.unwrap_or_else(|away| Answer {
            status: away.status(),
            content_type: "text/plain",
            body: away.name().to_owned(),
        })
    }

    /// The answer to `Sec-WebSocket-Key`, if Twilio signed the upgrade of a media socket.
    pub fn upgrade(&self, headers: &[(&str, &str)]) -> Option<String> {
        let (_, key) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?;
        verify_upgrade(&self.tokens, self.media_url.as_str(), headers).ok()?;
        Some(accept_key(key.as_bytes()))
    }

    /// Runs a call on a media socket whose upgrade was answered, to its end.
    pub async fn media<S>(&self, socket: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut line = WebSocketLine::server(socket, Bytes::new(), CARRIER_MESSAGE_BYTES_MAX).await;
        let admitted = match self.open(&mut line).await {
            Ok(Some(opened)) => self.redeem(&opened).map(|caller| (opened, caller)),
            Ok(None) => return,
            Err(refusal) => Err(refusal),
        };
        match admitted {
            Ok((opened, caller)) => self.converse(*opened, caller, line).await,
            Err(refusal) => line.close_with(refusal.close_code(), refusal.name()),
        }
    }

    fn admit(
        &self,
        memory: &mut Memory,
        client: IpAddr,
        request: &RawRequest<'_>,
    ) -> Result<Answer, TurnedAway> {
        let clock = self.world.clock;
        let now = clock.now();
        let webhook = verify::<TwilioWebhook>(&self.tokens, request, clock.unix(now))?;
        let signature = request.header("x-twilio-signature").unwrap_or_default();
        let print = Fingerprint::of(&[signature.as_bytes()]);
        match memory.replays.arrive(now, print, request.header("i-twilio-idempotency-token")) {
            Arrival::First => {}
            Arrival::Again(answer) => return Ok(answer),
            Arrival::Underway | Arrival::Replayed => return Err(TurnedAway::Replayed),
        }
        // A call is worth more than the rate; what Twilio tells about calls is not.
        if let Err(away) = memory.door.proven(now, CARRIER, client)
            && !matches!(*webhook, TwilioWebhook::Voice(_))
        {
            memory.replays.forget(print);
            return Err(away);
        }
        let answer = match webhook.into_voice() {
            Ok(call) => {
                let caller = Caller { from: call.from.clone(), to: call.to.clone() };
                let ticket = memory.tickets.issue(now, random(), call.call_sid.as_str(), caller);
                let stream = ConnectStream::new(self.media_url.clone(), &ticket);
                let body = Twiml::connect(&stream).into_string();
                Answer { status: 200, content_type: Twiml::CONTENT_TYPE, body }
            }
            Err(_told) => Answer { status: 204, content_type: "text/plain", body: String::new() },
        };
        memory.replays.answered(now, print, answer.clone());
        Ok(answer)
    }

    /// The first messages, until the stream has said which call it is. `None` if the peer is gone.
    async fn open(&self, line: &mut impl Line) -> Result<Option<Box<Opened>>, Refusal> {
        let clock = self.world.clock;
        let mut opening = Opening::new(clock.now());
        let deadline = clock.instant(opening.deadline());
        loop {
            let message = match tokio::time::timeout_at(deadline, poll_fn(|cx| line.poll(cx))).await {
                Ok(Ok(message)) => message,
                Ok(Err(_gone)) => return Ok(None),
                Err(_late) => return Err(Refusal::NoStart),
            };
            match opening.read(clock.now(), &message) {
                Step::Wait(more) => opening = more,
                Step::Opened(opened) => return Ok(Some(opened)),
                Step::Refused(refusal) => return Err(refusal),
            }
        }
    }

    fn redeem(&self, opened: &Opened) -> Result<Caller, Refusal> {
        let ticket = opened.start.ticket.as_ref().ok_or(Refusal::NoTicket)?;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.world.clock.now();
        Ok(memory.tickets.redeem(now, ticket.expose(), opened.start.call_sid.as_str())?)
    }

    async fn converse(&self, opened: Opened, caller: Caller, line: impl Line + 'static) {
        let call = Uuid::now_v7();
        let start = CallStart {
            carrier: CarrierId::from_static(CARRIER),
            carrier_call: opened.start.call_sid.as_str().to_owned(),
            format: opened.start.format,
            from: caller.from,
            to: caller.to,
            correlation: call.to_string().parse::<CorrelationId>().expect("a UUID is one"),
        };
        let (world, agent) = (self.world.clone(), self.agent.clone());
        let id = CallId::from_u128(call.as_u128());
        let (_handle, task) = place(id, world, agent, start, Box::new(opened.session), Box::new(line));
        task.run().await;
    }
}

/// Two random UUIDs: 244 bits of the operating system's.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes
}
