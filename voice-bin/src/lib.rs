//! The server and the simulators around the voice libraries; the binaries only load, build, run, drain.

#![forbid(unsafe_code)]

pub mod config;
