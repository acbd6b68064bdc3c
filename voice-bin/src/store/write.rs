//! Entries into tables: a batch takes effect whole or not at all, and twice is the same as once.

use std::collections::{BTreeMap, BTreeSet};

use voice_core::id::CallId;
use voice_core::record::{CallEvent, Entry};
use voice_core::time::UnixMillis;

use super::derive::{CALLS, Derived, call_row};
use super::engine::{Batch, Row, Statement, Value};
use super::format::{self, Stored};
use super::losses::{Loss, Losses, Reason};
use super::{StatusChange, Store, StoreError};

/// How many rows one statement inserts. Few lengths, so that each is prepared once.
const LENGTHS: [usize; 4] = [64, 16, 4, 1];

/// An entry with all that is needed to store it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) call: CallId,
    pub(super) entry: Entry,
    pub(super) unix: UnixMillis,
}

/// How a call stands.
#[derive(Clone, Debug)]
pub(super) struct StatusLine {
    pub(super) call: CallId,
    pub(super) change: StatusChange,
}

/// What is written together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Portion<'a> {
    pub(super) lines: &'a [Line],
    pub(super) statuses: &'a [StatusLine],
    pub(super) losses: &'a [Loss],
}

/// What became of the lines of a portion.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Lines that are in the database now, some of them perhaps from before.
    pub(super) entries: u64,
    /// Lines that were not taken, and of which the table of losses knows.
    pub(super) lost: Vec<Loss>,
}

/// A line with its stored form.
struct Ready<'a> {
    line: &'a Line,
    stored: Stored,
}

type Key = (CallId, u64);

impl Store {
    /// Writes all of it, or nothing.
    pub(super) async fn write(&self, portion: Portion<'_>) -> Result<Written, StoreError> {
        let written = self.write_or_not(portion).await;
        self.note_write(written.is_ok());
        written
    }

    async fn write_or_not(&self, portion: Portion<'_>) -> Result<Written, StoreError> {
        let mut batch = self.engine.begin().await?;
        let mut losses = Losses::default();
        let ended = self.owned(&mut *batch, portion.lines).await?;
        let mut ready = Vec::with_capacity(portion.lines.len());
        for line in portion.lines {
            if matches!(ended.get(&line.call), Some(Held::BySomebodyElse)) {
                losses.add(line.call, line.entry.seq, Reason::Superseded, line.unix);
            } else if let Ok(stored) = format::encode(&line.entry.event) {
                ready.push(Ready { line, stored });
            } else {
                losses.add(line.call, line.entry.seq, Reason::Format, line.unix);
            }
        }
        let new = self.insert_events(&mut *batch, &ready).await?;
        let known = differing(&mut *batch, ready.iter().filter(|one| !new.contains(&one.key()))).await?;
        for one in ready.iter().filter(|one| known.contains(&one.key())) {
            losses.add(one.line.call, one.line.entry.seq, Reason::Superseded, one.line.unix);
        }
        derived(ready.iter().filter(|one| new.contains(&one.key())), ended).write(&mut *batch).await?;
        self.insert_statuses(&mut *batch, portion.statuses).await?;
        let lost = losses.take();
        self.insert_losses(&mut *batch, portion.losses.iter().chain(&lost)).await?;
        batch.commit().await?;
        Ok(Written { entries: (ready.len() - known.len()) as u64, lost })
    }

    /// Makes the rows of calls that begin, and answers how those of all calls stand. Until the batch is over
    /// nobody else changes them: a node that takes a call over waits, and finds all that was written.
    async fn owned(
        &self,
        batch: &mut dyn Batch,
        lines: &[Line],
    ) -> Result<BTreeMap<CallId, Held>, StoreError> {
        let begun: Vec<_> = lines.iter().filter_map(|line| call_row(line, &self.node)).collect();
        insert(batch, CALLS, begun, "").await?;
        let calls: BTreeSet<CallId> = lines.iter().map(|line| line.call).collect();
        let calls: Vec<CallId> = calls.into_iter().collect();
        let mut held = BTreeMap::new();
        for calls in calls.chunks(LENGTHS[0]) {
            let mut statement = Statement::new("");
            let names: Vec<_> = padded(calls).map(|call| statement.push(call.to_string())).collect();
            statement.sql = format!(
                "SELECT call_id, node, ended_unix_ms FROM calls WHERE call_id IN ({}) ORDER BY call_id{}",
                names.join(", "),
                self.dialect.lock_rows
            )
            .into();
            for row in batch.run(statement).await? {
                let (call, node, ended) = (call_id(&row)?, row.text(1)?, row.maybe_int(2)?);
                let is_ours = node == self.node.as_str() || node.is_empty();
                let how = match (is_ours, ended) {
                    (false, _) => Held::BySomebodyElse,
                    (true, None) => Held::Live,
                    (true, Some(_)) => Held::Over,
                };
                held.insert(call, how);
            }
        }
        Ok(held)
    }

