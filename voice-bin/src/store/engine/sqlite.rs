//! SQLite: one connection that writes, some that read.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, ConnectOptions as _, Row as _, TypeInfo as _, ValueRef as _,
};

use super::{Batch, Dialect, Engine, Pooled, Row, Statement, Value};
use crate::store::{StoreError, schema};
use crate::telemetry::database::Pool;

/// Another process (a backup, a shell) may hold the file for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const READERS_MAX: u32 = 4;

/// How long a question waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::store) const DIALECT: Dialect = Dialect {
    lock_rows: "",
    is_shared: false,
    // Writing a page and taking it back: nothing less finds a full disk.
    probe: &["CREATE TABLE probe (body BLOB)", "DROP TABLE probe"],
};

/// A file, or for tests a piece of memory.
#[derive(Clone, Debug)]
pub(in crate::store) struct Sqlite {
    write: SqlitePool,
    read: SqlitePool,
}

/// A transaction. Dropped, it takes its connection along: a full disk makes SQLite roll back by itself, behind
/// the driver's back, and such a connection would refuse every transaction for ever. The next one starts clean.
struct Transaction(Option<PoolConnection<sqlx::Sqlite>>);

impl Sqlite {
    /// Opens the file, makes it if there is none, and brings its tables up to date.
    pub(in crate::store) async fn open(url: &str) -> Result<Self, StoreError> {
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
        // Two writers would only wait for each other. What is in memory is gone with its connection.
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = if in_memory { pool.idle_timeout(None).max_lifetime(None) } else { pool };
        let write = pool.connect_with(options.clone()).await?;
        schema::sqlite().run(&write).await?;
        let read = if in_memory {
            write.clone()
        } else {
            SqlitePoolOptions::new()
                .max_connections(READERS_MAX)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_lazy_with(options.read_only(true))
        };
        Ok(Self { write, read })
    }
}

impl Pooled for Sqlite {
    fn pool(&self) -> Pool {
        Pool::of(&[&self.write, &self.read])
    }
}

#[async_trait]
impl Engine for Sqlite {
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let mut connection = self.read.acquire().await?;
        run(&mut connection, statement).await
    }

    async fn begin(&self) -> Result<Box<dyn Batch>, StoreError> {
        let mut transaction = Transaction(Some(self.write.acquire().await?));
        transaction.run(Statement::new("BEGIN IMMEDIATE")).await?;
        Ok(Box::new(transaction))
    }

    async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

#[async_trait]
impl Batch for Transaction {
    async fn run(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let connection = self.0.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        run(connection, statement).await
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.run(Statement::new("COMMIT")).await?;
        // Given back in good order.
        drop(self.0.take());
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

async fn run(connection: &mut sqlx::SqliteConnection, statement: Statement) -> Result<Vec<Row>, StoreError> {
    let mut arguments = SqliteArguments::default();
    for value in statement.values {
        match value {
            Value::Int(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    // `Statement` is made of literals only.
    let query = sqlx::query_with(AssertSqlSafe(statement.sql.into_owned()), arguments);
    query.fetch_all(connection).await?.iter().map(row).collect()
}

fn row(row: &SqliteRow) -> Result<Row, StoreError> {
    let values = row.columns().iter().map(|column| {
        let at = column.ordinal();
        let is_text = row.try_get_raw(at)?.type_info().name() == "TEXT";
        Ok(if is_text { Value::Text(row.try_get(at)?) } else { Value::Int(row.try_get(at)?) })
    });
    values.collect::<Result<_, sqlx::Error>>().map(Row).map_err(StoreError::from)
}

/// The file holds numbers and what was said: it is its owner's alone. SQLite gives the files beside it the
/// same mode. What exists keeps the mode that somebody gave it.
fn keep_private(file: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // If it cannot be made, opening it will say why.
        let _made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    }
    #[cfg(not(unix))]
    let _ = file;
}
