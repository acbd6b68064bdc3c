//! Everything a test needs to be a telephone network and an AI service: no sockets, no clocks.
//!
//! * [`call_world`]: one call in a seeded world;
//! * [`contract`]: what every provider must pass;
//! * [`fleet_world`]: many calls, one roster, providers with weather;
//! * [`harness`]: one session and its fakes, in virtual time;
//! * [`peer`]: the shape of a fake peer, the same in virtual time and on sockets;
//! * [`rng`]: seeded randomness;
//! * [`rudeness`](mod@rudeness): lists of ways to misbehave, each with its name and description;
//! * [`speech`]: recorded speech, and ears that recognise it.

pub mod call_world;
pub mod contract;
pub mod fleet_world;
pub mod harness;
pub mod peer;
pub mod rng;
pub mod rudeness;
pub mod speech;

pub use rudeness::{UnknownRudeness, rudeness};
