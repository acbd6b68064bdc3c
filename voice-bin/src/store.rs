//! The journal: every call's record in SQLite, written off the audio path.
//!
//! A stalled or failed disk costs entries of the journal, which are counted and told in the log, and
//! never a call's time.

pub mod format;
mod journal;
#[cfg(test)]
pub(crate) mod samples;
mod sqlite;

pub use journal::{Journal, JournalReader};
pub use sqlite::{CallRow, Store, StoreError, StoredEntry};
