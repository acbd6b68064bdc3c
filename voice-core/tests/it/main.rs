//! Behaviour of the bridge and the driver with sessions made for the purpose.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]
#![allow(clippy::disallowed_methods, reason = "tokio's time is paused here, so waiting takes none")]

mod bridge_lines;
mod driver_loop;
mod fleet;
mod toys;
