//! Builds statements with their values, and reads columns from the rows that they return.

use iam_storage::{Result, StorageError};
use sea_orm::{DbBackend, FromQueryResult, QueryResult, Statement, TryGetable, Value};
use serde::de::DeserializeOwned;

use crate::error::from_db;

/// Returns a statement with its values.
pub(crate) fn statement<const N: usize>(sql: impl Into<String>, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// Caps the value of a `LIMIT` clause at the maximum of `bigint`. No table has more rows.
pub(crate) fn limit(limit: u64) -> u64 {
    limit.min(i64::MAX.unsigned_abs())
}

/// Reads a column of a row.
pub(crate) fn column<T: TryGetable>(row: &QueryResult, name: &str) -> Result<T> {
    row.try_get("", name).map_err(from_db)
}

/// Converts a row to a domain entity.
pub(crate) fn convert<M: FromQueryResult, D: TryFrom<M, Error = StorageError>>(row: &QueryResult) -> Result<D> {
    M::from_query_result(row, "").map_err(from_db)?.try_into()
}

/// Returns the error for a missing row in `company_states` or `iam_installation` that the migrations create. Either a
/// restore is in progress, or the rows of the table were deleted.
pub(crate) fn incomplete() -> StorageError {
    let source = "company_states or iam_installation lacks a row that every migrated schema has".into();
    StorageError::Unavailable { retryable: false, source: Some(source) }
}

/// Reads and parses a column of JSON text.
pub(crate) fn json_column<T: DeserializeOwned>(row: &QueryResult, name: &str) -> Result<T> {
    from_json(&column::<String>(row, name)?)
}

/// Parses JSON text from a row.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(unparsable)
}

/// Returns the error for JSON in a row that cannot be parsed.
pub(crate) fn unparsable(error: serde_json::Error) -> StorageError {
    StorageError::Corrupt {
        what: "the JSON in a row of a snapshot cannot be parsed".to_owned(),
        source: Some(Box::new(error)),
    }
}
