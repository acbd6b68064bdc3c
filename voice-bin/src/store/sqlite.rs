//! The SQLite file: one connection that writes, some that read.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, SqlSafeStr, SqlitePool};
use voice_core::id::CallId;
use voice_core::record::{CallEvent, Entry};
use voice_core::time::{MonoTime, UnixMillis};

use super::format::{self, FormatError};

const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "journal", include_str!("migrations/1-journal.sql"))];

/// Another process (a backup, a shell) may hold the file for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const READERS_MAX: u32 = 4;

/// Why the store cannot do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be opened, read or written.
    #[error("the database does not work")]
    Database(#[from] sqlx::Error),
    /// The file was made by another version.
    #[error("the database cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds what it cannot hold.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// The open file. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    write: SqlitePool,
    read: SqlitePool,
    /// Whether the last attempt to write failed. A disk that is full can be read all day.
    write_failed: Arc<AtomicBool>,
}

/// One call as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRow {
    /// Which call.
    pub call: CallId,
    /// When it began.
    pub started: UnixMillis,
    /// When it ended, if it has.
    pub ended: Option<UnixMillis>,
    /// Who carried it.
    pub carrier: String,
    /// The carrier's own name for it.
    pub carrier_call: String,
    /// Finds it in everybody's logs.
    pub correlation: String,
    /// Why it ended, as in the metrics.
    pub reason: Option<String>,
}

/// An entry with all that is needed to store it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) call: CallId,
    pub(super) entry: Entry,
    pub(super) unix: UnixMillis,
}

/// One entry of a call as it was read back.
#[derive(Debug)]
pub struct StoredEntry {
    /// Its number within the call.
    pub seq: u64,
    /// When, in the call's own time.
    pub at: MonoTime,
    /// When, on the clock.
    pub unix: UnixMillis,
    /// What; an error where a newer build wrote it.
    pub event: Result<CallEvent, FormatError>,
}

impl Store {
    /// Opens the file, makes it if there is none, and brings its tables up to date.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .disable_statement_logging();
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        if !in_memory {
            keep_private(options.get_filename());
        }
        // Two writers would only wait for each other.
        let write = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        let migrations = MIGRATIONS.map(|(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        });
        Migrator::with_migrations(migrations.into()).run(&write).await?;
        let read = if in_memory {
            write.clone()
        } else {
            SqlitePoolOptions::new().max_connections(READERS_MAX).connect_lazy_with(options.read_only(true))
        };
        Ok(Self { write, read, write_failed: Arc::default() })
    }

    /// The latest calls, newest first.
    pub async fn calls(&self, limit: u32) -> Result<Vec<CallRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT call_id, started_unix_ms, ended_unix_ms, carrier, carrier_call, correlation, reason
             FROM calls ORDER BY started_unix_ms DESC, call_id DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(call_row).collect()
    }

    /// Whether there is a call of this id.
    pub async fn knows(&self, call: CallId) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM calls WHERE call_id = ?")
            .bind(call.to_string())
            .fetch_optional(&self.read)
            .await?;
        Ok(row.is_some())
    }

    /// Everything that is known of one call, in order.
    pub async fn entries(&self, call: CallId) -> Result<Vec<StoredEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at_us, unix_ms, version, body FROM call_events WHERE call_id = ? ORDER BY seq",
        )
        .bind(call.to_string())
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(stored_entry).collect()
    }

    /// Whether the file answers.
    pub async fn is_up(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.read).await.is_ok()
    }

    /// Whether what happens in calls can be written down. Once a write has failed, the next question tries
    /// one itself: a server that is not asked to take calls has nothing else to write.
    pub async fn can_write(&self) -> bool {
        if !self.write_failed.load(Ordering::Relaxed) {
            return true;
        }
        let works = self.try_to_write().await.is_ok();
        self.write_failed.store(!works, Ordering::Relaxed);
        works
    }

    /// Makes every write of entries fail, as a damaged file would.
    #[cfg(test)]
    pub(super) async fn break_tables(&self) {
        sqlx::query("ALTER TABLE call_events RENAME TO lost").execute(&self.write).await.unwrap();
    }

    #[cfg(test)]
    pub(super) fn has_failed(&self) -> bool {
        self.write_failed.load(Ordering::Relaxed)
    }

    /// Writes a page and takes it back to where it was: nothing less finds a full disk.
    async fn try_to_write(&self) -> Result<(), StoreError> {
        let mut connection = self.write.acquire().await?;
        let tried = write_nothing(&mut connection).await;
        if tried.is_err() {
            let _it_is_broken_anyway = connection.detach().close_hard().await;
        }
        tried
    }

    /// Closes the file after what is under way.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// Writes all lines, or none. Answers how many had no stored form.
    pub(super) async fn write(&self, lines: &[Line]) -> Result<u64, StoreError> {
        let written = self.write_or_not(lines).await;
        self.write_failed.store(written.is_err(), Ordering::Relaxed);
        written
    }

    async fn write_or_not(&self, lines: &[Line]) -> Result<u64, StoreError> {
        let mut connection = self.write.acquire().await?;
        let written = write_on(&mut connection, lines).await;
        if written.is_err() {
            // A full disk makes SQLite roll back by itself, behind the driver's back: the connection
            // would refuse every transaction for ever. The next one starts clean.
            let _it_is_broken_anyway = connection.detach().close_hard().await;
        }
        written
    }
}

