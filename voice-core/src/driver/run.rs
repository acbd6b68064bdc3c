//! The only loop in this library that waits. One task per call owns everything the call has.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Sleep;

use crate::bridge::{Bridge, BridgeInput, BridgeOutput, CARRIER_LINE};
use crate::call::{CallConfig, CallStart, CallStatus, Control, Outcome, Return};
use crate::carrier::CarrierSession;
use crate::conversation::{ToolCall, ToolResult};
use crate::fleet::{Assignment, Fleet, Needs, StayId};
use crate::id::{AttachmentId, CallId, ProviderId, ToolCallId};
use crate::record::{EndReason, Entry, Reader};
use crate::recording::{RecordCommand, RecordNews, RecordingRefusal};
use crate::time::MonoTime;
use crate::transfer::{Operation, TransferFailure, TransferNews};

use super::clock::Clock;
use super::line::{Dial, Line};
use super::lines::{LineEvent, Lines};
use super::operate::Operate;
use super::record_sink::{RecordSink, Recording};
use super::tools::RunTool;

/// Wishes that may wait for a call's task. It looks at them within microseconds; a full queue means that
/// somebody is shouting.
const CONTROLS_MAX: usize = 64;

/// Events that lines may have one after another before orders and tools are looked at again.
const UNASKED_MAX: u32 = 32;

/// Later than anything a call waits for.
const FAR: Duration = Duration::from_secs(3_600);

/// What all calls of a process share.
#[derive(Clone)]
pub struct World {
    /// Opens lines to providers.
    pub dial: Arc<dyn Dial>,
    /// Chooses providers.
    pub fleet: Arc<dyn Fleet>,
    /// Runs tools.
    pub tools: Arc<dyn RunTool>,
    /// Follow every call.
    pub readers: Arc<[Arc<dyn Reader>]>,
    /// Time.
    pub clock: Clock,
}

/// A call that is ready to run.
pub struct CallTask {
    id: CallId,
    bridge: Box<Bridge>,
    line: Box<dyn Line>,
    world: World,
    controls: mpsc::Receiver<Box<Control>>,
    needs: Needs,
    status: watch::Sender<CallStatus>,
    recorder: Option<Arc<dyn RecordSink>>,
    operator: Option<Arc<dyn Operate>>,
}

/// A way to reach a running call. Cheap to clone; the call goes on when all are dropped.
#[derive(Clone, Debug)]
pub struct CallHandle {
    id: CallId,
    /// Boxed, because the queue makes room for many and holds one at most, as a rule.
    controls: mpsc::Sender<Box<Control>>,
    status: watch::Receiver<CallStatus>,
    needs: Arc<Needs>,
}

/// Why a call was not told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// It is over.
    #[error("the call is over")]
    Over,
    /// It is being asked for too much at once; a moment later it may listen.
    #[error("too many orders wait for the call")]
    Full,
}

/// Puts a call together whose media has just arrived on `line`. Nothing happens before
/// [`CallTask::run`] is polled; spawn it as a task of its own, so that a bug costs one call.
pub fn place(
    id: CallId,
    world: World,
    config: Arc<CallConfig>,
    start: CallStart,
    session: Box<dyn CarrierSession>,
    line: Box<dyn Line>,
) -> (CallHandle, CallTask) {
    let clock = world.clock;
    let needs = Needs::of(&config, &start);
    let bridge = Bridge::new(clock.now(), clock.unix(MonoTime::ZERO), config, start, session);
    ready(id, world, needs, bridge, line)
}

/// Puts a call together that has come back: its media has just arrived on `line`, and its past is known. As
/// [`place`] otherwise.
pub fn place_again(
    id: CallId,
    world: World,
    config: Arc<CallConfig>,
    start: &CallStart,
    back: Return,
    session: Box<dyn CarrierSession>,
    line: Box<dyn Line>,
) -> (CallHandle, CallTask) {
    let clock = world.clock;
    let needs = Needs::of(&config, start);
    let bridge = Bridge::resume(clock.now(), clock.unix(MonoTime::ZERO), config, start, back, session);
    ready(id, world, needs, bridge, line)
}

