//! A small server in virtual time: everything between a fake call over Telnyx and a voice that is a
//! script, put together from this crate's parts as a real server does it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use voice_core::audio::AudioFormat;
use voice_core::carrier::{
    CarrierCommand, CarrierEnd, CarrierEvent, CarrierInput, CarrierOutput, CarrierSession, Oddity,
};
use voice_core::id::LineId;
use voice_core::sensitive::{Pii, Secret};
use voice_core::sim::peer::{CallerInput, CallerOutput, FakeCaller, Request as PeerRequest};
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::{Endpoint, EndpointKind, LineEnd, WireMessage};
use voice_telephony::opening::{Refusal, Step};
use voice_telephony::sim::{CallReport, FakeTelnyxCall, TelnyxCallPlan, TelnyxRudeness};
use voice_telephony::telnyx::{
    Api, CallControl, CallControlId, Codec, Command, CommandError, CommandId, ControlEvent, ControlInput,
    ControlOutput, ControlSettings, Detection, Dial, Direction, End, Event, Expected, Opening, PublicKeys,
    TelnyxSession, TelnyxWebhook, read_answer, upgrade_ticket,
};
use voice_telephony::ticket::Tickets;
use voice_telephony::webhook::{RawRequest, Rejection, Verified, verify};

use crate::voice::{Conversation, Story, Talks, Voice, Wishes};

const WEBHOOK: &str = "https://voice.example.test/hooks/telnyx";
const STREAM: &str = "wss://voice.example.test/media/telnyx";
const NAME: &[u8] = b"our own name for it";
const EPOCH: UnixMillis = UnixMillis(1_795_219_200_000);

/// What the server saw of a call.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) oddities: Vec<Oddity>,
    pub(crate) lost: Duration,
    pub(crate) caller_audio: Duration,
    pub(crate) digits: String,
    pub(crate) played: u64,
    pub(crate) ends: Vec<CarrierEnd>,
    /// Events that came after an end; there must be none.
    pub(crate) after_end: usize,
    pub(crate) events: Vec<ControlEvent>,
    pub(crate) end: Option<End>,
    /// When the call was over for us.
    pub(crate) ended_at: Option<MonoTime>,
    /// Orders that were sent, repetitions included.
    pub(crate) sent: Vec<&'static str>,
    /// What the fake carried out.
    pub(crate) carried_out: Vec<String>,
    /// When the call was over for the carrier.
    pub(crate) left_at: Option<MonoTime>,
    /// Of a real call.
    pub(crate) story: Option<Story>,
}

/// What the server does beyond answering and talking.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) codec: Codec,
    /// Hangs up after so long.
    pub(crate) hangs_up_at: Option<Duration>,
    /// Gives this order once the voice talks.
    pub(crate) orders: Option<Command>,
    pub(crate) restarts_max: u32,
    /// A real call talks instead of a script, and this is wanted of it.
    pub(crate) wishes: Option<Wishes>,
}

impl Default for Manner {
    fn default() -> Self {
        Self { codec: Codec::Pcmu, hangs_up_at: None, orders: None, restarts_max: 3, wishes: None }
    }
}

/// A polite plan, made rude.
pub(crate) fn plan(rudeness: &[TelnyxRudeness]) -> TelnyxCallPlan {
    TelnyxCallPlan::new(WEBHOOK, [7; 32], Secret::new("KEY".to_owned()))
        .with_rudeness(rudeness.iter().copied())
        .with_epoch(EPOCH)
}

/// Runs one incoming call to its end.
pub(crate) fn run(plan: TelnyxCallPlan) -> (CallReport, Seen) {
    run_with(plan, Manner::default())
}

pub(crate) fn run_with(plan: TelnyxCallPlan, manner: Manner) -> (CallReport, Seen) {
    let server = Server::new(&plan, manner);
    play(FakeTelnyxCall::new(MonoTime::ZERO, plan), server)
}

