//! A small server in virtual time: everything between a fake call and a voice that is a script, put
//! together from this crate's parts as a real server does it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::AudioFormat;
use voice_core::carrier::{CarrierEnd, CarrierEvent, CarrierInput, CarrierOutput, CarrierSession, Oddity};
use voice_core::id::LineId;
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{CallerInput, CallerOutput, FakeCaller};
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::{Endpoint, EndpointKind, LineEnd, WireMessage};
use voice_telephony::opening::{Refusal, Step};
use voice_telephony::sim::{CallReport, FakeTwilioCall, Rudeness, TwilioCallPlan};
use voice_telephony::status::{CallStatus, StatusTracker};
use voice_telephony::ticket::Tickets;
use voice_telephony::twilio::{
    ConnectStream, Opening, StreamUrl, Tokens, TwilioSession, TwilioVoice, TwilioWebhook, Twiml,
    verify_upgrade,
};
use voice_telephony::webhook::{RawRequest, Rejection, Verified, verify};

use crate::voice::{Conversation, Story, Talks, Voice, Wishes};

pub(crate) const TOKEN: &str = "5a1c0de5a1c0de5a1c0de5a1c0de5a1c";
pub(crate) const WEBHOOK: &str = "https://voice.example.test/hooks/twilio";
const STREAM: &str = "wss://voice.example.test/media/twilio";

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
    pub(crate) status: Option<CallStatus>,
    /// When the call was over for the carrier.
    pub(crate) left_at: Option<MonoTime>,
    /// Of a real call.
    pub(crate) story: Option<Story>,
}

/// A polite plan, made rude.
pub(crate) fn plan(rudeness: &[Rudeness]) -> TwilioCallPlan {
    TwilioCallPlan::new(WEBHOOK, Secret::new(TOKEN.to_owned())).with_rudeness(rudeness.iter().copied())
}

/// Runs one call to its end.
pub(crate) fn run(plan: TwilioCallPlan) -> (CallReport, Seen) {
    play(plan, Server::new())
}

/// The same with a real call, of which this is wanted.
pub(crate) fn converse(plan: TwilioCallPlan, wishes: Wishes) -> (CallReport, Seen) {
    play(plan, Server { wishes: Some(wishes), ..Server::new() })
}

