//! Gemini Live against its fake, in virtual time; and message by message where the fake is too polite.

#![allow(clippy::wildcard_enum_match_arm, reason = "tests pick single events out of many")]

mod barge_in;
mod endings;
mod history;
mod messages;
mod resumption;
mod rudeness;
mod setup;
mod talk;
mod tools;
mod world;
