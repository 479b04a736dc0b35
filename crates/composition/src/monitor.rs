//! Waits until the database is reachable and its schema is up to date. This module never changes the database.

use std::sync::Arc;
use std::time::Duration;

use iam_application::{ReadinessReason, SchemaVersions, causes};
use iam_storage::StorageError;
use iam_storage_postgres::{OtherForm, PostgresStorage, Refusal};
use migration::{MigrationError, MigrationStatus};

use crate::probe::{Progress, Waiting};

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
    let schema = loop {
        let Problem { text, cause, schema } = match check(&storage).await {
            Ok(schema) => break schema,
            Err(problem) => problem,
        };
        let waiting = Waiting { reason: ReadinessReason::Schema, text: text.clone(), schema };
        if progress.set_waiting(waiting) {
            tracing::warn!(address = storage.address(), cause, "not ready: {text}");
        }
        tokio::time::sleep(FIRST_PAUSE).await;
    };
    progress.set_ready(Some(schema));
    tracing::info!("the database schema is up to date; ready for requests");
    if let Ok(false) = storage.is_row_security_active().await {
        tracing::warn!("row-level security does not apply to the database role of the service");
    }
}

/// Waits until a connection to the database succeeds.
async fn first_contact(storage: &PostgresStorage, progress: &Progress) {
    for pause in pauses() {
        let Err(error) = storage.contact().await else { return };
        let reason = match unusable(storage) {
            Some(_) => ReadinessReason::UnusableDatabase,
            None => ReadinessReason::FirstContact,
        };
        let waiting = Waiting { reason, text: error.to_string(), schema: None };
        if progress.set_waiting(waiting) {
            tracing::warn!(cause = causes(&error), "the database cannot be used");
        }
        tokio::time::sleep(pause).await;
    }
}

/// Returns why the database responds but cannot be used: it is a standby, is read-only, or has another encoding. Ignores
/// failures to set up a session, because the next attempt may succeed.
pub(crate) fn unusable(database: &PostgresStorage) -> Option<Refusal> {
    database.refusal().filter(|refusal| !matches!(refusal, Refusal::SetUp(_)))
}

/// Returns the delays between connection attempts. Each delay is twice as long as the previous one, up to the maximum
/// (exponential back-off).
fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(FIRST_PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)))
}

/// Checks the schema, and the forms of the global lock and of the change feed. Returns the versions of the schema if the
/// process can use it, and otherwise the problem. The check times out if the database does not respond.
async fn check(storage: &PostgresStorage) -> Result<SchemaVersions, Problem> {
    let connection = storage.connection();
    let checks = async {
        let schema = accepted(migration::status(&connection).await, &storage.address())?;
        match storage.check_forms().await {
            Ok(()) => Ok(schema),
            Err(error) => Err(unsuitable(&error, schema, &storage.address())),
        }
    };
    let checked = tokio::time::timeout(SCHEMA_LIMIT, checks).await;
    checked.unwrap_or_else(|_| Err(unchecked("the database does not respond".to_owned(), &storage.address())))
}

/// Returns the problem for an installation whose forms cannot be read, or differ from those of this process.
fn unsuitable(error: &StorageError, schema: SchemaVersions, address: &str) -> Problem {
    let other = match error {
        StorageError::Unavailable { source: Some(source), .. } => source.downcast_ref::<OtherForm>(),
        _ => None,
    };
    match other {
        Some(other) => Problem { text: other.to_string(), cause: None, schema: Some(schema) },
        None => unchecked(causes(error), address),
    }
}

/// The reason why the schema cannot be used: a message for the readiness probe, the cause for the log, and the versions
/// of the schema if it could be read.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    text: String,
    cause: Option<String>,
    schema: Option<SchemaVersions>,
}

/// Returns the problem for a schema that cannot be checked, with the cause for the log.
fn unchecked(cause: String, address: &str) -> Problem {
    Problem { text: format!("the schema cannot be checked ({address})"), cause: Some(cause), schema: None }
}

