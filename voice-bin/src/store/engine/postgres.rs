//! PostgreSQL: the database of several nodes.

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, Column as _, ConnectOptions as _, Row as _, TypeInfo as _};

use super::{Batch, Dialect, Engine, Pooled, Row, Statement, Value};
use crate::store::{StoreError, schema};
use crate::telemetry::database::Pool;

const READERS_MAX: u32 = 8;

/// How long a question waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that each connection keeps prepared: some thirty, the longer ones in four lengths.
const PREPARED_MAX: usize = 200;

pub(in crate::store) const DIALECT: Dialect = Dialect {
    lock_rows: " FOR NO KEY UPDATE",
    is_shared: true,
    // Needs a transaction that is written down; no other node is in its way.
    probe: &["SELECT CAST(pg_current_xact_id() AS TEXT)"],
};

/// A database on a server.
#[derive(Clone, Debug)]
pub(in crate::store) struct Postgres {
    write: PgPool,
    read: PgPool,
}

/// A transaction. Dropped, it cuts its connection, on which the server rolls back; nobody waits for an answer
/// that may never come.
struct Transaction(Option<PoolConnection<sqlx::Postgres>>);

impl Postgres {
    /// Connects, and brings the tables up to date. Of several nodes that start at once, one does.
    pub(in crate::store) async fn open(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?
            .application_name("voice-server")
            .statement_cache_capacity(PREPARED_MAX)
            .disable_statement_logging();
        let pool = || PgPoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
        // One writer, so that the entries of a call are written in their order.
        let write = pool().max_connections(1).connect_with(options.clone()).await?;
        schema::postgres().run(&write).await?;
        let read = pool().max_connections(READERS_MAX).connect_lazy_with(options);
        Ok(Self { write, read })
    }
}

impl Pooled for Postgres {
    fn pool(&self) -> Pool {
        Pool::of(&[&self.write, &self.read])
    }
}

#[async_trait]
impl Engine for Postgres {
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let mut connection = self.read.acquire().await?;
        run(&mut connection, statement).await
    }

    async fn begin(&self) -> Result<Box<dyn Batch>, StoreError> {
        let mut transaction = Transaction(Some(self.write.acquire().await?));
        transaction.run(Statement::new("BEGIN")).await?;
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

async fn run(connection: &mut sqlx::PgConnection, statement: Statement) -> Result<Vec<Row>, StoreError> {
    let mut arguments = PgArguments::default();
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

fn row(row: &PgRow) -> Result<Row, StoreError> {
    let values = row.columns().iter().map(|column| {
        let at = column.ordinal();
        let is_number = column.type_info().name() == "INT8";
        Ok(if is_number { Value::Int(row.try_get(at)?) } else { Value::Text(row.try_get(at)?) })
    });
    values.collect::<Result<_, sqlx::Error>>().map(Row).map_err(StoreError::from)
}
