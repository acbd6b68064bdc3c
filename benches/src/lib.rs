//! The harnesses, as a library for their binaries; the criterion benches stand beside it.

#![forbid(unsafe_code)]

pub mod load;
pub mod rig;
pub mod switching;
pub mod wires;
