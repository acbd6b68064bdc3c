//! The reader that turns records of calls into spans. Never a number, a key, or what was said.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use voice_core::failure::{Failure, Verdict};
use voice_core::id::{AttachmentId, CallId, CarrierId, CorrelationId, ToolCallId};
use voice_core::record::{CallEvent, EndReason, Entry, Reader, Totals};

use super::{Kind, Span, SpanId, TraceId, Traces, Value};

/// Spans below a call that may be open at once; what comes then is left out.
const OPEN_MAX: usize = 32;

/// Follows calls, and sends a span whenever something is over.
#[derive(Debug)]
pub struct TraceReader {
    traces: Traces,
    /// Held for microseconds by whichever call tells something.
    calls: Mutex<BTreeMap<CallId, CallTrace>>,
}

/// One call, or what is left of it after it came back.
#[derive(Debug)]
struct CallTrace {
    call: CallId,
    trace: TraceId,
    root: Open,
    /// Above the root, and whether that is somebody else's.
    above: Option<(SpanId, bool)>,
    /// Which of the call's media sockets this is; tells its turns from those before.
    leg: u32,
    stays: Vec<(AttachmentId, Open)>,
    turn: Option<Turn>,
    turns: u32,
    tools: Vec<(ToolCallId, SpanId, Open)>,
}

/// From the end of what the caller says to the end of what that leads to.
#[derive(Debug)]
struct Turn {
    attachment: AttachmentId,
    open: Open,
    last: Duration,
}

