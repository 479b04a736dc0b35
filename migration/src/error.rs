//! The error type of all functions that change or read the schema.

use std::time::Duration;

use sea_orm::DbErr;

use crate::obstacle::Obstacle;

/// The reason why the schema could not be changed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// A newer release has applied migrations that this program does not contain.
    #[error("the database contains migrations of a newer release: {}", .unknown.join(", "))]
    Ahead {
        /// The names of the applied migrations that this program does not contain.
        unknown: Vec<String>,
        /// The names of this program's migrations that are not applied. The list is usually empty. It has entries if
        /// the two releases come from different branches.
        pending: Vec<String>,
    },
    /// A newer release has changed or dropped tables that the operation of this release uses.
    #[error("{problem}: a newer release has changed the schema ({}); use the program of that release", .unknown.join(", "))]
    Incompatible {
        /// The names of the applied migrations that this program does not contain.
        unknown: Vec<String>,
        /// The server's error message, which contains the name of the table or column.
        problem: String,
        /// The server's error.
        source: DbErr,
    },
    /// The schema is too old for the operation.
    #[error("the schema is not up to date; apply the pending migrations first: {}", .pending.join(", "))]
    Behind {
        /// The names of the migrations that are not applied.
        pending: Vec<String>,
    },
    /// The search path contains no usable schema: all schemas in it are missing, or the role lacks the USAGE privilege
    /// on it.
    #[error("search_path contains no existing schema on which this role has the USAGE privilege")]
    NoSchema,
    /// The schema has relations with names that the migrations use, but no record that an IAM migration created them.
    #[error(
        "the schema {schema} contains relations that the IAM migrations did not create: {}; use a separate schema, \
        or, if they are the tables of the original system, run the command adopt",
        .names.join(", ")
    )]
    ForeignRelations {
        /// The name of the schema.
        schema: String,
        /// The names of the conflicting relations.
        names: Vec<String>,
    },
    /// A pending migration creates an object, but the schema already contains another object with this name.
    #[error("the schema contains an object that the IAM migrations did not create ({object}); use a separate schema")]
    NameConflict {
        /// The server's error message, which contains the name of the object.
        object: String,
        /// The server's error.
        source: DbErr,
    },
    /// The session is read-only.
    #[error("the database session is read-only: the server is a standby, or default_transaction_read_only is on")]
    ReadOnly,
    /// The encoding of the database is not UTF8, so the database cannot store every string. The service rejects such a
    /// database.
    #[error("the encoding of the database is {0}, but must be UTF8")]
    Encoding(String),
    /// A lock was not available in time, in any attempt.
    #[error(
        "the schema is unchanged, because {obstacle}, and no attempt succeeded within {waited:?}. End these sessions \
        (SELECT pg_terminate_backend(pid)) or let them finish, and run the command again; `up --wait 10m` waits longer"
    )]
    Locked {
        /// What blocked the last attempt.
        obstacle: Box<Obstacle>,
        /// The limit after which no further attempt began.
        waited: Duration,
        /// The server's error.
        source: DbErr,
    },
    /// An index could not be built after the migrations. All migrations are applied.
    #[error(
        "the migrations are applied, but the index {index} could not be built, because {}. Run the command again: it \
        builds only what is missing",
        .obstacle.as_ref().map_or_else(|| .source.to_string(), ToString::to_string)
    )]
    Index {
        /// The name of the index.
        index: String,
        /// What blocked the build, if it waited too long for a lock.
        obstacle: Option<Box<Obstacle>>,
        /// The server's error.
        source: DbErr,
    },
    /// The partitions of the audit log could not be created after the migrations. All migrations are applied.
    #[error(
        "the migrations are applied, but the partitions of the table iam_audit_logs could not be created: {0}. Run the \
        command again: it creates only what is missing"
    )]
    Partitions(#[source] Box<MigrationError>),
    /// The database reported an error, or could not be reached.
    #[error(transparent)]
    Database(#[from] DbErr),
}
