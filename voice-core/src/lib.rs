//! A phone call with a talking AI, as a value.

#![forbid(unsafe_code)]

pub mod audio;
// pub mod bridge;
pub mod call;
pub mod carrier;
pub mod conversation;
// #[cfg(feature = "driver")]
// pub mod driver;
pub mod failure;
pub mod id;
pub mod limits;
pub mod provider;
pub mod record;
pub mod sensitive;
#[cfg(feature = "sim")]
pub mod sim;
pub mod time;
pub mod wire;
