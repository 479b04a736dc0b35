//! Errors that contain the address of the database, and the reason why it cannot be reached.
//!
//! The pool cannot report why it provided no connection: it retries until its deadline, and then reports a timeout. So
//! the reason is determined by opening a separate connection.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::connections::session::{Refusal, Session};

/// Timeout for the connection attempt that determines why the pool provided no connection.
const DIAGNOSIS_LIMIT: Duration = Duration::from_millis(500);
/// Time for which the result of such an attempt is reused.
const DIAGNOSIS_TTL: Duration = Duration::from_secs(1);

/// The error for a database that is unreachable or unusable, or for a lost database connection. Its message identifies
/// the server by host and port, and the database by its name, and contains no role or password. Its source contains the
/// server's message.
#[derive(Debug, thiserror::Error)]
#[error("{problem} ({address})")]
pub struct Unreachable {
    address: String,
    problem: Problem,
    #[source]
    source: Option<sqlx::Error>,
}

/// The reason why the database cannot be reached or used.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the name of the database server cannot be resolved")]
    Name,
    #[error("the database server refused the connection: no process is listening on this address")]
    Refused,
    #[error("the database server does not respond")]
    Silent,
    #[error("the database server rejected the user name or password")]
    Password,
    #[error("the database server does not permit this role to connect from this host")]
    Role,
    #[error("the database does not exist")]
    Database,
    #[error("the role lacks the CONNECT privilege, or the database does not allow connections")]
    Forbidden,
    #[error("could not establish a TLS connection to the database server")]
    Tls,
    #[error("the connection limit of the database server, the database or the role has been reached")]
    Full,
    #[error("the database server is starting up or shutting down")]
    Starting,
    #[error(transparent)]
    Session(#[from] Refusal),
    #[error("the database cannot be reached")]
    Other,
    #[error("no pooled connection became available in time, although the database accepts connections")]
    Busy,
    #[error("the connection to the database was lost")]
    Lost,
}

/// Returns the address of the database for messages: host and port (or the path of the socket), and the name of the
/// database. If the URL contains no database name, PostgreSQL uses the role name as the database name. The address then
/// omits the name.
pub(crate) fn address(options: &PgConnectOptions) -> String {
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

/// The latest attempt to determine why a pool provided no connection in time. At most one attempt runs at a time.
#[derive(Debug, Default)]
pub(crate) struct Diagnosis(Mutex<Option<(Instant, Arc<Unreachable>)>>);

impl Diagnosis {
    /// Determines why the pool provided no connection: either no connection can be opened with these options, or all
    /// connections of the pool are in use. The result is reused for one second.
    pub(crate) async fn of(&self, options: &PgConnectOptions, session: &Session) -> Arc<Unreachable> {
        let mut latest = self.0.lock().await;
        if let Some((at, why)) = latest.as_ref()
            && at.elapsed() < DIAGNOSIS_TTL
        {
            return Arc::clone(why);
        }
        let why = Arc::new(match connect_once(options, session, DIAGNOSIS_LIMIT).await {
            Err(why) => why,
            Ok(()) => Unreachable { address: address(options), problem: Problem::Busy, source: None },
        });
        *latest = Some((Instant::now(), Arc::clone(&why)));
        why
    }
}

/// Returns the error for an operation that timed out, with this reason. Its kind is [`io::ErrorKind::TimedOut`].
pub(crate) fn timed_out(why: Arc<Unreachable>) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why))
}

/// Adds the address of the database to the error of an operation for which no connection could be opened. Returns the
/// error of a closed pool unchanged.
pub(crate) fn not_opened(address: &str, source: sqlx::Error) -> sqlx::Error {
    match source {
        sqlx::Error::PoolClosed => source,
        source => explained(address, of(&source), Some(source)),
    }
}

/// Adds the address of the database to the error of a statement whose connection was lost before the response arrived,
/// or that received no response in time. Returns other errors unchanged.
pub(crate) fn lost(address: &str, source: sqlx::Error) -> sqlx::Error {
    match &source {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Database(_)
        | sqlx::Error::WorkerCrashed => sqlx::Error::Configuration(Box::new(interruption(address, source))),
        // The driver failed before it sent the statement, or after it received the response.
        _ => source,
    }
}

/// Returns the error for a connection that ended with this error of the driver.
pub(crate) fn interruption(address: &str, source: sqlx::Error) -> Arc<Unreachable> {
    let problem = match &source {
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Problem::Silent,
        _ => Problem::Lost,
    };
    Arc::new(Unreachable { address: address.to_owned(), problem, source: Some(source) })
}

/// Returns the error of an operation for which no connection was available, because new connections are rejected.
pub(crate) fn refused(address: &str, refusal: Refusal) -> sqlx::Error {
    explained(address, Problem::Session(refusal), None)
}

fn explained(address: &str, problem: Problem, source: Option<sqlx::Error>) -> sqlx::Error {
    sqlx::Error::Configuration(Box::new(Arc::new(Unreachable { address: address.to_owned(), problem, source })))
}

/// Returns the reason that a function of this module has stored in an error, if any.
pub(crate) fn reason(error: &sqlx::Error) -> Option<&Arc<Unreachable>> {
    match error {
        sqlx::Error::Io(error) => error.get_ref()?.downcast_ref(),
        sqlx::Error::Configuration(error) => error.downcast_ref(),
        _ => None,
    }
}

/// Returns the driver's error. If a function of this module has added the address of the database, this is the error
/// without the address.
pub(crate) fn original(error: &sqlx::Error) -> &sqlx::Error {
    match error {
        sqlx::Error::Configuration(_) => reason(error).and_then(|why| why.source.as_ref()).unwrap_or(error),
        _ => error,
    }
}

/// Connects once, sets up the session, and disconnects. `limit` is the timeout for all three steps together.
pub(crate) async fn connect_once(
    options: &PgConnectOptions,
    session: &Session,
    limit: Duration,
) -> Result<(), Unreachable> {
    let problem = match timeout(limit, connect(options, session)).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(problem)) => problem,
        Err(_) => (Problem::Silent, None),
    };
    let (problem, source) = problem;
    Err(Unreachable { address: address(options), problem, source })
}

async fn connect(options: &PgConnectOptions, session: &Session) -> Result<(), (Problem, Option<sqlx::Error>)> {
    if options.get_socket().is_none()
        && let Err(error) = tokio::net::lookup_host((options.get_host(), options.get_port())).await
    {
        return Err((Problem::Name, Some(error.into())));
    }
    let mut connection = options.connect().await.map_err(|error| (of(&error), Some(error)))?;
    let outcome = session.set_up(&mut connection).await;
    session.note(&outcome);
    outcome.map_err(|error| match session.refusal() {
        // The refusal already states the cause, so the error needs no source.
        Some(refusal) if matches!(error, sqlx::Error::Configuration(_)) => (Problem::Session(refusal), None),
        _ => (of(&error), Some(error)),
    })?;
    // Closes the session gracefully. It does not matter if this fails.
    let _ = PgConnection::close(connection).await;
    Ok(())
}

fn of(error: &sqlx::Error) -> Problem {
    match error {
        sqlx::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Problem::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Problem::Silent
            }
            _ => Problem::Other,
        },
        sqlx::Error::Tls(_) => Problem::Tls,
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("28P01") => Problem::Password,
            Some("28000") => Problem::Role,
            Some("3D000") => Problem::Database,
            Some("42501" | "55000") => Problem::Forbidden,
            Some("53300") => Problem::Full,
            Some("57P03") => Problem::Starting,
            _ => Problem::Other,
        },
        _ => Problem::Other,
    }
}
