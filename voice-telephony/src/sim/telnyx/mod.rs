//! A call as Telnyx places or dials it: signed webhooks, the REST API that commands it, a media socket
//! that it opens to us, and somebody who speaks.

mod api;
mod hooks;
mod legs;
mod plan;
mod rooms;
mod rudeness;
mod stream;
mod tape;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use voice_core::audio::FRAME;
use voice_core::id::LineId;
use voice_core::sim::peer::{CallerInput, CallerOutput, FakeCaller};
use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, LineEnd, WireMessage};

pub use self::api::ApiAnswer;
use self::hooks::{Hooks, timestamp};
use self::legs::Tie;
use self::plan::Answers;
pub use self::plan::TelnyxCallPlan;
pub use self::rooms::TelnyxRooms;
pub use self::rudeness::TelnyxRudeness;
use self::stream::{Facts, MediaStream, Sends};
use self::tape::Tapes;
use super::caller::Caller;
use super::report::{CallReport, Traffic};

/// One call, from the first webhook to the last.
///
/// Two doors lead in. It implements [`FakeCaller`]: drive it until it is [`CallerOutput::Done`], and give
/// it what its lines bring. And it is asked by [`FakeTelnyxCall::api`], which is its REST API. After
/// that, poll again.
#[derive(Debug)]
pub struct FakeTelnyxCall {
    plan: TelnyxCallPlan,
    names: Names,
    rng: Rng,
    lines: u32,
    leg: Leg,
    client_state: Option<String>,
    hooks: Hooks,
    media: Media,
    /// What the last `streaming_start` wanted.
    wanted: Option<WantedStream>,
    /// Streams that were opened so far.
    streams_opened: u32,
    intruder: Option<LineId>,
    /// Ids of commands that were carried out, and when.
    commands: Vec<(String, MonoTime)>,
    /// Ids of commands that were seen, carried out or not.
    tried: Vec<String>,
    /// By the time at which they happen, then in the order in which they were decided.
    effects: BTreeMap<(MonoTime, u64), Effect>,
    effects_made: u64,
    caller: Option<Caller>,
    asked: Vec<String>,
    /// The other leg that this one hears.
    tie: Option<Tie>,
    tapes: Tapes,
    /// The conference in which it is, or was last.
    room: Option<String>,
    report: CallReport,
    outbox: VecDeque<CallerOutput>,
}

#[derive(Debug)]
struct Names {
    call_control_id: String,
    leg_id: String,
    session_id: String,
}

#[derive(Debug)]
enum Leg {
    /// Nobody has dialled yet.
    Waiting,
    Ringing,
    Talking {
        next_tick: MonoTime,
    },
    Over,
}

/// The media socket.
#[derive(Debug)]
enum Media {
    None,
    Dialling(LineId),
    Open(Box<MediaStream>),
    /// It says nothing any more, and stays open.
    Dead(LineId),
}

#[derive(Clone, Debug)]
struct WantedStream {
    url: String,
    token: String,
    parameters: Value,
    sends: Option<Sends>,
}

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Initiated,
    Answered,
    Detected,
    GreetingEnded,
    SpeakStarted,
    SpeakEnded,
    Bridged,
    /// Who calls has waited long enough.
    RingsOut,
    HungUp {
        cause: &'static str,
        sip: &'static str,
        source: &'static str,
    },
    OpenSocket,
    CloseSocket,
    LetGo,
    /// It has come into its conference, or left it, in Telnyx's words.
    Conference(&'static str),
    /// The recording of this number is put away.
    RecordingSaved(usize),
}

/// Who rings and is not answered gives up.
const RINGS_FOR: Duration = Duration::from_secs(30);

/// In the middle of the call.
const MIDDLE: Duration = Duration::from_secs(3);

impl FakeCaller for FakeTelnyxCall {
    fn handle(&mut self, now: MonoTime, input: CallerInput<'_>) {
        // What was due before this input came happens first.
        self.advance(now);
        match input {
            CallerInput::LineUp(line) => self.line_up(now, line),
            CallerInput::Wire(line, message) => self.wire(line, message),
            CallerInput::LineDown(line, end) => self.line_down(now, line, &end),
            CallerInput::Tick => {}
        }
        self.advance(now);
    }

