//! The application: the dependencies that all use cases share.

use std::sync::Arc;

use iam_domain::QuotaLimits;
use iam_permissions_cache::Permissions;
use iam_storage::{Reader, Simulator, Storage};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::idempotency::KeysInFlight;
use crate::lists::cursor_key::KnownCursorKey;
use crate::preview_turns::PreviewTurns;
use crate::profile_queue::ProfileQueue;
use crate::staleness::may_use_replicas;
use crate::{BudgetOptions, Budgets};

/// The use cases of the service, which share one storage backend. Wrap the application in an `Arc` to share it.
pub struct Application {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) simulator: Arc<dyn Simulator>,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) changes: TaskTracker,
    pub(crate) runtime: Handle,
    /// The quotas of companies without overrides.
    pub(crate) quotas: QuotaLimits,
    pub(crate) cursor_key: KnownCursorKey,
    /// The order in which previews of changes are computed.
    pub(crate) previews: PreviewTurns,
    pub(crate) keys_in_flight: KeysInFlight,
    pub(crate) claimed_profiles: ProfileQueue,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("changes_under_way", &self.changes.len()).finish_non_exhaustive()
    }
}

impl Application {
    /// Creates an application that uses `storage`, and `simulator` for previews of changes. Changes run on `runtime`, which
    /// must outlive the runtimes of the callers. A change then completes even if the server worker that started it, and
    /// the runtime of this worker, shut down.
    #[must_use]
    pub fn new(
        storage: Arc<dyn Storage>,
        permissions: Arc<Permissions>,
        simulator: Arc<dyn Simulator>,
        runtime: Handle,
    ) -> Self {
        let (budgets, quotas) = (Arc::new(Budgets::new(BudgetOptions::default())), QuotaLimits::default());
        let (cursor_key, previews) = (KnownCursorKey::default(), PreviewTurns::default());
        let (changes, keys_in_flight) = (TaskTracker::new(), KeysInFlight::default());
        Self {
            storage,
            permissions,
            simulator,
            budgets,
            changes,
            runtime,
            quotas,
            cursor_key,
            previews,
            keys_in_flight,
            claimed_profiles: ProfileQueue::default(),
        }
    }

    /// Replaces the budgets. By default, no budget is limited.
    #[must_use]
    pub fn with_budgets(self, options: BudgetOptions) -> Self {
        Self { budgets: Arc::new(Budgets::new(options)), ..self }
    }

    /// Returns the budgets of callers and companies.
    #[must_use]
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Replaces the quotas of companies without overrides.
    #[must_use]
    pub fn with_quotas(self, quotas: QuotaLimits) -> Self {
        Self { quotas, ..self }
    }

    /// Returns the read operations of the storage. They use read replicas if the request permits it, and if there are any.
    pub(crate) fn reader(&self) -> &dyn Reader {
        let of_replicas = if may_use_replicas() { self.storage.reader_of_replicas() } else { None };
        of_replicas.unwrap_or_else(|| self.storage.reader())
    }

    /// Waits until all changes in progress have completed (graceful shutdown). Call this method after the server has
    /// stopped accepting requests.
    pub async fn finish(&self) {
        self.changes.close();
        self.changes.wait().await;
    }
}
