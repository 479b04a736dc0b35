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

/// Lets other threads run first if they wait for a processor. Computations call this function after short steps: the
/// kernel would otherwise let them run for some milliseconds, while requests wait.
pub(crate) fn give_way() {
    std::thread::yield_now();
}
