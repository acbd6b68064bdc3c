//! A call with its sessions, converters and framers: wires in, wires out.
//!
//! The bridge is what an embedder runs: it holds the [`Call`], the carrier's session and those of the
//! providers, turns messages into events, and audio into the format that each side takes. Like
//! everything below it, it never waits and never fails.
//!
//! After every [`Bridge::handle`], call [`Bridge::poll`] until it answers [`BridgeOutput::WaitUntil`] or
//! [`BridgeOutput::Finished`].

mod attachment;
mod detector;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::audio::AudioFrame;
use crate::audio::framer::Framer;
use crate::call::{Call, CallConfig, CallStart, CallStatus, Control, Input, Outcome, Output, Return, Timer};
use crate::carrier::{CarrierEvent, CarrierInput, CarrierOutput, CarrierSession};
use crate::conversation::{ToolCall, Turn};
use crate::id::{AttachmentId, CorrelationId, LineId, ProviderId, ToolCallId};
use crate::provider::{Provider, ProviderCommand, SessionInput, Setup};
use crate::record::{EndReason, Entry};
use crate::recording::Recorded;
use crate::time::{MonoTime, UnixMillis};
use crate::transfer::Operation;
use crate::wire::{Endpoint, LineEnd, WireMessage};

use attachment::{Attachment, Told};

/// The line that was there first: the carrier's.
pub const CARRIER_LINE: LineId = LineId(0);

/// Sent whenever a line is opened, with the call's correlation id.
pub const CORRELATION_HEADER: &str = "x-correlation-id";

/// The only way in.
#[non_exhaustive]
pub enum BridgeInput<'a> {
    /// A dialled line is up.
    LineUp(LineId),
    /// A message arrived on a line.
    Wire(LineId, &'a WireMessage),
    /// A line is gone, or never came up. Nothing more comes of it.
    LineDown(LineId, LineEnd),
    /// The answer to [`BridgeOutput::Assign`]; `None` when nobody is left.
    Assigned(AttachmentId, Option<(ProviderId, Arc<dyn Provider>)>),
    /// Somebody wants something.
    Control(Control),
    /// The time asked for has come.
    Tick,
}

/// The only way out.
#[derive(Debug)]
#[non_exhaustive]
pub enum BridgeOutput {
    /// Open this line.
    Dial(LineId, Endpoint),
    /// Send this message.
    Send(LineId, WireMessage),
    /// Nothing comes of this line although something is due, and its peer answers pings: find out whether it is
    /// there.
    Doubt(LineId),
    /// Close this line politely. Nothing that still comes of it is wanted.
    HangUp(LineId),
    /// Find somebody to talk with the caller.
    Assign {
        /// Which attempt.
        id: AttachmentId,
        /// Somebody was asked for by name.
        wish: Option<ProviderId>,
        /// Not these.
        tried: Vec<ProviderId>,
        /// Only if nobody else can.
        last_resort: Option<ProviderId>,
    },
    /// What the breaker behind an attachment should learn.
    Settle(AttachmentId, Outcome),
    /// Run this tool; answered with [`Control::ToolAnswered`].
    RunTool(ToolCall),
    /// Nobody waits for this tool any more.
    AbandonTool(ToolCallId),
    /// Ask this of whoever operates the carrier; answered with [`Control::Transferred`].
    Operate(Operation),
    /// One more entry of the record.
    Report(Entry),
    /// For whoever writes the recording down; only while there is one.
    Record(Recorded),
    /// Nothing more for now; wake me then with [`BridgeInput::Tick`], if at all.
    WaitUntil(Option<(MonoTime, Waiting)>),
    /// The call is over. Close whatever lines are still open.
    Finished(EndReason),
}

/// What a bridge waits for; for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// One of the call's own timers.
    Call(Timer),
    /// The carrier's session asked to be woken.
    Carrier,
    /// A provider's session asked to be woken.
    Provider(AttachmentId),
}

