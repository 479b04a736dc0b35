//! Names the operations of the storage traits, measures them, and traces them.

use std::borrow::Cow;
use std::future::Future;
use std::time::Instant;

use iam_storage::{Result, StorageError};
use iam_traces::{SpanKind, child, traced};

use crate::statistics;

/// The name of the histogram of the durations of operations.
pub(crate) const DURATIONS: &str = "iam_storage_operation_duration_seconds";

/// The name of the counter of failed operations.
pub(crate) const ERRORS: &str = "iam_storage_operation_errors_total";

/// The name of the counter of rows that statements returned or changed.
pub(crate) const ROWS: &str = "iam_storage_operation_rows_total";

tokio::task_local! {
    /// The name of the operation that the current task executes.
    static OPERATION: &'static str;
}

/// Returns the name of the operation that the current task executes. Returns `none` outside an operation.
pub(crate) fn current() -> &'static str {
    OPERATION.try_with(|name| *name).unwrap_or("none")
}

/// Records rows that a statement of the current operation returned or changed.
pub(crate) fn record_rows(rows: u64) {
    let operation = current();
    statistics::record_rows(operation, rows);
    metrics::counter!(ROWS, "operation" => operation).increment(rows);
}

/// Executes an operation, and records its duration and its failure. `name` is the trait and the method, and also the
/// name of the operation's span.
pub(crate) async fn operation<T>(name: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    let span = child(name, SpanKind::Internal, Vec::new);
    let outcome = traced(span, OPERATION.scope(name, work), failure).await;
    let has_failed = failure(&outcome).is_some();
    let took = began.elapsed();
    statistics::record(name, took, has_failed);
    metrics::histogram!(DURATIONS, "operation" => name).record(took.as_secs_f64());
    metrics::counter!(ERRORS, "operation" => name).increment(u64::from(has_failed));
    outcome
}

/// Returns the type of the error if the outcome is a failure. Errors that report the state of the data, such as a
/// conflict, are outcomes and not failures.
fn failure<T>(outcome: &Result<T>) -> Option<Cow<'static, str>> {
    let error_type = match outcome.as_ref().err()? {
        StorageError::NotFound | StorageError::Conflict { .. } | StorageError::Unknown { .. } | StorageError::Stale => {
            return None;
        }
        StorageError::Misuse(_) => "misuse",
        StorageError::Unavailable { .. } => "unavailable",
        _ => "corrupt",
    };
    Some(error_type.into())
}
