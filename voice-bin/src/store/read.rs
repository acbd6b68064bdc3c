//! Questions about calls. None of them is asked on the way of audio.

use std::time::Duration;

use voice_core::id::CallId;
use voice_core::sensitive::Pii;
use voice_core::time::{MonoTime, UnixMillis};
use voice_telephony::status::CallStatus;

use super::engine::{Row, Statement};
use super::format::{self, FormatError};
use super::rows::{
    CallFilter, CallPage, CallRow, CallState, CarrierRecordingRow, Counts, Cursor, LossRow, RecordingRow,
    Speaker, StatusChange, StoredEntry, SwitchRow, TurnRow,
};
use super::write::call_id;
use super::{Node, Store, StoreError};
use crate::telemetry::database::timed;

/// Columns of a call, in the order in which [`call_row`] reads them.
const CALL: &str = "SELECT call_id, node, started_unix_ms, ended_unix_ms, carrier, carrier_call, from_number,
     to_number, correlation, provider, reason FROM calls";

/// Most rows of one answer.
const PAGE_MAX: u32 = 1_000;

impl Store {
    /// The latest calls, newest first.
    ///
    /// # Errors
    /// If the database does not work or holds what it cannot hold, here and below.
    pub async fn calls(&self, limit: u32) -> Result<Vec<CallRow>, StoreError> {
        Ok(self.page(&CallFilter::default(), None, limit).await?.calls)
    }

    /// Some calls, newest first: those after the cursor, at most `limit` (and at most 1,000).
    pub async fn page(
        &self,
        filter: &CallFilter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<CallPage, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let mut statement = Statement::new("");
        let mut wanted = conditions(filter, &mut statement);
        if let Some(Cursor { started, call }) = after {
            let (started, call) = (statement.push(started.0), statement.push(call.to_string()));
            wanted.push(format!("(started_unix_ms, call_id) < ({started}, {call})"));
        }
        // One more than wanted says whether there are more.
        let most = statement.push(i64::from(limit) + 1);
        let wanted = all_of(&wanted);
        statement.sql =
            format!("{CALL}{wanted} ORDER BY started_unix_ms DESC, call_id DESC LIMIT {most}").into();
        let mut calls = self.rows(statement, call_row).await?;
        let limit = limit as usize;
        let next = (calls.len() > limit).then(|| calls[limit - 1].cursor());
        calls.truncate(limit);
        Ok(CallPage { calls, next })
    }

    /// All calls that go on as far as anybody wrote down, held by this node or by anybody: what a server that
    /// starts must look after. Oldest first.
    pub async fn unfinished(&self, node: Option<&Node>) -> Result<Vec<CallRow>, StoreError> {
        let filter =
            CallFilter { state: Some(CallState::Live), node: node.cloned(), ..CallFilter::default() };
        let mut statement = Statement::new("");
        let wanted = all_of(&conditions(&filter, &mut statement));
        statement.sql = format!("{CALL}{wanted} ORDER BY started_unix_ms, call_id").into();
        self.rows(statement, call_row).await
    }

    /// Calls of this node that have ended while their carrier recorded them, of which the record does not tell that
    /// the recording has ended; the latest thousand.
    pub async fn recorded_and_over(&self, node: &Node) -> Result<Vec<CallId>, StoreError> {
        let sql = "SELECT calls.call_id FROM calls JOIN recordings ON recordings.call_id = calls.call_id
                   WHERE calls.node = $1 AND calls.ended_unix_ms IS NOT NULL
                   AND recordings.stopped_unix_ms IS NULL AND recordings.place = 'carrier'
                   ORDER BY calls.started_unix_ms DESC LIMIT 1000";
        self.rows(Statement::new(sql).with(node.to_string()), call_id).await
    }

    /// How many calls there are of those that are wanted.
    pub async fn counts(&self, filter: &CallFilter) -> Result<Counts, StoreError> {
        let mut statement = Statement::new("");
        let wanted = all_of(&conditions(filter, &mut statement));
        statement.sql = format!("SELECT COUNT(*), COUNT(ended_unix_ms) FROM calls{wanted}").into();
        let counts = self
            .rows(statement, |row| {
                let (all, ended) = (row.int(0)?.cast_unsigned(), row.int(1)?.cast_unsigned());
                Ok(Counts { live: all.saturating_sub(ended), ended })
            })
            .await?;
        Ok(counts.into_iter().next().unwrap_or_default())
    }