/// See the module.
pub struct Bridge {
    call: Call,
    carrier: Box<dyn CarrierSession>,
    carrier_wakes: Option<MonoTime>,
    /// The caller's audio on its way to frames of 20 ms.
    ear: Framer,
    /// Whoever is attached or warming up; two at most, but for a moment.
    attachments: Vec<Attachment>,
    offered: Vec<(AttachmentId, Arc<dyn Provider>)>,
    correlation: CorrelationId,
    /// Wall-clock time of `MonoTime::ZERO`.
    epoch: UnixMillis,
    next_line: u32,
    rest: Rest,
    outbox: VecDeque<BridgeOutput>,
}

/// What the call said last when it was drained.
enum Rest {
    WaitUntil(Option<(MonoTime, Timer)>),
    Finished(EndReason),
}

impl Bridge {
    /// A bridge for a call whose media has just arrived. `epoch` is the wall-clock time that belongs to
    /// `MonoTime::ZERO`.
    pub fn new(
        now: MonoTime,
        epoch: UnixMillis,
        config: Arc<CallConfig>,
        start: CallStart,
        carrier: Box<dyn CarrierSession>,
    ) -> Self {
        let correlation = start.correlation.clone();
        Self::of(now, epoch, Call::new(now, config, start), correlation, carrier)
    }

    /// A bridge for a call that comes back (see [`Call::resume`]).
    pub fn resume(
        now: MonoTime,
        epoch: UnixMillis,
        config: Arc<CallConfig>,
        start: &CallStart,
        back: Return,
        carrier: Box<dyn CarrierSession>,
    ) -> Self {
        let call = Call::resume(now, config, start, back);
        Self::of(now, epoch, call, start.correlation.clone(), carrier)
    }

    fn of(
        now: MonoTime,
        epoch: UnixMillis,
        call: Call,
        correlation: CorrelationId,
        carrier: Box<dyn CarrierSession>,
    ) -> Self {
        let ear = Framer::new(carrier.format());
        let mut bridge = Self {
            call,
            carrier,
            carrier_wakes: None,
            ear,
            attachments: Vec::with_capacity(2),
            offered: Vec::new(),
            correlation,
            epoch,
            next_line: CARRIER_LINE.0 + 1,
            rest: Rest::WaitUntil(None),
            outbox: VecDeque::new(),
        };
        bridge.drain_call(now);
        bridge
    }

    /// The only way in. Cannot fail.
    pub fn handle(&mut self, now: MonoTime, input: BridgeInput<'_>) {
        match input {
            BridgeInput::Wire(CARRIER_LINE, message) => self.carrier(now, CarrierInput::Wire(message)),
            BridgeInput::LineDown(CARRIER_LINE, end) => self.carrier(now, CarrierInput::LineDown(end)),
            BridgeInput::LineUp(line) => self.session(now, line, SessionInput::LineUp),
            BridgeInput::Wire(line, message) => {
                self.session(now, line, |own| SessionInput::Wire(own, message))
            }
            BridgeInput::LineDown(line, end) => {
                self.session(now, line, |own| SessionInput::LineDown(own, end));
                self.attachments.iter_mut().for_each(|attachment| attachment.forget_line(line));
            }
            BridgeInput::Assigned(id, Some((provider, offer))) => {
                self.offered.push((id, offer));
                self.call.handle(now, Input::Assigned(id, Some(provider)));
                self.drain_call(now);
                self.offered.clear();
            }
            BridgeInput::Assigned(id, None) => self.tell_call(now, Input::Assigned(id, None)),
            BridgeInput::Control(control) => self.tell_call(now, Input::Control(control)),
            BridgeInput::Tick => {}
        }
        self.tick(now);
    }

    /// The only way out.
    pub fn poll(&mut self) -> BridgeOutput {
        if let Some(output) = self.outbox.pop_front() {
            return output;
        }
        match &self.rest {
            Rest::Finished(reason) => BridgeOutput::Finished(reason.clone()),
            Rest::WaitUntil(call) => BridgeOutput::WaitUntil(self.wakes_at(*call)),
        }
    }

