//! What the server says about itself: log lines and metrics, both readers of the calls' records.

mod chain;
mod counting;
pub(crate) mod database;
mod figures;
mod log;
mod log_counts;
mod metrics;
mod money;
mod process;
mod roster;
pub(crate) mod sockets;

pub use crate::metrics_names::{Kind, Metric, Of, TABLE};
pub(crate) use chain::chain;
pub use counting::MetricsReader;
pub(crate) use figures::CallFigures;
pub use log::{LogError, LogReader, start_log};
pub use metrics::{Metrics, MetricsError};
pub use money::{Budget, BudgetAction, Prices};
pub(crate) use roster::publish_roster;
