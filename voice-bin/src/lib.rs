//! The server and the simulators around the voice libraries; the binaries only load, build, run, drain.

#![forbid(unsafe_code)]

pub mod config;
mod metrics_names;
mod routes;
pub mod server;
pub mod sim_net;
pub mod store;
pub mod telemetry;
