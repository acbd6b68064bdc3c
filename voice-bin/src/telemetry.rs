//! What the server says about itself: log lines and metrics, both readers of the calls' records.

mod chain;
mod log;
mod metrics;

pub(crate) use chain::chain;
pub use log::{LogError, LogReader, start_log};
pub use metrics::{Metrics, MetricsError, MetricsReader};
