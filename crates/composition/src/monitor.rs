//! Waits until the database is reachable and its schema is up to date. This module never changes the database.

use std::sync::Arc;
use std::time::Duration;

use iam_application::causes;
use iam_storage_postgres::PostgresStorage;
use migration::{MigrationError, MigrationStatus};

use crate::probe::Progress;

/// The initial delay between connection attempts, and the interval between consecutive checks of the schema.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Timeout for a schema check.
const SCHEMA_LIMIT: Duration = Duration::from_secs(3);
/// Maximum delay between consecutive connection attempts. It limits how long the process remains not-ready after the
/// database becomes reachable.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Checks the database repeatedly until it is reachable and has the schema that this program needs.
pub(crate) async fn until_ready(storage: Arc<PostgresStorage>, progress: Arc<Progress>) {
    first_contact(storage.as_ref(), &progress).await;
    tracing::info!("[Database] PostgreSQL connection established");
    while let Some(problem) = problem_of(&storage).await {
        let is_new = progress.set_waiting(problem.text.clone());
        if is_new {
            tracing::warn!(address = storage.address(), cause = problem.cause, "not ready: {}", problem.text);
        }
        tokio::time::sleep(FIRST_PAUSE).await;
    }
    progress.set_ready();
    tracing::info!("the database schema is up to date; ready for requests");
    if let Ok(false) = storage.is_row_security_active().await {
        tracing::warn!("row-level security does not apply to the database role of the service");
    }
}

/// Waits until a connection to the database succeeds.
async fn first_contact(storage: &PostgresStorage, progress: &Progress) {
    for pause in pauses() {
        let Err(error) = storage.contact().await else { return };
        let is_new = progress.set_waiting(error.to_string());
        if is_new {
            tracing::warn!(cause = causes(&error), "the database cannot be used");
        }
        tokio::time::sleep(pause).await;
    }
}

/// Returns the delays between connection attempts. Each delay is twice as long as the previous one, up to the maximum
/// (exponential back-off).
fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(FIRST_PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)))
}

/// Checks the schema, and returns the problem with the schema, if any. The check times out if the database does not
/// respond.
async fn problem_of(storage: &PostgresStorage) -> Option<Problem> {
    let connection = storage.connection();
    match tokio::time::timeout(SCHEMA_LIMIT, migration::status(&connection)).await {
        Ok(status) => schema_problem(status, &storage.address()),
        Err(_) => Some(unchecked("the database does not respond".to_owned(), &storage.address())),
    }
}

/// The reason why the schema cannot be used: a message for the readiness probe, and the cause for the log.
struct Problem {
    text: String,
    cause: Option<String>,
}

/// Returns the problem for a schema that cannot be checked, with the cause for the log.
fn unchecked(cause: String, address: &str) -> Problem {
    Problem { text: format!("the schema cannot be checked ({address})"), cause: Some(cause) }
}

/// Returns the problem with the schema if migrations are pending or cannot be determined, and otherwise `None`.
fn schema_problem(status: Result<Vec<MigrationStatus>, MigrationError>, address: &str) -> Option<Problem> {
    let pending = match status {
        Ok(status) if status.iter().all(|migration| !migration.applied) => {
            let text = "the schema is missing: run the migration (migration up)".to_owned();
            return Some(Problem { text, cause: None });
        }
        Ok(status) => status.iter().filter(|migration| !migration.applied).count(),
        // If the program was rolled back to an older version, the database has migrations that this version does not
        // contain. These additional migrations are accepted.
        Err(MigrationError::Ahead { pending, .. } | MigrationError::Behind { pending }) => pending.len(),
        Err(error) => return Some(unchecked(causes(&error), address)),
    };
    (pending > 0).then(|| Problem {
        text: format!("schema is behind: {pending} migrations pending (run the migration command)"),
        cause: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: Result<Vec<MigrationStatus>, MigrationError>) -> Option<String> {
        schema_problem(status, "localhost:5432, database iam").map(|problem| problem.text)
    }

    /// Returns the statuses of `applied` applied migrations, followed by those of `pending` pending migrations.
    fn status(applied: usize, pending: usize) -> Vec<MigrationStatus> {
        let status = |number| MigrationStatus { name: format!("m{number}"), applied: number < applied };
        (0..applied + pending).map(status).collect()
    }

    #[test]
    fn only_pending_migrations_prevent_readiness() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let ahead = |pending| MigrationError::Ahead { unknown: names(&["m9"]), pending: names(pending) };
        let behind = |n| Some(format!("schema is behind: {n} migrations pending (run the migration command)"));
        assert_eq!(text(Ok(status(2, 0))), None);
        assert_eq!(text(Err(ahead(&[]))), None);
        assert_eq!(text(Ok(status(1, 2))), behind(2));
        assert_eq!(text(Ok(status(0, 2))).as_deref(), Some("the schema is missing: run the migration (migration up)"));
        assert_eq!(text(Err(ahead(&["m1"]))), behind(1));
        let unchecked = text(Err(MigrationError::NoSchema));
        assert_eq!(unchecked.as_deref(), Some("the schema cannot be checked (localhost:5432, database iam)"));
    }

    #[test]
    fn the_pause_between_connection_attempts_grows_to_three_seconds() {
        let seconds: Vec<_> = pauses().map(|pause| pause.as_secs()).take(6).collect();
        assert_eq!(seconds, [1, 2, 3, 3, 3, 3]);
    }
}