    /// The attachment that hears the caller, if any.
    pub fn live(&self) -> Option<AttachmentId> {
        self.call.live()
    }

    /// How the call stands (see [`Call::status`]).
    pub fn status(&self) -> CallStatus {
        self.call.status()
    }

    /// Entries of the record so far (see [`Call::entries`]).
    pub fn entries(&self) -> u64 {
        self.call.entries()
    }

    /// Whether the caller's and the live provider's audio pass through without any conversion.
    pub fn is_passthrough(&self) -> bool {
        let live = self.call.live();
        self.attachments.iter().any(|a| Some(a.id) == live && a.is_passthrough())
    }

    fn wakes_at(&self, call: Option<(MonoTime, Timer)>) -> Option<(MonoTime, Waiting)> {
        let call = call.map(|(at, timer)| (at, Waiting::Call(timer)));
        let carrier = self.carrier_wakes.map(|at| (at, Waiting::Carrier));
        let providers =
            self.attachments.iter().filter_map(|a| a.wakes.map(|at| (at, Waiting::Provider(a.id))));
        call.into_iter().chain(carrier).chain(providers).min_by_key(|(at, _)| *at)
    }

    /// Everybody whose time has come is woken, whatever the input was: a busy line starves nobody.
    fn tick(&mut self, now: MonoTime) {
        if self.carrier_wakes.is_some_and(|at| at <= now) {
            self.carrier(now, CarrierInput::Tick);
        }
        while let Some(at) = self.attachments.iter().position(|a| a.wakes.is_some_and(|at| at <= now)) {
            self.attachments[at].wakes = None;
            self.attachments[at].session.handle(now, SessionInput::Tick);
            let id = self.attachments[at].id;
            self.drain_session(now, id);
            // A session that asks for a time that has passed is asked again next time, not for ever.
            if let Some(still) =
                self.attachments.iter().find(|a| a.id == id && a.wakes.is_some_and(|at| at <= now))
            {
                tracing::trace!(attachment = %still.id, "asks to be woken in the past");
                break;
            }
        }
        self.tell_call(now, Input::Tick);
    }

    fn carrier(&mut self, now: MonoTime, input: CarrierInput<'_>) {
        self.carrier.handle(now, input);
        self.drain_carrier(now);
    }

    fn drain_carrier(&mut self, now: MonoTime) {
        loop {
            match self.carrier.poll() {
                CarrierOutput::Send(message) => {
                    self.outbox.push_back(BridgeOutput::Send(CARRIER_LINE, message))
                }
                CarrierOutput::HangUp => self.outbox.push_back(BridgeOutput::HangUp(CARRIER_LINE)),
                CarrierOutput::Event(CarrierEvent::Audio(frame)) => self.on_caller_audio(now, frame),
                CarrierOutput::Event(event) => self.tell_call(now, Input::Carrier(event)),
                CarrierOutput::WaitUntil(at) => {
                    self.carrier_wakes = at;
                    return;
                }
            }
        }
    }

    fn on_caller_audio(&mut self, now: MonoTime, frame: AudioFrame) {
        let format = frame.format;
        self.ear.push(frame.data);
        while let Some(data) = self.ear.next() {
            self.tell_call(now, Input::Carrier(CarrierEvent::Audio(AudioFrame::new(format, data))));
        }
    }