/// Runs a call of ours to its end.
pub(crate) fn dial(plan: TelnyxCallPlan, manner: Manner) -> (CallReport, Seen) {
    let mut server = Server::new(&plan, manner);
    let dial = Dial {
        connection: "2811212257810187875".parse().expect("a name"),
        from: Pii::from("+15005550006"),
        to: Pii::from("+15005550009"),
        ring: Duration::from_secs(20),
        longest: None,
        detection: Detection::Detect,
        webhook_url: None,
        display_name: None,
    };
    let settings = server.settings();
    server.control = Some(CallControl::dial((MonoTime::ZERO, EPOCH), settings, dial, NAME));
    play(FakeTelnyxCall::new(MonoTime::ZERO, plan.waits_for_dial()), server)
}

fn play(mut call: FakeTelnyxCall, mut server: Server) -> (CallReport, Seen) {
    let mut now = MonoTime::ZERO;
    server.drain_control(now);
    for _ in 0..3_000_000 {
        let call_wakes = loop {
            match call.poll() {
                CallerOutput::Dial(line, endpoint) => server.dialled(now, line, &endpoint),
                CallerOutput::Send(line, message) => server.wire(now, line, &message),
                CallerOutput::HangUp(line) => {
                    let end = LineEnd::Closed { code: 1000, reason: String::new() };
                    server.line_down(now, line, end);
                }
                CallerOutput::Cut(line) => server.line_down(now, line, LineEnd::Cut),
                CallerOutput::WaitUntil(at) => break at,
                CallerOutput::Done if server.is_done() => {
                    server.seen.carried_out = call.commands().to_vec();
                    server.seen.story = server.conversation.as_ref().map(Conversation::story);
                    return (call.report().clone(), server.seen);
                }
                CallerOutput::Done => break None,
            }
        };
        if call.report().completed || call.report().failure.is_some() {
            server.seen.left_at.get_or_insert(now);
        }
        if let Some((id, request)) = server.requests.pop_front() {
            let answer = call.api(now, &peer(&request));
            let response = answer.status.map(|status| {
                let response = answer
                    .headers
                    .iter()
                    .fold(Response::builder().status(status), |response, (name, value)| {
                        response.header(*name, value)
                    });
                response.body(answer.body.clone()).expect("a response")
            });
            server.answers.push((now + answer.after, id, response));
            continue;
        }
        if let Some(reply) = server.replies.pop_front() {
            match reply {
                Reply::Up(line) => call.handle(now, CallerInput::LineUp(line)),
                Reply::Wire(line, message) => call.handle(now, CallerInput::Wire(line, &message)),
                Reply::Down(line, end) => call.handle(now, CallerInput::LineDown(line, end)),
            }
            continue;
        }
        let wakes = [call_wakes, server.wakes()];
        now =
            wakes.into_iter().flatten().min().expect("a call that is not over waits for something").max(now);
        assert!(now < MonoTime::from_millis(900_000), "the call does not end");
        server.tick(now);
        call.handle(now, CallerInput::Tick);
    }
    panic!("the call turns in circles");
}

/// A request as it arrives at the API.
fn peer(request: &Request<Bytes>) -> PeerRequest {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().expect("text").to_owned()));
    PeerRequest {
        method: request.method().to_string(),
        target: request.uri().path().to_owned(),
        headers: headers.collect(),
        body: request.body().clone(),
        upgrade: false,
    }
}

enum Reply {
    Up(LineId),
    Wire(LineId, WireMessage),
    Down(LineId, LineEnd),
}

enum Socket {
    Opening(Opening),
    Open { session: Box<TelnyxSession>, voice: Box<dyn Talks>, has_ended: bool },
}

struct Server {
    keys: PublicKeys,
    api: Api,
    manner: Manner,
    tickets: Tickets<()>,
    issued: u8,
    control: Option<CallControl>,
    control_wakes: Option<MonoTime>,
    sockets: BTreeMap<LineId, Socket>,
    replies: VecDeque<Reply>,
    requests: VecDeque<(CommandId, Request<Bytes>)>,
    answers: Vec<(MonoTime, CommandId, Option<Response<Bytes>>)>,
    seen: Seen,
    conversation: Option<Conversation>,
    /// The end of the conversation was brought to the carrier.
    is_told: bool,
}