fn ready(
    id: CallId,
    world: World,
    needs: Needs,
    bridge: Bridge,
    line: Box<dyn Line>,
) -> (CallHandle, CallTask) {
    let (sender, controls) = mpsc::channel(CONTROLS_MAX);
    let (status, look) = watch::channel(bridge.status());
    // On the heap, so that a call is not moved about, nor kept twice by the task that waits for it.
    let bridge = Box::new(bridge);
    let handle = CallHandle { id, controls: sender, status: look, needs: Arc::new(needs.clone()) };
    (handle, CallTask { id, bridge, line, world, controls, needs, status, recorder: None, operator: None })
}

impl CallHandle {
    /// Which call it reaches.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// How the call stands, as of its last step; after its end, how it ended up. Waits for nobody: the call
    /// leaves a copy whenever something was told in its record.
    pub fn status(&self) -> CallStatus {
        self.status.borrow().clone()
    }

    /// Asks for something. False if the call is over, or is being asked for too much at once.
    pub fn control(&self, control: Control) -> bool {
        self.tell(control).is_ok()
    }

    /// As [`Self::control`], for those who want to know why not.
    pub fn tell(&self, control: Control) -> Result<(), Untold> {
        self.controls.try_send(Box::new(control)).map_err(|error| match error {
            TrySendError::Full(_) => Untold::Full,
            TrySendError::Closed(_) => Untold::Over,
        })
    }

    /// What its provider must be able to do.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }
}

