//! Behaviour of this crate as its users see it; one module a behaviour.

mod documents;
mod exchange;
mod fuzzed_door;
mod hang_ups;
mod signatures;
mod streams;
#[path = "../voice/mod.rs"]
mod voice;
mod webhooks;
mod whole_calls;
