//! Connects to the database. If the connection attempt fails, the error contains the cause.
//!
//! A pool cannot report the cause: it retries until its timeout, and then reports only the timeout. Therefore, one test
//! connection is opened first without a pool.

use std::io;
use std::time::Duration;

use iam_database_url::{UrlError, parse};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use secrecy::SecretString;
use tokio::time::timeout;

/// Timeout for opening or acquiring a connection.
const LIMIT: Duration = Duration::from_secs(10);

/// The SQL that sets up a session. It disables the timeouts that the role, the database or the server configures for
/// short requests. `statement_timeout` is disabled by a separate statement, because the old value still applies to the
/// statement that changes it. Each of the other settings is changed only if the server supports it.
const SET_UP: &str = "
    SET statement_timeout = 0;
    SELECT set_config(name, value, false) FROM pg_settings JOIN (
        VALUES ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'),
            ('transaction_timeout', '0'), ('row_security', 'on'), ('default_transaction_isolation', 'read committed')
    ) AS wanted (name, value) USING (name)";

/// The reason why a connection could not be opened. The message ends with the cause and contains no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error("DATABASE_URL {0}")]
    Url(#[source] UrlError),
    /// No session could be opened.
    #[error("{problem} ({server}): {cause}")]
    Unreachable {
        /// The kind of failure.
        problem: Problem,
        /// The address of the database: host and port (or the path of the Unix socket), and the name of the database.
        server: String,
        /// The message of the server or of the operating system.
        cause: String,
    },
}

/// The reason why the database cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The host name has no address.
    #[error("the name of the database server cannot be resolved")]
    Name,
    /// No process listens on the address.
    #[error("the database server refused the connection: no process is listening on this address")]
    Refused,
    /// No response arrived in time.
    #[error("the database server does not respond")]
    Silent,
    /// The server rejected the user name or the password.
    #[error("the database server rejected the user name or password")]
    Password,
    /// The server does not permit the role to connect from this host.
    #[error("the database server does not permit this role to connect from this host")]
    Role,
    /// The server has no database of this name.
    #[error("the database does not exist")]
    Database,
    /// Any other failure.
    #[error("the database cannot be reached")]
    Other,
}

impl Problem {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Self::Refused,
                io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    Self::Silent
                }
                _ => Self::Other,
            },
            sqlx::Error::Database(error) => match error.code().as_deref() {
                Some("28P01") => Self::Password,
                Some("28000") => Self::Role,
                Some("3D000") => Self::Database,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// Opens a test connection. Returns a pool with at most one connection, which is set up for long transactions, and the
/// address of the database.
///
/// # Errors
///
/// [`ConnectError`] if the URL is not valid, or the test connection cannot be opened.
pub(crate) async fn connect(url: &str) -> Result<(DatabaseConnection, String), ConnectError> {
    // By default, the driver sends a startup parameter that poolers reject.
    let options = parse(&SecretString::from(url)).map_err(ConnectError::Url)?.extra_float_digits(None);
    let unreachable = |(problem, cause)| ConnectError::Unreachable { problem, server: server(&options), cause };
    match timeout(LIMIT, try_once(&options)).await {
        Ok(outcome) => outcome.map_err(unreachable)?,
        Err(_) => {
            return Err(unreachable((Problem::Silent, format!("no response within {} seconds", LIMIT.as_secs()))));
        }
    }
    let address = server(&options);
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(LIMIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| Box::pin(set_up(connection)));
    Ok((SqlxPostgresConnector::from_sqlx_postgres_pool(pool.connect_lazy_with(options)), address))
}

async fn try_once(options: &PgConnectOptions) -> Result<(), (Problem, String)> {
    if options.get_socket().is_none() {
        let found = tokio::net::lookup_host((options.get_host(), options.get_port())).await;
        found.map(drop).map_err(|error| (Problem::Name, error.to_string()))?;
    }
    let connect = async {
        let mut connection = options.connect().await?;
        set_up(&mut connection).await?;
        connection.close().await
    };
    connect.await.map_err(|error: sqlx::Error| (Problem::of(&error), words(&error)))
}

/// Sets up a session for long statements.
pub(crate) async fn set_up(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(SET_UP).execute(connection).await.map(drop)
}

/// Returns the text of the server's error message, without the line number that the driver appends.
fn words(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// Returns the address of the database for messages: host and port (or the path of the Unix socket), and the name of
/// the database. If the URL contains no database name, PostgreSQL uses the role name as the database name. The address
/// then omits the name.
fn server(options: &PgConnectOptions) -> String {
    let port = options.get_port();
    let server = match options.get_socket() {
        Some(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
        None if options.get_host().contains(':') => format!("[{}]:{port}", options.get_host()),
        None => format!("{}:{port}", options.get_host()),
    };
    match options.get_database() {
        Some(database) => format!("{server}, database {database}"),
        None => server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_invalid_url_is_rejected_without_revealing_the_password() {
        for url in [
            "mysql://u:secret@h/x",
            "postgres://u:secret@h:99999/x",
            "secret",
            "postgres://u@h/x?sslmode=secret",
            "postgres://u@h/x?sslmod=secret",
            "postgres://u:/secret@h/x",
            "postgres://u:54321/secret@h/x",
            "postgres://u:12345?secret@h/x",
            "postgres://u:12345#secret@h/x",
            "postgres://u@h/x/secret",
        ] {
            let error = connect(url).await.unwrap_err();
            assert!(matches!(error, ConnectError::Url(_)) && !error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_server_address_contains_no_user_or_password() {
        for (url, named) in [
            ("postgres://u:secret@db.example/x", "db.example:5432, database x"),
            ("postgres://u:secret@[::1]:5433/x", "[::1]:5433, database x"),
            ("postgresql://u:secret@%2Frun%2Fpostgresql:5433/x", "/run/postgresql/.s.PGSQL.5433, database x"),
        ] {
            assert_eq!(server(&parse(&SecretString::from(url)).unwrap()), named, "{url}");
        }
    }
}
