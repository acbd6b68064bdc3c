//! Deepgram's services.

pub mod pipeline;
