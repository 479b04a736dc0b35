//! Determines why the database cannot be reached, by opening a separate connection.
//!
//! The pool cannot report the cause: it retries until its deadline, and then reports a timeout.

use std::io;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use tokio::time::timeout;

use crate::connections::session::{Refusal, Session};

/// The error for a database that cannot be reached or used. Its message identifies the server by host and port, and
/// contains no role or password. Its source contains the server's message.
#[derive(Debug, thiserror::Error)]
#[error("{problem} ({server})")]
pub struct Unreachable {
    server: String,
    problem: Problem,
    #[source]
    source: Option<sqlx::Error>,
}

/// The reason why the database cannot be reached or used.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the name of the database server cannot be resolved")]
    Name,
    #[error("the database server refuses connections: no process listens at this address")]
    Refused,
    #[error("the database server does not respond")]
    Silent,
    #[error("the database server does not accept the user name and password")]
    Password,
    #[error("the database server does not permit this role to connect from this host")]
    Role,
    #[error("the database does not exist")]
    Database,
    #[error("the role lacks the CONNECT privilege, or the database does not allow connections")]
    Forbidden,
    #[error("TLS with the database server fails")]
    Tls,
    #[error("the connection limit of the database server, the database or the role is reached")]
    Full,
    #[error("the database server is starting up or shutting down")]
    Starting,
    #[error(transparent)]
    Session(#[from] Refusal),
    #[error("the database cannot be reached")]
    Other,
}

/// Returns the server's name for messages: host and port, or the path of the socket.
pub(crate) fn server(options: &PgConnectOptions) -> String {
    let port = options.get_port();
    match options.get_socket() {
        Some(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
        None if options.get_host().contains(':') => format!("[{}]:{port}", options.get_host()),
        None => format!("{}:{port}", options.get_host()),
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
    Err(Unreachable { server: server(options), problem, source })
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
