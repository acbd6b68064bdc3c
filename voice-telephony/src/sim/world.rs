//! A whole call in virtual time, message by message: a fake carrier with a caller who speaks, the real
//! webhook, media socket, bridge and provider session, and a fake service that listens.
//!
//! Only the sockets are missing: messages travel on links with a delay that the seed decides, in order,
//! as TCP keeps it. No runtime, no threads, no waiting: a call of a minute takes milliseconds. This is
//! how to test a voice agent without a phone; `examples/tests` does it with OpenAI Realtime.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use voice_core::bridge::{Bridge, BridgeInput, BridgeOutput, CARRIER_LINE};
use voice_core::call::{CallConfig, CallStart, Control};
use voice_core::conversation::ToolResult;
use voice_core::fleet::{Assignment, Fleet, InOrder, StayId};
use voice_core::id::{AttachmentId, CallId, CarrierId, CorrelationId, LineId};
use voice_core::record::{EndReason, Entry};
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{
    CallerInput, CallerOutput, FakeCaller, FakeService, Request, ServiceInput, ServiceOutput,
};
use voice_core::sim::rng::Rng;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::{Endpoint, EndpointKind, LineEnd, WireMessage};

use crate::opening::{Refusal, Step};
use crate::ticket::Tickets;
use crate::twilio::{
    ConnectStream, Opened, Opening, StreamUrl, Tokens, TwilioVoice, TwilioWebhook, Twiml, verify_upgrade,
};
use crate::webhook::{RawRequest, Verified, verify};

/// The auth token with which this world's Twilio signs.
pub const TOKEN: &str = "a-token-of-the-test";

/// Where this world's Twilio asks what to do.
pub const WEBHOOK: &str = "https://voice.example/api/v1/telephony/webhooks/twilio";

const MEDIA: &str = "wss://voice.example/media/twilio";

/// A call longer than this in virtual time hangs.
const LONGEST: Duration = Duration::from_secs(600);

/// Makes a fake service for each connection.
pub type Services<S> = Box<dyn FnMut(&Endpoint) -> S>;

/// What a call came to.
#[derive(Debug)]
pub struct Played<C, S> {
    /// The caller, who can be asked what it was like.
    pub caller: C,
    /// Every connection to a fake service, in order.
    pub services: Vec<S>,
    /// The record of the call; empty if there was none.
    pub entries: Vec<Entry>,
    /// Why the call ended, if there was one.
    pub reason: Option<EndReason>,
    /// What the door refused, by the names that a log would show.
    pub refusals: Vec<&'static str>,
    /// Whether audio passed both ways without any conversion.
    pub passthrough: bool,
}

/// Something that arrives, or falls due.
enum What {
    /// The caller's request or upgrade reaches us.
    Dialled(LineId, Endpoint),
    /// The caller's message reaches us.
    FromCaller(LineId, WireMessage),
    /// The caller's side of a line is gone.
    CallerGone(LineId, LineEnd),
    /// Our answer reaches the caller.
    ToCaller(LineId, Reaches),
    /// The bridge's connection reaches the service.
    AtService(LineId, Box<Request>),
    ToService(LineId, WireMessage),
    ServiceGone(LineId),
    /// The service's answer reaches the bridge.
    ToBridge(LineId, Reaches),
    Tool(Control),
}

/// What can reach the end of a line.
enum Reaches {
    Up,
    Message(WireMessage),
    Down(LineEnd),
}

/// Our own side of the media socket.
enum Media {
    None,
    Opening(LineId, Opening),
    Call(LineId),
    Over,
}