async fn write_on(connection: &mut sqlx::SqliteConnection, lines: &[Line]) -> Result<u64, StoreError> {
    let mut unwritable = 0;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for line in lines {
        let Ok(stored) = format::encode(&line.entry.event) else {
            unwritable += 1;
            continue;
        };
        if let Some(query) = summary(line) {
            query.execute(&mut *transaction).await?;
        }
        sqlx::query(
            "INSERT OR IGNORE INTO call_events (call_id, seq, at_us, unix_ms, kind, version, body)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(line.call.to_string())
        .bind(line.entry.seq.cast_signed())
        .bind(line.entry.at.as_micros().cast_signed())
        .bind(line.unix.0)
        .bind(stored.kind)
        .bind(format::VERSION)
        .bind(stored.body)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(unwritable)
}

async fn write_nothing(connection: &mut sqlx::SqliteConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("CREATE TABLE probe (body BLOB)").execute(&mut *transaction).await?;
    sqlx::query("DROP TABLE probe").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// The file holds numbers and what was said: it is its owner's alone. SQLite gives the files beside it the
/// same mode. What exists keeps the mode that somebody gave it.
fn keep_private(file: &std::path::Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // If it cannot be made, opening it will say why.
        let _made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    }
    #[cfg(not(unix))]
    let _ = file;
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// The first and the last entry of a call also change the list of calls.
fn summary(line: &Line) -> Option<Query> {
    let call = line.call.to_string();
    if let CallEvent::Started { carrier, carrier_call, from, to, correlation, .. } = &line.entry.event {
        let insert = sqlx::query(
            "INSERT OR IGNORE INTO calls
             (call_id, started_unix_ms, carrier, carrier_call, from_number, to_number, correlation)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        );
        let insert = insert.bind(call).bind(line.unix.0).bind(carrier.to_string()).bind(carrier_call.clone());
        return Some(
            insert.bind(from.expose().clone()).bind(to.expose().clone()).bind(correlation.to_string()),
        );
    }
    if let CallEvent::Ended { reason, .. } = &line.entry.event {
        let update = sqlx::query("UPDATE calls SET ended_unix_ms = ?, reason = ? WHERE call_id = ?");
        return Some(update.bind(line.unix.0).bind(reason.kind()).bind(call));
    }
    if let CallEvent::Returned { .. } = &line.entry.event {
        let update = sqlx::query("UPDATE calls SET ended_unix_ms = NULL, reason = NULL WHERE call_id = ?");
        return Some(update.bind(call));
    }
    None
}

fn call_row(row: &SqliteRow) -> Result<CallRow, StoreError> {
    let call: String = row.try_get("call_id")?;
    Ok(CallRow {
        call: call.parse().map_err(|_| FormatError::Field("call_id"))?,
        started: UnixMillis(row.try_get("started_unix_ms")?),
        ended: row.try_get::<Option<i64>, _>("ended_unix_ms")?.map(UnixMillis),
        carrier: row.try_get("carrier")?,
        carrier_call: row.try_get("carrier_call")?,
        correlation: row.try_get("correlation")?,
        reason: row.try_get("reason")?,
    })
}

fn stored_entry(row: &SqliteRow) -> Result<StoredEntry, StoreError> {
    let body: String = row.try_get("body")?;
    Ok(StoredEntry {
        seq: row.try_get::<i64, _>("seq")?.cast_unsigned(),
        at: MonoTime::from_micros(row.try_get::<i64, _>("at_us")?.cast_unsigned()),
        unix: UnixMillis(row.try_get("unix_ms")?),
        event: format::decode(row.try_get("version")?, &body),
    })
}
