//! The runtime that connections live on.

use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

/// Sends a statement on the connections' runtime. A connection belongs to the runtime that opens it; for a request
/// that may be a worker's, which ends before the process does, and a change on such a connection would break off.
pub(crate) fn on_runtime<F: Future>(runtime: &Handle, call: F) -> TokioContext<F> {
    TokioContext::new(call, runtime.clone())
}
