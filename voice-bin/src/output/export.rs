//! A call's record as a file: one JSON object a line, as it is stored. And the result of a replay.

use std::io::BufRead;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use voice_core::id::CallId;
use voice_core::record::Entry;
use voice_core::time::MonoTime;

use crate::output::{millis, say, say_json};
use crate::replay::{Line, Replayed};
use crate::store::format::{VERSION, decode, encode};
use crate::store::{FormatError, StoredEntry};

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Exported {
    call: String,
    seq: u64,
    at_us: u64,
    unix_ms: i64,
    version: u32,
    event: Box<RawValue>,
}

/// Why a file is not a call's record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
    /// A line is not an entry.
    #[error("line {0} is not an entry")]
    Line(usize, #[source] serde_json::Error),
    /// A line holds an entry that this build does not know.
    #[error("line {0} cannot be read")]
    Event(usize, #[source] FormatError),
}

/// Writes entries to standard output. Answers how many cannot be written by this build.
pub(crate) fn export(call: CallId, entries: &[StoredEntry]) -> usize {
    let mut lost = 0;
    for entry in entries {
        let stored = entry.event.as_ref().ok().and_then(|event| encode(event).ok());
        let Some(event) = stored.and_then(|stored| RawValue::from_string(stored.body).ok()) else {
            lost += 1;
            continue;
        };
        say_json(&Exported {
            call: call.to_string(),
            seq: entry.seq,
            at_us: entry.at.as_micros(),
            unix_ms: entry.unix.0,
            version: VERSION,
            event,
        });
    }
    lost
}

/// Reads what [`export`] wrote.
pub(crate) fn import(file: impl BufRead) -> Result<Vec<Entry>, ImportError> {
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(file.lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let told: Exported = serde_json::from_str(&line).map_err(|error| ImportError::Line(number, error))?;
        let event =
            decode(told.version, told.event.get()).map_err(|error| ImportError::Event(number, error))?;
        entries.push(Entry { seq: told.seq, at: MonoTime::from_micros(told.at_us), event });
    }
    Ok(entries)
}

/// The result of a replay.
#[derive(Serialize)]
struct Shown<'a> {
    same: bool,
    entries: usize,
    duration_ms: u64,
    left_out: &'a [&'static str],
    differences: Vec<Difference<'a>>,
}

/// A step that is in one course only.
#[derive(Serialize)]
struct Difference<'a> {
    /// `then` or `now`.
    only: &'static str,
    at_ms: u64,
    step: &'a str,
}

/// Shows where the two courses differ.
pub(crate) fn show(replayed: &Replayed, as_json: bool) {
    let difference = |line| match line {
        &Line::Both(..) => None,
        Line::Then(at, step) => Some(Difference { only: "then", at_ms: millis(*at), step }),
        Line::Now(at, step) => Some(Difference { only: "now", at_ms: millis(*at), step }),
    };
    let differences: Vec<Difference<'_>> = replayed.lines.iter().filter_map(difference).collect();
    let duration_ms = millis(replayed.duration);
    if as_json {
        let Replayed { entries, left_out, .. } = replayed;
        let (same, entries) = (replayed.is_same(), *entries);
        return say_json(&Shown { same, entries, duration_ms, left_out, differences });
    }
    for line in &replayed.lines {
        match line {
            Line::Both(was, is, step) => {
                say(format_args!("  {:>9.3} {:>9.3}  {step}", was.as_secs_f64(), is.as_secs_f64()))
            }
            Line::Then(was, step) => say(format_args!("- {:>9.3}            {step}", was.as_secs_f64())),
            Line::Now(is, step) => say(format_args!("+           {:>9.3}  {step}", is.as_secs_f64())),
        }
    }
    for what in &replayed.left_out {
        say(format_args!("Not replayed: {what}."));
    }
    let verdict = if replayed.is_same() {
        "The same came of it".to_owned()
    } else {
        format!("{} steps differ", differences.len())
    };
    say(format_args!("{verdict}: {} entries, {:.1} s.", replayed.entries, replayed.duration.as_secs_f64()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_is_refused_with_its_line() {
        let error = |text: &str| import(text.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error("\n{}"), "line 2 is not an entry");
        let of_tomorrow = r#"{"call":"7","seq":1,"at_us":0,"unix_ms":0,"version":99,"event":{}}"#;
        assert_eq!(error(of_tomorrow), "line 1 cannot be read");
        let fine = r#"{"call":"7","seq":1,"at_us":20000,"unix_ms":0,"version":1,"event":{"kind":"muted","on":true}}"#;
        let entries = import(fine.as_bytes()).unwrap();
        assert_eq!((entries.len(), entries[0].seq, entries[0].at), (1, 1, MonoTime::from_millis(20)));
    }
}
