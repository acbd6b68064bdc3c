//! Fakes of Deepgram's services.

pub mod agent;
pub mod flux;
pub mod listen;
pub mod speak;
mod speech_socket;

pub use speech_socket::SpeechRudeness;
