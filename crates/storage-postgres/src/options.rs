//! How to reach the database.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use iam_storage::{Result, StorageError};
use log::LevelFilter;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, ConnectOptions, Connection, PgPool};
use secrecy::{ExposeSecret, SecretString};

use crate::error::is_forbidden;

/// The least [`PostgresOptions::acquire_timeout`]: with less, slow connects (TLS) would be given up and begun again.
const LEAST_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that idled longer is pinged before it is used.
const PING_AFTER: Duration = Duration::from_secs(10);

/// How to reach the database, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=…`. Never shown or logged.
    pub url: SecretString,
    /// The most connections: 10.
    pub max_connections: u32,
    /// The connections that are kept open: 0.
    pub min_connections: u32,
    /// How long an operation waits for a connection, including the time to open one: 3 s. At least 2 s.
    pub acquire_timeout: Duration,
    /// When an unused connection is closed: after 10 minutes. `None`: never.
    pub idle_timeout: Option<Duration>,
    /// When a connection is closed, used or not: after 30 minutes. `None`: never.
    pub max_lifetime: Option<Duration>,
    /// How long a statement may run: 5 s. Zero: as long as it takes.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock, so also a change for another one of the same company: 2 s. Zero: for ever.
    pub lock_timeout: Duration,
    /// Statements that take longer are logged as warnings: 200 ms.
    pub slow_statement: Duration,
    /// The name that the database shows for our connections.
    pub application_name: String,
}

impl PostgresOptions {
    /// The defaults, for the database at `url`.
    #[must_use]
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            max_connections: 10,
            min_connections: 0,
            acquire_timeout: Duration::from_secs(3),
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            slow_statement: Duration::from_millis(200),
            application_name: "iam".to_owned(),
        }
    }

    /// A pool that opens its first connection when it is first needed. Each new connection writes the epoch of the
    /// database that it reached to `epoch`.
    pub(crate) fn pool(&self, epoch: &Arc<AtomicU64>) -> Result<PgPool> {
        // The parser's message would repeat parts of the url.
        let options = PgConnectOptions::from_str(self.url.expose_secret())
            .map_err(|_| StorageError::corrupt("the database url cannot be read"))?
            .application_name(&self.application_name)
            // Startup options cost no statement. Planning decides what these short statements cost, so no JIT.
            .options([
                ("statement_timeout", self.statement_timeout.as_millis().to_string().as_str()),
                ("lock_timeout", self.lock_timeout.as_millis().to_string().as_str()),
                ("default_transaction_isolation", "read committed"),
                ("jit", "off"),
            ])
            // Bind values are in neither log.
            .log_statements(LevelFilter::Debug)
            .log_slow_statements(LevelFilter::Warn, self.slow_statement);
        let epoch = Arc::clone(epoch);
        Ok(PgPoolOptions::new()
            .max_connections(self.max_connections)
            .min_connections(self.min_connections)
            .acquire_timeout(self.acquire_timeout.max(LEAST_ACQUIRE_TIMEOUT))
            .idle_timeout(self.idle_timeout)
            .max_lifetime(self.max_lifetime)
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(async move {
                    // An error here closes this connection, and another one is taken.
                    if used.idle_for > PING_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let epoch = Arc::clone(&epoch);
                Box::pin(async move {
                    epoch.store(read_epoch(connection).await?, Ordering::Release);
                    Ok(())
                })
            })
            .connect_lazy_with(options))
    }
}

/// What tells this database from another, also from itself before it was restored or a standby took over: the cluster,
/// its timeline, and the database in it.
const EPOCH: &str = "
    SELECT hashtextextended(concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()),
        CASE WHEN pg_is_in_recovery() THEN (SELECT lpad(to_hex(timeline_id), 8, '0') FROM pg_control_checkpoint())
             ELSE lower(left(pg_walfile_name(pg_current_wal_lsn()), 8)) END,
        (SELECT oid FROM pg_database WHERE datname = current_database())
    ), 0)";

/// Where the role may not ask for the cluster: only the database, which at least is the same after a restart.
const EPOCH_OF_DATABASE: &str = "
    SELECT hashtextextended(concat_ws('/', current_database(), oid), 0) FROM pg_database
    WHERE datname = current_database()";

async fn read_epoch(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let epoch: Result<i64, _> = sqlx::query_scalar(EPOCH).fetch_one(&mut *connection).await;
    let epoch = match epoch {
        Err(error) if is_forbidden(&error) => sqlx::query_scalar(EPOCH_OF_DATABASE).fetch_one(connection).await?,
        other => other?,
    };
    Ok(epoch.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_never_shown() {
        let options = PostgresOptions::new("postgres://iam:hunter2@localhost/iam");
        assert!(!format!("{options:?}").contains("hunter2"));
        let options = PostgresOptions::new("mysql://iam:hunter2@localhost:x/iam");
        let error = options.pool(&Arc::default()).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