/// See the module.
pub struct World<C, S> {
    now: MonoTime,
    rng: Rng,
    schedule: BTreeMap<(MonoTime, u64), What>,
    scheduled: u64,
    /// When the last message of a link arrives: nothing overtakes.
    last: BTreeMap<(u8, LineId), MonoTime>,
    delay: Duration,
    caller: C,
    caller_wakes: Option<MonoTime>,
    caller_done: bool,
    tokens: Tokens,
    tickets: Tickets<Verified<TwilioVoice>>,
    media: Media,
    bridge: Option<Bridge>,
    bridge_wakes: Option<MonoTime>,
    config: Arc<CallConfig>,
    fleet: InOrder,
    make: Services<S>,
    lines: BTreeMap<LineId, usize>,
    services: Vec<S>,
    service_wakes: Vec<Option<MonoTime>>,
    entries: Vec<Entry>,
    reason: Option<EndReason>,
    refusals: Vec<&'static str>,
    passthrough: bool,
}

impl<C: FakeCaller, S: FakeService> World<C, S> {
    /// A world in which `caller` calls an agent with these settings and providers; `make` stands for the
    /// network, and makes a fake service for each connection that the provider's session dials.
    pub fn new(seed: u64, caller: C, config: CallConfig, fleet: InOrder, make: Services<S>) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            now: MonoTime::ZERO,
            delay: rng.millis(2..40),
            rng,
            schedule: BTreeMap::new(),
            scheduled: 0,
            last: BTreeMap::new(),
            caller,
            caller_wakes: Some(MonoTime::ZERO),
            caller_done: false,
            tokens: Tokens::new(Secret::new(TOKEN.to_owned())),
            tickets: Tickets::default(),
            media: Media::None,
            bridge: None,
            bridge_wakes: None,
            config: Arc::new(config),
            fleet,
            make,
            lines: BTreeMap::new(),
            services: Vec::new(),
            service_wakes: Vec::new(),
            entries: Vec::new(),
            reason: None,
            refusals: Vec::new(),
            passthrough: false,
        }
    }

    /// At this moment somebody asks this of the call, if there is one.
    #[must_use]
    pub fn control(mut self, at: MonoTime, control: Control) -> Self {
        self.at(at, What::Tool(control));
        self
    }

    /// Plays until the caller is done and the call is over.
    ///
    /// # Panics
    /// If that takes more than ten minutes of virtual time.
    pub fn play(mut self) -> Played<C, S> {
        self.drain_caller();
        while !(self.caller_done && self.bridge.is_none()) {
            assert!(self.now < MonoTime::ZERO + LONGEST, "the call hangs: {:?}", self.entries.last());
            let next = self.schedule.keys().next().map(|(at, _)| *at);
            let wake = self
                .service_wakes
                .iter()
                .copied()
                .chain([self.caller_wakes, self.bridge_wakes])
                .flatten()
                .min();
            match (next, wake) {
                (Some(at), wake) if wake.is_none_or(|wake| at <= wake) => {
                    let Some(((at, _), what)) = self.schedule.pop_first() else { break };
                    self.now = self.now.max(at);
                    self.happens(what);
                }
                (_, Some(wake)) => {
                    self.now = self.now.max(wake);
                    self.tick();
                }
                (_, None) => break,
            }
        }
        Played {
            caller: self.caller,
            services: self.services,
            entries: self.entries,
            reason: self.reason,
            refusals: self.refusals,
            passthrough: self.passthrough,
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        if self.caller_wakes.is_some_and(|at| at <= now) {
            self.caller.handle(now, CallerInput::Tick);
            self.drain_caller();
        }
        if self.bridge_wakes.is_some_and(|at| at <= now) {
            self.bridge(BridgeInput::Tick);
        }
        for at in 0..self.services.len() {
            if self.service_wakes[at].is_some_and(|wake| wake <= now) {
                self.services[at].handle(now, ServiceInput::Tick);
                self.drain_service(at);
            }
        }
        if let Media::Opening(line, opening) = &self.media
            && now >= opening.deadline()
        {
            let line = *line;
            self.refuse(line, &Refusal::NoStart);
        }
    }

    fn happens(&mut self, what: What) {
        let now = self.now;
        match what {
            What::Dialled(line, endpoint) => self.dialled(line, &endpoint),
            What::FromCaller(line, message) => self.hear_caller(line, &message),
            What::CallerGone(line, end) => {
                if matches!(self.media, Media::Call(own) if own == line) {
                    self.bridge(BridgeInput::LineDown(CARRIER_LINE, end));
                }
            }
            What::ToCaller(line, reaches) => {
                match reaches {
                    Reaches::Up => self.caller.handle(now, CallerInput::LineUp(line)),
                    Reaches::Message(message) => self.caller.handle(now, CallerInput::Wire(line, &message)),
                    Reaches::Down(end) => self.caller.handle(now, CallerInput::LineDown(line, end)),
                }
                self.drain_caller();
            }
            What::AtService(line, request) => {
                self.service(line, |service| service.handle(now, ServiceInput::Request(&request)));
            }
            What::ToService(line, message) => {
                self.service(line, |service| service.handle(now, ServiceInput::Wire(&message)));
            }
            What::ServiceGone(line) => self.service(line, |service| service.handle(now, ServiceInput::Gone)),
            What::ToBridge(line, reaches) => match reaches {
                Reaches::Up => self.bridge(BridgeInput::LineUp(line)),
                Reaches::Message(message) => self.bridge(BridgeInput::Wire(line, &message)),
                Reaches::Down(end) => self.bridge(BridgeInput::LineDown(line, end)),
            },
            What::Tool(control) => self.bridge(BridgeInput::Control(control)),
        }
    }

    /// A request or upgrade of the caller: the door.
    fn dialled(&mut self, line: LineId, endpoint: &Endpoint) {
        let headers: Vec<(&str, &str)> =
            endpoint.headers.iter().map(|(name, value)| (*name, value.expose().as_str())).collect();
        match &endpoint.kind {
            EndpointKind::Http { method, body } => {
                let request = RawRequest { method, url: &endpoint.url, headers: &headers, body };
                match verify::<TwilioWebhook>(&self.tokens, &request, UnixMillis(0)) {
                    Ok(webhook) => {
                        let answer = webhook.into_voice().map_or(String::new(), |voice| self.twiml(voice));
                        self.tell_caller(line, Reaches::Up);
                        self.tell_caller(line, Reaches::Message(WireMessage::Binary(Bytes::from(answer))));
                        self.tell_caller(line, Reaches::Down(LineEnd::Ended));
                    }
                    Err(rejection) => {
                        self.refusals.push(rejection.name());
                        self.refuse_http(line, rejection.status());
                    }
                }
            }
            EndpointKind::WebSocket { .. } => match verify_upgrade(&self.tokens, &endpoint.url, &headers) {
                Ok(()) => {
                    self.media = Media::Opening(line, Opening::new(self.now));
                    let deadline = self.now + Duration::from_secs(6);
                    self.bridge_wakes = Some(deadline);
                    self.tell_caller(line, Reaches::Up);
                }
                Err(rejection) => {
                    self.refusals.push(rejection.name());
                    self.refuse_http(line, rejection.status());
                }
            },
        }
    }

    fn twiml(&mut self, voice: Verified<TwilioVoice>) -> String {
        let mut random = [0; 32];
        random[..8].copy_from_slice(&self.rng.bits().to_le_bytes());
        let sid = voice.call_sid.as_str().to_owned();
        let ticket = self.tickets.issue(self.now, random, sid, voice);
        let url = StreamUrl::new(MEDIA).expect("no query in it");
        Twiml::connect(&ConnectStream::new(url, &ticket)).into_string()
    }

    fn refuse_http(&mut self, line: LineId, status: u16) {
        let end = LineEnd::Refused { status, retry_after: None, body: Bytes::new() };
        self.tell_caller(line, Reaches::Down(end));
    }

    fn refuse(&mut self, line: LineId, refusal: &Refusal) {
        self.refusals.push(refusal.name());
        self.close_media(line, refusal.close_code(), refusal.to_string());
    }

    fn close_media(&mut self, line: LineId, code: u16, reason: String) {
        self.media = Media::Over;
        self.bridge_wakes = None;
        self.tell_caller(line, Reaches::Down(LineEnd::Closed { code, reason }));
    }

    fn hear_caller(&mut self, line: LineId, message: &WireMessage) {
        match std::mem::replace(&mut self.media, Media::Over) {
            Media::Opening(own, opening) if own == line => match opening.read(self.now, message) {
                Step::Wait(opening) => self.media = Media::Opening(own, opening),
                Step::Refused(refusal) => self.refuse(line, &refusal),
                Step::Opened(opened) => {
                    let ticket = opened.start.ticket.as_ref().map_or("", |ticket| ticket.expose().as_str());
                    match self.tickets.redeem(self.now, ticket, opened.start.call_sid.as_str()) {
                        Ok(voice) => self.begin(line, *opened, &voice),
                        Err(error) => {
                            self.refusals.push(error.name());
                            self.close_media(line, 1008, error.to_string());
                        }
                    }
                }
            },
            Media::Call(own) if own == line => {
                self.media = Media::Call(own);
                self.bridge(BridgeInput::Wire(CARRIER_LINE, message));
            }
            other @ (Media::None | Media::Opening(..) | Media::Call(_) | Media::Over) => self.media = other,
        }
    }

    fn begin(&mut self, line: LineId, opened: Opened, voice: &TwilioVoice) {
        let start = CallStart {
            carrier: CarrierId::from_static("twilio"),
            carrier_call: opened.start.call_sid.as_str().to_owned(),
            format: opened.start.format,
            from: voice.from.clone(),
            to: voice.to.clone(),
            correlation: CorrelationId::from_static("virtual"),
        };
        let session = Box::new(opened.session);
        self.media = Media::Call(line);
        self.bridge =
            Some(Bridge::new(self.now, UnixMillis(1_795_000_000_000), self.config.clone(), start, session));
        self.drain_bridge();
    }

    fn bridge(&mut self, input: BridgeInput<'_>) {
        let Some(bridge) = &mut self.bridge else { return };
        bridge.handle(self.now, input);
        self.passthrough |= bridge.is_passthrough();
        self.drain_bridge();
    }

    fn drain_bridge(&mut self) {
        while let Some(bridge) = &mut self.bridge {
            match bridge.poll() {
                BridgeOutput::Send(CARRIER_LINE, message) => {
                    if let Media::Call(line) = self.media {
                        self.tell_caller(line, Reaches::Message(message));
                    }
                }
                BridgeOutput::HangUp(CARRIER_LINE) => self.hang_up_caller(),
                BridgeOutput::Dial(line, endpoint) => self.dial_service(line, &endpoint),
                BridgeOutput::Send(line, message) => self.link(3, line, What::ToService(line, message)),
                BridgeOutput::HangUp(line) => self.link(3, line, What::ServiceGone(line)),
                BridgeOutput::Assign { id, wish, tried, last_resort } => {
                    self.assign(id, &Assignment { wish, tried, last_resort, ..Assignment::default() });
                }
                BridgeOutput::RunTool(tool) => {
                    let result = ToolResult { output: "{\"arrives\":\"Friday\"}".into(), failed: false };
                    self.after(
                        Duration::from_millis(300),
                        What::Tool(Control::ToolAnswered { id: tool.id, result }),
                    );
                }
                BridgeOutput::Report(entry) => self.entries.push(entry),
                BridgeOutput::WaitUntil(at) => {
                    self.bridge_wakes = at.map(|(at, _)| at);
                    return;
                }
                BridgeOutput::Finished(reason) => {
                    self.reason = Some(reason);
                    self.bridge = None;
                    self.bridge_wakes = None;
                    self.hang_up_caller();
                }
                // Nobody learns from outcomes here, nobody records, and tools answer at once.
                BridgeOutput::Settle(..)
                | BridgeOutput::Doubt(_)
                | BridgeOutput::AbandonTool(_)
                | BridgeOutput::Record(_) => {}
                // Nobody leads these callers elsewhere.
                BridgeOutput::Operate(operation) => unreachable!("nobody ordered {operation:?}"),
                other => unreachable!("an output that this world does not know: {other:?}"),
            }
        }
    }

    fn hang_up_caller(&mut self) {
        if let Media::Call(line) = std::mem::replace(&mut self.media, Media::Over) {
            self.tell_caller(line, Reaches::Down(LineEnd::Closed { code: 1000, reason: String::new() }));
        }
    }

    fn assign(&mut self, id: AttachmentId, wanted: &Assignment) {
        let stay = StayId { call: CallId::from_u128(1), attachment: id };
        let chosen = self.fleet.assign(self.now, stay, wanted);
        let Some(bridge) = &mut self.bridge else { return };
        bridge.handle(self.now, BridgeInput::Assigned(id, chosen));
    }

    fn dial_service(&mut self, line: LineId, endpoint: &Endpoint) {
        let target = endpoint.url.splitn(4, '/').nth(3).map_or("/".to_owned(), |path| format!("/{path}"));
        let (method, body, upgrade) = match &endpoint.kind {
            EndpointKind::WebSocket { .. } => ("GET", Bytes::new(), true),
            EndpointKind::Http { method, body } => (*method, body.clone(), false),
        };
        let headers = endpoint
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.expose().clone()))
            .collect();
        let request = Request { method: method.to_owned(), target, headers, body, upgrade };
        self.lines.insert(line, self.services.len());
        self.services.push((self.make)(endpoint));
        self.service_wakes.push(None);
        self.link(3, line, What::AtService(line, Box::new(request)));
    }

    fn service(&mut self, line: LineId, give: impl FnOnce(&mut S)) {
        let Some(at) = self.lines.get(&line).copied() else { return };
        give(&mut self.services[at]);
        self.drain_service(at);
    }

    fn drain_service(&mut self, at: usize) {
        let Some(line) = self.lines.iter().find(|(_, service)| **service == at).map(|(line, _)| *line) else {
            return;
        };
        loop {
            let reaches = match self.services[at].poll() {
                ServiceOutput::Accept { .. } | ServiceOutput::Respond { status: 200..300, .. } => Reaches::Up,
                ServiceOutput::Respond { status, .. } => {
                    Reaches::Down(LineEnd::Refused { status, retry_after: None, body: Bytes::new() })
                }
                ServiceOutput::Send(message) => Reaches::Message(message),
                ServiceOutput::Close { code, reason } => Reaches::Down(LineEnd::Closed { code, reason }),
                ServiceOutput::Cut => Reaches::Down(LineEnd::Cut),
                ServiceOutput::WaitUntil(wake) => {
                    self.service_wakes[at] = wake;
                    return;
                }
            };
            self.link(4, line, What::ToBridge(line, reaches));
        }
    }

    fn drain_caller(&mut self) {
        loop {
            match self.caller.poll() {
                CallerOutput::Dial(line, endpoint) => self.link(1, line, What::Dialled(line, endpoint)),
                CallerOutput::Send(line, message) => self.link(1, line, What::FromCaller(line, message)),
                CallerOutput::HangUp(line) => {
                    let end = LineEnd::Closed { code: 1000, reason: String::new() };
                    self.link(1, line, What::CallerGone(line, end));
                }
                CallerOutput::Cut(line) => self.link(1, line, What::CallerGone(line, LineEnd::Cut)),
                CallerOutput::WaitUntil(at) => return self.caller_wakes = at,
                CallerOutput::Done => {
                    self.caller_wakes = None;
                    self.caller_done = true;
                    return;
                }
            }
        }
    }

    fn tell_caller(&mut self, line: LineId, reaches: Reaches) {
        self.link(2, line, What::ToCaller(line, reaches));
    }

    /// Sends something along a link: later than now, never before what was sent before it.
    fn link(&mut self, direction: u8, line: LineId, what: What) {
        let jitter = self.rng.millis(0..6);
        let last = self.last.entry((direction, line)).or_default();
        *last = (*last).max(self.now + self.delay + jitter);
        let at = *last;
        self.at(at, what);
    }

    fn after(&mut self, delay: Duration, what: What) {
        self.at(self.now + delay, what);
    }

    fn at(&mut self, at: MonoTime, what: What) {
        self.scheduled += 1;
        self.schedule.insert((at, self.scheduled), what);
    }
}