impl Server {
    fn new(plan: &TelnyxCallPlan, manner: Manner) -> Self {
        let key = plan.public_key().parse().expect("a good key");
        let api = Api::new("https://api.example.test/v2", &Secret::new("KEY".to_owned()));
        Self {
            keys: PublicKeys::new(key),
            api: api.expect("good settings"),
            manner,
            tickets: Tickets::default(),
            issued: 0,
            control: None,
            control_wakes: None,
            sockets: BTreeMap::new(),
            replies: VecDeque::new(),
            requests: VecDeque::new(),
            answers: Vec::new(),
            seen: Seen::default(),
            conversation: None,
            is_told: false,
        }
    }

    /// Who talks on a new media socket.
    fn talker(&mut self, now: MonoTime, format: AudioFormat) -> Box<dyn Talks> {
        let Some(wishes) = &self.manner.wishes else { return Box::new(Voice::new(now, format)) };
        let conversation = Conversation::new(now, format, "telnyx", wishes);
        self.conversation = Some(conversation.clone());
        Box::new(conversation)
    }

    /// What ends here and was not ended by the carrier is ended there.
    fn tell_end(&mut self, now: MonoTime) {
        let end = self.conversation.as_ref().and_then(Conversation::end);
        // Who was led to somebody else is theirs.
        let is_ours = |why: &str| matches!(why, "hung_up" | "no_provider" | "call_limit");
        if !self.is_told && end.is_some_and(is_ours) {
            self.is_told = true;
            self.tell_control(now, ControlInput::HangUp);
        }
    }

    fn settings(&self) -> ControlSettings {
        ControlSettings::new(STREAM, self.manner.codec)
            .expect("a good address")
            .restarts_max(self.manner.restarts_max)
    }

    fn is_done(&self) -> bool {
        self.conversation.as_ref().is_none_or(Conversation::is_done)
            && self.sockets.is_empty()
            && self.control.as_ref().is_none_or(|_| self.seen.end.is_some())
    }

    fn dialled(&mut self, now: MonoTime, line: LineId, endpoint: &Endpoint) {
        let headers: Vec<(&str, &str)> =
            endpoint.headers.iter().map(|(name, value)| (*name, value.expose().as_str())).collect();
        match &endpoint.kind {
            EndpointKind::Http { method, body } => {
                let request = RawRequest { method, url: &endpoint.url, headers: &headers, body };
                let unix = EPOCH + now.since(MonoTime::ZERO);
                match verify::<TelnyxWebhook>(&self.keys, &request, unix) {
                    Ok(webhook) => {
                        self.replies.push_back(Reply::Up(line));
                        self.replies.push_back(Reply::Down(line, LineEnd::Ended));
                        self.webhook(now, &webhook);
                    }
                    Err(rejection) => {
                        self.seen.rejections.push(rejection);
                        let end = LineEnd::Refused {
                            status: rejection.status(),
                            retry_after: None,
                            body: Bytes::new(),
                        };
                        self.replies.push_back(Reply::Down(line, end));
                    }
                }
            }
            EndpointKind::WebSocket { .. } => {
                let target = endpoint.url.strip_prefix("wss://voice.example.test").expect("our address");
                let ticket = upgrade_ticket(target, &headers);
                let opening = Opening::new(now, Expected::new(self.manner.codec), ticket);
                self.sockets.insert(line, Socket::Opening(opening));
                self.replies.push_back(Reply::Up(line));
            }
        }
    }

    fn webhook(&mut self, now: MonoTime, webhook: &Verified<TelnyxWebhook>) {
        let is_incoming = matches!(&webhook.event, Event::Initiated(initiated) if initiated.direction == Direction::Incoming);
        if is_incoming && self.control.is_none() {
            let call: CallControlId = webhook.leg.call_control_id.clone().expect("a handle");
            let settings = self.settings();
            let now_unix = (now, EPOCH + now.since(MonoTime::ZERO));
            self.control = Some(CallControl::answer(now_unix, settings, call, NAME));
        }
        self.tell_control(now, ControlInput::Webhook(webhook));
    }

