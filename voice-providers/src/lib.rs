//! AI voice services for `voice-core`.

#![forbid(unsafe_code)]

#[cfg(feature = "dial")]
pub mod dial;
pub mod gemini;
#[cfg(feature = "sim")]
pub mod sim;
