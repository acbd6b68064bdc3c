//! The providers' sessions against the fakes of their services, in virtual time.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test picks out the events it is about")]

mod openai;
