//! A call as Twilio places it: webhook, TwiML, media socket, status callbacks.

mod api;
mod document;
mod ends;
mod http;
mod plan;
mod retry;
mod rooms;
mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use voice_core::id::LineId;
use voice_core::sim::peer::{CallerInput, CallerOutput, FakeCaller};
use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};

pub use self::api::{ApiEffect, ApiRudeness, FakeTwilioApi, TwilioApiPlan, UnknownApiRudeness};
use self::document::{Stream, Verb};
use self::ends::{code_of, status_of};
use self::http::Signer;
pub use self::plan::TwilioCallPlan;
use self::retry::Retry;
pub use self::rooms::Rooms;
use self::rooms::Stay;
use self::stream::{Flow, MediaStream, Names};
use super::caller::Caller;
use super::report::{CallReport, Traffic, reason};
use super::rudeness::Rudeness;

/// One call, from the webhook to the last status callback.
///
/// Implements [`FakeCaller`]: drive it until it is [`CallerOutput::Done`], then ask for the report.
#[derive(Debug)]
pub struct FakeTwilioCall {
    plan: TwilioCallPlan,
    signer: Signer,
    names: Names,
    rng: Rng,
    lines: u32,
    stage: Stage,
    verbs: VecDeque<Verb>,
    /// Requests beside the one that is waited for.
    side_requests: BTreeMap<LineId, Side>,
    caller: Option<Caller>,
    leaves_at: Option<MonoTime>,
    report: CallReport,
    outbox: VecDeque<CallerOutput>,
}

#[derive(Debug)]
enum Stage {
    /// Waits for a document.
    Fetching {
        line: LineId,
        body: Vec<u8>,
        deadline: MonoTime,
        retry: Retry,
    },
    /// Will ask for it again.
    Retrying {
        at: MonoTime,
        retry: Retry,
    },
    /// Says, plays or pauses.
    Busy {
        until: MonoTime,
    },
    /// Says something, and then awaits a key.
    Gathering {
        until: MonoTime,
        action: Option<String>,
    },
    /// In a conference; looks around now and then.
    Meeting {
        stay: Stay,
        action: Option<String>,
        looks_at: MonoTime,
    },
    /// Waits for the media socket.
    Dialling {
        line: LineId,
        stream: Stream,
        action: Option<String>,
        deadline: MonoTime,
    },
    /// The media socket is up.
    Streaming {
        media: Box<MediaStream>,
        callback: Option<String>,
        action: Option<String>,
    },
    /// The call is over; callbacks are under way.
    Concluding {
        deadline: MonoTime,
    },
    Done,
}

impl Stage {
    /// The line that the call's progress hangs on.
    fn line(&self) -> Option<LineId> {
        match self {
            Self::Fetching { line, .. } | Self::Dialling { line, .. } => Some(*line),
            Self::Streaming { media, .. } => Some(media.line()),
            Self::Busy { .. }
            | Self::Retrying { .. }
            | Self::Gathering { .. }
            | Self::Meeting { .. }
            | Self::Concluding { .. }
            | Self::Done => None,
        }
    }
}

/// What a line beside the main one is for.
#[derive(Debug)]
enum Side {
    /// A status callback.
    Callback,
    /// The second of two equal webhooks; whatever it is answered is thrown away.
    Duplicate,
    /// A socket that shows a used ticket.
    Intruder { parameters: Vec<(String, String)> },
}

impl FakeCaller for FakeTwilioCall {
    fn handle(&mut self, now: MonoTime, input: CallerInput<'_>) {
        // What was due before this input came is played and said first.
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
        let at = match &self.stage {
            Stage::Fetching { deadline, .. } | Stage::Dialling { deadline, .. } => *deadline,
            Stage::Concluding { deadline } => return CallerOutput::WaitUntil(Some(*deadline)),
            Stage::Busy { until } | Stage::Retrying { at: until, .. } | Stage::Gathering { until, .. } => {
                *until
            }
            Stage::Meeting { looks_at, .. } => *looks_at,
            Stage::Streaming { media, .. } => media.next_tick_at(),
            Stage::Done => return CallerOutput::Done,
        };
        CallerOutput::WaitUntil(Some(self.leaves_at.map_or(at, |leaves| leaves.min(at))))
    }
}

