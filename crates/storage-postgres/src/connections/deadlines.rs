//! A connection pool whose statements fail at a deadline if the server does not respond.
//!
//! sqlx pings each connection before returning it to the pool. This ping has no deadline, and the connection counts as
//! in use until the ping completes. A half-open connection would count as in use forever. So a connection that is not
//! returned to the pool within [`RETURN_LIMIT`] is closed. A connection whose statement received no response is closed
//! at once, and no task waits for the response.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::{PgConnection, PgDatabaseError, PgPool, PgQueryResult, PgRow, PgSeverity, Postgres};
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::{self, AssertSqlSafe};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use sea_query_sqlx::SqlxValues;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::connections::failures::ConnectionFailures;
use crate::connections::hooks::PoolHooks;
use crate::connections::outdated::OutdatedConnections;
use crate::connections::reachability::{self, Diagnosis};
use crate::connections::runtime::on_runtime;
use crate::connections::session::Session;
use crate::connections::statement_span::in_span;
use crate::connections::waits::{Stage, measured};
use crate::error::is_lock_not_available;
use crate::operation;

/// Timeout for rolling back a transaction on a connection. The same timeout applies separately to returning the
/// connection to the pool.
pub(crate) const RETURN_LIMIT: Duration = Duration::from_secs(3);

/// A connection pool whose statements have a time limit.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pool: PgPool,
    /// Time limit of a statement. `None`: no limit.
    limit: Option<Duration>,
    /// `true` if a read whose wait for a lock timed out is repeated until the caller cancels it.
    waits_for_locks: bool,
    /// `true` if each statement is planned for its values.
    plans_each_statement: bool,
    /// `true` if the waits for connections are measured.
    is_measured: bool,
    context: Context,
    session: Session,
    outdated: Arc<OutdatedConnections>,
    diagnosis: Arc<Diagnosis>,
}

/// The data that a pool shares with its connections.
#[derive(Debug, Clone)]
struct Context {
    /// The runtime that owns the connections.
    runtime: Handle,
    failures: Arc<ConnectionFailures>,
    /// The address of the database, for error messages.
    address: Arc<str>,
    /// Minimum duration of statements that are logged as slow.
    slow_statement: Duration,
}

impl Connections {
    /// Wraps a pool that has these hooks and whose connections are owned by `runtime`.
    pub(crate) fn new(pool: PgPool, limit: Option<Duration>, runtime: Handle, hooks: &PoolHooks) -> Self {
        let context = Context {
            runtime,
            failures: Arc::clone(&hooks.failures),
            address: reachability::address(&pool.connect_options()).into(),
            slow_statement: hooks.slow_statement,
        };
        let (session, outdated) = (hooks.session.clone(), Arc::clone(&hooks.outdated));
        Self {
            pool,
            limit,
            waits_for_locks: false,
            plans_each_statement: false,
            is_measured: false,
            context,
            session,
            outdated,
            diagnosis: Arc::default(),
        }
    }

    /// Repeats each read whose wait for a lock timed out, until the caller cancels it. The server responds meanwhile, so
    /// the wait does not count as missing response.
    pub(crate) fn waiting_for_locks(self) -> Self {
        Self { waits_for_locks: true, ..self }
    }

    /// Returns the same pool, but without prepared statements: the server plans each statement for its values.
    pub(crate) fn planning_each_statement(&self) -> Self {
        Self { plans_each_statement: true, ..self.clone() }
    }

    /// Measures the waits for connections of this pool.
    pub(crate) fn measured(self) -> Self {
        Self { is_measured: true, ..self }
    }

    /// Returns the underlying pool. If a connection is acquired directly from this pool, its statements have no
    /// deadline.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns the Tokio runtime that owns the connections.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.context.runtime
    }

    /// Returns the time limit of a statement.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Acquires a connection from the pool for several statements.
    pub(crate) async fn acquire(&self) -> Result<PooledConnection, DbErr> {
        let acquire = on_runtime(self.runtime(), self.pool.acquire());
        let acquired = if self.is_measured { measured(Stage::Connection, acquire).await } else { acquire.await };
        let connection = match acquired {
            Ok(connection) => connection,
            // The pool retries until its timeout, and then reports only the timeout, not the cause.
            Err(sqlx::Error::PoolTimedOut) => return Err(conn_error(self.cause_of_timeout().await)),
            Err(error) => return Err(conn_error(reachability::not_opened(&self.context.address, error))),
        };
        Ok(PooledConnection {
            connection: Some(connection),
            context: self.context.clone(),
            discarded: self.outdated.discarded(),
            plans_each_statement: self.plans_each_statement,
            is_answered: true,
            in_transaction: false,
        })
    }

    /// Returns why the pool provided no connection in time.
    async fn cause_of_timeout(&self) -> sqlx::Error {
        if let Some(refusal) = self.session.refusal() {
            return reachability::refused(&self.context.address, refusal);
        }
        let (diagnosis, session) = (Arc::clone(&self.diagnosis), self.session.clone());
        let options = self.pool.connect_options();
        let why = on_runtime(self.runtime(), async move { diagnosis.of(&options, &session).await }).await;
        reachability::timed_out(why)
    }
}