    /// Inserts what is not there, and answers what was not.
    async fn insert_events(
        &self,
        batch: &mut dyn Batch,
        ready: &[Ready<'_>],
    ) -> Result<BTreeSet<Key>, StoreError> {
        let into = "INSERT INTO call_events (call_id, seq, at_us, unix_ms, kind, version, body, node)";
        let rows = ready.iter().map(|Ready { line, stored }| {
            vec![
                Value::from(line.call.to_string()),
                line.entry.seq.cast_signed().into(),
                line.entry.at.as_micros().cast_signed().into(),
                line.unix.0.into(),
                stored.kind.into(),
                i64::from(format::VERSION).into(),
                stored.body.as_str().into(),
                self.node.as_str().into(),
            ]
        });
        let inserted = insert(batch, into, rows.collect(), " RETURNING call_id, seq").await?;
        inserted.iter().map(key).collect()
    }

    async fn insert_statuses(
        &self,
        batch: &mut dyn Batch,
        statuses: &[StatusLine],
    ) -> Result<(), StoreError> {
        let into = "INSERT INTO transitions (call_id, unix_ms, number, from_status, to_status, reason, node)";
        let rows = statuses.iter().map(|StatusLine { call, change }| {
            vec![
                Value::from(call.to_string()),
                change.unix.0.into(),
                i64::from(change.number).into(),
                change.from.map(|from| from.name().to_owned()).into(),
                change.to.name().into(),
                change.reason.as_ref().into(),
                self.node.as_str().into(),
            ]
        });
        insert(batch, into, rows.collect(), "").await.map(drop)
    }

    async fn insert_losses(
        &self,
        batch: &mut dyn Batch,
        losses: impl Iterator<Item = &Loss>,
    ) -> Result<(), StoreError> {
        let into = "INSERT INTO losses (call_id, first_seq, last_seq, node, reason, entries, unix_ms)";
        let rows = losses.map(|loss| {
            vec![
                Value::from(loss.call.to_string()),
                loss.first.cast_signed().into(),
                loss.last.cast_signed().into(),
                self.node.as_str().into(),
                loss.reason.name().into(),
                loss.entries.cast_signed().into(),
                loss.unix.0.into(),
            ]
        });
        insert(batch, into, rows.collect(), "").await.map(drop)
    }
}

/// How the row of a call stands, as far as this node is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Live,
    Over,
    BySomebodyElse,
}

impl Ready<'_> {
    fn key(&self) -> Key {
        (self.line.call, self.line.entry.seq)
    }
}

/// Inserts rows of one table; those that are there already stay as they are. Answers what `returning` asks for
/// of those that were inserted.
pub(super) async fn insert(
    batch: &mut dyn Batch,
    into: &str,
    rows: Vec<Vec<Value>>,
    returning: &str,
) -> Result<Vec<Row>, StoreError> {
    let mut answered = Vec::new();
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let length = LENGTHS.into_iter().find(|length| *length <= rows.len()).unwrap_or(1);
        let mut statement = Statement::new("");
        let mut tuples = Vec::with_capacity(length);
        for row in rows.by_ref().take(length) {
            let names: Vec<_> = row.into_iter().map(|value| statement.push(value)).collect();
            tuples.push(format!("({})", names.join(", ")));
        }
        statement.sql =
            format!("{into} VALUES {} ON CONFLICT DO NOTHING{returning}", tuples.join(", ")).into();
        answered.extend(batch.run(statement).await?);
    }
    Ok(answered)
}

/// Those of the lines that stand in the database in other words: somebody else wrote them.
async fn differing<'a>(
    batch: &mut dyn Batch,
    known: impl Iterator<Item = &'a Ready<'a>>,
) -> Result<BTreeSet<Key>, StoreError> {
    let mut differ = BTreeSet::new();
    for one in known {
        let (call, seq) = one.key();
        let statement =
            Statement::new("SELECT unix_ms, body FROM call_events WHERE call_id = $1 AND seq = $2");
        let rows = batch.run(statement.with(call.to_string()).with(seq.cast_signed())).await?;
        let is_same = match rows.first() {
            Some(row) => row.int(0)? == one.line.unix.0 && row.text(1)? == one.stored.body,
            None => false,
        };
        if !is_same {
            differ.insert((call, seq));
        }
    }
    Ok(differ)
}

fn derived<'a>(new: impl Iterator<Item = &'a Ready<'a>>, mut held: BTreeMap<CallId, Held>) -> Derived {
    let mut derived = Derived::new();
    for Ready { line, .. } in new {
        if line.entry.event.is_afterthought() {
            // A call that is over stays so.
            derived.take(line);
            continue;
        }
        let is_last = matches!(line.entry.event, CallEvent::Ended { .. });
        if held.get(&line.call) == Some(&Held::Over) && !is_last {
            derived.reopen(line.call);
        }
        derived.take(line);
        held.insert(line.call, if is_last { Held::Over } else { Held::Live });
    }
    derived
}

/// As many as one of the lengths, the last one repeated: fewer statements to prepare.
fn padded(calls: &[CallId]) -> impl Iterator<Item = CallId> {
    let length = LENGTHS.into_iter().rev().find(|length| *length >= calls.len()).unwrap_or(calls.len());
    let last = calls.last().copied();
    calls.iter().copied().chain(std::iter::repeat_n(last, length - calls.len()).flatten())
}

fn key(row: &Row) -> Result<Key, StoreError> {
    Ok((call_id(row)?, row.int(1)?.cast_unsigned()))
}

pub(super) fn call_id(row: &Row) -> Result<CallId, StoreError> {
    Ok(row.text(0)?.parse().map_err(|_| format::FormatError::Field("call_id"))?)
}
