//! What is known of calls, for ever: one port over SQLite and PostgreSQL, and the journal that writes to it.
//!
//! The events of calls are the truth; every other table is derived from them, in the same transaction. All is
//! written off the audio path: a database that stalls costs no call any time, and what it costs the journal is
//! named, in the log and, once it works again, in the table of losses.

mod derive;
mod engine;
pub mod format;
mod journal;
mod losses;
mod read;
mod rows;
#[cfg(test)]
pub(crate) mod samples;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;
use voice_core::id::CallId;

use engine::{Dialect, Engine, Postgres, Sqlite, Statement};

use crate::telemetry::database::{Pool, tell_recovery, timed};

pub use format::FormatError;
pub use journal::{Journal, JournalReader};
pub use rows::{
    CallFilter, CallPage, CallRow, CallState, CarrierRecordingRow, Counts, Cursor, CursorError, LossRow,
    RecordingRow, Speaker, StatusChange, StoredEntry, SwitchRow, TurnRow,
};

/// Why the store cannot do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be opened, reached, read or written.
    #[error("the database does not work")]
    Database(#[from] sqlx::Error),
    /// The database took too long.
    #[error("the database does not answer in time")]
    Slow,
    /// The database was made by another version.
    #[error("the database cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds what it cannot hold.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl StoreError {
    /// Whether the database works and does not take what it was given: trying again will not help.
    pub(crate) fn is_refusal(&self) -> bool {
        let Self::Database(sqlx::Error::Database(error)) = self else { return false };
        let code = error.code().unwrap_or_default();
        if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
            // Classes "data exception" and "integrity constraint violation".
            return code.starts_with("22") || code.starts_with("23");
        }
        // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH; the upper bits say more precisely which.
        code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 18..=20))
    }
}

/// One server among those that share a database. A node that comes back under its old name finds its calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(Arc<str>);

/// The open database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Arc<dyn Engine>,
    dialect: Dialect,
    /// In whose name this process writes.
    node: Node,
    /// Whether the last attempt to write failed. A disk that is full can be read all day.
    write_failed: Arc<AtomicBool>,
}

