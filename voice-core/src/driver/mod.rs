//! The tokio edge: lines, dialling, the clock, and the only loop that waits.

pub mod clock;
pub mod line;
