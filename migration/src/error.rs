//! The error of every function that changes or reads the schema.

use sea_orm::DbErr;

/// Why the schema could not be changed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The database has migrations that this program does not know: a newer release has been here.
    #[error("the database has migrations of a newer release: {}", .unknown.join(", "))]
    Ahead {
        /// The names of the migrations that are applied but unknown.
        unknown: Vec<String>,
        /// The names of the known migrations that are not applied. Empty, unless the releases come from two branches.
        pending: Vec<String>,
    },
    /// The schema is too old for the operation.
    #[error("the schema is not up to date, apply first: {}", .pending.join(", "))]
    Behind {
        /// The names of the migrations that are not applied.
        pending: Vec<String>,
    },
    /// The search path names no schema that exists and that the role may use.
    #[error("search_path names no schema that exists and that this role may use")]
    NoSchema,
    /// Relations have our names, and by the bookkeeping of the schema no migration made them.
    #[error(
        "the schema {schema} has relations that no IAM migration made: {}; use a schema of its own",
        .names.join(", ")
    )]
    NotOurs {
        /// The schema.
        schema: String,
        /// The names of the relations.
        names: Vec<String>,
    },
    /// An object has the name that a pending migration creates.
    #[error("the schema has an object that no IAM migration made ({object}); use a schema of its own")]
    InTheWay {
        /// The object, in the server's words.
        object: String,
        /// The server's answer.
        source: DbErr,
    },
    /// The session is read-only.
    #[error("the database session is read-only: the server is a standby, or default_transaction_read_only is on")]
    ReadOnly,
    /// The database's encoding cannot store every text, and the service refuses it.
    #[error("the database has the encoding {0}: it must be UTF8")]
    Encoding(String),
    /// The database refused, or was not reachable.
    #[error(transparent)]
    Database(#[from] DbErr),
}
