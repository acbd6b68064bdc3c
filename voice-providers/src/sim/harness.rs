//! A provider's session and the fakes it dials, joined by links with latency, in virtual time.
//!
//! The harness also keeps the contract of [`voice_core::provider`]: it panics as soon as a session
//! breaks it, so every test that uses it is a test of the contract.

mod contract;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::{AudioFormat, AudioFrame, FRAME};
use voice_core::id::{AttachmentId, LineId};
use voice_core::provider::{ProviderCommand, ProviderEvent, ProviderSession, SessionInput, SessionOutput};
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, EndpointKind, LineEnd, WireMessage};

use self::contract::Contract;

/// Makes the fake that answers a dialled line.
pub type Answerer = Box<dyn FnMut(LineId, &Endpoint) -> Box<dyn FakeService>>;

/// One session and its peers.
pub struct Harness {
    now: MonoTime,
    latency: Duration,
    session: Box<dyn ProviderSession>,
    answerer: Answerer,
    lines: BTreeMap<LineId, Line>,
    /// What is under way, in the order in which it arrives.
    underway: BTreeMap<(MonoTime, u64), Parcel>,
    parcels: u64,
    wake_at: Option<MonoTime>,
    contract: Contract,
    events: Vec<(MonoTime, ProviderEvent)>,
    sent: Vec<(MonoTime, LineId, WireMessage)>,
    hung_up: Vec<LineId>,
}

/// One dialled line and the fake at its end.
struct Line {
    service: Box<dyn FakeService>,
    is_web_socket: bool,
    /// When the fake wants to be woken.
    wake_at: Option<MonoTime>,
    /// Whether the session still holds its end.
    held: bool,
    /// A refusal whose body is still coming.
    refusal: Option<(u16, Option<Duration>, Vec<u8>)>,
}

enum Parcel {
    Request(LineId, Request),
    ToService(LineId, WireMessage),
    Gone(LineId),
    Up(LineId),
    ToSession(LineId, WireMessage),
    Down(LineId, LineEnd),
}

impl Harness {
    /// Joins the session of this attachment with whoever answers its lines.
    pub fn new(
        attachment: AttachmentId,
        session: Box<dyn ProviderSession>,
        latency: Duration,
        answerer: impl FnMut(LineId, &Endpoint) -> Box<dyn FakeService> + 'static,
    ) -> Self {
        let mut harness = Self {
            now: MonoTime::ZERO,
            latency,
            session,
            answerer: Box::new(answerer),
            lines: BTreeMap::new(),
            underway: BTreeMap::new(),
            parcels: 0,
            wake_at: None,
            contract: Contract::new(attachment),
            events: Vec::new(),
            sent: Vec::new(),
            hung_up: Vec::new(),
        };
        harness.tell(SessionInput::Tick);
        harness
    }