fn play(plan: TwilioCallPlan, mut server: Server) -> (CallReport, Seen) {
    let mut now = MonoTime::ZERO;
    let mut call = FakeTwilioCall::new(now, plan);
    for _ in 0..1_000_000 {
        let call_wakes = loop {
            match call.poll() {
                CallerOutput::Dial(line, endpoint) => server.dialled(now, line, &endpoint),
                CallerOutput::Send(line, message) => {
                    server.wire(now, line, &message);
                    server.drain(now);
                }
                CallerOutput::HangUp(line) => {
                    let end = LineEnd::Closed { code: 1000, reason: String::new() };
                    server.line_down(now, line, end);
                }
                CallerOutput::Cut(line) => server.line_down(now, line, LineEnd::Cut),
                CallerOutput::WaitUntil(at) => break at,
                CallerOutput::Done if server.is_done() => return (call.report().clone(), server.into_seen()),
                CallerOutput::Done => break None,
            }
        };
        if call.report().completed || call.report().failure.is_some() {
            server.seen.left_at.get_or_insert(now);
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
        assert!(now < MonoTime::from_millis(600_000), "the call does not end");
        server.tick(now);
        call.handle(now, CallerInput::Tick);
    }
    panic!("the call turns in circles");
}

enum Reply {
    Up(LineId),
    Wire(LineId, WireMessage),
    Down(LineId, LineEnd),
}

enum Socket {
    Opening(Opening),
    Open { session: Box<TwilioSession>, voice: Box<dyn Talks>, has_ended: bool },
}

struct Server {
    tokens: Tokens,
    tickets: Tickets<()>,
    issued: u8,
    sockets: BTreeMap<LineId, Socket>,
    replies: VecDeque<Reply>,
    status: Option<StatusTracker>,
    seen: Seen,
    wishes: Option<Wishes>,
    conversation: Option<Conversation>,
}

impl Server {
    fn new() -> Self {
        Self {
            tokens: Tokens::new(Secret::new(TOKEN.to_owned())),
            tickets: Tickets::default(),
            issued: 0,
            sockets: BTreeMap::new(),
            replies: VecDeque::new(),
            status: None,
            seen: Seen::default(),
            wishes: None,
            conversation: None,
        }
    }

    /// Who talks on a new media socket.
    fn talker(&mut self, now: MonoTime) -> Box<dyn Talks> {
        let Some(wishes) = &self.wishes else { return Box::new(Voice::new(now, AudioFormat::MULAW_8K)) };
        let conversation = Conversation::new(now, AudioFormat::MULAW_8K, "twilio", wishes);
        self.conversation = Some(conversation.clone());
        Box::new(conversation)
    }

    fn is_done(&self) -> bool {
        self.conversation.as_ref().is_none_or(Conversation::is_done)
    }

    fn into_seen(self) -> Seen {
        Seen { story: self.conversation.map(|conversation| conversation.story()), ..self.seen }
    }

    fn dialled(&mut self, now: MonoTime, line: LineId, endpoint: &Endpoint) {
        let headers: Vec<(&str, &str)> =
            endpoint.headers.iter().map(|(name, value)| (*name, value.expose().as_str())).collect();
        let answer = match &endpoint.kind {
            EndpointKind::Http { method, body } => {
                let request = RawRequest { method, url: &endpoint.url, headers: &headers, body };
                self.webhook(now, &request).map(Some)
            }
            EndpointKind::WebSocket { .. } => {
                verify_upgrade(&self.tokens, &endpoint.url, &headers).map(|()| None)
            }
        };
        match answer {
            Ok(Some(document)) => {
                self.replies.push_back(Reply::Up(line));
                self.replies.push_back(Reply::Wire(line, WireMessage::Binary(Bytes::from(document))));
                self.replies.push_back(Reply::Down(line, LineEnd::Ended));
            }
            Ok(None) => {
                self.sockets.insert(line, Socket::Opening(Opening::new(now)));
                self.replies.push_back(Reply::Up(line));
            }
            Err(rejection) => {
                self.seen.rejections.push(rejection);
                let status = rejection.status();
                let end = LineEnd::Refused { status, retry_after: None, body: Bytes::new() };
                self.replies.push_back(Reply::Down(line, end));
            }
        }
    }

    fn webhook(&mut self, now: MonoTime, request: &RawRequest<'_>) -> Result<String, Rejection> {
        let webhook = verify::<TwilioWebhook>(&self.tokens, request, UnixMillis(0))?;
        let other = match webhook.into_voice() {
            Ok(voice) => return Ok(self.answer(now, &voice)),
            Err(other) => other.into_inner(),
        };
        match other {
            TwilioWebhook::Progress(progress) => {
                let mut tracker =
                    self.status.take().unwrap_or(StatusTracker::new(UnixMillis(0), CallStatus::Initiated));
                if let Some(report) = progress.report() {
                    tracker.report(UnixMillis(0), report);
                }
                self.seen.status = Some(tracker.status());
                self.status = Some(tracker);
                Ok(String::new())
            }
            TwilioWebhook::Voice(_)
            | TwilioWebhook::Stream(_)
            | TwilioWebhook::Machine(_)
            | TwilioWebhook::Recording(_)
            | TwilioWebhook::Other(_) => Ok(String::new()),
            kind => panic!("a new kind of webhook: {kind:?}"),
        }
    }

    /// Only for calls whose webhook was verified.
    fn answer(&mut self, now: MonoTime, voice: &Verified<TwilioVoice>) -> String {
        self.issued += 1;
        let ticket = self.tickets.issue(now, [self.issued; 32], voice.call_sid.as_str(), ());
        let url = StreamUrl::new(STREAM).expect("a good url");
        let stream = ConnectStream::new(url, &ticket).with_status_callback(WEBHOOK).expect("a good url");
        self.status.get_or_insert_with(|| StatusTracker::new(UnixMillis(0), CallStatus::Ringing));
        Twiml::connect(&stream).into_string()
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
                    let start = opened.start;
                    let grant = match &start.ticket {
                        None => Err(Refusal::NoTicket),
                        Some(ticket) => self
                            .tickets
                            .redeem(now, ticket.expose(), start.call_sid.as_str())
                            .map_err(Refusal::from),
                    };
                    match grant {
                        Err(refusal) => self.refuse(line, refusal),
                        Ok(()) => {
                            let session = Box::new(opened.session);
                            let voice = self.talker(now);
                            self.sockets.insert(line, Socket::Open { session, voice, has_ended: false });
                        }
                    }
                }
            },
            Some(Socket::Open { mut session, voice, has_ended }) => {
                session.handle(now, CarrierInput::Wire(message));
                self.sockets.insert(line, Socket::Open { session, voice, has_ended });
            }
        }
    }

    fn line_down(&mut self, now: MonoTime, line: LineId, end: LineEnd) {
        if let Some(Socket::Open { session, .. }) = self.sockets.get_mut(&line) {
            session.handle(now, CarrierInput::LineDown(end));
        }
        self.drain(now);
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
        let late: Vec<LineId> = self
            .sockets
            .iter()
            .filter(|(_, socket)| matches!(socket, Socket::Opening(opening) if opening.deadline() <= now))
            .map(|(line, _)| *line)
            .collect();
        for line in late {
            self.sockets.remove(&line);
            self.refuse(line, Refusal::NoStart);
        }
        if let Some(conversation) = self.conversation.as_mut().filter(|_| self.sockets.is_empty()) {
            conversation.tick(now);
        }
        for socket in self.sockets.values_mut() {
            if let Socket::Open { session, voice, .. } = socket {
                session.handle(now, CarrierInput::Tick);
                for command in voice.tick(now) {
                    session.handle(now, CarrierInput::Command(command));
                }
            }
        }
        self.drain(now);
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
        [sockets, self.conversation.as_ref().and_then(Talks::due)].into_iter().flatten().min()
    }

    fn drain(&mut self, now: MonoTime) {
        for line in self.sockets.keys().copied().collect::<Vec<_>>() {
            while self.drain_one(now, line) {}
        }
    }

    /// Whether there may be more.
    fn drain_one(&mut self, now: MonoTime, line: LineId) -> bool {
        let Some(Socket::Open { session, voice, has_ended }) = self.sockets.get_mut(&line) else {
            return false;
        };
        match session.poll() {
            CarrierOutput::WaitUntil(_) => return false,
            CarrierOutput::Send(message) => self.replies.push_back(Reply::Wire(line, message)),
            CarrierOutput::HangUp => self.close(line, 1000, "bye"),
            CarrierOutput::Event(event) => {
                self.seen.after_end += usize::from(*has_ended);
                *has_ended |= matches!(event, CarrierEvent::Ended(_));
                for command in voice.hear(now, &event) {
                    session.handle(now, CarrierInput::Command(command));
                }
                self.seen.note(event);
            }
        }
        true
    }
}

impl Seen {
    fn note(&mut self, event: CarrierEvent) {
        match event {
            CarrierEvent::Audio(frame) => self.caller_audio += frame.duration(),
            CarrierEvent::Lost(duration) => self.lost += duration,
            CarrierEvent::Digit(digit) => self.digits.push(digit.as_char()),
            CarrierEvent::Played(_) => self.played += 1,
            CarrierEvent::Oddity(oddity) => self.oddities.push(oddity),
            CarrierEvent::Ended(end) => self.ends.push(end),
            other => panic!("a new kind of event: {other:?}"),
        }
    }
}
