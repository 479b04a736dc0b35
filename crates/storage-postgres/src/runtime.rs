//! The runtime that connections live on.

use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

/// Polls a future in the context of the connections' runtime. A connection belongs to the runtime that opens it. The
/// runtime of a request may be that of a worker, which ends before the process does: a change on its connection would
/// be cut off.
pub(crate) fn on_runtime<F: Future>(runtime: &Handle, call: F) -> TokioContext<F> {
    TokioContext::new(call, runtime.clone())
}