impl FakeTwilioCall {
    /// Dials the number: the webhook is asked at once.
    pub fn new(now: MonoTime, plan: TwilioCallPlan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let mut naming = plan.naming.map(Rng::new);
        let mut sid = |prefix: &str| {
            // Drawn in either case, so that all other chance is the same.
            let drawn = (rng.bits(), rng.bits());
            let (high, low) = naming.as_mut().map_or(drawn, |naming| (naming.bits(), naming.bits()));
            format!("{prefix}{high:016x}{low:016x}")
        };
        let mut names = Names { call_sid: sid("CA"), account_sid: sid("AC"), stream_sid: sid("MZ") };
        if let Some((call, account)) = plan.names.clone() {
            (names.call_sid, names.account_sid) = (call, account);
        }
        let signer = Signer { token: plan.token.clone(), rudeness: plan.rudeness.clone() };
        let caller = Caller::new(plan.script.clone());
        let mut call = Self {
            signer,
            names,
            rng,
            lines: 0,
            stage: Stage::Done,
            verbs: VecDeque::new(),
            side_requests: BTreeMap::new(),
            caller: Some(caller),
            leaves_at: plan.manners.leaves_after.map(|length| now + length),
            report: CallReport::default(),
            outbox: VecDeque::new(),
            plan,
        };
        let url = call.plan.webhook.clone();
        // A call to somebody asks what to do when it is answered; one from somebody, while it rings.
        let status = if call.plan.names.is_some() { "in-progress" } else { "ringing" };
        call.fetch(now, &url, status);
        if call.is(Rudeness::DuplicateWebhook) {
            let parameters = call.parameters("ringing");
            call.request(&url, &parameters, Side::Duplicate);
        }
        call
    }

    /// What happened. Complete once the call is [`CallerOutput::Done`].
    pub const fn report(&self) -> &CallReport {
        &self.report
    }

    /// The call's name, as the other side knows it.
    pub fn call_sid(&self) -> &str {
        &self.names.call_sid
    }

    /// The other side ends the call over REST.
    pub fn hang_up(&mut self, now: MonoTime) {
        if !matches!(self.stage, Stage::Concluding { .. } | Stage::Done) {
            self.leave_stream();
            self.hung_up(now);
        }
    }

    /// The other side gives the call another document over REST.
    pub fn redirect(&mut self, now: MonoTime, document: &str) {
        if matches!(self.stage, Stage::Concluding { .. } | Stage::Done) {
            return;
        }
        self.leave_stream();
        if document.starts_with("http") {
            return self.fetch(now, document, "in-progress");
        }
        match document::read(document) {
            Ok(verbs) => {
                self.verbs = verbs;
                self.next_verb(now);
            }
            Err(problem) => {
                self.fail(&problem);
                self.conclude(now, "failed");
            }
        }
    }

    fn is(&self, rudeness: Rudeness) -> bool {
        self.plan.rudeness.contains(&rudeness)
    }

    fn next_line(&mut self) -> LineId {
        self.lines += 1;
        LineId(self.lines)
    }

