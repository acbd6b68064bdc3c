//! The mind: one request to a language model at a time, its words and tool calls as they come, and the
//! next endpoint when one fails before its first word.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use voice_core::failure::{Blame, Failure, Verdict};
use voice_core::id::LineId;
use voice_core::limits::{TOOL_ARGUMENTS_BYTES_MAX, TOOLS_RUNNING_MAX, TURN_TEXT_BYTES_MAX};
use voice_core::provider::{ProviderEvent, ReplyEnd, SessionOutput};
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};

use crate::llm;
use crate::llm::sse::SseReader;
use crate::llm::wire::{CallDelta, Chunk, Message, Tool, Usage};

use super::part::{LineIds, Part, Told};
use super::settings::PipelineSettings;

/// What the mind tells the rest.
pub(super) enum MindEvent {
    /// The next words of the answer.
    Text(String),
    /// The answer is complete, or as complete as it will be.
    Answered { calls: Vec<Called>, end: ReplyEnd },
}

/// A tool call, whole.
#[derive(Default)]
pub(super) struct Called {
    /// The server's own id; may be empty.
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text as the model wrote it.
    pub(super) arguments: String,
    pub(super) extra: Option<Box<RawValue>>,
    index: Option<i64>,
}

/// See the module.
pub(super) struct Mind {
    settings: Arc<PipelineSettings>,
    tools: Vec<Tool>,
    ids: LineIds,
    /// Until when an endpoint that failed is not asked first; one for each.
    rests_until: Vec<MonoTime>,
    asking: Option<Asking>,
    /// An answer that is complete, whose line may still end by itself and then be used again.
    lingering: Option<LineId>,
    outbox: VecDeque<Told<MindEvent>>,
}

/// A request under way.
struct Asking {
    line: LineId,
    question: Question,
    endpoint: usize,
    /// When patience ends: for the first word, then for each next one.
    due: MonoTime,
    reader: SseReader,
    answer: Answer,
}

/// What is asked, kept so that it can be asked again elsewhere.
struct Question {
    messages: Vec<Message>,
    may_call: bool,
    /// Endpoints that have failed to answer it, and why.
    failed: Vec<(usize, Failure)>,
    shortened: bool,
}

/// What has come so far.
#[derive(Default)]
struct Answer {
    /// Words or calls have come: whatever happens now, nobody else is asked.
    begun: bool,
    text_bytes: usize,
    calls: Vec<Called>,
    finish: Option<String>,
    usage: Option<Usage>,
    unreadable: u32,
}

/// A stream that stops in the middle is given up after this.
const NEXT_WORD_WITHIN: Duration = Duration::from_secs(6);

/// An endpoint that failed is not asked first again for so long.
const REST: Duration = Duration::from_secs(60);
/// One that refuses our key or settings will do so until a human acts.
const LONG_REST: Duration = Duration::from_secs(3_600);

impl Mind {
    pub(super) fn new(settings: Arc<PipelineSettings>, tools: Vec<Tool>) -> Self {
        let rests_until = vec![MonoTime::ZERO; settings.minds.len()];
        Self {
            settings,
            tools,
            ids: LineIds::of(Part::Mind),
            rests_until,
            asking: None,
            lingering: None,
            outbox: VecDeque::new(),
        }
    }

    /// Asks for the next answer. Whatever was asked before is not wanted any more.
    pub(super) fn ask(&mut self, now: MonoTime, messages: Vec<Message>, may_call: bool) {
        self.cancel();
        let question = Question { messages, may_call, failed: Vec::new(), shortened: false };
        self.ask_somebody(now, question);
    }

    /// The answer is not wanted any more. The only way to say so is to hang up.
    pub(super) fn cancel(&mut self) {
        if let Some(line) = self.lingering.take() {
            self.outbox.push_back(Told::Out(SessionOutput::HangUp(line)));
        }
        if let Some(asking) = self.asking.take() {
            self.tell_usage(asking.answer.usage);
            self.outbox.push_back(Told::Out(SessionOutput::HangUp(asking.line)));
        }
    }

    pub(super) fn on_wire(&mut self, now: MonoTime, line: LineId, message: &WireMessage) {
        let Some(asking) = self.asking.as_mut().filter(|asking| asking.line == line) else { return };
        if asking.reader.push(message.as_bytes()).is_err() {
            return self.break_off(now, Failure::Unreadable("event of the language model"));
        }
        self.read_events(now);
    }

    pub(super) fn on_down(&mut self, now: MonoTime, line: LineId, end: &LineEnd) {
        self.lingering.take_if(|lingering| *lingering == line);
        let Some(asking) = self.asking.as_mut().filter(|asking| asking.line == line) else { return };
        if *end != LineEnd::Ended {
            return self.fail(now, llm::failure(end));
        }
        asking.reader.finish();
        self.read_events(now);
        // Still asking: the body ended without saying that the answer did.
        match &self.asking {
            Some(asking) if asking.answer.is_complete() => self.complete(),
            Some(_) => self.fail(now, Failure::Cut),
            None => {}
        }
        self.lingering = None;
    }

