//! A transaction with a deadline for all of its statements together.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, sqlx};
use tokio::sync::Mutex;

use crate::connections::{Connections, PooledConnection};

/// A transaction. When dropped it is rolled back; its connection is closed at once if a statement was not answered.
#[derive(Debug)]
pub(crate) struct Transaction {
    connection: Mutex<PooledConnection>,
    pid: i32,
    statement_limit: Option<Duration>,
    until: Instant,
}

impl Transaction {
    /// Begins a transaction, and returns the row of these columns, which take no values. After `limit` each statement
    /// fails, also `COMMIT`.
    pub(crate) async fn begin(
        connections: &Connections,
        limit: Duration,
        columns: &str,
    ) -> Result<(Self, QueryResult), DbErr> {
        let mut connection = connections.acquire().await?;
        let until = Instant::now() + limit;
        let statement_limit = connections.limit();
        // The statements of changes find rows by their keys, whatever the values are: planning each anew would cost
        // more than running it.
        let begin = format!(
            "BEGIN;
            SELECT set_config('plan_cache_mode', 'force_generic_plan', true), pg_backend_pid() AS pid, {columns}"
        );
        // BEGIN may succeed where the query fails.
        connection.in_transaction = true;
        let row = connection.query_one_unprepared(&begin, at_most(statement_limit, until)?).await?;
        let row =
            row.ok_or_else(|| DbErr::RecordNotFound("the beginning of a transaction returned no row".to_owned()))?;
        let pid = row.try_get("", "pid")?;
        Ok((Self { connection: Mutex::new(connection), pid, statement_limit, until }, row))
    }

    /// The process id of its session at the server.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        self.end("COMMIT").await
    }

    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        self.end("ROLLBACK").await
    }

    async fn end(self, how: &str) -> Result<(), DbErr> {
        let limit = self.limit()?;
        let mut connection = self.connection.into_inner();
        let outcome = connection.execute_unprepared(how, limit).await;
        // Whatever the server answered, the transaction is over; without an answer the connection is closed.
        connection.in_transaction = false;
        outcome.map(drop)
    }

    /// How long the next statement may take.
    fn limit(&self) -> Result<Option<Duration>, DbErr> {
        at_most(self.statement_limit, self.until)
    }
}

/// The shorter of a statement's limit and what is left until a deadline.
fn at_most(limit: Option<Duration>, until: Instant) -> Result<Option<Duration>, DbErr> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        // Nothing is sent, so the consequence is known: a rollback.
        let late = io::Error::new(io::ErrorKind::TimedOut, "the change took too long and is rolled back");
        return Err(DbErr::Exec(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(late)))));
    }
    Ok(Some(limit.map_or(left, |limit| limit.min(left))))
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.connection.lock().await.execute(&statement, self.limit()?).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.connection.lock().await.execute_unprepared(sql, self.limit()?).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.connection.lock().await.query_one(&statement, self.limit()?).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.connection.lock().await.query_all(&statement, self.limit()?).await
    }
}