    /// One call.
    pub async fn call(&self, call: CallId) -> Result<Option<CallRow>, StoreError> {
        let statement = Statement::new(format!("{CALL} WHERE call_id = $1")).with(call.to_string());
        Ok(self.rows(statement, call_row).await?.pop())
    }

    /// The call that a carrier knows by this name; the latest, should it have used one twice.
    pub async fn call_of(&self, carrier: &str, carrier_call: &str) -> Result<Option<CallRow>, StoreError> {
        let sql = format!(
            "{CALL} WHERE carrier_call = $2 AND carrier = $1 ORDER BY started_unix_ms DESC, call_id DESC LIMIT 1"
        );
        let statement = Statement::new(sql).with(carrier).with(carrier_call);
        Ok(self.rows(statement, call_row).await?.pop())
    }

    /// Whether there is a call of this id.
    pub async fn knows(&self, call: CallId) -> Result<bool, StoreError> {
        Ok(self.call(call).await?.is_some())
    }

    /// Everything that is known of one call, in order.
    pub async fn entries(&self, call: CallId) -> Result<Vec<StoredEntry>, StoreError> {
        self.entries_from(call, 0, u32::MAX).await
    }

    /// Entries of a call from this number on, in order, at most `limit`.
    pub async fn entries_from(
        &self,
        call: CallId,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let statement = Statement::new(
            "SELECT seq, at_us, unix_ms, version, body FROM call_events
             WHERE call_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3",
        );
        // Numbers are counted, so a greater one than the column holds asks for what cannot be.
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        self.rows(statement.with(call.to_string()).with(seq).with(i64::from(limit)), stored_entry).await
    }

    /// What was said, in the order in which it was written down.
    pub async fn turns(&self, call: CallId) -> Result<Vec<TurnRow>, StoreError> {
        let sql = "SELECT seq, unix_ms, speaker, turn, words, heard_us, cut FROM turns
             WHERE call_id = $1 ORDER BY seq";
        self.rows(Statement::new(sql).with(call.to_string()), turn_row).await
    }

    /// Who took over from whom, in order.
    pub async fn switches(&self, call: CallId) -> Result<Vec<SwitchRow>, StoreError> {
        let sql = "SELECT seq, unix_ms, from_provider, to_provider, why, gap_us, lost_us, turns FROM switches
             WHERE call_id = $1 ORDER BY seq";
        self.rows(Statement::new(sql).with(call.to_string()), switch_row).await
    }

    /// What was recorded, in order.
    pub async fn recordings(&self, call: CallId) -> Result<Vec<RecordingRow>, StoreError> {
        let sql = "SELECT seq, started_unix_ms, stopped_unix_ms, reason, length_us, place FROM recordings
             WHERE call_id = $1 ORDER BY seq";
        self.rows(Statement::new(sql).with(call.to_string()), recording_row).await
    }

    /// What its carrier has of it.
    pub async fn carrier_recordings(&self, call: CallId) -> Result<Vec<CarrierRecordingRow>, StoreError> {
        let sql = "SELECT seq, unix_ms, recording, length_us, url FROM carrier_recordings
             WHERE call_id = $1 ORDER BY seq";
        self.rows(Statement::new(sql).with(call.to_string()), carrier_recording_row).await
    }

    /// How a call stood, change by change.
    pub async fn transitions(&self, call: CallId) -> Result<Vec<StatusChange>, StoreError> {
        let sql = "SELECT number, from_status, to_status, reason, unix_ms FROM transitions
             WHERE call_id = $1 ORDER BY unix_ms, number";
        self.rows(Statement::new(sql).with(call.to_string()), status_change).await
    }

    /// Which entries of a call are missing.
    pub async fn losses(&self, call: CallId) -> Result<Vec<LossRow>, StoreError> {
        let sql = "SELECT first_seq, last_seq, entries, node, reason, unix_ms FROM losses
             WHERE call_id = $1 ORDER BY first_seq, last_seq";
        self.rows(Statement::new(sql).with(call.to_string()), loss_row).await
    }

    async fn rows<T>(
        &self,
        statement: Statement,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        timed("read", self.engine.read(statement)).await?.iter().map(read).collect()
    }
}

fn conditions(filter: &CallFilter, statement: &mut Statement) -> Vec<String> {
    let CallFilter { state, node, carrier, provider, correlation, from, to } = filter;
    let mut wanted = Vec::new();
    match state {
        Some(CallState::Live) => wanted.push("ended_unix_ms IS NULL".to_owned()),
        Some(CallState::Ended) => wanted.push("ended_unix_ms IS NOT NULL".to_owned()),
        None => {}
    }
    let node = node.as_ref().map(|node| node.as_str().to_owned());
    let texts = [("node", &node), ("carrier", carrier), ("provider", provider), ("correlation", correlation)];
    for (column, text) in texts {
        if let Some(text) = text {
            wanted.push(format!("{column} = {}", statement.push(text.as_str())));
        }
    }
    for (relation, moment) in [(">=", from), ("<", to)] {
        if let Some(moment) = moment {
            wanted.push(format!("started_unix_ms {relation} {}", statement.push(moment.0)));
        }
    }
    wanted
}

