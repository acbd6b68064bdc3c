//! Traces: what a call was made of, as a tree of spans with times. Made from the record, never on audio's way.
//!
//! A call is the root; below it stand the attachments of providers, below those the turns of the conversation,
//! and below those the tools. Requests to carriers hang on the call.

#[cfg(feature = "otel")]
mod export;
mod ids;
mod reader;
mod sampler;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use voice_core::driver::Clock;
use voice_core::id::CorrelationId;
use voice_core::time::MonoTime;

use crate::metrics_names as names;
#[cfg(feature = "otel")]
pub(crate) use export::Export;
pub use ids::{NoTraceParent, SpanId, TraceId, TraceParent};
pub use reader::TraceReader;
pub use sampler::Sampler;

/// Spans that may wait to be sent; what comes then is dropped and counted. As the standard has it by default.
const QUEUE_MAX: usize = 2_048;

/// Requests with a `traceparent` of somebody else's, of which the last are remembered.
const PARENTS_MAX: usize = 1_000;

/// Where spans go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Traces {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    sampler: Sampler,
    queue: Sender<Span>,
    /// Held for microseconds: when a request arrives, and when a call begins.
    parents: Mutex<VecDeque<(CorrelationId, TraceParent)>>,
}

/// Something that took some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// In which trace.
    pub trace: TraceId,
    /// Which.
    pub id: SpanId,
    /// Below which, and whether that is somebody else's.
    pub parent: Option<(SpanId, bool)>,
    /// What, of which there are few.
    pub name: &'static str,
    /// Whether it takes, makes, or is no request.
    pub kind: Kind,
    /// From when to when, since 1970.
    pub time: (Duration, Duration),
    /// More about it.
    pub fields: Vec<(&'static str, Value)>,
    /// What happened meanwhile.
    pub events: Vec<(&'static str, Duration)>,
    /// What went wrong.
    pub error: Option<String>,
}

/// Which side of a request a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the standard's others are about queues, which we have none of")]
pub enum Kind {
    /// The one that was asked.
    Server,
    /// The one that asks.
    Client,
    /// Neither.
    Internal,
}

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "lists are of no use here")]
pub enum Value {
    /// Words of ours, or cleaned.
    Text(String),
    /// A number.
    Whole(i64),
    /// Whether.
    Flag(bool),
}

impl Traces {
    /// And what takes the spans.
    pub fn new(clock: Clock, sampler: Sampler) -> (Self, Receiver<Span>) {
        let (queue, spans) = channel(QUEUE_MAX);
        let parents = Mutex::default();
        (Self { shared: Arc::new(Shared { clock, sampler, queue, parents }) }, spans)
    }

    /// The reader that turns records of calls into spans.
    pub fn reader(&self) -> TraceReader {
        TraceReader::new(self.clone())
    }

    /// A request with this id came from there.
    pub(crate) fn remember(&self, correlation: &CorrelationId, parent: TraceParent) {
        let mut parents = self.parents();
        if parents.len() >= PARENTS_MAX {
            parents.pop_front();
        }
        parents.push_back((correlation.clone(), parent));
    }

    /// The trace of everything with this id, what is above its calls, and whether it is kept.
    pub(crate) fn trace(&self, correlation: &CorrelationId) -> (TraceId, Option<SpanId>, bool) {
        let parents = self.parents();
        match parents.iter().rev().find(|(known, _)| known == correlation) {
            Some((_, parent)) => (
                parent.trace,
                Some(parent.span),
                self.shared.sampler.keeps(parent.trace, Some(parent.sampled)),
            ),
            None => {
                let trace = TraceId::of(correlation);
                (trace, None, self.shared.sampler.keeps(trace, None))
            }
        }
    }

    /// Sends a span; never waits.
    pub(crate) fn send(&self, span: Span) {
        if self.shared.queue.try_send(span).is_err() {
            counter!(names::TRACE_SPANS, "outcome" => "dropped").increment(1);
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.time(self.shared.clock.now())
    }

    /// Since 1970.
    fn time(&self, at: MonoTime) -> Duration {
        let origin = self.shared.clock.unix(MonoTime::ZERO).0;
        Duration::from_millis(u64::try_from(origin).unwrap_or_default()) + at.since(MonoTime::ZERO)
    }

    fn parents(&self) -> MutexGuard<'_, VecDeque<(CorrelationId, TraceParent)>> {
        self.shared.parents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Duration> for Value {
    /// In milliseconds.
    fn from(time: Duration) -> Self {
        Self::Whole(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
