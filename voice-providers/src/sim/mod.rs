//! Fakes of the services: pure values that run in virtual time or behind a socket.

pub mod deepgram;
pub mod llm;
