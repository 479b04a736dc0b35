//! A transaction with one deadline for all of its statements together.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, sqlx};
use tokio::sync::Mutex;

use crate::connections::deadlines::{Connections, PooledConnection};

/// A transaction on a pooled connection. Dropping it rolls the transaction back. If the last statement received no
/// response, the connection is closed at once instead.
#[derive(Debug)]
pub(crate) struct Transaction {
    connection: Mutex<PooledConnection>,
    /// The process id of the session's backend on the server.
    pid: i32,
    /// The time limit of each statement. `None`: no limit.
    statement_limit: Option<Duration>,
    /// The deadline of the transaction.
    until: Instant,
}

impl Transaction {
    /// Begins a transaction. Queries `columns`, a select list without parameters, in the same round trip. Returns the
    /// transaction and the row of this query. When the time `limit` has passed, every further statement fails,
    /// including `COMMIT`.
    pub(crate) async fn begin(
        connections: &Connections,
        limit: Duration,
        columns: &str,
    ) -> Result<(Self, QueryResult), DbErr> {
        let mut connection = connections.acquire().await?;
        let until = Instant::now() + limit;
        let statement_limit = connections.limit();
        // The statements of a change look up rows by key, so a generic plan is suitable for all parameter values.
        // Replanning a statement for each execution would cost more than executing it.
        let begin = format!(
            "BEGIN;
            SELECT set_config('plan_cache_mode', 'force_generic_plan', true), pg_backend_pid() AS pid, {columns}"
        );
        // `BEGIN` may succeed even if the query fails, so the connection may need a rollback.
        connection.in_transaction = true;
        let row = connection.query_one_unprepared(&begin, at_most(statement_limit, until)?).await?;
        let row =
            row.ok_or_else(|| DbErr::RecordNotFound("the first query of a transaction returned no row".to_owned()))?;
        let pid = row.try_get("", "pid")?;
        Ok((Self { connection: Mutex::new(connection), pid, statement_limit, until }, row))
    }

    /// Begins a read-only transaction in which every statement sees the same snapshot of the database. When the time
    /// `limit` has passed, every further statement fails.
    pub(crate) async fn begin_snapshot(connections: &Connections, limit: Duration) -> Result<Self, DbErr> {
        let mut connection = connections.acquire().await?;
        let until = Instant::now() + limit;
        let statement_limit = connections.limit();
        // The first query takes the snapshot, so that it exists when this function returns.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
            SELECT set_config('idle_in_transaction_session_timeout', '0', true), pg_backend_pid() AS pid";
        connection.in_transaction = true;
        let row = connection.query_one_unprepared(begin, at_most(statement_limit, until)?).await?;
        let row =
            row.ok_or_else(|| DbErr::RecordNotFound("the first query of a transaction returned no row".to_owned()))?;
        Ok(Self { connection: Mutex::new(connection), pid: row.try_get("", "pid")?, statement_limit, until })
    }

    /// Returns the process id of the session's backend on the server.
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
        // After any response from the server, the transaction has ended. Without a response, the connection is closed.
        connection.in_transaction = false;
        outcome.map(drop)
    }

    /// Returns the time limit of the next statement.
    fn limit(&self) -> Result<Option<Duration>, DbErr> {
        at_most(self.statement_limit, self.until)
    }
}

/// Returns the shorter of a statement's time limit and the time left until a deadline. Fails if the deadline has
/// passed.
fn at_most(limit: Option<Duration>, until: Instant) -> Result<Option<Duration>, DbErr> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        // Nothing is sent to the server, so the outcome is known: the transaction is rolled back.
        let late = io::Error::new(io::ErrorKind::TimedOut, "the change exceeded its time limit and was rolled back");
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
