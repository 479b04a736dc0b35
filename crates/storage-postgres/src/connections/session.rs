//! The settings of new sessions, and the conditions under which a new connection is rejected.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnection, PgRow};
use sea_orm::sqlx::{self, AssertSqlSafe, Row};

/// The PostgreSQL version that introduced `transaction_timeout`.
const TRANSACTION_TIMEOUT_SINCE: u32 = 170_000;
/// TCP keepalive settings for the server's side of the connection: idle seconds before the first probe, seconds between
/// probes, and number of probes.
const KEEPALIVE: (u32, u32, u32) = (10, 5, 3);

/// The timeouts of a session, which the server enforces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Timeout for a statement (`statement_timeout`). Zero: no timeout.
    pub(crate) statement: Duration,
    /// Timeout for each wait for a lock (`lock_timeout`). Zero: no timeout.
    pub(crate) lock: Duration,
    /// Timeout for a transaction (`transaction_timeout`, since PostgreSQL 17).
    pub(crate) transaction: Duration,
    /// Time after which the server terminates the session if the client sends nothing inside a transaction
    /// (`idle_in_transaction_session_timeout`) or does not acknowledge data (`tcp_user_timeout`).
    pub(crate) silence: Duration,
}

/// The reason why a new connection is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The server is a standby: its data may be older than the primary's (replication lag), and it rejects writes.
    #[error("the database server is in recovery: it is a standby")]
    InRecovery,
    /// The server is not a standby, although a read replica is expected. Perhaps it was promoted.
    #[error("the database server is not a standby")]
    NotInRecovery,
    /// The session is read-only.
    #[error("the database session is read-only (default_transaction_read_only)")]
    ReadOnly,
    /// The encoding of the database is not UTF8, so the database cannot store every string.
    #[error("the encoding of the database is {0}, but must be UTF8")]
    Encoding(String),
    /// The client encoding is not UTF8, so strings would be corrupted in transfer.
    #[error("the client encoding of the database session is {0}, but must be UTF8")]
    ClientEncoding(String),
    /// The setting `row_security` is off: queries would fail instead of omitting the rows that the policies exclude.
    #[error("the setting row_security cannot be enabled")]
    RowSecurity,
    /// The statement that sets up the session failed.
    #[error("the database session cannot be set up: {0}")]
    SetUp(String),
}

/// The settings of new sessions, and the reason why the latest new connection was rejected.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    limits: Limits,
    role: Role,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

/// The expected role of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Primary,
    Standby,
}

