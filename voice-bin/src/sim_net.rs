//! Fakes on real sockets and in real time: services behind a listener, callers over a dialler.
//!
//! The fakes themselves are the values that also run in virtual time; nothing here knows what they say.

mod caller;
mod service;
mod telnyx;
mod twilio_api;

pub use caller::run_caller;
pub use service::{MakeService, serve};
pub use telnyx::{TelnyxCaller, TelnyxExchange};
pub use twilio_api::{CallsIn, CallsOut, serve_twilio, serve_twilio_api};

#[cfg(test)]
mod tests;
