//! Decisions by our engine. Other modules call the permissions cache only through this module.

use std::sync::Arc;
use std::time::Duration;

use iam_application::Application;
use iam_domain::{CompanyId, UserId};
use iam_permissions_cache::{CacheOptions, Check, Consistency, FeatureRef, Permissions, Subject, ViewRef};
use iam_storage::Storage;
use iam_storage_memory::MemorySimulator;
use tokio::runtime::Handle;

use crate::Result;
use crate::data::Cell;

/// Our engine: the permissions cache (crate `iam-permissions-cache`) with its storage.
pub struct Ours {
    storage: Arc<dyn Storage>,
    permissions: Arc<Permissions>,
}

/// Returns the check of a cell.
#[must_use]
pub fn question(cell: &Cell) -> Check {
    match cell {
        Cell::View(view) => Check::View(ViewRef::Id(*view)),
        Cell::Action((feature, action)) => {
            Check::Feature { feature: FeatureRef::Id(*feature), action: action.clone(), least_scope: None }
        }
    }
}

impl Ours {
    /// Creates a permissions cache for this storage, and spawns the task that polls the storage. Must be called within
    /// a Tokio runtime.
    ///
    /// The lease is longer than every run, because the measured code blocks the thread that would poll.
    pub async fn over<S: Storage>(storage: Arc<S>) -> Self {
        let options =
            CacheOptions { lease: Duration::from_secs(3600), max_entries: 1_000_000, ..CacheOptions::default() };
        let permissions =
            Arc::new(Permissions::new(Arc::clone(&storage) as Arc<dyn Storage>, Handle::current(), options));
        let follower = Arc::clone(&permissions);
        tokio::spawn(async move { follower.follow().await });
        while permissions.stats().age.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { storage, permissions }
    }

    /// Decides from the cache. Returns `None` if the cache lacks the user's permissions.
    #[inline]
    #[must_use]
    pub fn try_decide(&self, company: CompanyId, user: UserId, question: &Check) -> Option<bool> {
        self.permissions.try_check(company, Subject::User(user), question).map(|outcome| outcome.allowed)
    }

    /// Decides, and first loads the user's permissions if they are not cached.
    ///
    /// # Errors
    ///
    /// Returns an error if the storage returns an error.
    pub async fn load(&self, company: CompanyId, user: UserId, question: &Check) -> Result<bool> {
        let access = self.permissions.access(company, Subject::User(user), Consistency::Cached).await?;
        Ok(access.decide(question).outcome.allowed)
    }

    /// Returns the use cases, with the same storage and permissions cache.
    #[must_use]
    pub fn application(&self) -> Application {
        let simulator = Arc::new(MemorySimulator);
        Application::new(Arc::clone(&self.storage), Arc::clone(&self.permissions), simulator, Handle::current())
    }
}
