//! OpenAI Realtime.

mod barge_in;
mod failures;
mod garbage;
mod history;
mod rudeness;
mod talk;
mod tools;
mod wire_logs;
mod world;
