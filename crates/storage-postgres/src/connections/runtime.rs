//! Runs database calls in the context of the Tokio runtime that owns the connections.

use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

/// Wraps a future so that it is polled in the context of `runtime`, the runtime that owns the connections. A connection
/// is bound to the runtime on which it is opened. A request may run on the runtime of an HTTP worker, which shuts down
/// before the process ends. A connection that was opened on such a runtime could be closed in the middle of a change.
pub(crate) fn on_runtime<F: Future>(runtime: &Handle, call: F) -> TokioContext<F> {
    TokioContext::new(call, runtime.clone())
}
