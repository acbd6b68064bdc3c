//! What a fake has seen, for assertions.

use std::sync::{Arc, Mutex, PoisonError};

/// A view of what one fake has seen, while it runs and after.
#[derive(Clone, Debug, Default)]
pub struct FakeOpenAiLog(Arc<Mutex<Seen>>);

/// What a fake has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Kinds of all messages but audio, in order.
    pub kinds: Vec<String>,
    /// `session` of each `session.update` that was accepted, as JSON.
    pub updates: Vec<String>,
    /// Items the client created, as JSON.
    pub items: Vec<String>,
    /// Items the client truncated with success.
    pub truncated: Vec<Truncated>,
    /// Ids of items the client deleted with success.
    pub deleted: Vec<String>,
    /// Errors that were sent: code and parameter.
    pub errors: Vec<(String, Option<String>)>,
    /// Turns of the caller.
    pub turns: Vec<TurnHeard>,
    /// Instructions of each `response.create`.
    pub cues: Vec<Option<String>>,
    /// Milliseconds of audio received.
    pub audio_ms: u64,
    /// Statuses of all responses that are done.
    pub responses: Vec<String>,
    /// Spoken items, with the milliseconds that were generated of each.
    pub spoken: Vec<(String, u64)>,
}

/// An item that was truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// Which.
    pub item: String,
    /// Milliseconds that stay.
    pub audio_end_ms: u64,
    /// Milliseconds that had been generated.
    pub generated_ms: u64,
}

/// A turn of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnHeard {
    /// Its item.
    pub item: String,
    /// What was said, if a recorded sentence was recognised.
    pub text: Option<&'static str>,
}

impl FakeOpenAiLog {
    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
