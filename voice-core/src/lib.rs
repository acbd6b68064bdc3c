//! A phone call with a talking AI, as a value.
//!
//! This crate holds what every such call needs and nothing that touches the world: the call's state
//! machine, the ledger of what the caller really heard, the ports to carriers and providers, and audio.
//! It opens no socket, reads no clock, spawns nothing and cannot fail. Tokio lives behind the feature
//! `driver`, in few and dull files; a simulator of whole calls lives behind `sim`.
//!
//! ```text
//!    carrier's socket                                            provider's socket
//!          │ WireMessage                                               ▲ WireMessage
//!  ┌───────┼───────────────────────── Bridge ──────────────────────────┼───────┐
//!  │       ▼                                                           │       │
//!  │ CarrierSession ─ CarrierEvent ─►           ─ ProviderCommand ─► ProviderSession
//!  │ (translator)                       Call                        (translator)
//!  │                ◄─ CarrierCommand ─ (value) ◄─ ProviderEvent ──            │
//!  │                                     │                   converter, framer │
//!  └─────────────────────────────────────┼─────────────────────────────────────┘
//!                                        ▼ Entry (CallEvent)
//!                      journal · metrics · log · console · your own Reader
//! ```
//!
//! # The drain contract
//!
//! Sessions, calls and bridges have the same two methods. Change a value once with `handle(now, input)`,
//! then call `poll()` until it answers that it waits (or has finished). Time is an argument: a
//! [`time::MonoTime`] that must not go backwards. An output is a wish; whoever runs the value carries it
//! out, and answers with an input where one is due.
//!
//! ```
//! use std::sync::Arc;
//! use voice_core::audio::AudioFormat;
//! use voice_core::call::{Call, CallConfig, CallStart, Control, Input, Output};
//! use voice_core::id::{CarrierId, CorrelationId};
//! use voice_core::time::MonoTime;
//!
//! let config = Arc::new(CallConfig::builder("You answer the phone of a book shop.").build()?);
//! let start = CallStart {
//!     carrier: CarrierId::from_static("twilio"),
//!     carrier_call: "CA0123".into(),
//!     format: AudioFormat::MULAW_8K,
//!     from: "+15550100".into(),
//!     to: "+15550101".into(),
//!     correlation: CorrelationId::from_static("req-1"),
//! };
//! let mut now = MonoTime::ZERO;
//! let mut call = Call::new(now, config, start);
//! let mut entries = 0;
//! loop {
//!     match call.poll() {
//!         Output::Attach { id, .. } => call.handle(now, Input::Assigned(id, None)), // nobody is there
//!         Output::Report(_) => entries += 1,
//!         Output::WaitUntil(Some((at, _))) => {
//!             now = at;
//!             call.handle(now, Input::Tick);
//!         }
//!         Output::WaitUntil(None) => call.handle(now, Input::Control(Control::HangUp)),
//!         Output::Finished(reason) => {
//!             assert_eq!(reason.kind(), "no_provider");
//!             break;
//!         }
//!         _ => {} // carrier and provider commands: carry them out
//!     }
//! }
//! assert!(now > MonoTime::from_millis(20_000), "it was asked for again and again: {entries} entries");
//! # Ok::<(), voice_core::call::ConfigError>(())
//! ```
//!
//! Most programs do not drive a [`call::Call`] but a [`bridge::Bridge`], which adds sessions and audio,
//! or let [`driver`] do even that: one task per call, given a socket, a list of providers and readers.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `driver` | the tokio run loop: lines, dialling, clock, tools |
//! | `sim` | seeded worlds in virtual time, the shape of fake peers, recorded speech |
//!
//! Why things are as they are stands in [`manual`].

#![forbid(unsafe_code)]

pub mod audio;
pub mod breaker;
pub mod bridge;
pub mod call;
pub mod capabilities;
pub mod carrier;
pub mod consent;
pub mod conversation;
#[cfg(feature = "driver")]
pub mod driver;
pub mod failure;
pub mod fleet;
pub mod id;
pub mod limits;
pub mod manual;
pub mod provider;
pub mod record;
pub mod recording;
pub mod roster;
pub mod sensitive;
#[cfg(feature = "sim")]
pub mod sim;
pub mod time;
pub mod transfer;
pub mod wire;
