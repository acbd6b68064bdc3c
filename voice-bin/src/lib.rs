//! The server and the simulators around the voice libraries; the binaries only call in here.

#![forbid(unsafe_code)]

mod assemble;
pub mod cli;
pub mod config;
mod demo;
mod fakes;
mod metrics_names;
mod output;
mod providers;
mod random;
pub mod recording;
mod recovery;
mod replay;
mod routes;
pub mod server;
#[cfg(test)]
mod services;
mod signals;
pub mod sim_net;
pub mod simulate;
pub mod store;
pub mod telemetry;
