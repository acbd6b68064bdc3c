//! AI voice services for [`voice_core`]: translators without sockets, and fakes of the services.
//!
//! Each service has a folder that can be deleted without touching another. A provider here is a pure
//! value: it says what to dial and what to send, and is told what came back. The feature `sim` adds
//! `sim`: fakes of the services, as pure, that run in virtual time or behind a socket.
//!
//! ```
//! use voice_core::provider::Provider;
//! use voice_core::sensitive::Secret;
//! use voice_providers::openai::{OpenAi, OpenAiSettings};
//!
//! let settings = OpenAiSettings::new(Secret::new("sk-example".to_owned())).voice("cedar").build()?;
//! let openai = OpenAi::new(settings);
//! assert!(openai.capabilities().tools.is_some());
//! # Ok::<(), voice_providers::openai::SettingsError>(())
//! ```

#![forbid(unsafe_code)]

mod base64;
pub mod deepgram;
#[cfg(feature = "dial")]
pub mod dial;
pub mod gemini;
pub mod llm;
pub mod openai;
mod probe;
#[cfg(feature = "sim")]
pub mod sim;
