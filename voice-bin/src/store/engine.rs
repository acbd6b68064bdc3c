//! What the store asks of a database: statements in, rows out, and a batch that is written whole or not at all.
//!
//! Queries stand in the store once, as text that both databases understand, with arguments and rows of two
//! types: whole numbers and text. An engine knows how to carry them to its database, and nothing of calls.

mod postgres;
mod sqlite;

use std::borrow::Cow;
use std::fmt::Debug;

use async_trait::async_trait;

pub(super) use postgres::{DIALECT as POSTGRES, Postgres};
pub(super) use sqlite::{DIALECT as SQLITE, Sqlite};

use super::StoreError;
use super::format::FormatError;
use crate::telemetry::database::Pool;

/// A database.
#[async_trait]
pub(super) trait Engine: Pooled + Debug + Send + Sync {
    /// Rows, as they stand after the last commit.
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, StoreError>;

    /// Begins a batch. The engine has one at a time: a second one waits.
    async fn begin(&self) -> Result<Box<dyn Batch>, StoreError>;

    /// Closes every connection after what is under way.
    async fn close(&self);
}

/// Something that keeps connections.
pub(super) trait Pooled {
    /// How they are used just now.
    fn pool(&self) -> Pool;
}

/// Statements that take effect together, at [`Batch::commit`]; dropped before, none does.
#[async_trait]
pub(super) trait Batch: Send {
    /// Runs a statement and answers its rows, if it has any.
    async fn run(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError>;

    /// From here on everybody sees what was done. After an error it may be done or not.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// Where the two databases need different words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// Keeps the rows that were read as they are until the batch is over. SQLite has one writer, and no need.
    pub(super) lock_rows: &'static str,
    /// Whether several servers may use it at once.
    pub(super) is_shared: bool,
    /// Finds out whether anything can be written, and leaves no trace.
    pub(super) probe: &'static [&'static str],
}

/// SQL with its arguments, `$1` the first.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sql: Cow<'static, str>,
    pub(super) values: Vec<Value>,
}

/// What is stored in one column of one row. An absent one has a type as well: PostgreSQL asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

/// Columns in the order in which they were asked for.
#[derive(Clone, Debug)]
pub(super) struct Row(pub(super) Vec<Value>);

impl Statement {
    /// The text must consist of literals of this program, never of anything that came from elsewhere.
    pub(super) fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    pub(super) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Adds a value and answers its name in the text.
    pub(super) fn push(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }
}

impl Row {
    pub(super) fn int(&self, at: usize) -> Result<i64, StoreError> {
        self.maybe_int(at)?.ok_or_else(|| wrong("an empty column"))
    }

    pub(super) fn maybe_int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(at) {
            Some(Value::Int(number)) => Ok(*number),
            Some(Value::Text(None)) => Ok(None),
            Some(Value::Text(Some(_))) | None => Err(wrong("a column of another type")),
        }
    }

    pub(super) fn text(&self, at: usize) -> Result<String, StoreError> {
        self.maybe_text(at)?.ok_or_else(|| wrong("an empty column"))
    }

    pub(super) fn maybe_text(&self, at: usize) -> Result<Option<String>, StoreError> {
        match self.0.get(at) {
            Some(Value::Text(text)) => Ok(text.clone()),
            Some(Value::Int(None)) => Ok(None),
            Some(Value::Int(Some(_))) | None => Err(wrong("a column of another type")),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(storable(text)))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(storable))
    }
}

/// PostgreSQL has no place for a zero character, which a model may well utter.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn wrong(what: &'static str) -> StoreError {
    StoreError::Format(FormatError::Field(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_what_they_are_or_an_error() {
        let row = Row(vec![7.into(), "seven".into(), Value::Int(None), Value::Text(None)]);
        assert_eq!((row.int(0).unwrap(), row.text(1).unwrap().as_str()), (7, "seven"));
        assert_eq!((row.maybe_int(2).unwrap(), row.maybe_text(3).unwrap()), (None, None));
        // SQLite knows no type of what is absent.
        assert_eq!((row.maybe_text(2).unwrap(), row.maybe_int(3).unwrap()), (None, None));
        assert!(row.int(1).is_err() && row.text(0).is_err() && row.int(2).is_err() && row.int(4).is_err());
    }

    #[test]
    fn a_zero_character_becomes_one_that_can_be_stored() {
        assert_eq!(Value::from("a\0b"), Value::from("a\u{fffd}b"));
    }
}
