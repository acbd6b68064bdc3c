//! What the server says about itself: log lines and metrics, both readers of the calls' records.

mod chain;
mod log;
mod metrics;
mod roster;

pub(crate) use chain::chain;
pub use log::{LogError, LogReader, start_log};
pub use metrics::{Metrics, MetricsError, MetricsReader};
pub(crate) use roster::publish_roster;
