//! The Voice Agent's session against the fake service, in virtual time.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test names what it wants and passes by the rest")]

mod failures;
mod harness;
mod rude;
mod settings;
mod talk;
mod tools;
mod wire_log;
