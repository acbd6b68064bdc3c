//! What the server says about itself: log lines and metrics, both readers of the calls' records.

mod breakers;
mod chain;
mod counting;
pub(crate) mod database;
pub(crate) mod event_types;
mod figures;
mod lines;
mod log;
mod log_counts;
mod log_reader;
mod metrics;
mod money;
mod process;
mod roster;
#[cfg(feature = "sentry")]
mod sentry;
pub(crate) mod sockets;
mod traces;

pub use crate::metrics_names::{Kind, Metric, Of, TABLE};
pub(crate) use breakers::tell_breakers;
pub(crate) use chain::chain;
pub use counting::MetricsReader;
pub use event_types::{EVENT_TYPES, EventType};
pub(crate) use figures::CallFigures;
pub use log::{LogError, start_log};
pub(crate) use log::{MoreLayers, start_log_with};
pub use log_reader::LogReader;
pub use metrics::{Metrics, MetricsError};
pub use money::{Budget, BudgetAction, Prices};
pub(crate) use roster::publish_roster;
#[cfg(feature = "sentry")]
pub(crate) use sentry::{Reports, report};
#[cfg(feature = "otel")]
pub(crate) use traces::Export;
pub use traces::{
    Kind as SpanKind, NoTraceParent, Sampler, Span, SpanId, TraceId, TraceParent, TraceReader, Traces,
    Value as SpanValue,
};