#[derive(Debug)]
struct Open {
    id: SpanId,
    name: &'static str,
    since: Duration,
    fields: Vec<(&'static str, Value)>,
    events: Vec<(&'static str, Duration)>,
    error: Option<String>,
}

impl Reader for TraceReader {
    fn read(&self, call: CallId, entry: &Entry) {
        let at = self.traces.time(entry.at);
        if let CallEvent::Started { carrier, correlation, .. } = &entry.event {
            self.begin(call, (carrier, correlation), at);
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = calls.get_mut(&call) else { return };
        let mut over = Vec::new();
        known.fold(at, &entry.event, &mut over);
        if let CallEvent::Ended { reason, totals } = &entry.event
            && let Some(known) = calls.remove(&call)
        {
            known.end(at, reason, totals, &mut over);
        }
        drop(calls);
        over.into_iter().for_each(|span| self.traces.send(span));
    }
}

impl TraceReader {
    pub(super) fn new(traces: Traces) -> Self {
        // Calls are folded on their own tasks, side by side.
        Self { traces, calls: Mutex::default() }
    }

    /// A call is about to go on of which this reader may never have heard.
    pub(crate) fn returning(&self, call: CallId, carrier: &CarrierId, correlation: &CorrelationId) {
        self.begin(call, (carrier, correlation), self.traces.now());
    }

    fn begin(&self, call: CallId, (carrier, correlation): (&CarrierId, &CorrelationId), at: Duration) {
        let (trace, parent, is_kept) = self.traces.trace(correlation);
        if !is_kept {
            return;
        }
        let mut root = Open::new(SpanId::of_call(call), "call", at);
        root.fields.push(("voice.call_id", call.to_string().into()));
        root.fields.push(("voice.correlation_id", correlation.as_str().into()));
        root.fields.push(("voice.carrier", carrier.as_str().into()));
        let known = CallTrace {
            call,
            trace,
            root,
            above: parent.map(|parent| (parent, true)),
            leg: 0,
            stays: Vec::new(),
            turn: None,
            turns: 0,
            tools: Vec::new(),
        };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(call, known);
    }
}

impl CallTrace {
    fn fold(&mut self, at: Duration, event: &CallEvent, over: &mut Vec<Span>) {
        if let CallEvent::Returned { leg, why, .. } = event {
            // The span of the call itself is whoever's who had it first.
            self.root.id = SpanId::of_part(self.call, "leg", (*leg).into());
            self.above = Some((SpanId::of_call(self.call), false));
            self.leg = *leg;
            self.root.fields.push(("voice.returned_after", why.name().into()));
        } else if let CallEvent::Switched(_) = event {
            self.root.events.push(("switched", at));
        } else if let CallEvent::Held { .. } = event {
            self.root.events.push(("held", at));
        } else if let CallEvent::Resumed { .. } = event {
            self.root.events.push(("resumed", at));
        } else if let CallEvent::Transferring { .. } = event {
            self.root.events.push(("transferring", at));
        } else {
            self.fold_stay(at, event, over);
            self.fold_turn(at, event, over);
            self.fold_tool(at, event, over);
        }
    }

    fn fold_stay(&mut self, at: Duration, event: &CallEvent, over: &mut Vec<Span>) {
        if let CallEvent::Attaching { attachment, why } = event {
            if self.stays.len() < OPEN_MAX {
                let mut stay = Open::new(self.stay_id(*attachment), "attachment", at);
                stay.fields.push(("voice.why", why.name().into()));
                self.stays.push((*attachment, stay));
            }
        } else if let CallEvent::Assigned { attachment, provider } = event {
            self.with_stay(*attachment, |stay| {
                stay.fields.push(("voice.provider", provider.as_str().into()))
            });
        } else if let CallEvent::Ready { attachment, session, .. } = event {
            self.with_stay(*attachment, |stay| {
                stay.events.push(("ready", at));
                let session = session.as_deref().map(Failure::clean_code);
                stay.fields.extend(session.map(|session| ("voice.session_id", session.into())));
            });
        } else if let CallEvent::Live { attachment, gap } = event {
            self.with_stay(*attachment, |stay| {
                stay.events.push(("live", at));
                stay.fields.push(("voice.gap_ms", (*gap).into()));
            });
        } else if let CallEvent::Problem { attachment, failure } = event {
            let is_grave = failure.verdict() != Verdict::Ignore;
            self.with_stay(*attachment, |stay| {
                stay.events.push(("problem", at));
                stay.error = stay.error.take().or_else(|| is_grave.then(|| failure.kind().to_owned()));
            });
        } else if let CallEvent::Detached { attachment } = event {
            self.leave(*attachment, at, over);
        }
    }

    fn fold_turn(&mut self, at: Duration, event: &CallEvent, over: &mut Vec<Span>) {
        if let CallEvent::CallerPaused { utterance } = event {
            self.end_turn(over);
            self.begin_turn(utterance.attachment(), at);
        } else if let CallEvent::ReplyStarted { reply, .. } = event {
            // A voice that speaks first, or of its own accord.
            if self.turn.is_none() {
                self.begin_turn(reply.attachment(), at);
            }
            self.with_turn(at, |turn| turn.events.push(("reply_begins", at)));
        } else if let CallEvent::FirstSound(told) = event {
            self.with_turn(at, |turn| {
                turn.fields.push(("voice.latency_ms", told.total().into()));
                turn.fields.push(("voice.detection_ms", told.detection.into()));
                turn.fields.push(("voice.thinking_ms", told.provider.into()));
                turn.fields.push(("voice.pacing_ms", told.pacing.into()));
                turn.fields.push(("voice.network_ms", told.network.into()));
            });
        } else if let CallEvent::BargeIn { .. } = event {
            self.with_turn(at, |turn| turn.events.push(("barge_in", at)));
        } else if let CallEvent::ReplyHeard { heard, cut, .. } = event {
            self.with_turn(at, |turn| {
                turn.fields.push(("voice.heard_ms", (*heard).into()));
                turn.fields.push(("voice.cut", (*cut).into()));
            });
        }
    }

    fn fold_tool(&mut self, at: Duration, event: &CallEvent, over: &mut Vec<Span>) {
        if let CallEvent::ToolCalled(tool) = event {
            if self.tools.len() < OPEN_MAX {
                let turn = self.turn.as_ref().filter(|turn| turn.attachment == tool.id.attachment());
                let above = turn.map_or_else(|| self.stay_id(tool.id.attachment()), |turn| turn.open.id);
                let mut open = Open::new(SpanId::of_part(self.call, "tool", tool.id.as_u64()), "tool", at);
                open.fields.push(("voice.tool", Failure::clean_code(&tool.name).into()));
                self.tools.push((tool.id, above, open));
            }
            self.with_turn(at, |_| {});
        } else if let CallEvent::ToolAnswered { id, failed, .. } = event {
            self.end_tool(*id, failed.then_some("failed"), at, over);
        } else if let CallEvent::ToolCancelled { id } = event {
            self.end_tool(*id, Some("cancelled"), at, over);
        }
    }

    fn begin_turn(&mut self, attachment: AttachmentId, at: Duration) {
        self.turns += 1;
        let number = u64::from(self.leg) << 32 | u64::from(self.turns);
        let mut open = Open::new(SpanId::of_part(self.call, "turn", number), "turn", at);
        open.fields.push(("voice.turn", self.turns.into()));
        self.turn = Some(Turn { attachment, open, last: at });
    }

    fn end_turn(&mut self, over: &mut Vec<Span>) {
        if let Some(Turn { attachment, open, last }) = self.turn.take() {
            let above = self.stay_id(attachment);
            over.push(self.span(open, above, last));
        }
    }

    fn end_tool(&mut self, id: ToolCallId, error: Option<&str>, at: Duration, over: &mut Vec<Span>) {
        if let Some(place) = self.tools.iter().position(|(known, ..)| *known == id) {
            let (_, above, mut open) = self.tools.swap_remove(place);
            open.error = error.map(str::to_owned);
            over.push(self.span(open, above, at));
            self.with_turn(at, |_| {});
        }
    }

    /// Everything of this attachment is over.
    fn leave(&mut self, attachment: AttachmentId, at: Duration, over: &mut Vec<Span>) {
        let of_it = |id: &ToolCallId| id.attachment() == attachment;
        let tools: Vec<ToolCallId> = self.tools.iter().map(|(id, ..)| *id).filter(of_it).collect();
        tools.into_iter().for_each(|id| self.end_tool(id, Some("abandoned"), at, over));
        if self.turn.as_ref().is_some_and(|turn| turn.attachment == attachment) {
            self.end_turn(over);
        }
        if let Some(place) = self.stays.iter().position(|(known, _)| *known == attachment) {
            let (_, open) = self.stays.swap_remove(place);
            over.push(self.span(open, self.root.id, at));
        }
    }

    fn end(mut self, at: Duration, reason: &EndReason, totals: &Totals, over: &mut Vec<Span>) {
        self.end_turn(over);
        let left: Vec<AttachmentId> = self.stays.iter().map(|(attachment, _)| *attachment).collect();
        left.into_iter().for_each(|attachment| self.leave(attachment, at, over));
        let mut root = std::mem::replace(&mut self.root, Open::new(SpanId::of_call(self.call), "call", at));
        root.fields.extend([
            ("voice.end", Value::from(reason.kind())),
            ("voice.caller_turns", totals.caller_turns.into()),
            ("voice.replies", totals.replies.into()),
            ("voice.switches", totals.switches.into()),
        ]);
        root.error = matches!(reason, EndReason::NoProvider).then(|| reason.kind().to_owned());
        let mut span = self.span(root, SpanId::of_call(self.call), at);
        (span.parent, span.kind) = (self.above, Kind::Server);
        over.push(span);
    }

    fn stay_id(&self, attachment: AttachmentId) -> SpanId {
        SpanId::of_part(self.call, "attachment", attachment.0.into())
    }

    fn with_stay(&mut self, attachment: AttachmentId, act: impl FnOnce(&mut Open)) {
        if let Some((_, stay)) = self.stays.iter_mut().find(|(known, _)| *known == attachment) {
            act(stay);
        }
    }

    fn with_turn(&mut self, at: Duration, act: impl FnOnce(&mut Open)) {
        if let Some(turn) = &mut self.turn {
            turn.last = at;
            act(&mut turn.open);
        }
    }

    fn span(&self, open: Open, above: SpanId, until: Duration) -> Span {
        let Open { id, name, since, fields, events, error } = open;
        Span {
            trace: self.trace,
            id,
            parent: Some((above, false)),
            name,
            kind: Kind::Internal,
            time: (since, until.max(since)),
            fields,
            events,
            error,
        }
    }
}

impl Open {
    fn new(id: SpanId, name: &'static str, since: Duration) -> Self {
        Self { id, name, since, fields: Vec::new(), events: Vec::new(), error: None }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::Receiver;
    use voice_core::driver::Clock;
    use voice_core::time::MonoTime;

    use super::*;
    use crate::store::samples;
    use crate::telemetry::traces::{Sampler, TraceParent};

    fn drained(spans: &mut Receiver<Span>) -> Vec<Span> {
        std::iter::from_fn(|| spans.try_recv().ok()).collect()
    }

    #[test]
    fn whatever_happens_spans_hold_nothing_private_and_all_are_closed() {
        let (traces, mut spans) = Traces::new(Clock::start(), Sampler::default());
        let reader = traces.reader();
        let mut events = samples::events();
        // The end comes last.
        events.sort_by_key(|event| matches!(event, CallEvent::Ended { .. }));
        for (seq, event) in (1..).zip(events) {
            let entry = Entry { seq, at: MonoTime::from_millis(seq), event };
            reader.read(CallId::from_u128(7), &entry);
        }
        let told = drained(&mut spans);
        assert!(told.iter().any(|span| span.name == "tool") && told.iter().any(|span| span.name == "call"));
        let text = format!("{told:?}");
        for private in samples::PRIVATE {
            assert!(!text.contains(private), "{private:?} in {text}");
        }
        assert!(reader.calls.lock().unwrap().is_empty());
    }

    #[test]
    fn a_call_hangs_on_the_request_that_led_to_it_and_is_left_out_if_that_was() {
        for sampled in [true, false] {
            let (traces, mut spans) = Traces::new(Clock::start(), Sampler::default());
            let header =
                format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0{}", u8::from(sampled));
            let parent: TraceParent = header.parse().unwrap();
            let started = samples::events().remove(0);
            let CallEvent::Started { correlation, .. } = &started else { panic!("{started:?}") };
            traces.remember(correlation, parent);
            let reader = traces.reader();
            let ended = CallEvent::Ended { reason: EndReason::HungUp, totals: Totals::default() };
            for (seq, event) in (1..).zip([started, ended]) {
                reader.read(CallId::from_u128(7), &Entry { seq, at: MonoTime::from_millis(seq), event });
            }
            let told = drained(&mut spans);
            assert_eq!(told.len(), usize::from(sampled));
            for span in told {
                assert_eq!((span.trace, span.parent), (parent.trace, Some((parent.span, true))));
            }
        }
    }
}
