//! Errors of loads, which several requests share.

use std::sync::Arc;
use std::time::Duration;

use iam_storage::{BoxError, Result, StorageError};

/// The result of a load that several requests wait for.
pub(crate) type Loaded<T> = Result<T, Arc<StorageError>>;

/// Several requests wait for one load, so they share its error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a load that others wait for too failed")]
struct Shared(#[source] Arc<StorageError>);

/// The error of a load, for one of the requests that waited for it.
pub(crate) fn shared(error: &Arc<StorageError>) -> StorageError {
    let source: BoxError = Box::new(Shared(Arc::clone(error)));
    match error.as_ref() {
        StorageError::Corrupt { what, .. } => StorageError::Corrupt { what: what.clone(), source: Some(source) },
        _ => unavailable(source),
    }
}

/// The storage cannot answer now, for this reason.
pub(crate) fn unavailable(why: impl Into<BoxError>) -> StorageError {
    StorageError::Unavailable { retryable: false, source: Some(why.into()) }
}

/// Ends a call that takes longer than `limit`.
pub(crate) async fn in_limit<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(unavailable("the store took too long")))
}