    fn poll(&mut self) -> CallerOutput {
        if let Some(output) = self.outbox.pop_front() {
            return output;
        }
        let is_idle = self.hooks.is_idle() && self.effects.is_empty();
        if matches!(self.leg, Leg::Over) && is_idle && self.intruder.is_none() {
            return CallerOutput::Done;
        }
        let tick = if let Leg::Talking { next_tick } = self.leg { Some(next_tick) } else { None };
        let effect = self.effects.keys().next().map(|(at, _)| *at);
        CallerOutput::WaitUntil([tick, effect, self.hooks.next_due()].into_iter().flatten().min())
    }
}

impl FakeTelnyxCall {
    /// Somebody calls; or, where the plan says so, waits to be dialled.
    pub fn new(now: MonoTime, plan: TelnyxCallPlan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let mut names = plan.names.map(Rng::new);
        let mut bits = || names.as_mut().unwrap_or(&mut rng).bits();
        let names = Names {
            call_control_id: format!("v3:{:016x}{:016x}_-", bits(), bits()),
            leg_id: format!("{:016x}", bits()),
            session_id: format!("{:016x}", bits()),
        };
        let hooks = Hooks::new(&plan, rng.fork());
        let mut call = Self {
            names,
            lines: 0,
            leg: Leg::Waiting,
            client_state: None,
            hooks,
            media: Media::None,
            wanted: None,
            streams_opened: 0,
            intruder: None,
            commands: Vec::new(),
            tried: Vec::new(),
            effects: BTreeMap::new(),
            effects_made: 0,
            caller: Some(Caller::new(plan.script.clone())),
            asked: Vec::new(),
            tie: None,
            tapes: Tapes::default(),
            room: None,
            report: CallReport::default(),
            outbox: VecDeque::new(),
            rng,
            plan,
        };
        if !call.plan.is_outgoing {
            call.leg = Leg::Ringing;
            call.later(now, Effect::Initiated);
            call.later(now + RINGS_FOR, Effect::RingsOut);
            call.advance(now);
        }
        call
    }

    /// What happened. Complete once the call is [`CallerOutput::Done`].
    pub const fn report(&self) -> &CallReport {
        &self.report
    }

    /// The first webhook as it would leave now, for whoever wants to have caught it.
    pub fn first_webhook(mut self) -> Option<Endpoint> {
        // It leaves at the beginning, so it is what comes out first.
        if let CallerOutput::Dial(_, endpoint) = self.poll() { Some(endpoint) } else { None }
    }

    /// The actions that were asked for, in order, repetitions that were ignored left out.
    pub fn commands(&self) -> &[String] {
        &self.asked
    }

    /// The call's name, as the other side knows it.
    pub fn call_control_id(&self) -> &str {
        &self.names.call_control_id
    }

    fn is(&self, rudeness: TelnyxRudeness) -> bool {
        self.plan.rudeness.contains(&rudeness)
    }

    fn next_line(&mut self) -> LineId {
        self.lines += 1;
        LineId(self.lines)
    }

    fn later(&mut self, at: MonoTime, effect: Effect) {
        self.effects_made += 1;
        self.effects.insert((at, self.effects_made), effect);
    }

    fn report_command(&mut self, action: &str) {
        self.asked.push(action.to_owned());
    }

    fn streams(&self) -> bool {
        !matches!(self.media, Media::None)
            || self.effects.values().any(|effect| *effect == Effect::OpenSocket)
    }

    fn tell(&mut self, now: MonoTime, kind: &str, fields: Value) {
        let mut payload = json!({
            "call_control_id": self.names.call_control_id,
            "call_leg_id": self.names.leg_id,
            "call_session_id": self.names.session_id,
            "connection_id": "2811212257810187875",
            "client_state": self.client_state,
            "from": self.plan.from,
            "to": self.plan.to,
        });
        if let Value::Object(fields) = fields {
            for (name, value) in fields {
                payload[name] = value;
            }
        }
        self.hooks.tell(now, kind, payload);
        if self.hooks.holds_back() {
            self.later(now + Duration::from_millis(300), Effect::LetGo);
        }
    }

