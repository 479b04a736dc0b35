//! Statements with their values, and the columns of the rows that they return.

use iam_storage::{Result, StorageError};
use sea_orm::{DbBackend, FromQueryResult, QueryResult, Statement, TryGetable, Value};
use serde::de::DeserializeOwned;

use crate::error::from_db;

/// A statement with its values.
pub(crate) fn statement<const N: usize>(sql: impl Into<String>, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// A number of rows for `LIMIT`, cut to what the database can count: it never has more rows.
pub(crate) fn limit(limit: u64) -> u64 {
    limit.min(i64::MAX.unsigned_abs())
}

/// A column of a row.
pub(crate) fn column<T: TryGetable>(row: &QueryResult, name: &str) -> Result<T> {
    row.try_get("", name).map_err(from_db)
}

/// A row as an entity of the domain.
pub(crate) fn convert<M: FromQueryResult, D: TryFrom<M, Error = StorageError>>(row: &QueryResult) -> Result<D> {
    M::from_query_result(row, "").map_err(from_db)?.try_into()
}

/// The error for a missing row that every migrated schema has: a restore is under way, or the table was emptied.
pub(crate) fn incomplete() -> StorageError {
    let source = "company_states or iam_installation lacks a row that every migrated schema has".into();
    StorageError::Unavailable { retryable: false, source: Some(source) }
}

/// A column of JSON text.
pub(crate) fn json_column<T: DeserializeOwned>(row: &QueryResult, name: &str) -> Result<T> {
    from_json(&column::<String>(row, name)?)
}

/// The value of a JSON text that a row contains.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StorageError::Corrupt {
        what: "a row of a snapshot does not parse".to_owned(),
        source: Some(Box::new(error)),
    })
}
