//! The options of the adapter: connection parameters and timeouts.

use std::sync::Arc;
use std::time::Duration;

use iam_database_url::UrlError;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{ConnectOptions, PgPool};
use secrecy::SecretString;

use crate::connections::hooks::PoolHooks;
use crate::connections::session::{Limits, Session};
use crate::engine::{Feed, Gate};
use crate::feed::listener::ListenerOptions;

/// Minimum of [`PostgresOptions::acquire_timeout`]. With a shorter timeout, a slow connection attempt, for example with
/// TLS, would be aborted and restarted repeatedly.
const MIN_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// The difference between this process's timeout for the response to a statement and the server's statement timeout.
/// Because of this margin, the server detects the timeout first and reports it with a more precise error.
const RESPONSE_MARGIN: Duration = Duration::from_secs(1);

/// The connection parameters and the timeouts of the adapter.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The database URL, `postgres://user:password@host:port/database?sslmode=…`. It is never printed or logged.
    pub url: SecretString,
    /// The URL for the connection that listens for notifications. It specifies the same database as [`url`](Self::url),
    /// but without a pooler in between. Default: `None`, which means that `url` is used.
    pub listener_url: Option<SecretString>,
    /// The URLs of read replicas: standbys that stream from the database at [`url`](Self::url). Default: none.
    pub replica_urls: Vec<SecretString>,
    /// Maximum age of data that is read from a replica, apart from newer versions that this process knows, which a replica
    /// must have. It should not exceed the lease of the permissions cache. Default: 2 s.
    pub replica_max_age: Duration,
    /// Maximum number of connections in the pool, which several classes of work share. Use at least 8. Default: 16.
    pub max_connections: u32,
    /// Minimum number of connections that the pool keeps open. Default: 0.
    pub min_connections: u32,
    /// Timeout for a statement that waits for its share of the pool. The same timeout applies separately to acquiring a
    /// connection, including the time to open one. Default: 3 s. A value below 2 s is increased to 2 s.
    pub acquire_timeout: Duration,
    /// Idle time after which a connection is closed. Default: 10 minutes. `None`: no limit.
    pub idle_timeout: Option<Duration>,
    /// Maximum lifetime of a connection, idle or not. Default: 30 minutes. `None`: no limit.
    pub max_lifetime: Option<Duration>,
    /// Timeout for a statement. Default: 3 s. Zero: no timeout.
    pub statement_timeout: Duration,
    /// Timeout for each wait for a lock. Also the timeout for write admission, in which a change waits for other
    /// changes, for example to the same company. Default: 2 s. Zero: no timeout.
    pub lock_timeout: Duration,
    /// Timeout for a change, from its first statement to the response to its `COMMIT`. Default: 10 s.
    pub change_timeout: Duration,
    /// Maximum time for which a client may send nothing inside a transaction, or leave data from the server
    /// unacknowledged. After this time, the server terminates the session, which releases its locks. Default: 3 s.
    pub silence_timeout: Duration,
    /// Minimum duration of a statement that is logged as a warning. Default: 200 ms.
    pub slow_statement: Duration,
    /// Application name of the connections, as `pg_stat_activity` shows it. Default: `iam`.
    pub application_name: String,
    /// The form of the global lock. Default: [`Gate::Native`].
    pub gate: Gate,
    /// The form of the change feed. Default: [`Feed::Listen`].
    pub feed: Feed,
}

impl PostgresOptions {
    /// Returns the default options for the database at `url`.
    #[must_use]
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            listener_url: None,
            replica_urls: Vec::new(),
            replica_max_age: Duration::from_secs(2),
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
            gate: Gate::default(),
            feed: Feed::default(),
        }
    }

    /// Returns the options of each connection. Only startup parameters that poolers support are sent. The other
    /// settings are set after the connection is opened.
    pub(crate) fn connect_options(&self, url: &SecretString) -> Result<PgConnectOptions, UrlError> {
        Ok(iam_database_url::parse(url)?
            .application_name(&self.application_name)
            .extra_float_digits(None)
            // `Connections` logs the statements.
            .disable_statement_logging())
    }

    /// Returns the settings for new sessions.
    fn session(&self) -> Session {
        let limits = Limits {
            statement: self.statement_timeout,
            lock: self.lock_timeout,
            transaction: self.change_timeout,
            silence: self.silence_timeout,
        };
        Session::new(limits)
    }

    /// Returns the time limit for the response to a statement: the server's statement timeout plus [`RESPONSE_MARGIN`].
    /// `None`: no limit.
    pub(crate) fn statement_limit(&self) -> Option<Duration> {
        Some(self.statement_timeout).filter(|timeout| !timeout.is_zero()).map(|timeout| timeout + RESPONSE_MARGIN)
    }

    /// Returns the timeout for acquiring a connection.
    pub(crate) fn acquire_limit(&self) -> Duration {
        self.acquire_timeout.max(MIN_ACQUIRE_TIMEOUT)
    }

    /// Returns the options of the connection that listens for notifications.
    pub(crate) fn listener_options(&self, session: &Session) -> Result<ListenerOptions, UrlError> {
        let options = self.connect_options(self.listener_url.as_ref().unwrap_or(&self.url))?;
        let options = options.application_name(&format!("{} listener", self.application_name));
        Ok(ListenerOptions { options, timeout: self.acquire_limit(), session: session.clone() })
    }

    /// Returns the hooks of the pool.
    pub(crate) fn hooks(&self) -> PoolHooks {
        // The ping timeout is half of the acquire timeout, so that there is time to open another connection.
        let ping_limit = self.acquire_limit() / 2;
        PoolHooks {
            session: self.session(),
            outdated: Arc::default(),
            failures: Arc::default(),
            ping_limit,
            slow_statement: self.slow_statement,
        }
    }

    /// Creates a pool that opens its first connection on first use.
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
    fn the_url_is_never_printed() {
        let options = PostgresOptions::new("postgres://iam:hunter2@localhost/iam");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