    /// Does what is due by now.
    fn advance(&mut self, now: MonoTime) {
        if self.tie.as_ref().is_some_and(Tie::is_over) {
            // The other leg is over, and nobody wanted this one to be parked.
            self.hung_up(now, "normal_clearing", "200", "callee");
        }
        self.look_at_conference(now);
        while let Some(((at, _), effect)) =
            self.effects.first_key_value().map(|(key, effect)| (*key, *effect))
            && at <= now
        {
            self.effects.pop_first();
            self.happens(now, effect);
        }
        while let Leg::Talking { next_tick } = &mut self.leg
            && *next_tick <= now
        {
            *next_tick += FRAME;
            self.one_tick(now);
        }
        loop {
            let line = LineId(self.lines + 1);
            let Some(endpoint) = self.hooks.due(now, line) else { break };
            self.lines += 1;
            self.outbox.push_back(CallerOutput::Dial(line, endpoint));
        }
        self.count_webhooks();
    }

    fn happens(&mut self, now: MonoTime, effect: Effect) {
        let is_over = matches!(self.leg, Leg::Over);
        match effect {
            Effect::LetGo => self.hooks.let_go(now),
            Effect::RecordingSaved(at) => self.recording_saved(now, at),
            Effect::Initiated
            | Effect::Answered
            | Effect::Detected
            | Effect::GreetingEnded
            | Effect::SpeakStarted
            | Effect::SpeakEnded
            | Effect::Bridged
            | Effect::Conference(_)
                if is_over => {}
            Effect::Initiated => {
                let (direction, state) =
                    if self.plan.is_outgoing { ("outgoing", "bridging") } else { ("incoming", "parked") };
                let start = timestamp(self.plan.epoch, now);
                let fields = json!({"direction": direction, "state": state, "start_time": start,
                    "connection_codecs": "PCMA,PCMU", "offered_codecs": "PCMU,G729"});
                self.tell(now, "call.initiated", fields);
            }
            Effect::Answered => {
                self.effects.retain(|_, effect| *effect != Effect::RingsOut);
                self.leg = Leg::Talking { next_tick: now };
                let codec = if self.plan.speaks_alaw { "PCMA" } else { "PCMU" };
                self.tell(now, "call.answered", json!({"state": "answered", "codec": codec}));
            }
            Effect::Detected => {
                let who = if self.plan.answers == Answers::Machine { "machine" } else { "human" };
                self.tell(now, "call.machine.detection.ended", json!({"result": who}));
            }
            Effect::GreetingEnded => {
                self.tell(now, "call.machine.greeting.ended", json!({"result": "beep_detected"}));
            }
            Effect::SpeakStarted => self.tell(now, "call.speak.started", json!({})),
            Effect::SpeakEnded => self.tell(now, "call.speak.ended", json!({"status": "completed"})),
            Effect::Conference(kind) => self.tell(now, kind, json!({"conference_id": self.room})),
            Effect::Bridged => self.tell(now, "call.bridged", json!({})),
            Effect::RingsOut => self.hung_up(now, "originator_cancel", "487", "caller"),
            Effect::HungUp { cause, sip, source } => self.hung_up(now, cause, sip, source),
            Effect::OpenSocket | Effect::CloseSocket if is_over => {}
            Effect::OpenSocket => self.open_socket(now),
            Effect::CloseSocket => self.close_socket(now),
        }
    }

    fn open_socket(&mut self, now: MonoTime) {
        let Some(wanted) = self.wanted.clone() else { return };
        self.streams_opened += 1;
        if self.streams_opened == 1 && self.is(TelnyxRudeness::StreamFails) {
            let params = json!({"stream_url": wanted.url, "track": "inbound_track"});
            let fields = json!({"failure_reason": "connection_failed", "stream_params": params,
                "stream_type": "websocket"});
            return self.tell(now, "streaming.failed", fields);
        }
        let line = self.next_line();
        self.outbox.push_back(CallerOutput::Dial(line, self.upgrade(&wanted)));
        self.media = Media::Dialling(line);
    }

    fn upgrade(&self, wanted: &WantedStream) -> Endpoint {
        let bare = wanted.url.split('?').next().unwrap_or_default();
        let bearer = format!("Bearer {}", wanted.token);
        if self.is(TelnyxRudeness::MissingTicket) || self.is(TelnyxRudeness::ParameterTicket) {
            return Endpoint::web_socket(bare);
        }
        if self.is(TelnyxRudeness::UnknownTicket) {
            return Endpoint::web_socket(format!("{bare}?ticket={}", "A".repeat(43)));
        }
        let url = if self.is(TelnyxRudeness::BearerTicket) { bare } else { wanted.url.as_str() };
        Endpoint::web_socket(url).header("Authorization", bearer)
    }

