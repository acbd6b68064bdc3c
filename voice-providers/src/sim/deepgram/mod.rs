//! Fakes of Deepgram's services.

pub mod agent;
