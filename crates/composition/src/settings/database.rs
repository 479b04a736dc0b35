//! The settings of the database and its connections.

use std::num::NonZeroU32;
use std::time::Duration;

use iam_storage_postgres::{Feed, Gate};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::parse::{database_duration, database_limit, duration, lock_timeout, number, secret_list, word};

/// The settings of the database.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// The URL of the PostgreSQL database.
    pub url: Option<SecretString>,
    /// The URL for connecting to the same database directly, without a connection pooler in between. The connection
    /// that listens for wake-ups uses this URL. Default: `url`.
    pub direct_url: Option<SecretString>,
    /// The URLs of read replicas: standbys of the database.
    #[serde(deserialize_with = "secret_list")]
    pub replica_urls: Vec<SecretString>,
    /// Whether the service uses the database: `true` or `false`. See
    /// [`StorageMode::select`](crate::StorageMode::select).
    pub use_database: Option<String>,
    /// Maximum number of connections in the pool.
    #[serde(deserialize_with = "number")]
    pub max_connections: NonZeroU32,
    /// Minimum number of connections that the pool keeps open.
    #[serde(deserialize_with = "number")]
    pub min_connections: u32,
    /// Timeout for acquiring a connection from the pool, including the time to open one.
    #[serde(deserialize_with = "duration")]
    pub acquire_timeout: Duration,
    /// Idle time after which a connection is closed. `0` means never.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    /// Maximum lifetime of a connection, idle or not. `0` means no limit.
    #[serde(deserialize_with = "duration")]
    pub max_lifetime: Duration,
    /// Timeout for a statement. `0` means no timeout.
    #[serde(deserialize_with = "database_duration")]
    pub statement_timeout: Duration,
    /// Timeout for each wait for a lock, and for write admission. `0` means no timeout. Otherwise at least one second.
    #[serde(deserialize_with = "lock_timeout")]
    pub lock_timeout: Duration,
    /// Timeout for a change, from its first statement to the response to its commit.
    #[serde(deserialize_with = "database_limit")]
    pub change_timeout: Duration,
    /// Time after which the database server terminates a session that is idle in a transaction.
    #[serde(deserialize_with = "database_limit")]
    pub silence_timeout: Duration,
    /// Duration above which a statement is logged as a warning.
    #[serde(deserialize_with = "duration")]
    pub slow_statement: Duration,
    /// The form of the global lock: `native` or `row`.
    #[serde(deserialize_with = "gate")]
    pub gate: Gate,
    /// The form of the change feed: `listen` or `poll`.
    #[serde(deserialize_with = "feed")]
    pub feed: Feed,
}

fn gate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Gate, D::Error> {
    word(deserializer, &[("native", Gate::Native), ("row", Gate::Row)], "must be native or row")
}

fn feed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Feed, D::Error> {
    word(deserializer, &[("listen", Feed::Listen), ("poll", Feed::Poll)], "must be listen or poll")
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            direct_url: None,
            replica_urls: Vec::new(),
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
            gate: Gate::default(),
            feed: Feed::default(),
        }
    }
}
