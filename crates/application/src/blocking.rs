//! Long computations, on threads for which no other request waits.

use crate::Failure;

/// Runs a computation on a thread for blocking work, so that it does not delay other requests of the same worker. If the
/// future is dropped, the computation still completes.
///
/// # Errors
///
/// Returns [`Failure::Internal`] if the computation panics.
pub(crate) async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::Internal(error.into()))
}
