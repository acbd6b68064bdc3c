//! The Voice Agent's session against the fake service, in virtual time.

mod failures;
mod harness;
mod rude;
mod settings;
mod talk;
mod tools;
mod wire_log;
