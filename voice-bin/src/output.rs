//! What commands print: results on standard output, for people or as one JSON object; all else, log
//! lines included, on standard error.

pub(crate) mod check;
pub(crate) mod export;
pub(crate) mod figures;
pub(crate) mod summary;

use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// Writes a line to standard output. A reader that went away (a closed pipe) is no error.
pub(crate) fn say(line: impl Display) {
    let _reader_may_be_gone = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes a line to standard error, for people.
pub(crate) fn tell(line: impl Display) {
    let _reader_may_be_gone = writeln!(std::io::stderr().lock(), "{line}");
}

/// Replaces the last line on standard error, where that is a terminal; nothing otherwise.
pub(crate) fn progress(line: impl Display) {
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let _reader_may_be_gone = write!(stderr, "\r\u{1b}[K{line}").and_then(|()| stderr.flush());
    }
}

/// Writes a value as JSON in one line to standard output.
pub(crate) fn say_json(value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => say(text),
        Err(error) => tell(format_args!("the result cannot be written as JSON: {error}")),
    }
}

/// Whole milliseconds, as results are told.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