    pub(super) fn tick(&mut self, now: MonoTime) {
        let Some(asking) = self.asking.as_ref().filter(|asking| asking.due <= now) else { return };
        if asking.answer.is_complete() {
            return self.complete();
        }
        let patience = match asking.answer.begun {
            true => NEXT_WORD_WITHIN,
            false => self.settings.minds[asking.endpoint].first_word_within(),
        };
        self.break_off(now, Failure::Stalled(patience));
    }

    pub(super) fn poll(&mut self) -> Option<Told<MindEvent>> {
        self.outbox.pop_front()
    }

    /// What is left for the lines themselves, when nothing else is of interest any more.
    pub(super) fn poll_wires(&mut self) -> Vec<SessionOutput> {
        self.outbox.drain(..).filter_map(Told::into_wire).collect()
    }

    pub(super) fn wakes_at(&self) -> Option<MonoTime> {
        self.asking.as_ref().map(|asking| asking.due)
    }

    /// The first endpoint that has not failed this question, those that rest last. The only one there
    /// is gets a second chance, if another attempt may do better.
    fn choose(&self, now: MonoTime, question: &Question) -> Option<usize> {
        let count = self.settings.minds.len();
        let fresh = (0..count).filter(|at| question.failed.iter().all(|(failed, _)| failed != at));
        let best = fresh.min_by_key(|at| (self.rests_until[*at] > now, *at));
        let again = count == 1
            && question.failed.len() == 1
            && question.failed.iter().all(|(_, f)| f.blame() == Blame::Provider && f.kind() != "throttled");
        best.or_else(|| again.then_some(0))
    }

    fn ask_somebody(&mut self, now: MonoTime, question: Question) {
        let Some(at) = self.choose(now, &question) else { return self.give_up(question) };
        let endpoint = &self.settings.minds[at];
        let Some(request) = endpoint.ask(&question.messages, &self.tools, question.may_call) else {
            return self.outbox.push_back(Told::failed(Failure::Settings { code: "request".to_owned() }));
        };
        let line = self.ids.next();
        self.outbox.push_back(Told::Out(SessionOutput::Dial(line, request)));
        self.asking = Some(Asking {
            line,
            question,
            endpoint: at,
            due: now + endpoint.first_word_within(),
            reader: SseReader::default(),
            answer: Answer::default(),
        });
    }

    /// Nobody is left to be asked. What the services did is told rather than what we did wrong: that
    /// is known from what was told before.
    fn give_up(&mut self, question: Question) {
        let failures = || question.failed.iter().map(|(_, failure)| failure);
        let theirs = failures().find(|failure| failure.blame() == Blame::Provider);
        let failure = theirs.or_else(|| failures().next()).cloned();
        self.outbox.push_back(Told::failed(failure.unwrap_or(Failure::Cut)));
    }

    /// The request has failed. Before the first word somebody else is asked; after it, what was said
    /// stands, and to ask again would say it twice.
    fn fail(&mut self, now: MonoTime, failure: Failure) {
        let Some(asking) = self.asking.take() else { return };
        let Asking { mut question, endpoint, mut answer, .. } = asking;
        let what = if answer.begun { "broke_off" } else { "failed" };
        self.outbox.push_back(Told::harmless(&format!("mind.{}.{what}.{}", endpoint + 1, failure.kind())));
        if answer.begun {
            // A call that is not whole may be any call.
            let calls = std::mem::take(&mut answer.calls);
            let whole = calls.into_iter().filter(|call| llm::wire::is_object(&call.arguments)).collect();
            let end = ReplyEnd::Failed;
            return self.outbox.push_back(Told::Own(MindEvent::Answered { calls: whole, end }));
        }
        if llm::is_too_long(&failure) && !question.shortened && question.shorten() {
            return self.ask_somebody(now, question);
        }
        self.rests_until[endpoint] = now
            + match failure.verdict() {
                Verdict::NeverAgain => LONG_REST,
                Verdict::SwitchAndRetryAfter(after) => after.max(REST),
                Verdict::SwitchNow | Verdict::Ignore => REST,
            };
        question.failed.push((endpoint, failure));
        self.ask_somebody(now, question);
    }

    fn read_events(&mut self, now: MonoTime) {
        while let Some(asking) = &mut self.asking {
            let Some(event) = asking.reader.next() else { return };
            // Some write more behind it on the line.
            if event.data.trim_ascii_start().starts_with(b"[DONE]") {
                return self.complete();
            }
            if event.is_error {
                let failure = llm::stream_failure(&event.data);
                return self.break_off(now, failure);
            }
            match serde_json::from_slice::<Chunk>(&event.data) {
                Ok(Chunk { error: Some(_), .. }) => {
                    return self.break_off(now, llm::stream_failure(&event.data));
                }
                Ok(chunk) => self.take(now, chunk),
                Err(_) => {
                    asking.answer.unreadable += 1;
                    let hopeless = asking.answer.unreadable > UNREADABLE_MAX;
                    self.outbox.push_back(Told::unknown("unreadable"));
                    if hopeless {
                        return self.break_off(now, Failure::Unreadable("event of the language model"));
                    }
                }
            }
        }
    }

