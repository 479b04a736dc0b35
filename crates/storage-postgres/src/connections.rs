//! A pool whose statements end at a deadline, also if the server does not answer.
//!
//! sqlx returns a connection to its pool after a ping that has no deadline, and the connection counts as used
//! meanwhile. A connection that is dead but not closed would count forever. So a connection goes back within
//! [`RETURN_LIMIT`] or is closed, and one with an unanswered statement is closed at once: nothing in this process
//! waits for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

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

use crate::connection_failures::ConnectionFailures;
use crate::outdated::OutdatedConnections;
use crate::pool_hooks::PoolHooks;
use crate::runtime::on_runtime;
use crate::session::Session;

/// How long a connection may take to roll back, and then to go back to its pool.
pub(crate) const RETURN_LIMIT: Duration = Duration::from_secs(3);

/// A pool, with the deadline of its statements.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: PgPool,
    /// The deadline of a statement. `None`: none.
    limit: Option<Duration>,
    runtime: Handle,
    failures: Arc<ConnectionFailures>,
    session: Session,
    outdated: Arc<OutdatedConnections>,
}

impl Connections {
    /// A pool with these hooks, whose connections live on `runtime`.
    pub(crate) fn new(pool: PgPool, limit: Option<Duration>, runtime: Handle, hooks: &PoolHooks) -> Self {
        let (failures, session) = (Arc::clone(&hooks.failures), hooks.session.clone());
        Self { pool, limit, runtime, failures, session, outdated: Arc::clone(&hooks.outdated) }
    }

    /// The pool itself. Code that takes connections from it has no deadline but its own.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The runtime that its connections live on.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// How long a statement may take.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Takes a connection from the pool, for several statements.
    pub(crate) async fn acquire(&self) -> Result<PooledConnection, DbErr> {
        let connection = on_runtime(&self.runtime, self.pool.acquire()).await;
        let connection = connection.map_err(|error| {
            // The pool retries until its deadline, and loses the cause.
            let cause = match (error, self.session.refusal()) {
                (sqlx::Error::PoolTimedOut, Some(refusal)) => sqlx::Error::Configuration(Box::new(refusal)),
                (error, _) => error,
            };
            DbErr::Conn(RuntimeErr::SqlxError(Arc::new(cause)))
        })?;
        Ok(PooledConnection {
            connection: Some(connection),
            runtime: self.runtime.clone(),
            failures: Arc::clone(&self.failures),
            discarded: self.outdated.discarded(),
            is_answered: true,
            in_transaction: false,
        })
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
        self.acquire().await?.query_one(&statement, self.limit).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.acquire().await?.query_all(&statement, self.limit).await
    }
}

/// A connection of a pool. When dropped it goes back to the pool; or it is closed at once if its last statement was not
/// answered: the future that sent it was dropped, its deadline passed, or the connection broke.
#[derive(Debug)]
pub(crate) struct PooledConnection {
    connection: Option<PoolConnection<Postgres>>,
    runtime: Handle,
    failures: Arc<ConnectionFailures>,
    /// Notified when open connections are discarded.
    discarded: watch::Receiver<()>,
    is_answered: bool,
    /// Whether to roll back before the connection goes back.
    pub(crate) in_transaction: bool,
}

