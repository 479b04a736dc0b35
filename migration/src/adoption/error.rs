//! The reasons why a database cannot be adopted.

use sea_orm::DbErr;

use super::report::Report;
use crate::MigrationError;

/// The reason why a database could not be adopted. It is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptionError {
    /// The database already has the schema of this service.
    #[error("the database already has the schema of this service; there is nothing to adopt")]
    AlreadyAdopted,
    /// The schema that receives the original tables exists, for example because of an earlier adoption.
    #[error("the schema {0} already exists, so the original tables cannot be moved to it: rename or drop it")]
    ArchiveExists(&'static str),
    /// The schema does not contain the tables of the original system in their original form.
    #[error("the schema does not contain the tables of the original system: {}", .differences.join("; "))]
    NotTheOriginal {
        /// The missing columns, and the columns of another type.
        differences: Vec<String>,
    },
    /// Objects of other programs depend on the tables, and would then refer to the moved tables, or row-level security could
    /// hide rows.
    #[error("other objects depend on the original tables: {}; drop or disable them first", .0.join("; "))]
    Dependents(Vec<String>),
    /// Other sessions use the original tables.
    #[error("other sessions use the original tables: stop the original system, and try again")]
    InUse,
    /// Rows violate the constraints of the service, and no repair was chosen for them.
    #[error("rows violate the constraints of the service")]
    Unrepaired(Box<Report>),
    /// After the copy, the number of rows of a table differs from the expected number.
    #[error("{copied} of {expected} rows of the table {table} were copied")]
    Incomplete {
        /// The name of the table.
        table: &'static str,
        /// The number of rows that must be copied.
        expected: i64,
        /// The number of copied rows.
        copied: i64,
    },
    /// The schema of the service could not be created, or a statement failed.
    #[error(transparent)]
    Migration(#[from] MigrationError),
}

impl From<DbErr> for AdoptionError {
    fn from(error: DbErr) -> Self {
        Self::Migration(error.into())
    }
}