    fn tell_control(&mut self, now: MonoTime, input: ControlInput<'_>) {
        if let Some(control) = &mut self.control {
            control.handle(now, input);
        }
        self.drain_control(now);
    }

    fn drain_control(&mut self, now: MonoTime) {
        while let Some(control) = &mut self.control {
            match control.poll() {
                ControlOutput::Dial { id, dial, client_state } => {
                    self.seen.sent.push("dial");
                    let request = self.api.dial(&dial, &id, &client_state);
                    self.requests.push_back((id, request));
                }
                ControlOutput::Send(order) => {
                    self.seen.sent.push(order.command.name());
                    self.requests.push_back((order.id.clone(), self.api.request(&order)));
                }
                ControlOutput::NeedTicket(call) => {
                    self.issued += 1;
                    let ticket = self.tickets.issue(now, [self.issued; 32], call.as_str(), ());
                    control.handle(now, ControlInput::Ticket(&ticket));
                }
                ControlOutput::Event(event) => self.seen.events.push(event),
                ControlOutput::WaitUntil(at) => return self.control_wakes = at,
                ControlOutput::Finished(end) => {
                    assert_eq!(self.seen.end.replace(end), None, "an end comes once");
                    self.seen.ended_at = Some(now);
                    self.control_wakes = None;
                    let open: Vec<LineId> = self.sockets.keys().copied().collect();
                    for line in open {
                        self.end_media(now, line);
                    }
                    if let Some(conversation) = &self.conversation {
                        conversation.hang_up(now);
                    }
                    return;
                }
            }
        }
    }

    /// The call is over, so its media is.
    fn end_media(&mut self, now: MonoTime, line: LineId) {
        if let Some(Socket::Open { session, .. }) = self.sockets.get_mut(&line) {
            session.handle(now, CarrierInput::Command(CarrierCommand::HangUp));
        }
        self.drain(now, line);
        if self.sockets.remove(&line).is_some() {
            self.close(line, 1000, "bye");
        }
    }

    fn wire(&mut self, now: MonoTime, line: LineId, message: &WireMessage) {
        match self.sockets.remove(&line) {
            None => {}
            Some(Socket::Opening(opening)) => match opening.read(now, message) {
                Step::Wait(opening) => {
                    self.sockets.insert(line, Socket::Opening(opening));
                }
                Step::Refused(refusal) => self.refuse(line, refusal),
                Step::Opened(opened) => {
                    let start = &opened.start;
                    let grant = match &start.ticket {
                        None => Err(Refusal::NoTicket),
                        Some(ticket) => self
                            .tickets
                            .redeem(now, ticket.expose(), start.call_control_id.as_str())
                            .map_err(Refusal::from),
                    };
                    match grant {
                        Err(refusal) => self.refuse(line, refusal),
                        Ok(()) => {
                            let session = Box::new(opened.session);
                            assert_eq!(session.format(), self.manner.codec.format());
                            let voice = self.talker(now, session.format());
                            self.sockets.insert(line, Socket::Open { session, voice, has_ended: false });
                            self.tell_control(now, ControlInput::MediaUp);
                            if let Some(command) = self.manner.orders.take() {
                                self.tell_control(now, ControlInput::Do(command));
                            }
                        }
                    }
                }
            },
            Some(Socket::Open { mut session, voice, has_ended }) => {
                session.handle(now, CarrierInput::Wire(message));
                self.sockets.insert(line, Socket::Open { session, voice, has_ended });
                self.drain(now, line);
            }
        }
    }

    fn line_down(&mut self, now: MonoTime, line: LineId, end: LineEnd) {
        if let Some(Socket::Open { session, .. }) = self.sockets.get_mut(&line) {
            session.handle(now, CarrierInput::LineDown(end));
        }
        self.drain(now, line);
        self.sockets.remove(&line);
    }

    fn refuse(&mut self, line: LineId, refusal: Refusal) {
        self.seen.refusals.push(refusal);
        self.close(line, refusal.close_code(), refusal.name());
    }