    fn close_socket(&mut self, now: MonoTime) {
        match std::mem::replace(&mut self.media, Media::None) {
            Media::None => return,
            Media::Dialling(line) | Media::Dead(line) => self.outbox.push_back(CallerOutput::HangUp(line)),
            Media::Open(mut stream) => {
                stream.stop(&mut self.outbox);
                self.outbox.push_back(CallerOutput::HangUp(stream.line()));
                self.absorb(stream.traffic);
            }
        }
        self.stream_is_over(now, "streaming.stopped");
    }

    fn stream_is_over(&mut self, now: MonoTime, kind: &str) {
        let url = self.wanted.as_ref().map(|wanted| wanted.url.clone());
        self.tell(now, kind, json!({"stream_url": url}));
    }

    fn line_up(&mut self, now: MonoTime, line: LineId) {
        if self.intruder == Some(line) {
            let facts = self.facts(json!({}));
            let rng = self.rng.fork();
            MediaStream::open(line, facts, Vec::new(), rng, &mut self.outbox);
            return;
        }
        if !matches!(self.media, Media::Dialling(dialled) if dialled == line) {
            return;
        }
        let parameters = self.wanted.as_ref().map_or(Value::Null, |wanted| wanted.parameters.clone());
        let hides =
            [TelnyxRudeness::MissingTicket, TelnyxRudeness::UnknownTicket, TelnyxRudeness::BearerTicket];
        let parameters = if hides.iter().any(|rude| self.is(*rude)) { json!({}) } else { parameters };
        let facts = self.facts(parameters);
        let (rudeness, rng) = (self.plan.rudeness.clone(), self.rng.fork());
        let stream = MediaStream::open(line, facts, rudeness, rng, &mut self.outbox);
        self.media = Media::Open(Box::new(stream));
        self.stream_is_over(now, "streaming.started");
        if self.is(TelnyxRudeness::UsedTicket)
            && let Some(wanted) = self.wanted.clone()
        {
            let second = self.next_line();
            self.outbox.push_back(CallerOutput::Dial(second, self.upgrade(&wanted)));
            self.intruder = Some(second);
        }
    }

    fn facts(&mut self, parameters: Value) -> Facts {
        Facts {
            stream_id: format!("{:016x}", self.rng.bits()),
            call_control_id: self.names.call_control_id.clone(),
            call_session_id: self.names.session_id.clone(),
            client_state: self.client_state.clone(),
            parameters,
            leg_is_alaw: self.plan.speaks_alaw,
            sends: self.wanted.as_ref().and_then(|wanted| wanted.sends),
            is_first: self.streams_opened == 1,
        }
    }

    fn wire(&mut self, from: LineId, message: &WireMessage) {
        if let Media::Open(stream) = &mut self.media
            && stream.line() == from
            && let Some(caller) = &mut self.caller
        {
            stream.receive(message, caller, &mut self.outbox);
        }
    }

    fn line_down(&mut self, now: MonoTime, line: LineId, end: &LineEnd) {
        if self.hooks.answered(now, line, end) {
            return self.count_webhooks();
        }
        if self.intruder == Some(line) {
            self.intruder = None;
            return self.report.closed.push(code_of(end));
        }
        match &self.media {
            Media::Dialling(dialled) if *dialled == line => {
                self.media = Media::None;
                self.report.closed.push(code_of(end));
                self.stream_is_over(now, "streaming.failed");
            }
            Media::Open(stream) if stream.line() == line => {
                let traffic = stream.traffic;
                self.media = Media::None;
                self.absorb(traffic);
                self.report.closed.push(code_of(end));
                self.stream_is_over(now, "streaming.stopped");
            }
            Media::Dead(dead) if *dead == line => {
                self.media = Media::None;
                self.stream_is_over(now, "streaming.stopped");
            }
            Media::None | Media::Dialling(_) | Media::Open(_) | Media::Dead(_) => {}
        }
    }

