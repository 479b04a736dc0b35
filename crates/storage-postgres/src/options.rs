//! How to reach the database.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use iam_storage::{Result, StorageError};
use log::LevelFilter;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{ConnectOptions, Connection, PgPool};
use secrecy::{ExposeSecret, SecretString};

use crate::epoch::Epochs;
use crate::feed::Listening;

/// The least [`PostgresOptions::acquire_timeout`]: with less, slow connects (TLS) would be given up and begun again.
const LEAST_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that idled longer is pinged before it is used.
const PING_AFTER: Duration = Duration::from_secs(10);

/// How to reach the database, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=…`. Never shown or logged.
    pub url: SecretString,
    /// The same database without a pooler in between, for those who listen to changes: `None`, which is [`url`](Self::url).
    pub listener_url: Option<SecretString>,
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
            listener_url: None,
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

    /// How every connection is made.
    fn connect_options(&self, url: &SecretString) -> Result<PgConnectOptions> {
        // The parser's message would repeat parts of the url.
        Ok(PgConnectOptions::from_str(url.expose_secret())
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
            .log_slow_statements(LevelFilter::Warn, self.slow_statement))
    }

    fn patience(&self) -> Duration {
        self.acquire_timeout.max(LEAST_ACQUIRE_TIMEOUT)
    }

    /// How those connect who listen to changes.
    pub(crate) fn listening(&self) -> Result<Listening> {
        let options = self.connect_options(self.listener_url.as_ref().unwrap_or(&self.url))?;
        Ok(Listening { options, timeout: self.patience() })
    }

    /// A pool that opens its first connection when it is first needed. Connections tell `epochs` what they have reached.
    pub(crate) fn pool(&self, epochs: &Arc<Epochs>) -> Result<PgPool> {
        let options = self.connect_options(&self.url)?;
        let (greeting, checking) = (Arc::clone(epochs), Arc::clone(epochs));
        Ok(PgPoolOptions::new()
            .max_connections(self.max_connections)
            .min_connections(self.min_connections)
            .acquire_timeout(self.patience())
            .idle_timeout(self.idle_timeout)
            .max_lifetime(self.max_lifetime)
            .test_before_acquire(false)
            .before_acquire(move |connection, used| {
                let is_past = checking.is_past(used.age);
                Box::pin(async move {
                    // An error here closes this connection, as `false` does, and another one is taken.
                    if is_past {
                        return Ok(false);
                    }
                    if used.idle_for > PING_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let epochs = Arc::clone(&greeting);
                Box::pin(async move { epochs.greet(connection).await })
            })
            .connect_lazy_with(options))
    }
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