#[async_trait]
impl ConnectionTrait for Connections {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.acquire().await?.execute(&statement, self.limit).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.acquire().await?.execute_unprepared(sql, self.limit).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        loop {
            match self.acquire().await?.query_one(&statement, self.limit).await {
                Err(error) if self.waits_for_locks && is_lock_not_available(&error) => {}
                outcome => return outcome,
            }
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        loop {
            match self.acquire().await?.query_all(&statement, self.limit).await {
                Err(error) if self.waits_for_locks && is_lock_not_available(&error) => {}
                outcome => return outcome,
            }
        }
    }
}

/// A connection of a pool. Dropping it returns the connection to the pool. If the last statement received no response
/// (its future was dropped, its deadline passed, or the connection broke), the connection is closed at once instead.
#[derive(Debug)]
pub(crate) struct PooledConnection {
    connection: Option<PoolConnection<Postgres>>,
    context: Context,
    /// The receiver that is notified when open connections are discarded.
    discarded: watch::Receiver<()>,
    /// `true` if each statement is planned for its values.
    plans_each_statement: bool,
    /// Whether the last statement received a response.
    is_answered: bool,
    /// Whether a transaction may be open. Such a transaction is rolled back before the connection is returned to the
    /// pool.
    pub(crate) in_transaction: bool,
}

impl PooledConnection {
    /// Executes a statement, and returns the number of rows that it changed.
    pub(crate) async fn execute(
        &mut self,
        statement: &Statement,
        limit: Option<Duration>,
    ) -> Result<ExecResult, DbErr> {
        let (context, discarded) = (self.context.clone(), self.discarded.clone());
        let call = self.bound(statement).execute(self.start()?);
        let outcome: sqlx::Result<PgQueryResult> = within(&context, &statement.sql, limit, discarded, call).await;
        let changed = self.finish(outcome).map_err(exec_error)?;
        operation::record_rows(changed.rows_affected());
        Ok(changed.into())
    }

