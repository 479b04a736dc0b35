//! Waits for the database and its schema, without changing them.

use std::sync::Arc;
use std::time::Duration;

use iam_application::causes;
use iam_storage_postgres::PostgresStorage;
use migration::MigrationError;

use crate::probe::Progress;

/// The pause before the second check, and before each one once the database answers.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long a check of the schema may take.
const SCHEMA_LIMIT: Duration = Duration::from_secs(3);
/// The longest pause between two checks. It keeps recovery from an outage within its bound.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Checks until the database answers and has the schema that this program needs.
pub(crate) async fn until_ready(storage: Arc<PostgresStorage>, progress: Arc<Progress>) {
    first_contact(storage.as_ref(), &progress).await;
    tracing::info!("[Database] PostgreSQL connection established");
    while let Some(problem) = problem_of(&storage).await {
        let is_new = progress.set_waiting(problem.text.clone());
        if is_new {
            tracing::warn!(cause = problem.cause, "not ready: {}", problem.text);
        }
        tokio::time::sleep(FIRST_PAUSE).await;
    }
    progress.set_ready();
    tracing::info!("the schema is up to date: ready for requests");
    if let Ok(false) = storage.is_behind_policies().await {
        tracing::warn!("row-level security does not apply to the role that the service connects as");
    }
}

/// Waits until the database answers.
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

/// The pauses between attempts: each twice as long as the previous one, up to the longest.
fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(FIRST_PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)))
}

/// The problem with the schema, if there is one. A connection that does not answer is abandoned.
async fn problem_of(storage: &PostgresStorage) -> Option<Problem> {
    let connection = storage.connection();
    match tokio::time::timeout(SCHEMA_LIMIT, migration::pending(&connection)).await {
        Ok(pending) => schema_problem(pending),
        Err(_) => Some(unchecked("the database does not answer".to_owned())),
    }
}

/// Why the schema cannot be used: a public text, and the cause for the log.
struct Problem {
    text: String,
    cause: Option<String>,
}

/// The problem that the schema cannot be checked, for this cause.
fn unchecked(cause: String) -> Problem {
    Problem { text: "the schema cannot be checked".to_owned(), cause: Some(cause) }
}

/// The problem with the schema, by its pending migrations.
fn schema_problem(pending: Result<Vec<String>, MigrationError>) -> Option<Problem> {
    let pending = match pending {
        // After a rollback the database has more than this program needs.
        Ok(pending) | Err(MigrationError::Ahead { pending, .. } | MigrationError::Behind { pending }) => pending,
        Err(error) => {
            return Some(unchecked(causes(&error)));
        }
    };
    (!pending.is_empty()).then(|| Problem {
        text: format!("schema is behind: {} migrations pending (run the migration command)", pending.len()),
        cause: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pending: Result<Vec<String>, MigrationError>) -> Option<String> {
        schema_problem(pending).map(|problem| problem.text)
    }

    #[test]
    fn only_missing_migrations_hold_the_service_back() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let ahead = |pending| MigrationError::Ahead { unknown: names(&["m9"]), pending: names(pending) };
        let behind = |n| Some(format!("schema is behind: {n} migrations pending (run the migration command)"));
        assert_eq!(text(Ok(names(&[]))), None);
        assert_eq!(text(Err(ahead(&[]))), None);
        assert_eq!(text(Ok(names(&["m1", "m2"]))), behind(2));
        assert_eq!(text(Err(ahead(&["m1"]))), behind(1));
    }

    #[test]
    fn the_database_is_checked_every_three_seconds_in_the_end() {
        let seconds: Vec<_> = pauses().map(|pause| pause.as_secs()).take(6).collect();
        assert_eq!(seconds, [1, 2, 3, 3, 3, 3]);
    }
}