impl Store {
    /// Opens `sqlite:FILE` (made if there is none) or `postgres://…`, and brings its tables up to date.
    ///
    /// # Errors
    /// If it cannot be opened or reached, or was made by a newer version.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let began = Instant::now();
        let is_postgres = url.starts_with("postgres:") || url.starts_with("postgresql:");
        let (engine, dialect): (Arc<dyn Engine>, _) = if is_postgres {
            (Arc::new(Postgres::open(url).await?), engine::POSTGRES)
        } else {
            (Arc::new(Sqlite::open(url).await?), engine::SQLITE)
        };
        tell_recovery("database", began);
        Ok(Self { engine, dialect, node: Node::new("voice"), write_failed: Arc::default() })
    }

    /// Writes in the name of this node. Entries of a call that another node has taken over are refused.
    #[must_use]
    pub fn with_node(self, node: Node) -> Self {
        Self { node, ..self }
    }

    /// In whose name this process writes.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Takes a call over from a node that held it: from now on its entries come from here, and what the other
    /// one still writes of it is refused. Answers whether this node holds the call now; it does not if the call
    /// is over, unknown, or was taken by somebody else first.
    ///
    /// Read the entries afterwards, not before: then nobody can add to them any more.
    ///
    /// # Errors
    /// If the database does not work.
    pub async fn take_over(&self, call: CallId, from: &Node) -> Result<bool, StoreError> {
        let mut batch = self.engine.begin().await?;
        let statement = Statement::new(
            "UPDATE calls SET node = $1 WHERE call_id = $2 AND node IN ($1, $3) AND ended_unix_ms IS NULL
             RETURNING call_id",
        );
        let statement = statement.with(self.node.as_str()).with(call.to_string()).with(from.as_str());
        let rows = batch.run(statement).await?;
        batch.commit().await?;
        Ok(!rows.is_empty())
    }

    /// A sign of life of this node.
    ///
    /// # Errors
    /// If the database does not work, here and below.
    pub async fn beat(&self) -> Result<(), StoreError> {
        let mut batch = self.engine.begin().await?;
        let statement = Statement::new(
            "INSERT INTO nodes (node, beats) VALUES ($1, 1)
             ON CONFLICT (node) DO UPDATE SET beats = nodes.beats + 1",
        );
        batch.run(statement.with(self.node.as_str())).await?;
        batch.commit().await
    }

    /// Every node that ever gave a sign of life, and how many it gave.
    pub async fn beats(&self) -> Result<Vec<(Node, u64)>, StoreError> {
        let rows = self.engine.read(Statement::new("SELECT node, beats FROM nodes ORDER BY node")).await?;
        rows.iter().map(|row| Ok((Node::new(&row.text(0)?), row.int(1)?.cast_unsigned()))).collect()
    }

    /// A node that is gone: nobody need look for signs of its life. One that lives gives the next.
    ///
    /// # Errors
    /// If the database does not work.
    pub async fn forget(&self, node: &Node) -> Result<(), StoreError> {
        let mut batch = self.engine.begin().await?;
        batch.run(Statement::new("DELETE FROM nodes WHERE node = $1").with(node.as_str())).await?;
        batch.commit().await
    }

    /// The same for a call that has come to this node, whether or not it had ended there: the carrier says
    /// that its line still stands.
    ///
    /// # Errors
    /// If the database does not work.
    pub async fn take_back(&self, call: CallId, from: &Node) -> Result<bool, StoreError> {
        let mut batch = self.engine.begin().await?;
        let statement = Statement::new(
            "UPDATE calls SET node = $1 WHERE call_id = $2 AND node IN ($1, $3) RETURNING call_id",
        );
        let statement = statement.with(self.node.as_str()).with(call.to_string()).with(from.as_str());
        let rows = batch.run(statement).await?;
        batch.commit().await?;
        Ok(!rows.is_empty())
    }

    /// Whether other servers may write to the same database.
    pub fn is_shared(&self) -> bool {
        self.dialect.is_shared
    }

    /// How its connections are used.
    pub(crate) fn pool(&self) -> Pool {
        self.engine.pool()
    }

    /// Whether the database answers.
    pub async fn is_up(&self) -> bool {
        timed("is_up", self.engine.read(Statement::new("SELECT CAST(1 AS BIGINT)"))).await.is_ok()
    }

    /// Whether what happens in calls can be written down. Once a write has failed, the next question tries
    /// one itself: a server that is not asked to take calls has nothing else to write.
    pub async fn can_write(&self) -> bool {
        if !self.has_failed() {
            return true;
        }
        let works = self.try_to_write().await.is_ok();
        self.note_write(works);
        works
    }

    /// Closes the database after what is under way.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    fn has_failed(&self) -> bool {
        self.write_failed.load(Ordering::Relaxed)
    }

    fn note_write(&self, works: bool) {
        self.write_failed.store(!works, Ordering::Relaxed);
    }

    async fn try_to_write(&self) -> Result<(), StoreError> {
        let mut batch = self.engine.begin().await?;
        for sql in self.dialect.probe {
            batch.run(Statement::new(*sql)).await?;
        }
        batch.commit().await
    }
}

impl Node {
    /// A name that no other server on the same database has.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
impl Store {
    /// Makes every write of entries fail, as a damaged file would.
    async fn break_tables(&self) {
        self.rename("ALTER TABLE call_events RENAME TO hidden").await;
    }

    async fn mend_tables(&self) {
        self.rename("ALTER TABLE hidden RENAME TO call_events").await;
    }

    async fn rename(&self, sql: &'static str) {
        let mut batch = self.engine.begin().await.unwrap();
        batch.run(Statement::new(sql)).await.unwrap();
        batch.commit().await.unwrap();
    }
}
