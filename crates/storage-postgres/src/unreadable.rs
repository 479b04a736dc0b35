//! Rows that cannot be parsed, for example because they were edited outside the service. Such a row does not affect
//! other rows, and is reported.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use iam_storage::{Result, StorageError};
use sea_orm::{FromQueryResult, QueryResult};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::error::from_db;
use crate::statement::{column, unparsable};

/// Maximum number of rows whose report is remembered. Further rows are reported each time they are read.
const MAX_REPORTED: usize = 10_000;

/// Converts the rows of a table, given as JSON objects, to entities. Rows that cannot be converted are omitted and
/// reported.
pub(crate) fn readable<M, D>(table: &'static str, rows: Vec<Value>) -> Vec<D>
where
    M: DeserializeOwned,
    D: TryFrom<M, Error = StorageError>,
{
    let parsed = rows.into_iter().map(|row| {
        let id = row.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        (id, parse::<M>(row).and_then(D::try_from))
    });
    parsed.filter_map(|(id, entity)| entity.inspect_err(|error| report(table, &id, error)).ok()).collect()
}

/// Converts the rows of a query to entities. Rows whose values are invalid are omitted and reported. A column of an
/// unexpected type is an error, because it affects all rows.
pub(crate) fn readable_rows<M, D>(table: &'static str, rows: &[QueryResult]) -> Result<Vec<D>>
where
    M: FromQueryResult,
    D: TryFrom<M, Error = StorageError>,
{
    let mut entities = Vec::with_capacity(rows.len());
    for row in rows {
        match D::try_from(M::from_query_result(row, "").map_err(from_db)?) {
            Ok(entity) => entities.push(entity),
            Err(error) => report(table, &column::<Uuid>(row, "id")?.to_string(), &error),
        }
    }
    Ok(entities)
}

/// Parses one row, given as JSON.
pub(crate) fn parse<M: DeserializeOwned>(row: Value) -> Result<M> {
    serde_json::from_value(row).map_err(unparsable)
}

/// Reports a row that cannot be parsed: counts it in a metric, and logs it when it is first read.
pub(crate) fn report(table: &'static str, id: &str, error: &StorageError) {
    static REPORTED: LazyLock<Mutex<HashSet<(&str, String)>>> = LazyLock::new(Mutex::default);

    metrics::counter!("iam_unreadable_rows_total", "table" => table).increment(1);
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_known = reported.contains(&(table, id.to_owned()));
    if !is_known {
        if reported.len() < MAX_REPORTED {
            reported.insert((table, id.to_owned()));
        }
        let error = error as &dyn std::error::Error;
        tracing::error!(table, id, error, "a row of the database cannot be parsed and is ignored");
    }
}