    fn session<'a>(&mut self, now: MonoTime, line: LineId, input: impl FnOnce(LineId) -> SessionInput<'a>) {
        let found = self.attachments.iter_mut().find_map(|a| a.own_line(line).map(|own| (a, own)));
        let Some((attachment, own)) = found else { return };
        attachment.session.handle(now, input(own));
        let id = attachment.id;
        self.drain_session(now, id);
    }

    fn drain_session(&mut self, now: MonoTime, id: AttachmentId) {
        loop {
            // Looked up each time: what the call makes of an event may let go of the session.
            let Some(attachment) = self.attachments.iter_mut().find(|a| a.id == id) else { return };
            match attachment.poll(now, &mut self.next_line) {
                Told::Bridge(BridgeOutput::Dial(line, endpoint)) => {
                    // Services ignore a header that they do not know; who runs one finds the call by it.
                    let endpoint = endpoint.header(CORRELATION_HEADER, self.correlation.as_str());
                    self.outbox.push_back(BridgeOutput::Dial(line, endpoint));
                }
                Told::Bridge(output) => self.outbox.push_back(output),
                Told::Call(event) => self.tell_call(now, Input::Provider(id, event)),
                Told::Nothing => return,
            }
        }
    }

    fn tell_call(&mut self, now: MonoTime, input: Input) {
        self.call.handle(now, input);
        self.drain_call(now);
    }

    fn drain_call(&mut self, now: MonoTime) {
        loop {
            match self.call.poll() {
                Output::Carrier(command) => self.carrier(now, CarrierInput::Command(command)),
                Output::Attach { id, wish, tried, last_resort } => {
                    self.outbox.push_back(BridgeOutput::Assign { id, wish, tried, last_resort });
                }
                Output::Open { id, history } => self.open(now, id, history),
                Output::Provider(id, command) => self.command(now, id, command),
                Output::Detach(id) => self.detach(now, id),
                Output::Outcome(id, outcome) => self.outbox.push_back(BridgeOutput::Settle(id, outcome)),
                Output::RunTool(call) => self.outbox.push_back(BridgeOutput::RunTool(call)),
                Output::Doubt(id) => self.doubt(id),
                Output::AbandonTool(id) => self.outbox.push_back(BridgeOutput::AbandonTool(id)),
                Output::Operate(operation) => self.outbox.push_back(BridgeOutput::Operate(operation)),
                Output::Record(recorded) => self.outbox.push_back(BridgeOutput::Record(recorded)),
                Output::Report(entry) => self.outbox.push_back(BridgeOutput::Report(entry)),
                Output::WaitUntil(at) => return self.rest = Rest::WaitUntil(at),
                Output::Finished(reason) => return self.rest = Rest::Finished(reason),
            }
        }
    }

    fn open(&mut self, now: MonoTime, id: AttachmentId, history: Vec<Turn>) {
        let Some(at) = self.offered.iter().position(|(offered, _)| *offered == id) else { return };
        let (_, provider) = self.offered.swap_remove(at);
        let line_format = self.carrier.format();
        let config = self.call.config();
        let setup = Setup {
            attachment: id,
            correlation: self.correlation.clone(),
            instructions: config.instructions().clone(),
            tools: config.tools().clone(),
            history,
            hears: attachment::nearest(line_format, &provider.capabilities().hears),
            speaks: attachment::nearest(line_format, &provider.capabilities().speaks),
            language: config.language().map(str::to_owned),
            unix: self.epoch + now.since(MonoTime::ZERO),
        };
        let phase = config.phase;
        self.attachments.push(Attachment::open(line_format, phase, provider.as_ref(), setup));
        self.drain_session(now, id);
    }

    fn command(&mut self, now: MonoTime, id: AttachmentId, command: ProviderCommand) {
        let Some(attachment) = self.attachments.iter_mut().find(|a| a.id == id) else { return };
        attachment.command(now, command);
        self.drain_session(now, id);
    }

    fn doubt(&mut self, id: AttachmentId) {
        let doubted = self.attachments.iter().filter(|attachment| attachment.id == id);
        let lines = doubted.flat_map(Attachment::lines_to_doubt);
        self.outbox.extend(lines.map(BridgeOutput::Doubt));
    }

    fn detach(&mut self, now: MonoTime, id: AttachmentId) {
        let Some(at) = self.attachments.iter().position(|a| a.id == id) else { return };
        let attachment = self.attachments.remove(at);
        attachment.close(now, &mut self.next_line, &mut self.outbox);
    }
}
