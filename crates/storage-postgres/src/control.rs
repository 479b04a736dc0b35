//! Connections beside the pool, for statements that must get through when the pool is exhausted or its connections are
//! dead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use tokio::runtime::Handle;

use crate::connections::Connections;
use crate::error::{is_lost_connection, is_silence};
use crate::options::PostgresOptions;
use crate::outdated::OutdatedConnections;
use crate::pool_hooks::PoolHooks;
use crate::session::Limits;

/// The maximum number of connections.
const CONNECTIONS: u32 = 2;
/// The lifetime of a connection: a changed target of the address is noticed within it.
const LIFETIME: Duration = Duration::from_secs(10);
/// How long to wait for a connection, including the time to open one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a statement may take. The connection of one that takes longer is closed.
const STATEMENT_LIMIT: Duration = Duration::from_secs(2);

/// Few, short-lived connections with short deadlines.
#[derive(Debug)]
pub(crate) struct ControlPool {
    connections: Connections,
    outdated: Arc<OutdatedConnections>,
}

impl ControlPool {
    /// A pool beside the one with the hooks `main`. It opens its first connection on first use.
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

    /// The connections. A statement on them is answered within [`STATEMENT_LIMIT`], or fails.
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Sends a statement, and waits until its transaction has ended. Sends it again when the connection was lost, as
    /// idle ones are when a server restarts: the statement must be repeatable. When it is not answered in time, open
    /// connections are discarded, those of the main pool too.
    pub(crate) async fn query_repeatable(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let sent_at = Instant::now();
        let outcome = match self.connections.query_all_raw(statement.clone()).await {
            Err(error) if is_lost_connection(&error) => self.connections.query_all_raw(statement).await,
            outcome => outcome,
        };
        outcome.inspect_err(|error| {
            self.outdated.record_error(error, sent_at);
            if is_silence(error) {
                self.outdated.discard_open("the database does not answer");
            }
        })
    }
}
