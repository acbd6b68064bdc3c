//! Telnyx as its users see it; one module a behaviour.

mod commands;
mod control;
mod exchange;
mod hang_ups;
mod signatures;
mod streams;
#[path = "../voice/mod.rs"]
mod voice;
mod webhooks;
mod whole_calls;
