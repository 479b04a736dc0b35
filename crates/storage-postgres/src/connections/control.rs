//! Connections outside the main pool, for statements that must run even if the main pool is exhausted or its
//! connections are dead. One connection is reserved for polls. Look-ups of credentials, notifications and the
//! termination of sessions share the other connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::connections::deadlines::Connections;
use crate::connections::hooks::PoolHooks;
use crate::connections::outdated::OutdatedConnections;
use crate::connections::session::Limits;
use crate::connections::shares::Permit;
use crate::error::{is_lost_connection, is_retryable, is_timeout};
use crate::options::PostgresOptions;

/// Maximum number of connections in the control pool.
const CONNECTIONS: u32 = 2;
/// Maximum lifetime of a connection in the control pool. If the host name resolves to another server (after a failover
/// or another DNS change), the pool uses that server within this time.
const LIFETIME: Duration = Duration::from_secs(10);
/// Timeout for acquiring a connection from the control pool, including the time to open one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit for the response to a statement on the control pool. When it expires, the statement's connection is
/// closed.
const STATEMENT_LIMIT: Duration = Duration::from_secs(2);
/// Timeout of the server for a statement. It is shorter than [`STATEMENT_LIMIT`], so that a server that is merely slow
/// responds before the time limit.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(1800);
/// Timeout of the server for a wait for a lock, after which a read is repeated. Only changes to the schema lock tables
/// against reads.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// A pool with few connections, which have a short lifetime and short timeouts.
#[derive(Debug)]
pub(crate) struct ControlPool {
    connections: Connections,
    /// The permit for the connection that is not reserved for polls.
    unreserved: Arc<Semaphore>,
    outdated: Arc<OutdatedConnections>,
}

impl ControlPool {
    /// Creates the control pool for a main pool that has the hooks `main`. The first connection is opened on first use.
    pub(crate) fn new(options: &PostgresOptions, main: &PoolHooks, connect: PgConnectOptions) -> Self {
        let session = main.session.with(|limits| Limits { statement: STATEMENT_TIMEOUT, lock: LOCK_TIMEOUT, ..limits });
        let outdated = Arc::clone(&main.outdated);
        let hooks = PoolHooks {
            session,
            outdated: Arc::clone(&outdated),
            failures: Arc::default(),
            ping_limit: ACQUIRE_TIMEOUT / 2,
            slow_statement: main.slow_statement,
        };
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(LIFETIME);
        let connect = connect.application_name(&format!("{} control", options.application_name));
        let pool = hooks.install(pool).connect_lazy_with(connect);
        let connections = Connections::new(pool, Some(STATEMENT_LIMIT), Handle::current(), &hooks).waiting_for_locks();
        Self { connections, unreserved: Arc::new(Semaphore::new(1)), outdated }
    }

    /// Returns the connections of the pool. A statement on them fails if it receives no response within
    /// [`STATEMENT_LIMIT`].
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Waits for the connection that is not reserved for polls, in FIFO order. Everything but polls must hold this
    /// permit.
    pub(crate) async fn admit(&self) -> Permit {
        Permit::of(&self.unreserved).await
    }

    /// Executes an idempotent statement, and returns its rows after its transaction has ended. The statement is retried
    /// once if nothing was committed or if the connection was lost, for example because a server restart closed it while
    /// it was idle. If the statement receives no response in time, all open connections are discarded, including those
    /// of the main pool.
    pub(crate) async fn query_repeatable(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let sent_at = Instant::now();
        let outcome = match self.connections.query_all_raw(statement.clone()).await {
            Err(error) if is_lost_connection(&error) || is_retryable(&error) => {
                self.outdated.record_error(&error, sent_at);
                self.connections.query_all_raw(statement).await
            }
            outcome => outcome,
        };
        outcome.inspect_err(|error| {
            self.outdated.record_error(error, sent_at);
            if is_timeout(error) {
                self.outdated.discard_open("the database does not respond");
            }
        })
    }
}
