//! Fakes of the services, as pure as the translators they test: in virtual time or behind a socket.
//!
//! They have wire types of their own (a fake that shares its client's types shares its mistakes), are
//! as strict as the services, hear and speak recorded voices, and are rude on request.

pub mod deepgram;
pub mod gemini;
mod http;
pub mod llm;
pub mod openai;

pub use voice_core::sim::harness;