fn all_of(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

fn call_row(row: &Row) -> Result<CallRow, StoreError> {
    Ok(CallRow {
        call: row.text(0)?.parse().map_err(|_| FormatError::Field("call_id"))?,
        node: Node::new(&row.text(1)?),
        started: UnixMillis(row.int(2)?),
        ended: row.maybe_int(3)?.map(UnixMillis),
        carrier: row.text(4)?,
        carrier_call: row.text(5)?,
        from: Pii::from(row.text(6)?),
        to: Pii::from(row.text(7)?),
        correlation: row.text(8)?,
        provider: row.maybe_text(9)?,
        reason: row.maybe_text(10)?,
    })
}

fn stored_entry(row: &Row) -> Result<StoredEntry, StoreError> {
    let version = u32::try_from(row.int(3)?).map_err(|_| FormatError::Field("version"))?;
    Ok(StoredEntry {
        seq: row.int(0)?.cast_unsigned(),
        at: MonoTime::from_micros(row.int(1)?.cast_unsigned()),
        unix: UnixMillis(row.int(2)?),
        event: format::decode(version, &row.text(4)?),
    })
}

fn turn_row(row: &Row) -> Result<TurnRow, StoreError> {
    Ok(TurnRow {
        seq: row.int(0)?.cast_unsigned(),
        unix: UnixMillis(row.int(1)?),
        speaker: Speaker::of(&row.text(2)?)?,
        turn: row.int(3)?.cast_unsigned(),
        words: Pii::from(row.text(4)?),
        heard: row.maybe_int(5)?.map(micros),
        cut: row.maybe_int(6)? == Some(1),
    })
}

fn switch_row(row: &Row) -> Result<SwitchRow, StoreError> {
    Ok(SwitchRow {
        seq: row.int(0)?.cast_unsigned(),
        unix: UnixMillis(row.int(1)?),
        from: row.text(2)?,
        to: row.text(3)?,
        why: row.text(4)?,
        gap: micros(row.int(5)?),
        lost: micros(row.int(6)?),
        turns: u32::try_from(row.int(7)?).map_err(|_| FormatError::Field("turns"))?,
    })
}

fn recording_row(row: &Row) -> Result<RecordingRow, StoreError> {
    Ok(RecordingRow {
        seq: row.int(0)?.cast_unsigned(),
        started: UnixMillis(row.int(1)?),
        stopped: row.maybe_int(2)?.map(UnixMillis),
        reason: row.maybe_text(3)?,
        length: row.maybe_int(4)?.map(micros),
        place: row.text(5)?,
    })
}

fn carrier_recording_row(row: &Row) -> Result<CarrierRecordingRow, StoreError> {
    Ok(CarrierRecordingRow {
        seq: row.int(0)?.cast_unsigned(),
        unix: UnixMillis(row.int(1)?),
        recording: row.text(2)?,
        length: row.maybe_int(3)?.map(micros),
        url: row.maybe_text(4)?.map(Pii::from),
    })
}

fn status_change(row: &Row) -> Result<StatusChange, StoreError> {
    let status = |name: &str| {
        let known = CallStatus::ALL.into_iter().find(|status| status.name() == name);
        known.ok_or(FormatError::Field("status"))
    };
    Ok(StatusChange {
        number: u32::try_from(row.int(0)?).map_err(|_| FormatError::Field("number"))?,
        from: row.maybe_text(1)?.as_deref().map(status).transpose()?,
        to: status(&row.text(2)?)?,
        reason: row.text(3)?.into(),
        unix: UnixMillis(row.int(4)?),
    })
}

fn loss_row(row: &Row) -> Result<LossRow, StoreError> {
    Ok(LossRow {
        first: row.int(0)?.cast_unsigned(),
        last: row.int(1)?.cast_unsigned(),
        entries: row.int(2)?.cast_unsigned(),
        node: Node::new(&row.text(3)?),
        reason: row.text(4)?,
        unix: UnixMillis(row.int(5)?),
    })
}

fn micros(count: i64) -> Duration {
    Duration::from_micros(count.cast_unsigned())
}