    fn close(&mut self, line: LineId, code: u16, reason: &str) {
        self.replies.push_back(Reply::Down(line, LineEnd::Closed { code, reason: reason.to_owned() }));
    }

    fn tick(&mut self, now: MonoTime) {
        let (due, later) = std::mem::take(&mut self.answers).into_iter().partition(|(at, ..)| *at <= now);
        self.answers = later;
        let due: Vec<(MonoTime, CommandId, Option<Response<Bytes>>)> = due;
        for (_, id, response) in due {
            let answer = response.map_or(Err(CommandError::unreachable()), |response| read_answer(&response));
            self.tell_control(now, ControlInput::Answer(id, answer));
        }
        if self.manner.hangs_up_at.is_some_and(|at| now >= MonoTime::ZERO + at) {
            self.manner.hangs_up_at = None;
            self.tell_control(now, ControlInput::HangUp);
        }
        self.tell_control(now, ControlInput::Tick);
        if let Some(conversation) = self.conversation.as_mut().filter(|_| self.sockets.is_empty()) {
            conversation.tick(now);
        }
        self.tell_end(now);
        for line in self.sockets.keys().copied().collect::<Vec<_>>() {
            match self.sockets.get_mut(&line) {
                Some(Socket::Opening(opening)) if opening.deadline() <= now => {
                    self.sockets.remove(&line);
                    self.refuse(line, Refusal::NoStart);
                }
                Some(Socket::Open { session, voice, .. }) => {
                    session.handle(now, CarrierInput::Tick);
                    for command in voice.tick(now) {
                        session.handle(now, CarrierInput::Command(command));
                    }
                    self.drain(now, line);
                }
                Some(Socket::Opening(_)) | None => {}
            }
        }
    }

    fn wakes(&mut self) -> Option<MonoTime> {
        let of_socket = |socket: &mut Socket| match socket {
            Socket::Opening(opening) => Some(opening.deadline()),
            Socket::Open { session, voice, .. } => {
                let CarrierOutput::WaitUntil(at) = session.poll() else { panic!("drained before") };
                [at, voice.due()].into_iter().flatten().min()
            }
        };
        let sockets = self.sockets.values_mut().filter_map(of_socket).min();
        let answers = self.answers.iter().map(|(at, ..)| *at).min();
        let hang_up = self.manner.hangs_up_at.map(|at| MonoTime::ZERO + at);
        let conversation = self.conversation.as_ref().and_then(Talks::due);
        [sockets, answers, hang_up, self.control_wakes, conversation].into_iter().flatten().min()
    }

    fn drain(&mut self, now: MonoTime, line: LineId) {
        while let Some(Socket::Open { session, voice, has_ended }) = self.sockets.get_mut(&line) {
            match session.poll() {
                CarrierOutput::WaitUntil(_) => return,
                CarrierOutput::Send(message) => self.replies.push_back(Reply::Wire(line, message)),
                CarrierOutput::HangUp => self.close(line, 1000, "bye"),
                CarrierOutput::Event(event) => {
                    self.seen.after_end += usize::from(*has_ended);
                    let is_end = matches!(event, CarrierEvent::Ended(_));
                    *has_ended |= is_end;
                    for command in voice.hear(now, &event) {
                        session.handle(now, CarrierInput::Command(command));
                    }
                    self.seen.note(event);
                    if is_end {
                        self.sockets.remove(&line);
                        self.tell_control(now, ControlInput::MediaDown);
                    }
                }
            }
        }
    }
}

impl Seen {
    fn note(&mut self, event: CarrierEvent) {
        match event {
            CarrierEvent::Audio(frame) => {
                assert!(frame.format != AudioFormat::PCM16_16K);
                self.caller_audio += frame.duration();
            }
            CarrierEvent::Lost(duration) => self.lost += duration,
            CarrierEvent::Digit(digit) => self.digits.push(digit.as_char()),
            CarrierEvent::Played(_) => self.played += 1,
            CarrierEvent::Oddity(oddity) => self.oddities.push(oddity),
            CarrierEvent::Ended(end) => self.ends.push(end),
            other => panic!("a new kind of event: {other:?}"),
        }
    }
}
