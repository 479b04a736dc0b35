//! The options of the adapter: how to reach the database, and every timeout.

use std::sync::Arc;
use std::time::Duration;

use log::LevelFilter;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{ConnectOptions, PgPool};
use secrecy::SecretString;

use crate::database_url::{self, UrlError};
use crate::listener::ListenerOptions;
use crate::pool_hooks::PoolHooks;
use crate::session::{Limits, Session};

/// The minimum of [`PostgresOptions::acquire_timeout`]. With less, a slow connect (TLS) would be aborted and begun
/// again.
const MIN_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How much later than the server this process ends a statement, since the server's own error is more precise.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// How to reach the database, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=…`. Never shown or logged.
    pub url: SecretString,
    /// The same database without a pooler in between, for listeners to changes: `None`, which is [`url`](Self::url).
    pub listener_url: Option<SecretString>,
    /// The maximum number of connections: 16.
    pub max_connections: u32,
    /// The connections that are kept open: 0.
    pub min_connections: u32,
    /// How long an operation waits for a connection, including the time to open one: 3 s. At least 2 s.
    pub acquire_timeout: Duration,
    /// When an unused connection is closed: after 10 minutes. `None`: never.
    pub idle_timeout: Option<Duration>,
    /// When a connection is closed, used or not: after 30 minutes. `None`: never.
    pub max_lifetime: Option<Duration>,
    /// How long a statement may run: 3 s. Zero: as long as it takes.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock, also for another change of the same company: 2 s. Zero: forever.
    pub lock_timeout: Duration,
    /// How long a change may take, from its first statement to the answer to its `COMMIT`: 10 s.
    pub change_timeout: Duration,
    /// How long the server waits for a client that is silent inside a transaction, or that does not take its answer: 3
    /// s. Then it ends the session, and releases its locks.
    pub silence_timeout: Duration,
    /// Statements that take longer are logged as warnings: 200 ms.
    pub slow_statement: Duration,
    /// The application name of the connections, as the database shows it.
    pub application_name: String,
}

impl PostgresOptions {
    /// The defaults, for the database at `url`.
    #[must_use]
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            listener_url: None,
            max_connections: 16,
            min_connections: 0,
            acquire_timeout: Duration::from_secs(3),
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            statement_timeout: Duration::from_secs(3),
            lock_timeout: Duration::from_secs(2),
            change_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(3),
            slow_statement: Duration::from_millis(200),
            application_name: "iam".to_owned(),
        }
    }

    /// The options of each connection. Only parameters that poolers know are sent; the rest is set once it is open.
    pub(crate) fn connect_options(&self, url: &SecretString) -> Result<PgConnectOptions, UrlError> {
        Ok(database_url::parse(url)?
            .application_name(&self.application_name)
            .extra_float_digits(None)
            // Neither log contains bind values.
            .log_statements(LevelFilter::Debug)
            .log_slow_statements(LevelFilter::Warn, self.slow_statement))
    }

    /// The settings of sessions.
    fn session(&self) -> Session {
        let limits = Limits {
            statement: self.statement_timeout,
            lock: self.lock_timeout,
            transaction: self.change_timeout,
            silence: self.silence_timeout,
        };
        Session::new(limits)
    }

    /// How long to wait for the answer to a statement that the server itself ends in time. `None`: as long as it takes.
    pub(crate) fn statement_limit(&self) -> Option<Duration> {
        Some(self.statement_timeout).filter(|timeout| !timeout.is_zero()).map(|timeout| timeout + ANSWER_GRACE)
    }

    /// How long an operation waits for a connection.
    pub(crate) fn acquire_limit(&self) -> Duration {
        self.acquire_timeout.max(MIN_ACQUIRE_TIMEOUT)
    }

    /// The options of listeners to changes.
    pub(crate) fn listener_options(&self, session: &Session) -> Result<ListenerOptions, UrlError> {
        let options = self.connect_options(self.listener_url.as_ref().unwrap_or(&self.url))?;
        let options = options.application_name(&format!("{} listener", self.application_name));
        Ok(ListenerOptions { options, timeout: self.acquire_limit(), session: session.clone() })
    }

    /// The hooks of the pool.
    pub(crate) fn hooks(&self) -> PoolHooks {
        // Half of the wait, so that there is time to open another one.
        let ping_limit = self.acquire_limit() / 2;
        PoolHooks { session: self.session(), outdated: Arc::default(), failures: Arc::default(), ping_limit }
    }

    /// A pool that opens its first connection on first use.
    pub(crate) fn pool(&self, hooks: &PoolHooks, connect: PgConnectOptions) -> PgPool {
        let options = PgPoolOptions::new()
            .max_connections(self.max_connections)
            .min_connections(self.min_connections)
            .acquire_timeout(self.acquire_limit())
            .idle_timeout(self.idle_timeout)
            .max_lifetime(self.max_lifetime);
        hooks.install(options).connect_lazy_with(connect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_never_shown() {
        let options = PostgresOptions::new("postgres://iam:hunter2@localhost/iam");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
