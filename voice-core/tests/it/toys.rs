//! The smallest carrier and provider that keep the contract: one byte says what a message is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use voice_core::audio::{AudioFormat, AudioFrame};
use voice_core::call::{CallConfig, CallStart, Greeting};
use voice_core::carrier::{
    CarrierCommand, CarrierEnd, CarrierEvent, CarrierInput, CarrierOutput, CarrierSession,
};
use voice_core::failure::Failure;
use voice_core::id::{CarrierId, CorrelationId, LineId, ReplyId, UtteranceId};
use voice_core::provider::{
    Capabilities, Provider, ProviderCommand, ProviderEvent, ProviderSession, ReplyEnd, SessionInput,
    SessionOutput, Setup,
};
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, LineEnd, WireMessage};

/// The toy provider's only line, in its own numbering.
pub(crate) const OWN_LINE: LineId = LineId(7);

/// A carrier whose messages are raw mu-law, and one message "bye".
pub(crate) struct ToyCarrier {
    out: VecDeque<CarrierOutput>,
}

impl ToyCarrier {
    pub(crate) fn boxed() -> Box<dyn CarrierSession> {
        Box::new(Self { out: VecDeque::new() })
    }
}

impl CarrierSession for ToyCarrier {
    fn handle(&mut self, _now: MonoTime, input: CarrierInput<'_>) {
        let output = match input {
            CarrierInput::Command(CarrierCommand::Play(frame)) => {
                CarrierOutput::Send(WireMessage::Binary(frame.data))
            }
            CarrierInput::Command(CarrierCommand::Clear) => CarrierOutput::Send(WireMessage::text("clear")),
            CarrierInput::Command(CarrierCommand::HangUp) => CarrierOutput::HangUp,
            CarrierInput::Wire(WireMessage::Text(_)) => {
                CarrierOutput::Event(CarrierEvent::Ended(CarrierEnd::Stopped))
            }
            CarrierInput::Wire(WireMessage::Binary(data)) => {
                let frame = AudioFrame::new(AudioFormat::MULAW_8K, data.clone());
                CarrierOutput::Event(CarrierEvent::Audio(frame))
            }
            CarrierInput::LineDown(end) => {
                CarrierOutput::Event(CarrierEvent::Ended(CarrierEnd::LineDown(end)))
            }
            CarrierInput::Command(_) | CarrierInput::Tick => return,
        };
        self.out.push_back(output);
    }

    fn poll(&mut self) -> CarrierOutput {
        self.out.pop_front().unwrap_or(CarrierOutput::WaitUntil(None))
    }

    fn format(&self) -> AudioFormat {
        AudioFormat::MULAW_8K
    }
}

/// What all sessions of a toy provider were told to hear.
pub(crate) type HeardFrames = Arc<Mutex<Vec<Bytes>>>;

/// A provider that is ready when its line is up. Text from its service: `speech N` (a reply of N bytes),
/// `spoke`, `die`, `ask` (a request on a line of its own).
pub(crate) struct ToyProvider {
    capabilities: Capabilities,
    pub(crate) heard: HeardFrames,
}

impl ToyProvider {
    pub(crate) fn new(format: AudioFormat) -> Self {
        Self { capabilities: Capabilities::new(vec![format], vec![format]), heard: HeardFrames::default() }
    }
}

impl Provider for ToyProvider {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, setup: Setup) -> Box<dyn ProviderSession> {
        let dial = SessionOutput::Dial(OWN_LINE, Endpoint::web_socket("ws://toy.example/"));
        Box::new(ToySession {
            setup,
            replies: 0,
            asked: 0,
            heard: self.heard.clone(),
            out: VecDeque::from([dial]),
            wakes: None,
        })
    }
}

struct ToySession {
    setup: Setup,
    replies: u32,
    asked: u32,
    heard: HeardFrames,
    out: VecDeque<SessionOutput>,
    wakes: Option<MonoTime>,
}

impl ProviderSession for ToySession {
    fn handle(&mut self, now: MonoTime, input: SessionInput<'_>) {
        match input {
            SessionInput::LineUp(line) => {
                assert_eq!(line, OWN_LINE);
                self.event(ProviderEvent::Ready { session: None, expires: None });
            }
            SessionInput::Command(ProviderCommand::Hear(frame)) => {
                self.heard.lock().expect("nobody panicked").push(frame.data.clone());
                self.out.push_back(SessionOutput::Send(OWN_LINE, WireMessage::Binary(frame.data)));
            }
            SessionInput::Command(ProviderCommand::Interrupt(_)) => {
                self.out.push_back(SessionOutput::Send(OWN_LINE, WireMessage::text("interrupt")));
            }
            SessionInput::Command(ProviderCommand::Close) => {
                self.out.push_back(SessionOutput::HangUp(OWN_LINE))
            }
            SessionInput::Command(_) => {}
            SessionInput::Wire(line, message) => {
                assert_eq!(line, OWN_LINE);
                self.hear_service(now, message);
            }
            SessionInput::LineDown(_, LineEnd::Ended) => {}
            SessionInput::LineDown(_, end) => self.event(ProviderEvent::Failed(Failure::from_line_end(&end))),
            SessionInput::Tick => {
                if self.wakes.take_if(|at| *at <= now).is_some() {
                    self.out.push_back(SessionOutput::Send(OWN_LINE, WireMessage::text("awake")));
                }
            }
        }
    }

    fn poll(&mut self) -> SessionOutput {
        self.out.pop_front().unwrap_or(SessionOutput::WaitUntil(self.wakes))
    }
}

impl ToySession {
    fn hear_service(&mut self, now: MonoTime, message: &WireMessage) {
        let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
        if let Some(bytes) = text.strip_prefix("speech ") {
            self.replies += 1;
            let reply = ReplyId::new(self.setup.attachment, self.replies);
            let audio = Bytes::from(vec![0x33; bytes.parse().expect("a number")]);
            self.event(ProviderEvent::Speech { reply, audio });
            self.event(ProviderEvent::ReplyDone { reply, end: ReplyEnd::Completed });
        } else if text == "spoke" {
            self.event(ProviderEvent::CallerSpoke(UtteranceId::new(self.setup.attachment, 1)));
        } else if text == "die" {
            self.event(ProviderEvent::Failed(Failure::Service { code: "toy".into() }));
        } else if text == "ask" {
            self.asked += 1;
            let line = LineId(OWN_LINE.0 + self.asked);
            self.out.push_back(SessionOutput::Dial(line, Endpoint::post("http://toy.example/", "")));
        } else if text == "nap" {
            self.wakes = Some(now + std::time::Duration::from_secs(3));
        }
    }

    fn event(&mut self, event: ProviderEvent) {
        self.out.push_back(SessionOutput::Event(event));
    }
}

pub(crate) fn settings() -> Arc<CallConfig> {
    Arc::new(CallConfig::builder("toy").greeting(Greeting::Caller).build().expect("settings fit"))
}

pub(crate) fn start() -> CallStart {
    CallStart {
        carrier: CarrierId::from_static("toy"),
        carrier_call: "toy-1".into(),
        format: AudioFormat::MULAW_8K,
        from: "+15550100".into(),
        to: "+15550101".into(),
        correlation: CorrelationId::from_static("c-1"),
    }
}

/// A line that takes everything and never says a word.
pub(crate) struct Mute;

impl voice_core::driver::Line for Mute {
    fn poll(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<WireMessage, LineEnd>> {
        std::task::Poll::Pending
    }

    fn offer(&mut self, _: WireMessage) -> Result<(), LineEnd> {
        Ok(())
    }

    fn close(self: Box<Self>) {}
}
