//! The server from outside: real sockets on the loopback interface, fake carriers and providers.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is a failure like any other")]

mod budget;
mod carrier_recording;
mod command_line;
mod contract;
mod demo;
mod deployment;
mod door;
mod draining;
mod events;
mod every_line;
mod every_metric;
mod left_behind;
mod monitoring;
mod outbound;
mod problems;
mod recording;
mod refusals;
mod returning;
mod routes;
mod sessions;
mod signals;
mod story;
mod telnyx;
mod tracing_out;
mod transfers;
mod twilio;
mod voice_sim;
mod voices;
mod world;