    fn one_tick(&mut self, now: MonoTime) {
        self.break_stream(now);
        let stream = match &mut self.media {
            Media::Open(stream) => Some(stream),
            Media::None | Media::Dialling(_) | Media::Dead(_) => None,
        };
        let Some(caller) = &mut self.caller else { return };
        let is_streaming = stream.as_ref().is_some_and(|stream| !stream.is_mute());
        let mut stream = stream;
        let played = stream.as_mut().and_then(|stream| stream.play(&mut self.outbox));
        let deed = caller.tick(played.as_deref());
        if let Some(stream) = stream
            && is_streaming
        {
            stream.speak(&deed.audio, &mut self.outbox);
            if let Some(key) = deed.digit {
                stream.press(key, &timestamp(self.plan.epoch, now), &mut self.outbox);
            }
        }
        if let Some(key) = deed.digit {
            self.tell(now, "call.dtmf.received", json!({"digit": key.to_string()}));
        }
        if deed.hangs_up {
            self.hung_up(now, "normal_clearing", "200", "caller");
        }
    }

    /// In the middle of the first stream, where that was asked for.
    fn break_stream(&mut self, now: MonoTime) {
        let Media::Open(stream) = &self.media else { return };
        if !stream.is_first() || stream.age() < MIDDLE {
            return;
        }
        let (line, traffic) = (stream.line(), stream.traffic);
        if self.is(TelnyxRudeness::Cut) {
            self.media = Media::None;
            self.absorb(traffic);
            self.outbox.push_back(CallerOutput::Cut(line));
            self.stream_is_over(now, "streaming.failed");
        } else if self.is(TelnyxRudeness::HalfOpen) {
            self.media = Media::Dead(line);
            self.absorb(traffic);
        }
    }

    /// The leg is over, whoever wanted it.
    fn hung_up(&mut self, now: MonoTime, cause: &'static str, sip: &'static str, source: &'static str) {
        if matches!(self.leg, Leg::Over) {
            return;
        }
        let was_answered = matches!(self.leg, Leg::Talking { .. });
        let caller = self.caller.take();
        let is_done = caller.as_ref().is_some_and(Caller::has_said_all);
        let is_tied = self.tie.as_ref().map(Tie::end).is_some();
        if !was_answered || (source != "caller" && !is_done && !is_tied) {
            self.report.failure.get_or_insert_with(|| format!("hung up: {cause}"));
        }
        if let Some(caller) = caller {
            caller.conclude(&mut self.report);
        }
        self.report.completed = self.report.failure.is_none();
        self.leg = Leg::Over;
        self.effects.retain(|_, effect| matches!(effect, Effect::LetGo | Effect::RecordingSaved(_)));
        self.end_recording(now);
        self.plan.rooms.leave(&self.names.call_control_id);
        let fields = json!({"hangup_cause": cause, "hangup_source": source, "sip_hangup_cause": sip,
            "state": "hangup", "call_quality_stats": null});
        if self.is(TelnyxRudeness::LeftOpen) {
            if let Media::Open(stream) = std::mem::replace(&mut self.media, Media::None) {
                self.absorb(stream.traffic);
            }
        } else {
            self.close_socket(now);
        }
        self.tell(now, "call.hangup", fields);
    }

    fn count_webhooks(&mut self) {
        self.report.webhook_status = self.hooks.first_status;
        self.report.callbacks_taken = self.hooks.taken;
        self.report.callbacks_refused = self.hooks.refused;
    }

    fn absorb(&mut self, of_stream: Traffic) {
        let all = &mut self.report.traffic;
        all.frames_sent += of_stream.frames_sent;
        all.frames_dropped += of_stream.frames_dropped;
        all.frames_received += of_stream.frames_received;
        all.received += of_stream.received;
        all.played += of_stream.played;
        all.marks_echoed += of_stream.marks_echoed;
        all.clears += of_stream.clears;
        all.invalid_messages += of_stream.invalid_messages;
        all.queue_max = all.queue_max.max(of_stream.queue_max);
    }
}

fn code_of(end: &LineEnd) -> (u16, String) {
    if let LineEnd::Closed { code, reason } = end {
        return (*code, reason.clone());
    }
    let status = if let LineEnd::Refused { status, .. } = end { *status } else { 1006 };
    (status, String::new())
}