/// Returns the versions of the schema if no migration is pending, and otherwise the problem.
fn accepted(status: Result<Vec<MigrationStatus>, MigrationError>, address: &str) -> Result<SchemaVersions, Problem> {
    let newest = || migration::command_line::migrations().pop().unwrap_or_default();
    let (min, found, pending, is_missing) = match status {
        Ok(status) => {
            let min = status.last().map_or_else(newest, |migration| migration.name.clone());
            let found = status.iter().rfind(|migration| migration.applied).map(|migration| migration.name.clone());
            let pending = status.iter().filter(|migration| !migration.applied).count();
            let is_missing = found.is_none();
            (min, found, pending, is_missing)
        }
        // If the program was rolled back to an older version, the database has migrations that this version does not
        // contain. These additional migrations are accepted.
        Err(MigrationError::Ahead { unknown, pending }) => (newest(), unknown.into_iter().max(), pending.len(), false),
        Err(error) => return Err(unchecked(causes(&error), address)),
    };
    let schema = SchemaVersions { min, max: None, found };
    let text = match pending {
        0 => return Ok(schema),
        _ if is_missing => "the schema is missing: run the migration (migration up)".to_owned(),
        pending => format!("schema is behind: {pending} migrations pending (run the migration command)"),
    };
    Err(Problem { text, cause: None, schema: Some(schema) })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Status = Result<Vec<MigrationStatus>, MigrationError>;

    fn text(status: Status) -> Option<String> {
        accepted(status, "localhost:5432, database iam").err().map(|problem| problem.text)
    }

    /// Returns the statuses of `applied` applied migrations, followed by those of `pending` pending migrations.
    fn status(applied: usize, pending: usize) -> Vec<MigrationStatus> {
        let status = |number| MigrationStatus { name: format!("m{number}"), applied: number < applied };
        (0..applied + pending).map(status).collect()
    }

    fn ahead(pending: &[&str]) -> Status {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        Err(MigrationError::Ahead { unknown: names(&["m8", "m9"]), pending: names(pending) })
    }

    #[test]
    fn only_pending_migrations_prevent_readiness() {
        let behind = |n| Some(format!("schema is behind: {n} migrations pending (run the migration command)"));
        assert_eq!(text(Ok(status(2, 0))), None);
        assert_eq!(text(ahead(&[])), None);
        assert_eq!(text(Ok(status(1, 2))), behind(2));
        assert_eq!(text(Ok(status(0, 2))).as_deref(), Some("the schema is missing: run the migration (migration up)"));
        assert_eq!(text(ahead(&["m1"])), behind(1));
        let unchecked = text(Err(MigrationError::NoSchema));
        assert_eq!(unchecked.as_deref(), Some("the schema cannot be checked (localhost:5432, database iam)"));
    }

    /// The oldest accepted schema is that of the newest migration of the program. Every newer schema is accepted.
    #[test]
    fn the_versions_of_the_schema_are_stated_whether_it_is_accepted_or_not() {
        let versions = |status: Status| {
            let schema = match accepted(status, "") {
                Ok(schema) => Some(schema),
                Err(problem) => problem.schema,
            };
            schema.map(|SchemaVersions { min, max, found }| (min, max, found))
        };
        let found = |number: usize| Some(format!("m{number}"));
        assert_eq!(versions(Ok(status(2, 0))), Some(("m1".to_owned(), None, found(1))));
        assert_eq!(versions(Ok(status(1, 2))), Some(("m2".to_owned(), None, found(0))));
        assert_eq!(versions(Ok(status(0, 2))), Some(("m1".to_owned(), None, None)));
        let newest = migration::command_line::migrations().pop().unwrap();
        assert_eq!(versions(ahead(&[])), Some((newest, None, found(9))));
        assert_eq!(versions(Err(MigrationError::NoSchema)), None);
    }

    #[test]
    fn the_pause_between_connection_attempts_grows_to_three_seconds() {
        let seconds: Vec<_> = pauses().map(|pause| pause.as_secs()).take(6).collect();
        assert_eq!(seconds, [1, 2, 3, 3, 3, 3]);
    }
}
