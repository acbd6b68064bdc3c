//! A fake OpenAI Realtime: hears, takes turns, speaks, calls tools; strict about what it is sent.
//!
//! Written from the protocol notes, OpenAI Realtime §17. One [`FakeOpenAi`] is one connection. What it
//! says depends on which recorded sentence of the caller it recognises; everything that varies is drawn
//! from the seed. What it saw can be read from its [`FakeOpenAiLog`] at any time.
//!
//! ```
//! use voice_core::sim::peer::{FakeService, ServiceOutput};
//! use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig, Rudeness};
//!
//! let config = FakeOpenAiConfig::new(7).rude("late-transcript".parse()?);
//! let mut fake = FakeOpenAi::new(config);
//! let log = fake.log();
//! assert!(matches!(fake.poll(), ServiceOutput::WaitUntil(None)));
//! assert!(log.seen().turns.is_empty());
//! # Ok::<(), voice_core::sim::UnknownRudeness>(())
//! ```

mod check;
mod config;
mod conversation;
mod door;
mod ears;
mod events;
mod log;
mod mouth;
mod script;
mod service;
mod speaking;

pub use config::{FakeOpenAiConfig, Rudeness};
pub use log::{FakeOpenAiLog, Seen, Truncated, TurnHeard};
pub use service::FakeOpenAi;
