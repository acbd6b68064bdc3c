//! Which rows follow from an event. What is here can be made again from the events alone.

use voice_core::id::{CallId, ReplyId, UtteranceId};
use voice_core::record::CallEvent;

use super::engine::{Batch, Statement, Value};
use super::format::micros;
use super::rows::Speaker;
use super::write::{Line, insert};
use super::{Node, StoreError};

/// Rows of one table.
struct Table {
    into: &'static str,
    rows: Vec<Vec<Value>>,
}

/// What the events of a batch change beside themselves.
pub(super) struct Derived {
    attachments: Table,
    turns: Table,
    switches: Table,
    recordings: Table,
    carrier_recordings: Table,
    /// Changes of rows that exist by then, in the order of their events.
    updates: Vec<Statement>,
}

/// The row of a call, from its first entry.
pub(super) fn call_row(line: &Line, node: &Node) -> Option<Vec<Value>> {
    let CallEvent::Started { carrier, carrier_call, from, to, correlation, .. } = &line.entry.event else {
        return None;
    };
    Some(vec![
        line.call.to_string().into(),
        node.as_str().into(),
        line.unix.0.into(),
        carrier.to_string().into(),
        carrier_call.as_str().into(),
        from.expose().as_str().into(),
        to.expose().as_str().into(),
        correlation.to_string().into(),
    ])
}

/// Where [`call_row`] goes.
pub(super) const CALLS: &str = "INSERT INTO calls (call_id, node, started_unix_ms, carrier, carrier_call,
     from_number, to_number, correlation)";

impl Derived {
    pub(super) fn new() -> Self {
        let table = |into| Table { into, rows: Vec::new() };
        Self {
            attachments: table("INSERT INTO attachments (call_id, attachment, provider)"),
            turns: table(
                "INSERT INTO turns (call_id, seq, unix_ms, at_us, speaker, turn, words, heard_us, unheard_us, cut)",
            ),
            switches: table(
                "INSERT INTO switches (call_id, seq, unix_ms, from_provider, to_provider, why, gap_us, lost_us,
                 turns, bytes)",
            ),
            recordings: table("INSERT INTO recordings (call_id, seq, started_unix_ms, place)"),
            carrier_recordings: table(
                "INSERT INTO carrier_recordings (call_id, seq, unix_ms, recording, length_us, url)",
            ),
            updates: Vec::new(),
        }
    }

    /// One more event, which the database did not know before.
    pub(super) fn take(&mut self, line: &Line) {
        self.take_turn(line);
        self.take_recording(line);
        let call = line.call.to_string();
        if let CallEvent::Assigned { attachment, provider } = &line.entry.event {
            let row = vec![call.into(), i64::from(attachment.0).into(), provider.to_string().into()];
            self.attachments.rows.push(row);
        } else if let CallEvent::Live { attachment, .. } = &line.entry.event {
            let update = Statement::new(
                "UPDATE calls SET provider = (SELECT provider FROM attachments
                 WHERE call_id = $1 AND attachment = $2) WHERE call_id = $1",
            );
            self.updates.push(update.with(call).with(i64::from(attachment.0)));
        } else if let CallEvent::Switched(switch) = &line.entry.event {
            let mut row = key(line);
            row.extend([Value::from(switch.from.to_string()), switch.to.to_string().into()]);
            row.extend([switch.why.name().into(), whole(micros(switch.gap)), whole(micros(switch.lost))]);
            row.extend([i64::from(switch.turns).into(), whole(switch.bytes)]);
            self.switches.rows.push(row);
        } else if let CallEvent::Ended { reason, .. } = &line.entry.event {
            let update =
                Statement::new("UPDATE calls SET ended_unix_ms = $1, reason = $2 WHERE call_id = $3");
            self.updates.push(update.with(line.unix.0).with(reason.kind()).with(call));
        }
    }

    /// An entry after the last one: the call came back.
    pub(super) fn reopen(&mut self, call: CallId) {
        let update =
            Statement::new("UPDATE calls SET ended_unix_ms = NULL, reason = NULL WHERE call_id = $1");
        self.updates.push(update.with(call.to_string()));
    }

    pub(super) async fn write(self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        let tables = [self.attachments, self.turns, self.switches, self.recordings, self.carrier_recordings];
        for table in tables {
            insert(batch, table.into, table.rows, "").await?;
        }
        for update in self.updates {
            batch.run(update).await?;
        }
        Ok(())
    }

    fn take_turn(&mut self, line: &Line) {
        let said = if let CallEvent::CallerSaid { utterance, text } = &line.entry.event {
            Said { speaker: Speaker::Caller, turn: turn(*utterance), words: text.expose(), heard: None }
        } else if let CallEvent::ReplyHeard { reply, text, heard, unheard, cut } = &line.entry.event {
            let heard = Some((whole(micros(*heard)), whole(micros(*unheard)), i64::from(*cut)));
            Said { speaker: Speaker::Voice, turn: reply_turn(*reply), words: text.expose(), heard }
        } else {
            return;
        };
        // A transcription that failed, a reply of which nothing was heard.
        if said.words.is_empty() {
            return;
        }
        let (heard, unheard, cut) = said.heard.map_or_else(
            || (Value::Int(None), Value::Int(None), Value::Int(None)),
            |(heard, unheard, cut)| (heard, unheard, cut.into()),
        );
        let mut row = key(line);
        row.extend([whole(line.entry.at.as_micros()), said.speaker.name().into(), said.turn]);
        row.extend([said.words.as_str().into(), heard, unheard, cut]);
        self.turns.rows.push(row);
    }

    fn take_recording(&mut self, line: &Line) {
        if let CallEvent::RecordingStarted { place, .. } = &line.entry.event {
            let mut row = key(line);
            row.push(place.name().into());
            self.recordings.rows.push(row);
        } else if let CallEvent::RecordingSaved(saved) = &line.entry.event {
            let mut row = key(line);
            let length = saved.length.map(|length| micros(length).cast_signed());
            let url = saved.url.as_ref().map(|url| url.expose().clone());
            row.extend([saved.recording.as_str().into(), Value::Int(length), url.into()]);
            self.carrier_recordings.rows.push(row);
        } else if let CallEvent::RecordingStopped { reason, length } = &line.entry.event {
            let update = Statement::new(
                "UPDATE recordings SET stopped_unix_ms = $1, reason = $2, length_us = $3
                 WHERE call_id = $4 AND stopped_unix_ms IS NULL
                 AND seq = (SELECT MAX(seq) FROM recordings WHERE call_id = $4 AND seq < $5)",
            );
            let update = update.with(line.unix.0).with(reason.name()).with(whole(micros(*length)));
            self.updates.push(update.with(line.call.to_string()).with(whole(line.entry.seq)));
        }
    }
}

struct Said<'a> {
    speaker: Speaker,
    turn: Value,
    words: &'a String,
    heard: Option<(Value, Value, i64)>,
}

/// Call, number and time of an entry: how the derived tables begin.
fn key(line: &Line) -> Vec<Value> {
    vec![line.call.to_string().into(), whole(line.entry.seq), line.unix.0.into()]
}

fn turn(utterance: UtteranceId) -> Value {
    whole(utterance.as_u64())
}

fn reply_turn(reply: ReplyId) -> Value {
    whole(reply.as_u64())
}

/// The same bits; read back likewise.
fn whole(number: u64) -> Value {
    number.cast_signed().into()
}
