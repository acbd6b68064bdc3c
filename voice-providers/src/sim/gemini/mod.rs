//! A fake Gemini Live: hears, takes turns, speaks, calls tools, resumes; strict about what it is sent.
//!
//! Written from the protocol notes, Gemini Live §15. One [`FakeGemini`] is one connection; what outlives a
//! connection (handles, and a log for assertions) is in a [`FakeGeminiMemory`] that connections share. What it
//! says depends on which recorded sentence of the caller it recognises.
//!
//! Both spellings of keys and both alphabets of base64 are understood, because official clients mix them.
//!
//! ```
//! use voice_core::sim::peer::{FakeService, ServiceOutput};
//! use voice_providers::sim::gemini::{FakeGemini, FakeGeminiConfig, FakeGeminiMemory, Profile};
//!
//! let config = FakeGeminiConfig::new(7).profile(Profile::V3_1).rude("tool-twice".parse()?);
//! let memory = FakeGeminiMemory::default();
//! let mut fake = FakeGemini::new(config, memory.clone());
//! assert!(matches!(fake.poll(), ServiceOutput::WaitUntil(None)));
//! assert!(memory.seen().setups.is_empty());
//! # Ok::<(), voice_core::sim::UnknownRudeness>(())
//! ```

mod check;
mod config;
mod memory;
mod script;
mod service;
mod speaking;

pub use config::{FakeGeminiConfig, Profile, Rudeness};
pub use memory::{FakeGeminiMemory, Seen};
pub use service::FakeGemini;