    /// The session is of a service that does not tell when the caller speaks.
    #[must_use]
    pub fn caller_is_detected(mut self) -> Self {
        self.contract.caller_is_detected();
        self
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// Lets time pass until an event of this kind has come, at most so long; whether it came.
    pub fn run_until(&mut self, limit: Duration, wanted: impl Fn(&ProviderEvent) -> bool) -> bool {
        let (end, mut seen) = (self.now + limit, 0);
        loop {
            if self.events[seen..].iter().any(|(_, event)| wanted(event)) {
                return true;
            }
            seen = self.events.len();
            let Some(next) = self.next_moment().filter(|next| *next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    /// The call asks for something.
    pub fn command(&mut self, command: ProviderCommand) {
        self.contract.commanded(&command);
        self.tell(SessionInput::Command(command));
    }

    /// The caller is heard: this audio, frame by frame, as time passes.
    pub fn hear(&mut self, format: AudioFormat, audio: &[u8]) {
        for chunk in audio.chunks(format.frame_bytes()) {
            let frame = AudioFrame::new(format, Bytes::copy_from_slice(chunk));
            self.command(ProviderCommand::Hear(frame));
            self.run_for(FRAME);
        }
    }

    /// The caller is silent for so long.
    pub fn hear_silence(&mut self, format: AudioFormat, duration: Duration) {
        self.hear(format, &vec![format.encoding.silence_byte(); format.bytes_in(duration)]);
    }

    /// What the session reported so far, and takes it away.
    pub fn take_events(&mut self) -> Vec<ProviderEvent> {
        std::mem::take(&mut self.events).into_iter().map(|(_, event)| event).collect()
    }

    /// What the session reported since events were last taken.
    pub fn events(&self) -> impl Iterator<Item = &ProviderEvent> {
        self.events.iter().map(|(_, event)| event)
    }

    /// All messages the session sent.
    pub fn sent(&self) -> &[(MonoTime, LineId, WireMessage)] {
        &self.sent
    }

    /// Lines the session hung up.
    pub fn hung_up(&self) -> &[LineId] {
        &self.hung_up
    }

    /// The present moment.
    pub fn now(&self) -> MonoTime {
        self.now
    }

    fn next_moment(&self) -> Option<MonoTime> {
        let parcel = self.underway.keys().next().map(|(at, _)| *at);
        let services = self.lines.values().filter_map(|line| line.wake_at);
        parcel.into_iter().chain(services).chain(self.wake_at).min()
    }

    /// One thing happens: a parcel arrives, or somebody's time has come.
    fn step(&mut self) {
        let due = self.underway.first_entry().filter(|entry| entry.key().0 <= self.now);
        if let Some(entry) = due {
            let parcel = entry.remove();
            return self.deliver(parcel);
        }
        let waking = self.lines.iter().find(|(_, line)| line.wake_at.is_some_and(|at| at <= self.now));
        if let Some(id) = waking.map(|(id, _)| *id) {
            return self.tell_service(id, ServiceInput::Tick);
        }
        if self.wake_at.is_some_and(|at| at <= self.now) {
            self.tell(SessionInput::Tick);
        }
    }

    fn deliver(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Request(id, request) => self.tell_service(id, ServiceInput::Request(&request)),
            Parcel::ToService(id, message) => self.tell_service(id, ServiceInput::Wire(&message)),
            Parcel::Gone(id) => self.tell_service(id, ServiceInput::Gone),
            Parcel::Up(id) if self.is_held(id) => self.tell(SessionInput::LineUp(id)),
            Parcel::ToSession(id, message) if self.is_held(id) => self.tell(SessionInput::Wire(id, &message)),
            Parcel::Down(id, end) if self.is_held(id) => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.held = false;
                }
                self.tell(SessionInput::LineDown(id, end));
            }
            // The session has hung up meanwhile.
            Parcel::Up(_) | Parcel::ToSession(..) | Parcel::Down(..) => {}
        }
    }

    fn is_held(&self, id: LineId) -> bool {
        self.lines.get(&id).is_some_and(|line| line.held)
    }

    fn tell(&mut self, input: SessionInput<'_>) {
        self.session.handle(self.now, input);
        loop {
            match self.session.poll() {
                SessionOutput::Dial(id, endpoint) => self.dial(id, &endpoint),
                SessionOutput::Send(id, message) => {
                    self.contract.sent(id, self.is_held(id));
                    self.sent.push((self.now, id, message.clone()));
                    self.post(Parcel::ToService(id, message));
                }
                SessionOutput::HangUp(id) => {
                    if let Some(line) = self.lines.get_mut(&id) {
                        line.held = false;
                    }
                    self.hung_up.push(id);
                    self.post(Parcel::Gone(id));
                }
                SessionOutput::Event(event) => {
                    self.contract.reported(&event);
                    self.events.push((self.now, event));
                }
                SessionOutput::WaitUntil(at) => {
                    assert!(at.is_none_or(|at| at > self.now), "a session that waits for the past spins");
                    self.wake_at = at;
                    return;
                }
            }
        }
    }

    fn dial(&mut self, id: LineId, endpoint: &Endpoint) {
        let service = (self.answerer)(id, endpoint);
        let is_web_socket = matches!(endpoint.kind, EndpointKind::WebSocket { .. });
        let line = Line { service, is_web_socket, wake_at: None, held: true, refusal: None };
        let before = self.lines.insert(id, line);
        assert!(before.is_none(), "a line is dialled once");
        self.post(Parcel::Request(id, request(endpoint)));
    }

    fn tell_service(&mut self, id: LineId, input: ServiceInput<'_>) {
        let Some(mut line) = self.lines.remove(&id) else { return };
        line.service.handle(self.now, input);
        loop {
            let output = line.service.poll();
            if let ServiceOutput::WaitUntil(at) = output {
                line.wake_at = at;
                break;
            }
            self.on_service(id, &mut line, output);
        }
        self.lines.insert(id, line);
    }

    fn on_service(&mut self, id: LineId, line: &mut Line, output: ServiceOutput) {
        match output {
            ServiceOutput::Accept { .. } => self.post(Parcel::Up(id)),
            ServiceOutput::Respond { status: 200..=299, .. } if !line.is_web_socket => {
                self.post(Parcel::Up(id));
            }
            ServiceOutput::Respond { status, headers } => {
                let retry_after = headers.iter().find(|(name, _)| *name == "retry-after");
                let retry_after =
                    retry_after.and_then(|(_, value)| value.parse().ok()).map(Duration::from_secs);
                line.refusal = Some((status, retry_after, Vec::new()));
            }
            ServiceOutput::Send(message) => match &mut line.refusal {
                Some((_, _, body)) => body.extend_from_slice(message.as_bytes()),
                None => self.post(Parcel::ToSession(id, message)),
            },
            ServiceOutput::Close { code, reason } => {
                let end = match line.refusal.take() {
                    Some((status, retry_after, body)) => {
                        LineEnd::Refused { status, retry_after, body: body.into() }
                    }
                    None if line.is_web_socket => LineEnd::Closed { code, reason },
                    None => LineEnd::Ended,
                };
                self.post(Parcel::Down(id, end));
            }
            ServiceOutput::Cut => self.post(Parcel::Down(id, LineEnd::Cut)),
            ServiceOutput::WaitUntil(_) => {}
        }
    }

    fn post(&mut self, parcel: Parcel) {
        self.parcels += 1;
        self.underway.insert((self.now + self.latency, self.parcels), parcel);
    }
}

/// The request as the fake sees it.
fn request(endpoint: &Endpoint) -> Request {
    let rest = endpoint.url.split_once("://").map_or(endpoint.url.as_str(), |(_, rest)| rest);
    let target = rest.find('/').map_or("/", |at| &rest[at..]).to_owned();
    let headers = endpoint.headers.iter();
    let (method, body, upgrade) = match &endpoint.kind {
        EndpointKind::WebSocket { .. } => ("GET", Bytes::new(), true),
        EndpointKind::Http { method, body } => (*method, body.clone(), false),
    };
    Request {
        method: method.to_owned(),
        target,
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.expose().clone())).collect(),
        body,
        upgrade,
    }
}
