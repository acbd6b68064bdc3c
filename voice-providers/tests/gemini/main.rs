//! Gemini Live against its fake, in virtual time; and message by message where the fake is too polite.

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
