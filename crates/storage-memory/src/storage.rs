//! The in-memory storage: the constructors and the trait implementations.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::Clock;
use iam_storage::{
    ApiKeyUses, ChangeContext, ChangeFeed, CursorKey, EffectiveFeaturePermissions, EffectiveViewPermissions, Health,
    IdempotencyKeys, NavTrail, Reader, Result, Sessions, Storage, Target, UnitOfWork,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::StorageClock;
use crate::options::MemoryOptions;
use crate::repository::Repository;
use crate::seed;
use crate::shared::SharedStorage;
use crate::snapshot::Snapshot;
use crate::swapped::Swapped;
use crate::unit_of_work::Unit;

/// The in-memory storage backend. Its data is lost when the process exits.
pub struct MemoryStorage(Repository<Arc<SharedStorage>>);

impl MemoryStorage {
    /// Creates an empty storage.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::with_options(clock, MemoryOptions::default())
    }

    /// Creates an empty storage with these options.
    #[must_use]
    pub fn with_options(clock: Clock, options: MemoryOptions) -> Self {
        let (epoch, _) = Uuid::new_v4().as_u64_pair();
        Self(Repository(Arc::new(SharedStorage {
            state: Swapped::default(),
            auxiliary: Swapped::default(),
            locks: Arc::default(),
            commits: watch::Sender::new(()),
            clock: StorageClock::new(clock),
            epoch,
            cursor_key: random_key(),
            options,
        })))
    }

    /// Creates a storage with the initial catalog of a new installation.
    ///
    /// # Errors
    ///
    /// Does not fail in practice, because an empty storage accepts the whole seed.
    pub async fn seeded(clock: Clock) -> Result<Self> {
        let storage = Self::new(clock);
        let mut tx = storage.begin(Target::Catalog, ChangeContext::command_line()).await?;
        seed::write(tx.as_mut()).await?;
        tx.commit().await?;
        Ok(storage)
    }

    pub(crate) fn shared(&self) -> &Arc<SharedStorage> {
        &self.0.0
    }
}

/// Returns a new random key. Two UUIDs have 244 random bits.
fn random_key() -> CursorKey {
    let mut key = [0; CursorKey::LENGTH];
    for (half, uuid) in key.chunks_mut(16).zip([Uuid::new_v4(), Uuid::new_v4()]) {
        half.copy_from_slice(uuid.as_bytes());
    }
    CursorKey(key)
}

impl std::fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shared = self.shared();
        let companies = shared.state.load().companies.len();
        f.debug_struct("MemoryStorage")
            .field("options", &shared.options)
            .field("companies", &companies)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    fn reader(&self) -> &dyn Reader {
        &self.0
    }

    async fn snapshot(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Repository(Snapshot::of(self.shared()))))
    }

    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>> {
        Ok(Box::new(Unit::begin(Arc::clone(self.shared()), target, context).await?))
    }

    fn nav_trail(&self) -> &dyn NavTrail {
        self.shared().as_ref()
    }

    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions {
        self.shared().as_ref()
    }

    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions {
        self.shared().as_ref()
    }

    fn api_key_uses(&self) -> &dyn ApiKeyUses {
        self.shared().as_ref()
    }

    fn idempotency_keys(&self) -> &dyn IdempotencyKeys {
        self.shared().as_ref()
    }

    fn sessions(&self) -> &dyn Sessions {
        self.shared().as_ref()
    }

    fn changes(&self) -> &dyn ChangeFeed {
        self
    }
}

#[async_trait]
impl Health for MemoryStorage {
    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