    fn break_off(&mut self, now: MonoTime, failure: Failure) {
        if let Some(asking) = &self.asking {
            self.outbox.push_back(Told::Out(SessionOutput::HangUp(asking.line)));
        }
        self.fail(now, failure);
    }

    fn take(&mut self, now: MonoTime, chunk: Chunk) {
        let Some(asking) = &mut self.asking else { return };
        // Thoughts are no words, but a sign of life.
        if asking.answer.begun {
            asking.due = now + NEXT_WORD_WITHIN;
        }
        let answer = &mut asking.answer;
        answer.usage = chunk.usage.or(chunk.x_groq.and_then(|groq| groq.usage)).or(answer.usage);
        // There may be none: in the chunk with the consumption, in Azure's first one.
        let Some(choice) = chunk.choices.unwrap_or_default().into_iter().next() else { return };
        answer.finish = choice.finish_reason.filter(|reason| !reason.is_empty()).or(answer.finish.take());
        let Some(delta) = choice.delta else { return };
        let text = delta.text().or(delta.refusal).filter(|text| !text.is_empty());
        for call in delta.tool_calls.unwrap_or_default() {
            answer.take_call(call);
        }
        let begun = text.is_some() || !answer.calls.is_empty();
        if begun && !std::mem::replace(&mut answer.begun, begun) {
            asking.due = now + NEXT_WORD_WITHIN;
        }
        if let Some(text) = text
            && answer.text_bytes + text.len() <= TURN_TEXT_BYTES_MAX
        {
            answer.text_bytes += text.len();
            self.outbox.push_back(Told::Own(MindEvent::Text(text)));
        }
    }

    fn complete(&mut self) {
        let Some(asking) = self.asking.take() else { return };
        self.lingering = Some(asking.line);
        self.tell_usage(asking.answer.usage);
        let end = asking.answer.end();
        self.outbox.push_back(Told::Own(MindEvent::Answered { calls: asking.answer.calls, end }));
    }

    fn tell_usage(&mut self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            let used = ProviderEvent::Used(llm::usage(usage));
            self.outbox.push_back(Told::Out(SessionOutput::Event(used)));
        }
    }
}

/// Events of one answer that cannot be read before it counts as failed.
const UNREADABLE_MAX: u32 = 5;

impl Question {
    /// Leaves out the older half of the conversation. False if there is nothing to leave out.
    fn shorten(&mut self) -> bool {
        self.shortened = true;
        let middle = 1 + self.messages.len() / 2;
        // What is left begins with the caller: an answer of a tool without its call would be refused.
        let users = self.messages.iter().enumerate().skip(2);
        let mut users = users.filter(|(_, m)| matches!(m, Message::User { .. })).map(|(at, _)| at);
        let mut first = users.next();
        while first.is_some_and(|at| at < middle)
            && let Some(later) = users.next()
        {
            first = Some(later);
        }
        let Some(first) = first else { return false };
        self.messages.drain(1..first);
        true
    }
}

impl Answer {
    /// Whether it may end here although the stream did not say so.
    fn is_complete(&self) -> bool {
        self.finish.is_some()
    }

    fn end(&self) -> ReplyEnd {
        match self.finish.as_deref() {
            Some("length" | "content_filter") => ReplyEnd::Incomplete,
            Some("error") => ReplyEnd::Failed,
            Some(_) | None => ReplyEnd::Completed,
        }
    }

    /// Joins the pieces of a call by their index; but a new id is a new call whatever its index, because
    /// some servers number them all with zero or not at all (protocol notes, chat completions §A3).
    fn take_call(&mut self, delta: CallDelta) {
        let id = delta.id.unwrap_or_default();
        let function = delta.function.unwrap_or_default();
        let arguments = function.arguments().unwrap_or_default();
        let same_index = |call: &Called| call.index == delta.index;
        let found = match id.is_empty() {
            true => self.calls.iter().rposition(same_index).or(self.calls.len().checked_sub(1)),
            false => self.calls.iter().rposition(|call| same_index(call) && call.id == id),
        };
        // A second whole call without any id: it has a name, as only first pieces have.
        let named = function.name.as_deref().is_some_and(|name| !name.is_empty());
        let whole = |call: &Called| llm::wire::is_object(&call.arguments);
        let found = found.filter(|at| !(named && id.is_empty() && whole(&self.calls[*at])));
        let at = match found {
            Some(at) => at,
            None if self.calls.len() >= TOOLS_RUNNING_MAX => return,
            None => {
                self.calls.push(Called { id, index: delta.index, ..Called::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if call.name.is_empty() {
            call.name = function.name.unwrap_or_default();
        }
        // One byte over is kept, so that it is seen to be too long.
        if call.arguments.len() <= TOOL_ARGUMENTS_BYTES_MAX {
            call.arguments.push_str(&arguments);
        }
        call.extra = delta.extra_content.or(call.extra.take());
    }
}
