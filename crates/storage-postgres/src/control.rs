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

impl PostgresOptions {
    /// Few, short-lived connections with short deadlines. The first is opened on first use.
    pub(crate) fn control(&self, main: &PoolHooks, connect: PgConnectOptions) -> Connections {
        let session =
            main.session.with(|limits| Limits { statement: STATEMENT_LIMIT, lock: STATEMENT_LIMIT, ..limits });
        let (outdated, failures) = (Arc::clone(&main.outdated), Arc::default());
        let hooks = PoolHooks { session, outdated, failures, ping_limit: ACQUIRE_TIMEOUT / 2 };
        let options = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(LIFETIME);
        let connect = connect.application_name(&format!("{} control", self.application_name));
        let pool = hooks.install(options).connect_lazy_with(connect);
        Connections::new(pool, Some(STATEMENT_LIMIT), Handle::current(), &hooks)
    }
}

/// Sends a statement beside the pool, and waits until its transaction has ended. Sends it again when the connection
/// was lost, as idle ones are when a server restarts: the statement must be repeatable. When it is not answered in
/// time, open connections are discarded, those of the pool too.
pub(crate) async fn send(
    control: &Connections,
    outdated: &OutdatedConnections,
    statement: Statement,
) -> Result<Vec<QueryResult>, DbErr> {
    let sent_at = Instant::now();
    let outcome = match control.query_all_raw(statement.clone()).await {
        Err(error) if is_lost_connection(&error) => control.query_all_raw(statement).await,
        outcome => outcome,
    };
    outcome.inspect_err(|error| {
        outdated.record_error(error, sent_at);
        if is_silence(error) {
            outdated.discard_open("the database does not answer");
        }
    })
}