    /// Makes a request beside the main business.
    fn request(&mut self, url: &str, parameters: &[(&'static str, String)], side: Side) {
        let line = self.next_line();
        self.outbox.push_back(CallerOutput::Dial(line, self.signer.post(url, parameters)));
        self.side_requests.insert(line, side);
    }

    /// Does what is due by now.
    fn advance(&mut self, now: MonoTime) {
        let is_over = matches!(self.stage, Stage::Concluding { .. } | Stage::Done);
        if !is_over && self.leaves_at.is_some_and(|at| at <= now) {
            return self.caller_left(now);
        }
        match &mut self.stage {
            Stage::Streaming { media, .. } => {
                let Some(caller) = &mut self.caller else { return };
                match media.advance(now, caller, &mut self.outbox) {
                    Flow::GoesOn => {}
                    Flow::CallerLeft => self.caller_left(now),
                    Flow::Vanished => {
                        self.fail("the carrier vanished, as it was asked to");
                        self.leave_stream();
                        self.conclude(now, "completed");
                    }
                }
            }
            Stage::Busy { until } if *until <= now => self.next_verb(now),
            Stage::Retrying { at, retry } if *at <= now => {
                let retry = retry.clone();
                self.ask(now, retry);
            }
            Stage::Gathering { until, action } if *until <= now => {
                let action = action.take();
                self.answer_gather(now, action);
            }
            Stage::Meeting { stay, action, looks_at } if *looks_at <= now => {
                *looks_at = now + Duration::from_millis(100);
                if self.plan.rooms.is_over(stay) {
                    let action = action.take();
                    self.stage = Stage::Done;
                    self.after_stream(now, action);
                }
            }
            Stage::Fetching { deadline, .. } if *deadline <= now => {
                self.fail("no document in 15 s (11205)");
                self.conclude(now, "failed");
            }
            Stage::Dialling { deadline, .. } if *deadline <= now => {
                self.fail("the media socket did not come up (31901)");
                self.next_verb(now);
            }
            Stage::Concluding { deadline } if *deadline <= now || self.side_requests.is_empty() => {
                let unanswered = self.side_requests.values().filter(|side| matches!(side, Side::Callback));
                self.report.callbacks_refused += u32::try_from(unanswered.count()).unwrap_or(u32::MAX);
                self.stage = Stage::Done;
            }
            Stage::Busy { .. }
            | Stage::Retrying { .. }
            | Stage::Gathering { .. }
            | Stage::Meeting { .. }
            | Stage::Fetching { .. }
            | Stage::Dialling { .. }
            | Stage::Concluding { .. }
            | Stage::Done => {}
        }
    }

    fn line_up(&mut self, now: MonoTime, up: LineId) {
        if let Some(Side::Intruder { parameters }) = self.side_requests.get(&up) {
            let names = Names { stream_sid: format!("MZ{:032x}", 1), ..self.names.clone() };
            let rng = self.rng.fork();
            MediaStream::open(now, up, names, parameters, Vec::new(), rng, &mut self.outbox);
            return;
        }
        if let Stage::Dialling { line, stream, action, .. } = &mut self.stage
            && *line == up
        {
            let (stream, action) = (std::mem::take(stream), action.take());
            self.stream_up(now, up, stream, action);
        }
    }

    fn stream_up(&mut self, now: MonoTime, line: LineId, stream: Stream, action: Option<String>) {
        let names = self.names.clone();
        let rudeness = self.plan.rudeness.clone();
        let rng = self.rng.fork();
        let out = &mut self.outbox;
        let media = MediaStream::open(now, line, names, &stream.parameters, rudeness, rng, out);
        self.report.streams += 1;
        self.stream_callback(stream.status_callback.as_deref(), "stream-started");
        self.stage = Stage::Streaming { media: Box::new(media), callback: stream.status_callback, action };
        if self.is(Rudeness::UsedTicket) {
            let second = self.next_line();
            self.outbox.push_back(CallerOutput::Dial(second, self.signer.upgrade(&stream.url)));
            self.side_requests.insert(second, Side::Intruder { parameters: stream.parameters });
        }
    }

    fn wire(&mut self, from: LineId, message: &WireMessage) {
        match &mut self.stage {
            Stage::Fetching { line, body, .. } if *line == from => {
                if body.len() < BODY_BYTES_MAX {
                    body.extend_from_slice(message.as_bytes());
                }
            }
            Stage::Streaming { media, .. } if media.line() == from => {
                if let Some(caller) = &mut self.caller {
                    media.receive(message, caller, &mut self.outbox);
                }
            }
            Stage::Fetching { .. }
            | Stage::Retrying { .. }
            | Stage::Busy { .. }
            | Stage::Gathering { .. }
            | Stage::Meeting { .. }
            | Stage::Dialling { .. }
            | Stage::Streaming { .. }
            | Stage::Concluding { .. }
            | Stage::Done => {}
        }
    }

    fn line_down(&mut self, now: MonoTime, down: LineId, end: &LineEnd) {
        if let Some(side) = self.side_requests.remove(&down) {
            match (side, end) {
                (Side::Callback, LineEnd::Ended) => self.report.callbacks_taken += 1,
                (Side::Callback, _) => self.report.callbacks_refused += 1,
                (Side::Intruder { .. }, end) => self.report.closed.push(code_of(end)),
                (Side::Duplicate, _) => {}
            }
            return;
        }
        if self.stage.line() != Some(down) {
            return;
        }
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Fetching { body, retry, .. } => self.fetched(now, &body, end, retry),
            Stage::Dialling { stream, action, .. } => {
                self.report.streams_refused += 1;
                // What comes next may be another one.
                if self.verbs.is_empty() && action.is_none() {
                    self.fail(&format!("the media socket did not come up: {}", reason(end)));
                }
                self.stream_callback(stream.status_callback.as_deref(), "stream-error");
                self.after_stream(now, action);
            }
            Stage::Streaming { media, callback, action } => {
                self.report.closed.push(code_of(end));
                self.absorb(media.traffic);
                self.stream_callback(callback.as_deref(), "stream-stopped");
                self.after_stream(now, action);
            }
            stage @ (Stage::Busy { .. }
            | Stage::Retrying { .. }
            | Stage::Gathering { .. }
            | Stage::Meeting { .. }
            | Stage::Concluding { .. }
            | Stage::Done) => self.stage = stage,
        }
    }

    fn fetched(&mut self, now: MonoTime, body: &[u8], end: &LineEnd, mut retry: Retry) {
        let status = status_of(end);
        self.report.webhook_status = self.report.webhook_status.or(status);
        if *end != LineEnd::Ended && retry.left > 0 && (retry.whatever || status.is_none()) {
            retry.left -= 1;
            self.stage = Stage::Retrying { at: now + RETRY_WAIT, retry };
            return;
        }
        if *end != LineEnd::Ended {
            self.fail(&format!("the webhook was not answered: {}", reason(end)));
            return self.conclude(now, "failed");
        }
        match document::read(&String::from_utf8_lossy(body)) {
            Ok(verbs) => {
                self.verbs = verbs;
                self.next_verb(now);
            }
            Err(problem) => {
                self.fail(&problem);
                self.conclude(now, "failed");
            }
        }
    }

    fn next_verb(&mut self, now: MonoTime) {
        match self.verbs.pop_front() {
            None | Some(Verb::Hangup) => self.hung_up(now),
            Some(Verb::Reject) => {
                self.fail("rejected");
                self.conclude(now, "busy");
            }
            Some(Verb::Say(text)) => {
                let until = now + Duration::from_millis(400 + 60 * text.chars().count() as u64);
                self.report.announced.push(text);
                self.stage = Stage::Busy { until };
            }
            Some(Verb::Play) => self.stage = Stage::Busy { until: now + Duration::from_secs(1) },
            Some(Verb::Pause(length)) => self.stage = Stage::Busy { until: now + length },
            Some(Verb::Gather { say, action }) => {
                let until = now + Duration::from_millis(400 + 60 * say.chars().count() as u64);
                self.report.announced.push(say);
                self.stage = Stage::Gathering { until, action };
            }
            Some(Verb::Conference { name, ends, action }) => {
                let stay = self.plan.rooms.join(&name, ends);
                self.stage = Stage::Meeting { stay, action, looks_at: now };
            }
            Some(Verb::Redirect(url)) => self.fetch(now, &url, "in-progress"),
            Some(Verb::Connect { stream, action }) => {
                let line = self.next_line();
                self.names.stream_sid = format!("MZ{:016x}{:016x}", self.rng.bits(), self.rng.bits());
                self.outbox.push_back(CallerOutput::Dial(line, self.signer.upgrade(&stream.url)));
                self.stage = Stage::Dialling { line, stream, action, deadline: now + SOCKET_WAIT };
            }
        }
    }

    /// The stream is over and the call is not: an `action` goes before the next verb.
    fn after_stream(&mut self, now: MonoTime, action: Option<String>) {
        match action {
            Some(url) => self.fetch(now, &url, "in-progress"),
            None => self.next_verb(now),
        }
    }

    /// The document is at its end.
    fn hung_up(&mut self, now: MonoTime) {
        if !self.caller.as_ref().is_some_and(Caller::has_said_all) {
            let last = self.report.closed.last().map(|(code, reason)| format!(" ({code} {reason})"));
            self.fail(&format!("the other side hung up{}", last.unwrap_or_default()));
        }
        self.conclude(now, "completed");
    }

    fn caller_left(&mut self, now: MonoTime) {
        self.leave_stream();
        self.conclude(now, "completed");
    }

    /// Takes leave of the media socket in the way that was planned.
    fn leave_stream(&mut self) {
        if let Stage::Meeting { stay, .. } = &self.stage {
            self.plan.rooms.leave(stay);
        }
        if let Stage::Streaming { mut media, callback, .. } = std::mem::replace(&mut self.stage, Stage::Done)
        {
            let is_cut = self.is(Rudeness::Cut) || self.is(Rudeness::HalfOpen);
            if !is_cut {
                media.stop(&mut self.outbox);
            }
            self.outbox.push_back(CallerOutput::HangUp(media.line()));
            self.absorb(media.traffic);
            self.stream_callback(callback.as_deref(), "stream-stopped");
        }
    }

    fn conclude(&mut self, now: MonoTime, status: &'static str) {
        if let Some(caller) = self.caller.take() {
            caller.conclude(&mut self.report);
        }
        self.side_requests.retain(|line, side| {
            let is_intruder = matches!(side, Side::Intruder { .. });
            if is_intruder {
                self.outbox.push_back(CallerOutput::HangUp(*line));
            }
            !is_intruder
        });
        self.report.completed = self.report.failure.is_none();
        if let Some(url) = self.plan.status_callback.clone() {
            let late = [("completed", 3), ("in-progress", 2), ("ringing", 1), ("ringing", 1)];
            let told: &[(&str, u32)] = if self.is(Rudeness::LateStatus) { &late } else { &[(status, 0)] };
            for (status, sequence) in told {
                let mut parameters = self.parameters(status);
                parameters.push(("CallbackSource", "call-progress-events".to_owned()));
                parameters.push(("SequenceNumber", sequence.to_string()));
                parameters.push(("Timestamp", "Sat, 21 Nov 2026 10:00:00 +0000".to_owned()));
                parameters.push(("CallDuration", "42".to_owned()));
                self.request(&url, &parameters, Side::Callback);
            }
        }
        self.stage = Stage::Concluding { deadline: now + DOCUMENT_WAIT };
        self.advance(now);
    }

    fn stream_callback(&mut self, url: Option<&str>, event: &str) {
        let Some(url) = url else { return };
        let parameters = [
            ("AccountSid", self.names.account_sid.clone()),
            ("CallSid", self.names.call_sid.clone()),
            ("StreamSid", self.names.stream_sid.clone()),
            ("StreamName", self.names.stream_sid.clone()),
            ("StreamEvent", event.to_owned()),
            ("Timestamp", "2026-11-21T10:00:00.000Z".to_owned()),
        ];
        self.request(url, &parameters, Side::Callback);
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

    /// The first failure is the one that tells.
    fn fail(&mut self, why: &str) {
        self.report.failure.get_or_insert_with(|| why.to_owned());
    }
}

/// Twilio waits so long for a document.
const DOCUMENT_WAIT: Duration = Duration::from_secs(15);

/// And so long between two requests for one.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// And so long for a media socket.
const SOCKET_WAIT: Duration = Duration::from_secs(10);

/// Of an answer this much is kept; the reader then finds it too large.
const BODY_BYTES_MAX: usize = 128 << 10;
