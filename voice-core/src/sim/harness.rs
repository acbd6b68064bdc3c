//! A provider's session and the fakes it dials, joined by links with latency, in virtual time.
//!
//! The harness also keeps the contract of [`crate::provider`]: it panics as soon as a session
//! breaks it, so every test that uses it is a test of the contract. And it can do mischief: put messages on
//! a line that nobody sent, and end lines that nobody closed.

mod contract;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audio::{AudioFormat, AudioFrame, FRAME};
use crate::id::{AttachmentId, LineId};
use crate::limits;
use crate::provider::{ProviderCommand, ProviderEvent, ProviderSession, SessionInput, SessionOutput};
use crate::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use crate::time::MonoTime;
use crate::wire::{Endpoint, EndpointKind, LineEnd, WireMessage};
use bytes::Bytes;

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
    traffic: Traffic,
}

/// What was seen on the lines.
#[derive(Default)]
struct Traffic {
    sent: Vec<(MonoTime, LineId, WireMessage)>,
    received: Vec<(LineId, WireMessage)>,
    dialled: Vec<(LineId, Endpoint)>,
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
    /// Whether it is open, so that something can be sent.
    up: bool,
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
            traffic: Traffic::default(),
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
        &self.traffic.sent
    }

    /// All messages the session was given.
    pub fn received(&self) -> &[(LineId, WireMessage)] {
        &self.traffic.received
    }

    /// All lines the session dialled, with where they lead.
    pub fn dialled(&self) -> &[(LineId, Endpoint)] {
        &self.traffic.dialled
    }

    /// Lines the session hung up.
    pub fn hung_up(&self) -> &[LineId] {
        &self.traffic.hung_up
    }

    /// Lines that the session holds: dialled, not hung up, and not ended by the peer.
    pub fn held(&self) -> Vec<LineId> {
        self.lines.iter().filter(|(_, line)| line.held).map(|(id, _)| *id).collect()
    }

    /// Whether the session wants to be woken again.
    pub fn is_asleep(&self) -> bool {
        self.wake_at.is_none()
    }

    /// A message arrives that nobody sent. False if that line is not open.
    pub fn inject(&mut self, line: LineId, message: &WireMessage) -> bool {
        let is_up = self.is_up(line);
        if is_up {
            self.tell(SessionInput::Wire(line, message));
        }
        is_up
    }

    /// A line ends, and the fake behind it is gone. False if the session does not hold it.
    pub fn end(&mut self, line: LineId, end: LineEnd) -> bool {
        let is_held = self.is_held(line);
        if is_held {
            self.lines.remove(&line);
            self.tell(SessionInput::LineDown(line, end));
        }
        is_held
    }

    /// The session is woken although it did not ask for it.
    pub fn wake(&mut self) {
        self.tell(SessionInput::Tick);
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
            Parcel::Up(id) if self.is_held(id) => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.up = true;
                }
                self.tell(SessionInput::LineUp(id));
            }
            Parcel::ToSession(id, message) if self.is_held(id) => {
                self.tell(SessionInput::Wire(id, &message));
                self.traffic.received.push((id, message));
            }
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

    fn is_up(&self, id: LineId) -> bool {
        self.lines.get(&id).is_some_and(|line| line.held && line.up)
    }

    fn tell(&mut self, input: SessionInput<'_>) {
        self.session.handle(self.now, input);
        let mut outputs = Outputs::default();
        loop {
            let output = self.session.poll();
            outputs.count(&output);
            match output {
                SessionOutput::Dial(id, endpoint) => self.dial(id, &endpoint),
                SessionOutput::Send(id, message) => {
                    self.contract.sent(id, self.is_up(id));
                    self.traffic.sent.push((self.now, id, message.clone()));
                    self.post(Parcel::ToService(id, message));
                }
                SessionOutput::HangUp(id) => {
                    assert!(self.is_held(id), "only a line that is held is hung up ({id})");
                    if let Some(line) = self.lines.get_mut(&id) {
                        line.held = false;
                    }
                    self.traffic.hung_up.push(id);
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
        let line = Line { service, is_web_socket, wake_at: None, held: true, up: false, refusal: None };
        self.contract.dialled(id);
        self.traffic.dialled.push((id, endpoint.clone()));
        self.lines.insert(id, line);
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

/// What came out at one input. It has an end, and fits into what may wait on a line.
#[derive(Default)]
struct Outputs {
    count: usize,
    bytes: usize,
}

/// No input is worth more outputs than this: a history of a thousand turns makes two messages each.
const OUTPUTS_MAX: usize = 4_000;

impl Outputs {
    fn count(&mut self, output: &SessionOutput) {
        self.count += 1;
        assert!(self.count <= OUTPUTS_MAX, "a session that is polled comes to an end");
        if let SessionOutput::Send(_, message) = output {
            self.bytes += message.as_bytes().len();
            assert!(self.bytes <= limits::LINE_BACKLOG_BYTES_MAX, "what is sent at once fits the line");
        }
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
