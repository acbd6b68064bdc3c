//! The pipeline against fakes of its three services, in virtual time.

mod barge_in;
mod faults;
mod minds;
mod network;
mod talk;
mod tools;
mod wire_log;
mod world;
