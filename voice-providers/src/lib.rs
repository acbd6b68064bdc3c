//! placeholder

#![forbid(unsafe_code)]

pub mod deepgram;
pub mod llm;