impl CallTask {
    /// Which call it is.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Lets the call be recorded there when that is ordered. Without it such an order fails.
    #[must_use]
    pub fn with_recorder(mut self, recorder: Arc<dyn RecordSink>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Lets the caller be led elsewhere, and the carrier record, by this one. Without it every transfer fails as
    /// [`TransferFailure::Unsupported`], and every recording of the carrier's likewise.
    #[must_use]
    pub fn with_operator(mut self, operator: Arc<dyn Operate>) -> Self {
        self.operator = Some(operator);
        self
    }

    /// Runs the call to its end.
    pub async fn run(self) -> EndReason {
        let Self { id, mut bridge, line, world, controls, needs, status, recorder, operator } = self;
        let mut io = Io {
            call: id,
            lines: Lines::new(),
            tools: JoinSet::new(),
            running: Vec::new(),
            assigned: Vec::new(),
            controls,
            pending: Vec::new(),
            unasked: 0,
            status,
            told: 0,
            world,
            needs,
            recording: Recording::new(id, recorder),
            operator,
        };
        io.lines.adopt(CARRIER_LINE, line);
        let clock = io.world.clock;
        // What was ordered before the first step comes before it: of a recording nothing must be missing.
        while let Ok(control) = io.controls.try_recv() {
            bridge.handle(clock.now(), BridgeInput::Control(*control));
        }
        let mut alarm = Box::pin(tokio::time::sleep_until(clock.instant(clock.now())));
        loop {
            if let Some(reason) = io.carry_out(&mut bridge, &mut alarm) {
                io.lines.hang_up_all();
                return reason;
            }
            let event = match io.pending.pop() {
                Some(event) => event,
                None => io.next(&mut alarm).await,
            };
            let now = clock.now();
            match event {
                Event::Line(LineEvent::Up(line)) => bridge.handle(now, BridgeInput::LineUp(line)),
                Event::Line(LineEvent::Message(line, message)) => {
                    bridge.handle(now, BridgeInput::Wire(line, &message));
                }
                Event::Line(LineEvent::Down(line, end)) => {
                    bridge.handle(now, BridgeInput::LineDown(line, end))
                }
                Event::Assign(id, wanted) => {
                    let assigned = io.assign(id, &wanted);
                    bridge.handle(now, BridgeInput::Assigned(id, assigned));
                }
                Event::Control(control) => bridge.handle(now, BridgeInput::Control(control)),
                Event::Alarm => bridge.handle(now, BridgeInput::Tick),
            }
        }
    }
}

/// Everything a call has that touches the world.
struct Io {
    call: CallId,
    lines: Lines,
    tools: JoinSet<(ToolCallId, ToolResult)>,
    running: Vec<RunningTool>,
    assigned: Vec<AttachmentId>,
    controls: mpsc::Receiver<Box<Control>>,
    /// What came up while outputs were carried out, to be handled before anything else.
    pending: Vec<Event>,
    /// So many events of lines may come before orders and tools are looked at again: none when the task was woken.
    unasked: u32,
    status: watch::Sender<CallStatus>,
    /// Entries of the record when the status was left for others to see.
    told: u64,
    world: World,
    needs: Needs,
    recording: Recording,
    operator: Option<Arc<dyn Operate>>,
}

/// A tool under way, and how to stop it.
struct RunningTool {
    task: Id,
    id: ToolCallId,
    handle: AbortHandle,
}

enum Event {
    Line(LineEvent),
    Assign(AttachmentId, Assignment),
    Control(Control),
    Alarm,
}

/// A bug that ends a call must not keep a breaker waiting for its outcome.
impl Drop for Io {
    fn drop(&mut self) {
        for attachment in std::mem::take(&mut self.assigned) {
            let stay = StayId { call: self.call, attachment };
            self.world.fleet.settle(self.world.clock.now(), stay, &Outcome::Unproven);
        }
    }
}

impl Io {
    /// Carries out everything the bridge wants. The reason, if the call is over.
    fn carry_out(&mut self, bridge: &mut Bridge, alarm: &mut Pin<Box<Sleep>>) -> Option<EndReason> {
        loop {
            match bridge.poll() {
                BridgeOutput::Send(line, message) => self.lines.offer(line, message),
                BridgeOutput::Dial(line, endpoint) => {
                    self.lines.dial(line, self.world.dial.clone(), endpoint)
                }
                BridgeOutput::Doubt(line) => self.lines.doubt(line),
                BridgeOutput::HangUp(line) => self.lines.hang_up(line),
                BridgeOutput::Assign { id, wish, tried, last_resort } => {
                    let needs = self.needs.clone();
                    self.pending.push(Event::Assign(id, Assignment { wish, tried, last_resort, needs }));
                }
                BridgeOutput::Settle(id, outcome) => self.settle(id, &outcome),
                BridgeOutput::RunTool(tool) => self.run_tool(tool),
                BridgeOutput::AbandonTool(id) => self.abandon_tool(id),
                BridgeOutput::Operate(operation) => self.operate(operation),
                BridgeOutput::Report(entry) => self.report(&entry),
                BridgeOutput::Record(recorded) => {
                    self.pending.extend(self.recording.take(recorded).map(Event::Control));
                }
                BridgeOutput::WaitUntil(at) => {
                    self.show(bridge);
                    // A call always waits for its own limit at least; without any deadline an hour will do.
                    let at = at.map_or_else(|| self.world.clock.now() + FAR, |(at, _)| at);
                    let deadline = self.world.clock.instant(at);
                    if alarm.deadline() != deadline {
                        alarm.as_mut().reset(deadline);
                    }
                    return None;
                }
                BridgeOutput::Finished(reason) => {
                    self.show(bridge);
                    return Some(reason);
                }
            }
        }
    }

    /// Leaves a copy of how the call stands, if anything was told since the last one.
    fn show(&mut self, bridge: &Bridge) {
        if self.told != bridge.entries() {
            self.told = bridge.entries();
            self.status.send_replace(bridge.status());
        }
    }

