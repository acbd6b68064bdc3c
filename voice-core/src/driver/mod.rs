//! The tokio edge: lines, dialling, the clock, and the only loop that waits.
//!
//! | file | subject |
//! |---|---|
//! | `run.rs` | the loop: one task per call |
//! | `lines.rs` | the lines of one call, polled by its task |
//! | `line.rs` | the port to sockets |
//! | `record_sink.rs` | the port to whoever writes recordings |
//! | `operate.rs` | the port to whoever operates the carrier |
//! | `tools.rs` | the port to the embedder's tools |
//! | `prober.rs` | looks at providers without a call |
//! | `load.rs` | measures whether this machine keeps up |
//! | `clock.rs` | the one place that reads a clock |

pub mod clock;
pub mod line;
mod lines;
mod load;
pub mod operate;
mod prober;
mod record_sink;
mod run;
pub mod tools;

pub use crate::fleet::{Assignment, Fleet, InOrder, SharedRoster, StayId};
pub use clock::Clock;
pub use line::{Dial, Line};
pub use load::watch_load;
pub use operate::Operate;
pub use prober::{Prober, ask};
pub use record_sink::{RecordSink, RecordWriter, Written};
pub use run::{CallHandle, CallTask, Untold, World, place, place_again};
pub use tools::{NoTools, RunTool};