impl PooledConnection {
    /// Sends a statement, and returns how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        statement: &Statement,
        limit: Option<Duration>,
    ) -> Result<ExecResult, DbErr> {
        let (runtime, discarded) = (self.runtime.clone(), self.discarded.clone());
        let call = bound(statement).execute(self.start()?);
        let outcome: sqlx::Result<PgQueryResult> = within(&runtime, limit, discarded, call).await;
        self.finish(outcome).map(Into::into).map_err(exec_error)
    }

    /// Sends SQL without values.
    pub(crate) async fn execute_unprepared(&mut self, sql: &str, limit: Option<Duration>) -> Result<ExecResult, DbErr> {
        let (runtime, discarded) = (self.runtime.clone(), self.discarded.clone());
        let call = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.start()?);
        let outcome: sqlx::Result<PgQueryResult> = within(&runtime, limit, discarded, call).await;
        self.finish(outcome).map(Into::into).map_err(exec_error)
    }

    /// Sends a statement that returns at most one row.
    pub(crate) async fn query_one(
        &mut self,
        statement: &Statement,
        limit: Option<Duration>,
    ) -> Result<Option<QueryResult>, DbErr> {
        let (runtime, discarded) = (self.runtime.clone(), self.discarded.clone());
        let call = bound(statement).fetch_optional(self.start()?);
        let outcome: sqlx::Result<Option<PgRow>> = within(&runtime, limit, discarded, call).await;
        Ok(self.finish(outcome).map_err(query_error)?.map(Into::into))
    }

    /// Sends SQL without values that returns at most one row.
    pub(crate) async fn query_one_unprepared(
        &mut self,
        sql: &str,
        limit: Option<Duration>,
    ) -> Result<Option<QueryResult>, DbErr> {
        let (runtime, discarded) = (self.runtime.clone(), self.discarded.clone());
        let call = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_optional(self.start()?);
        let outcome: sqlx::Result<Option<PgRow>> = within(&runtime, limit, discarded, call).await;
        Ok(self.finish(outcome).map_err(query_error)?.map(Into::into))
    }

    /// Sends a statement, and returns its rows.
    pub(crate) async fn query_all(
        &mut self,
        statement: &Statement,
        limit: Option<Duration>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let (runtime, discarded) = (self.runtime.clone(), self.discarded.clone());
        let call = bound(statement).fetch_all(self.start()?);
        let outcome: sqlx::Result<Vec<PgRow>> = within(&runtime, limit, discarded, call).await;
        Ok(self.finish(outcome).map_err(query_error)?.into_iter().map(Into::into).collect())
    }

    /// Returns the connection, to send a statement on it. It counts as unanswered until [`Self::finish`].
    fn start(&mut self) -> Result<&mut PgConnection, DbErr> {
        self.is_answered = false;
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(exec_error(sqlx::Error::PoolClosed)),
        }
    }

    /// Records the outcome of the statement that [`Self::start`] began.
    fn finish<T>(&mut self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        self.is_answered = outcome.as_ref().err().is_none_or(is_an_answer);
        if !self.is_answered {
            self.failures.record_loss();
        }
        outcome
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // Dropping the connection may spawn a task.
        let _runtime = self.runtime.enter();
        if !self.is_answered {
            // Closes the socket without a message: the other end may be gone. The server rolls back.
            drop(connection.detach());
        } else if self.in_transaction {
            let mut returning = Self {
                connection: Some(connection),
                runtime: self.runtime.clone(),
                failures: Arc::clone(&self.failures),
                discarded: self.discarded.clone(),
                is_answered: true,
                in_transaction: false,
            };
            self.runtime
                .spawn(async move { returning.execute_unprepared("ROLLBACK", Some(RETURN_LIMIT)).await.map(drop) });
        } else {
            let back = connection.return_to_pool();
            drop(connection);
            // A future that is dropped drops its connection, which closes the socket.
            self.runtime.spawn(timeout(RETURN_LIMIT, back));
        }
    }
}

/// A statement with its values, as the driver takes it.
fn bound(statement: &Statement) -> Query<'_, Postgres, SqlxValues> {
    let values = statement.values.clone().unwrap_or_else(|| sea_orm::Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}

/// Waits for an answer on the connection's runtime, at most for `limit`.
async fn within<T>(
    runtime: &Handle,
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
    let failed = |kind, why: &str| Err(io::Error::new(kind, why).into());
    on_runtime(runtime, async {
        tokio::select! {
            biased;
            outcome = call => outcome,
            Ok(()) = discarded.changed() => failed(io::ErrorKind::ConnectionAborted, "open connections are discarded"),
            () = ends => failed(io::ErrorKind::TimedOut, "the database did not answer in time"),
        }
    })
    .await
}

/// Whether an error is the server's answer to the statement, after which the session goes on.
fn is_an_answer(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
            !matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
        }
        sqlx::Error::RowNotFound => true,
        _ => false,
    }
}

fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
