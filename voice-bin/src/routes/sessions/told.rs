//! An entry of a call's record as it is told to those who ask.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use voice_core::record::{CallEvent, Entry};
use voice_core::time::{MonoTime, UnixMillis};

use super::time::rfc3339;
use crate::store::StoredEntry;
use crate::store::format::{StoredEvent, encode};

/// One entry, from memory or from the store.
pub(super) struct Told {
    pub(super) seq: u64,
    pub(super) at: UnixMillis,
    pub(super) offset: MonoTime,
    /// `None` if a newer build wrote it.
    pub(super) event: Option<CallEvent>,
}

/// One entry of a call's record.
#[derive(Serialize, ToSchema)]
pub(crate) struct Event {
    /// Rises by one from 1 within a session. A gap means that entries were lost before they were stored.
    #[schema(minimum = 1)]
    seq: u64,
    #[schema(format = DateTime)]
    at: String,
    /// Since the server's beginning, for exact differences between entries.
    offset_us: u64,
    /// What happened; nothing where a newer build wrote it.
    #[schema(value_type = Option<StoredEvent>)]
    event: Option<Box<RawValue>>,
}

impl From<(UnixMillis, Entry)> for Told {
    fn from((at, entry): (UnixMillis, Entry)) -> Self {
        Self { seq: entry.seq, at, offset: entry.at, event: Some(entry.event) }
    }
}

impl From<StoredEntry> for Told {
    fn from(entry: StoredEntry) -> Self {
        Self { seq: entry.seq, at: entry.unix, offset: entry.at, event: entry.event.ok() }
    }
}

impl From<&Told> for Event {
    fn from(told: &Told) -> Self {
        let body = told.event.as_ref().and_then(|event| encode(event).ok()).map(|stored| stored.body);
        Self {
            seq: told.seq,
            at: rfc3339(told.at),
            offset_us: told.offset.as_micros(),
            event: body.and_then(|body| RawValue::from_string(body).ok()),
        }
    }
}
