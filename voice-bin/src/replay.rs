//! A call that was, once more: its record is turned back into what happened to it, given to the call of
//! today's build in virtual time, and what comes of it is compared with what came of it then.
//!
//! A record tells what a call was told closely enough for that: who was found and was ready, when the caller
//! and the voice spoke and for how long, tools, keys, failures, orders, the end. What it does not tell is
//! filled in: the caller is a steady noise while they spoke and silence otherwise, a reply is silence that
//! comes all at once when it began, marks come back 60 ms after their audio. So who talked when, which
//! replies were cut, who took over from whom and how it ended can be compared; sound, words and single
//! milliseconds cannot.

mod compare;
mod script;
mod stage;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use voice_core::call::CallConfig;
use voice_core::record::{CallEvent, Entry};

pub(crate) use compare::Line;

/// What came of a replay.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The two courses side by side.
    pub(crate) lines: Vec<Line>,
    /// Entries of the record that were replayed.
    pub(crate) entries: usize,
    /// How long the call took.
    pub(crate) duration: Duration,
    /// What of this record cannot be done again.
    pub(crate) left_out: Vec<&'static str>,
}

/// Why there is nothing to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoReplay {
    /// There is no first entry.
    #[error("the record does not begin with the beginning of the call")]
    NoBeginning,
}

impl Replayed {
    /// Whether the same came of it.
    pub(crate) fn is_same(&self) -> bool {
        self.lines.iter().all(|line| matches!(line, Line::Both(..)))
    }
}

/// Plays a record once more with this configuration, which no record has.
pub(crate) fn replay(entries: &[Entry], config: Arc<CallConfig>) -> Result<Replayed, NoReplay> {
    // A call that came back goes on in another process, which counts time anew.
    let returned = entries.iter().position(|entry| matches!(entry.event, CallEvent::Returned { .. }));
    let entries = &entries[..returned.unwrap_or(entries.len())];
    let first = entries.first().ok_or(NoReplay::NoBeginning)?;
    let stage = stage::Stage::new(entries, config).ok_or(NoReplay::NoBeginning)?;
    let duration = entries.last().map_or(Duration::ZERO, |last| last.at.since(first.at));
    let mut left_out = script::left_out(entries);
    if returned.is_some() {
        left_out.push("what came after the call was taken up by another process");
    }
    let lines = compare::compare(first.at, entries, &stage.play());
    Ok(Replayed { lines, entries: entries.len(), duration, left_out })
}