impl Session {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, role: Role::Primary, refusal: Arc::default() }
    }

    /// Returns the settings for sessions with servers of this role, with a record of refusals of their own.
    pub(crate) fn of(self, role: Role) -> Self {
        Self { role, refusal: Arc::default(), ..self }
    }

    /// Returns a copy of the settings with changed limits. The copy and the original share the record of the latest
    /// refusal.
    pub(crate) fn with(&self, change: impl FnOnce(Limits) -> Limits) -> Self {
        Self { limits: change(self.limits), role: self.role, refusal: Arc::clone(&self.refusal) }
    }

    /// Sets up a new session in one round trip. No setting is sent as a startup parameter, because poolers reject
    /// startup parameters that they do not support.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error::Configuration`] with a [`Refusal`], or the server's error.
    pub(crate) async fn set_up(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let sql = self.sql(connection.server_version_num());
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?;
        check(&row, self.role)?.map_or(Ok(()), |refusal| Err(sqlx::Error::Configuration(Box::new(refusal))))
    }

    fn sql(&self, version: Option<u32>) -> String {
        let Limits { statement, lock, transaction, silence } = self.limits;
        let (idle, interval, count) = KEEPALIVE;
        let millis = |duration: Duration| duration.as_millis().to_string();
        let mut settings = vec![
            ("lock_timeout", millis(lock)),
            ("idle_in_transaction_session_timeout", millis(silence)),
            ("idle_session_timeout", "0".to_owned()),
            // The TCP settings of the server's side; they have no effect on Unix sockets.
            ("tcp_user_timeout", millis(silence)),
            ("tcp_keepalives_idle", idle.to_string()),
            ("tcp_keepalives_interval", interval.to_string()),
            ("tcp_keepalives_count", count.to_string()),
            ("default_transaction_isolation", "read committed".to_owned()),
            ("default_transaction_deferrable", "off".to_owned()),
            // JIT is disabled, because compiling the short statements would cost more than executing them.
            ("jit", "off".to_owned()),
            // Sequential scans are discouraged, because plans are cached. A cached plan with a sequential scan, made
            // while a table was small, would still be used after the table has become large or bloated.
            ("enable_seqscan", "off".to_owned()),
        ];
        if version.is_some_and(|version| version >= TRANSACTION_TIMEOUT_SINCE) {
            settings.push(("transaction_timeout", millis(transaction)));
        }
        let set = |(name, value): &(&str, String)| format!("set_config('{name}', '{value}', false)");
        let settings: Vec<_> = settings.iter().map(set).collect();
        // The timeout is changed by a separate `SET`, so that the new timeout already applies to the `SELECT`.
        format!(
            "SET statement_timeout = {};
            SELECT {}, set_config('row_security', 'on', false) AS row_security, pg_is_in_recovery() AS in_recovery,
                current_setting('transaction_read_only') AS read_only, current_setting('server_encoding') AS encoding,
                current_setting('client_encoding') AS client_encoding",
            millis(statement),
            settings.join(", ")
        )
    }

    /// Records whether a new connection was accepted or why it was rejected. Logs the outcome if it differs from the
    /// previous outcome.
    pub(crate) fn note(&self, outcome: &Result<(), sqlx::Error>) {
        let refusal = outcome.as_ref().err().map(|error| match error {
            sqlx::Error::Configuration(error) => refusal_in(error.as_ref()),
            error => Refusal::SetUp(error.to_string()),
        });
        let mut latest = self.latest();
        if *latest != refusal {
            match &refusal {
                Some(refusal) => tracing::warn!(%refusal, "new database connections are rejected"),
                None => tracing::info!("new database connections are accepted again"),
            }
            *latest = refusal;
        }
    }

    /// Returns why the latest new connection was rejected, or `None` if it was accepted.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.latest().clone()
    }

    fn latest(&self) -> MutexGuard<'_, Option<Refusal>> {
        // The lock guards only single reads and assignments, so the state is consistent even if the lock is poisoned.
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal_in(error: &(dyn Error + 'static)) -> Refusal {
    error.downcast_ref().cloned().unwrap_or_else(|| Refusal::SetUp(error.to_string()))
}

/// Checks the properties of a new session with a server of this role. Returns why the session is rejected, or `None` if it is accepted.
fn check(row: &PgRow, role: Role) -> Result<Option<Refusal>, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let (encoding, client_encoding) = (text("encoding")?, text("client_encoding")?);
    let is_in_recovery: bool = row.try_get("in_recovery")?;
    Ok(if is_in_recovery && role == Role::Primary {
        Some(Refusal::InRecovery)
    } else if !is_in_recovery && role == Role::Standby {
        Some(Refusal::NotInRecovery)
    } else if role == Role::Primary && text("read_only")? == "on" {
        Some(Refusal::ReadOnly)
    } else if encoding != "UTF8" {
        Some(Refusal::Encoding(encoding))
    } else if client_encoding != "UTF8" {
        Some(Refusal::ClientEncoding(client_encoding))
    } else if text("row_security")? != "on" {
        Some(Refusal::RowSecurity)
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let second = Duration::from_secs(1);
        let limits = Limits { statement: second * 5, lock: second * 2, transaction: second * 10, silence: second * 3 };
        Session::new(limits)
    }

    #[test]
    fn the_transaction_timeout_is_set_only_on_servers_that_support_it() {
        for (version, knows) in [(None, false), (Some(140_000), false), (Some(169_999), false), (Some(170_000), true)] {
            assert_eq!(session().sql(version).contains("transaction_timeout', '10000'"), knows, "{version:?}");
        }
    }

    #[test]
    fn a_refusal_is_remembered_until_a_connection_is_accepted() {
        let session = session();
        let refused = || Err(sqlx::Error::Configuration(Box::new(Refusal::InRecovery)));
        assert_eq!(session.refusal(), None);
        session.note(&refused());
        assert_eq!(session.refusal(), Some(Refusal::InRecovery));
        session.note(&Err(sqlx::Error::WorkerCrashed));
        assert!(matches!(session.refusal(), Some(Refusal::SetUp(_))));
        session.note(&Ok(()));
        assert_eq!(session.refusal(), None);
    }
}
