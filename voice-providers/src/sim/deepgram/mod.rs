//! Fakes of Deepgram's services: each by itself, and all behind one door.

pub mod agent;
pub mod flux;
mod host;
pub mod listen;
pub mod speak;
mod speech_socket;

pub use host::{DeepgramRudeness, FakeDeepgram, UnknownDeepgramRudeness};
pub use speech_socket::SpeechRudeness;
