//! AI voice services for `voice-core`: translators without sockets, and fakes of the services.

#![forbid(unsafe_code)]

pub mod deepgram;
pub mod llm;
#[cfg(feature = "sim")]
pub mod sim;
