//! The settings of the database and its connections.

use std::num::NonZeroU32;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::parse::{database_duration, database_limit, duration};

/// The settings of the database.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// The URL of PostgreSQL.
    pub url: Option<SecretString>,
    /// The URL of the same database without a pooler in between, for the connection that listens for changes. Left out:
    /// `url`.
    pub direct_url: Option<SecretString>,
    /// `true` or `false`; see [`StorageMode`](crate::StorageMode).
    pub use_database: Option<String>,
    /// The most connections.
    pub max_connections: NonZeroU32,
    /// The connections that are kept open.
    pub min_connections: u32,
    /// How long an operation waits for a connection, including the time to open one.
    #[serde(deserialize_with = "duration")]
    pub acquire_timeout: Duration,
    /// How long until an unused connection is closed; 0: never.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    /// How long until a connection is closed, used or not; 0: never.
    #[serde(deserialize_with = "duration")]
    pub max_lifetime: Duration,
    /// How long a statement may run; 0: no limit.
    #[serde(deserialize_with = "database_duration")]
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock; 0: no limit.
    #[serde(deserialize_with = "database_duration")]
    pub lock_timeout: Duration,
    /// How long a change may take, including its commit.
    #[serde(deserialize_with = "database_limit")]
    pub change_timeout: Duration,
    /// How long the database waits for this process when it goes silent inside a change.
    #[serde(deserialize_with = "database_limit")]
    pub silence_timeout: Duration,
    /// Statements that take longer are logged.
    #[serde(deserialize_with = "duration")]
    pub slow_statement: Duration,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            direct_url: None,
            use_database: None,
            max_connections: const { NonZeroU32::new(16).unwrap() },
            min_connections: 0,
            acquire_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(10 * 60),
            max_lifetime: Duration::from_secs(30 * 60),
            statement_timeout: Duration::from_secs(3),
            lock_timeout: Duration::from_secs(2),
            change_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(3),
            slow_statement: Duration::from_millis(200),
        }
    }
}