    /// Waits for the next thing to happen. Dropping the future loses nothing.
    async fn next(&mut self, alarm: &mut Pin<Box<Sleep>>) -> Event {
        poll_fn(|cx| {
            // Orders and tools first: they are few, and a line that floods must not keep them waiting. What comes
            // after they were looked at wakes the task again.
            if self.unasked > 0 {
                self.unasked -= 1;
            } else {
                if let Poll::Ready(Some(control)) = self.controls.poll_recv(cx) {
                    return Poll::Ready(Event::Control(*control));
                }
                while let Poll::Ready(Some(ended)) = self.tools.poll_join_next_with_id(cx) {
                    if let Some(control) = tool_answer(&mut self.running, ended) {
                        return Poll::Ready(Event::Control(control));
                    }
                }
                self.unasked = UNASKED_MAX;
            }
            if let Poll::Ready(event) = self.lines.poll(cx) {
                return Poll::Ready(Event::Line(event));
            }
            if alarm.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Alarm);
            }
            self.unasked = 0;
            Poll::Pending
        })
        .await
    }

    fn assign(
        &mut self,
        id: AttachmentId,
        wanted: &Assignment,
    ) -> Option<(ProviderId, Arc<dyn crate::provider::Provider>)> {
        let stay = StayId { call: self.call, attachment: id };
        let assigned = self.world.fleet.assign(self.world.clock.now(), stay, wanted)?;
        self.assigned.push(id);
        Some(assigned)
    }

    fn settle(&mut self, id: AttachmentId, outcome: &Outcome) {
        if let Some(at) = self.assigned.iter().position(|assigned| *assigned == id) {
            self.assigned.swap_remove(at);
            let stay = StayId { call: self.call, attachment: id };
            self.world.fleet.settle(self.world.clock.now(), stay, outcome);
        }
    }

    fn run_tool(&mut self, tool: ToolCall) {
        let (call, tools, id) = (self.call, self.world.tools.clone(), tool.id);
        // A task of its own, because a tool is foreign code: it may take its time, or panic.
        let handle = self.tools.spawn(async move { (id, tools.run(call, tool).await) });
        self.running.push(RunningTool { task: handle.id(), id, handle });
        // Whoever looked when there was none is not woken by it.
        self.unasked = 0;
    }

    fn abandon_tool(&self, id: ToolCallId) {
        for tool in self.running.iter().filter(|tool| tool.id == id) {
            tool.handle.abort();
        }
    }

    fn operate(&mut self, operation: Operation) {
        match (&self.operator, operation) {
            (Some(operator), operation) => operator.operate(self.call, operation),
            (None, Operation::Transfer(id, _)) => {
                let news = TransferNews::Failed(TransferFailure::Unsupported);
                self.pending.push(Event::Control(Control::Transferred(id, news)));
            }
            (None, Operation::Withdraw(_) | Operation::Proceed(_)) => {}
            (None, Operation::Record { order, step }) => {
                let news = RecordNews::Refused(step, RecordingRefusal::Unsupported);
                self.pending.push(Event::Control(Control::Record(RecordCommand::Ordered { order, news })));
            }
        }
    }

    fn report(&self, entry: &Entry) {
        for reader in self.world.readers.iter() {
            reader.read(self.call, entry);
        }
    }
}

/// What a tool's task came to. `None` if nobody waits for it.
fn tool_answer(
    running: &mut Vec<RunningTool>,
    ended: Result<(Id, (ToolCallId, ToolResult)), tokio::task::JoinError>,
) -> Option<Control> {
    let mut forget = |task: Id| {
        let at = running.iter().position(|tool| tool.task == task)?;
        Some(running.swap_remove(at).id)
    };
    match ended {
        Ok((task, (id, result))) => {
            forget(task);
            Some(Control::ToolAnswered { id, result })
        }
        Err(error) => {
            let id = forget(error.id())?;
            let result = ToolResult { output: "the tool failed".into(), failed: true };
            error.is_panic().then_some(Control::ToolAnswered { id, result })
        }
    }
}
