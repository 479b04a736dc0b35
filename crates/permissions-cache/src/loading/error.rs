//! Errors of coalesced loads, which several requests share.

use std::sync::Arc;
use std::time::Duration;

use iam_storage::{BoxError, Result, StorageError};

/// The result of a coalesced load. All requests that wait for the load receive the same error.
pub(crate) type Loaded<T> = Result<T, Arc<StorageError>>;

/// The error of a coalesced load, as each of the waiting requests receives it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a coalesced load failed")]
struct Shared(#[source] Arc<StorageError>);

/// Converts the error of a coalesced load into an error for one of the waiting requests.
pub(crate) fn shared(error: &Arc<StorageError>) -> StorageError {
    let source: BoxError = Box::new(Shared(Arc::clone(error)));
    match error.as_ref() {
        StorageError::Corrupt { what, .. } => StorageError::Corrupt { what: what.clone(), source: Some(source) },
        _ => unavailable(source),
    }
}

/// Returns an `Unavailable` error with this reason.
pub(crate) fn unavailable(why: impl Into<BoxError>) -> StorageError {
    StorageError::Unavailable { retryable: false, source: Some(why.into()) }
}

/// Runs a storage call. If the call takes longer than `limit`, cancels it and returns `Unavailable`.
pub(crate) async fn in_limit<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(unavailable("the database did not respond in time")))
}
