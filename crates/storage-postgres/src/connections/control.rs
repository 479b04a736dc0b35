//! Connections outside the main pool, for statements that must run even if the pool is exhausted or its connections are
//! dead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use tokio::runtime::Handle;

use crate::connections::deadlines::Connections;
use crate::connections::hooks::PoolHooks;
use crate::connections::outdated::OutdatedConnections;
use crate::connections::session::Limits;
use crate::error::{is_lost_connection, is_silence};
use crate::options::PostgresOptions;

/// Maximum number of connections.
const CONNECTIONS: u32 = 2;
/// Maximum lifetime of a connection. If the database's address leads to another server (after a DNS change or a
/// failover), this pool uses that server within this time.
const LIFETIME: Duration = Duration::from_secs(10);
/// Timeout for acquiring a connection, including the time to open one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout for a statement. When it expires, the connection of the statement is closed.
const STATEMENT_LIMIT: Duration = Duration::from_secs(2);

/// A pool of few, short-lived connections with short timeouts.
#[derive(Debug)]
pub(crate) struct ControlPool {
    connections: Connections,
    outdated: Arc<OutdatedConnections>,
}

impl ControlPool {
    /// Creates a pool in addition to the main pool, which has the hooks `main`. It opens its first connection on first
    /// use.
    pub(crate) fn new(options: &PostgresOptions, main: &PoolHooks, connect: PgConnectOptions) -> Self {
        let session =
            main.session.with(|limits| Limits { statement: STATEMENT_LIMIT, lock: STATEMENT_LIMIT, ..limits });
        let outdated = Arc::clone(&main.outdated);
        let hooks = PoolHooks {
            session,
            outdated: Arc::clone(&outdated),
            failures: Arc::default(),
            ping_limit: ACQUIRE_TIMEOUT / 2,
        };
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(LIFETIME);
        let connect = connect.application_name(&format!("{} control", options.application_name));
        let pool = hooks.install(pool).connect_lazy_with(connect);
        let connections = Connections::new(pool, Some(STATEMENT_LIMIT), Handle::current(), &hooks);
        Self { connections, outdated }
    }

    /// Returns the connections. A statement on them gets a response within [`STATEMENT_LIMIT`] or fails.
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Executes a statement, and waits until its transaction has ended. If the connection was lost, as idle connections
    /// are after a restart of the server, the statement is sent a second time, so it must be idempotent. If there is no
    /// response in time, all open connections are discarded, including those of the main pool.
    pub(crate) async fn query_repeatable(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let sent_at = Instant::now();
        let outcome = match self.connections.query_all_raw(statement.clone()).await {
            Err(error) if is_lost_connection(&error) => self.connections.query_all_raw(statement).await,
            outcome => outcome,
        };
        outcome.inspect_err(|error| {
            self.outdated.record_error(error, sent_at);
            if is_silence(error) {
                self.outdated.discard_open("the database does not respond");
            }
        })
    }
}
