//! The load harness, as a library for its binary; the criterion benches stand beside it.

#![forbid(unsafe_code)]

pub mod load;
