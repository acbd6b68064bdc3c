//! What outlives a connection: handles to resume with, and what was seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// Shared by the connections to one fake.
#[derive(Clone, Debug, Default)]
// A test reads it while the fakes run, on one thread or on several.
pub struct FakeGeminiMemory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    seen: Seen,
    handles: BTreeMap<String, Handle>,
    /// Sessions with a connection that stands.
    open: Vec<u32>,
    sessions: u32,
    given: u32,
    done: Vec<&'static str>,
}

/// What a handle stands for.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) session: u32,
    pub(super) model: String,
    pub(super) greeted: bool,
}

/// What a fake has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `setup` of each connection that was let in.
    pub setups: Vec<Value>,
    /// Each turn of text that was given: role and text, parts joined by ` | `.
    pub turns: Vec<(String, String)>,
    /// Text in `realtimeInput`.
    pub texts: Vec<String>,
    /// Turns of the caller: the recorded sentence, if one was recognised.
    pub heard: Vec<Option<&'static str>>,
    /// Each `functionResponses` element.
    pub answers: Vec<Value>,
    /// Milliseconds of audio received.
    pub audio_ms: u64,
    /// Declarations of audio, each once.
    pub mime_types: Vec<String>,
    /// How often the microphone was said to be muted.
    pub stream_ends: u32,
    /// How often a reply was interrupted.
    pub interruptions: u32,
    /// Handles that were resumed with.
    pub resumed: Vec<String>,
    /// Closes of the fake's own: code and reason.
    pub closes: Vec<(u16, String)>,
    /// Messages that were sent, without audio.
    pub sent: Vec<Value>,
}

impl FakeGeminiMemory {
    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.with(|inner| inner.seen.clone())
    }

    pub(super) fn see(&self, note: impl FnOnce(&mut Seen)) {
        self.with(|inner| note(&mut inner.seen));
    }

    /// A session that has not been there before.
    pub(super) fn begin(&self) -> u32 {
        self.with(|inner| {
            inner.sessions += 1;
            inner.open.push(inner.sessions);
            inner.sessions
        })
    }

    /// Resumes, or says with which close that is refused.
    pub(super) fn resume(&self, handle: &str, model: &str) -> Result<Handle, (u16, &'static str)> {
        self.with(|inner| {
            let Some(known) = inner.handles.get(handle).cloned() else {
                return Err((1008, "BidiGenerateContent session not found"));
            };
            if inner.open.contains(&known.session) {
                return Err((1011, "Internal error occurred."));
            }
            if known.model != model {
                return Err((1007, "Request contains an invalid argument."));
            }
            inner.open.push(known.session);
            inner.seen.resumed.push(handle.to_owned());
            Ok(known)
        })
    }

    pub(super) fn close(&self, session: u32) {
        self.with(|inner| inner.open.retain(|open| *open != session));
    }

    pub(super) fn handle(&self, what: Handle) -> String {
        self.with(|inner| {
            inner.given += 1;
            let name = format!("handle-{}-{}", what.session, inner.given);
            inner.handles.insert(name.clone(), what);
            name
        })
    }

    /// True the first time it is asked for this.
    pub(super) fn once(&self, what: &'static str) -> bool {
        self.with(|inner| {
            let first = !inner.done.contains(&what);
            if first {
                inner.done.push(what);
            }
            first
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