    /// Executes SQL without parameters.
    pub(crate) async fn execute_unprepared(&mut self, sql: &str, limit: Option<Duration>) -> Result<ExecResult, DbErr> {
        let (context, discarded) = (self.context.clone(), self.discarded.clone());
        let call = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.start()?);
        let outcome: sqlx::Result<PgQueryResult> = within(&context, sql, limit, discarded, call).await;
        self.finish(outcome).map(Into::into).map_err(exec_error)
    }

    /// Executes a statement that returns at most one row.
    pub(crate) async fn query_one(
        &mut self,
        statement: &Statement,
        limit: Option<Duration>,
    ) -> Result<Option<QueryResult>, DbErr> {
        let (context, discarded) = (self.context.clone(), self.discarded.clone());
        let call = self.bound(statement).fetch_optional(self.start()?);
        let outcome: sqlx::Result<Option<PgRow>> = within(&context, &statement.sql, limit, discarded, call).await;
        let row = self.finish(outcome).map_err(query_error)?;
        operation::record_rows(u64::from(row.is_some()));
        Ok(row.map(Into::into))
    }

    /// Executes SQL without parameters that returns at most one row.
    pub(crate) async fn query_one_unprepared(
        &mut self,
        sql: &str,
        limit: Option<Duration>,
    ) -> Result<Option<QueryResult>, DbErr> {
        let (context, discarded) = (self.context.clone(), self.discarded.clone());
        let call = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_optional(self.start()?);
        let outcome: sqlx::Result<Option<PgRow>> = within(&context, sql, limit, discarded, call).await;
        Ok(self.finish(outcome).map_err(query_error)?.map(Into::into))
    }

    /// Executes a statement, and returns its rows.
    pub(crate) async fn query_all(
        &mut self,
        statement: &Statement,
        limit: Option<Duration>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let (context, discarded) = (self.context.clone(), self.discarded.clone());
        let call = self.bound(statement).fetch_all(self.start()?);
        let outcome: sqlx::Result<Vec<PgRow>> = within(&context, &statement.sql, limit, discarded, call).await;
        let rows = self.finish(outcome).map_err(query_error)?;
        operation::record_rows(rows.len() as u64);
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Returns the driver's query for a statement, with its values bound.
    fn bound<'a>(&self, statement: &'a Statement) -> Query<'a, Postgres, SqlxValues> {
        let values = statement.values.clone().unwrap_or_else(|| sea_orm::Values(Vec::new()));
        let query = sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values));
        query.persistent(!self.plans_each_statement)
    }

    /// Returns the connection for sending a statement. Until [`Self::finish`] is called, the statement counts as
    /// unanswered.
    fn start(&mut self) -> Result<&mut PgConnection, DbErr> {
        self.is_answered = false;
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(exec_error(sqlx::Error::PoolClosed)),
        }
    }

    /// Records the outcome of the statement that [`Self::start`] began.
    fn finish<T>(&mut self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        self.is_answered = outcome.as_ref().err().is_none_or(is_server_response);
        if self.is_answered {
            return outcome;
        }
        self.context.failures.record_loss();
        outcome.map_err(|error| reachability::lost(&self.context.address, error))
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // Dropping the connection may spawn a task, which requires a runtime.
        let _runtime = self.context.runtime.enter();
        if !self.is_answered {
            // Closes the socket without a termination message, because the peer may be unreachable. The server rolls
            // the transaction back.
            drop(connection.detach());
        } else if self.in_transaction {
            let mut returning = Self {
                connection: Some(connection),
                context: self.context.clone(),
                discarded: self.discarded.clone(),
                plans_each_statement: self.plans_each_statement,
                is_answered: true,
                in_transaction: false,
            };
            let rollback = async move { returning.execute_unprepared("ROLLBACK", Some(RETURN_LIMIT)).await.map(drop) };
            self.context.runtime.spawn(rollback);
        } else {
            let back = connection.return_to_pool();
            drop(connection);
            // On timeout, the future is dropped together with its connection, which closes the socket.
            self.context.runtime.spawn(timeout(RETURN_LIMIT, back));
        }
    }
}

/// Awaits `call`, which executes the statement `sql`, in the context of the connection's runtime. Logs the duration of
/// the statement. Fails if `limit` passes, or if all open connections are discarded, before the response arrives.
async fn within<T>(
    context: &Context,
    sql: &str,
    limit: Option<Duration>,
    mut discarded: watch::Receiver<()>,
    call: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let ends = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let failed = |kind, why: &'static str| Err(io::Error::new(kind, why).into());
    let _logged = LoggedStatement { sql, sent_at: Instant::now(), slow: context.slow_statement };
    let response = async {
        tokio::select! {
            biased;
            outcome = call => outcome,
            Ok(()) = discarded.changed() => failed(io::ErrorKind::ConnectionAborted, "the connection was discarded"),
            () = ends => failed(io::ErrorKind::TimedOut, "no response in time"),
        }
    };
    on_runtime(&context.runtime, in_span(sql, response)).await
}

/// The target of the log lines about statements, by which a log filter selects them.
const TARGET: &str = "iam_storage_postgres::statements";

/// A statement in progress. Dropping it logs the statement with its operation and its duration: at the level warn if
/// the statement is slow, and otherwise at the level debug. A statement whose future is dropped before the response
/// arrives is logged too. Bind values are not logged.
struct LoggedStatement<'a> {
    sql: &'a str,
    sent_at: Instant,
    /// Minimum duration of a slow statement.
    slow: Duration,
}

impl Drop for LoggedStatement<'_> {
    fn drop(&mut self) {
        let statement = || self.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let duration = self.sent_at.elapsed();
        let (duration_ms, operation) = (duration.as_secs_f64() * 1e3, operation::current());
        if duration >= self.slow {
            tracing::warn!(target: TARGET, duration_ms, operation, statement = statement(), "slow database statement");
        } else {
            tracing::debug!(target: TARGET, duration_ms, operation, statement = statement(), "database statement");
        }
    }
}

/// Returns `true` if the server reported the error and the session can still be used.
fn is_server_response(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
            !matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
        }
        sqlx::Error::RowNotFound => true,
        _ => false,
    }
}

fn conn_error(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))
}

fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
