//! The server from outside: real sockets on the loopback interface, fake carriers and providers.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is a failure like any other")]

mod command_line;
mod demo;
mod door;
mod draining;
mod outbound;
mod recording;
mod refusals;
mod routes;
mod sessions;
mod signals;
mod telnyx;
mod transfers;
mod voice_sim;
mod world;
