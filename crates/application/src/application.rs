//! The application: the dependencies that all use cases share.

use std::sync::Arc;

use iam_permissions_cache::Permissions;
use iam_storage::{Reader, Storage};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::AuditBudget;

/// The use cases of the service, which share one storage backend. Wrap the application in an `Arc` to share it.
pub struct Application {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) audit_budget: Arc<AuditBudget>,
    pub(crate) changes: TaskTracker,
    pub(crate) runtime: Handle,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("changes_under_way", &self.changes.len()).finish_non_exhaustive()
    }
}

impl Application {
    /// Creates an application that uses `storage`. Changes run on `runtime`, which must outlive the runtimes of the
    /// callers. A change then completes even if the server worker that started it, and the runtime of this worker, shut
    /// down.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, permissions: Arc<Permissions>, runtime: Handle) -> Self {
        let audit_budget = Arc::default();
        Self { storage, permissions, audit_budget, changes: TaskTracker::new(), runtime }
    }

    /// Replaces the default budget of audit records per company.
    #[must_use]
    pub fn with_audit_budget(self, budget: AuditBudget) -> Self {
        Self { audit_budget: Arc::new(budget), ..self }
    }

    pub(crate) fn reader(&self) -> &dyn Reader {
        self.storage.reader()
    }

    /// Waits until all changes in progress have completed (graceful shutdown). Call this method after the server has
    /// stopped accepting requests.
    pub async fn finish(&self) {
        self.changes.close();
        self.changes.wait().await;
    }
}
