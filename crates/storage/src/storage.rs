//! The [`Storage`] trait, and [`transact`], which runs a change in a unit of work.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::CommitStamp;

use crate::{
    ApiKeyUses, ChangeContext, ChangeFeed, EffectiveFeaturePermissions, EffectiveViewPermissions, IdempotencyKeys,
    NavTrail, Reader, Result, Sessions, StorageError, Target, UnitOfWork,
};

/// A storage backend. Each adapter implements this trait, and all other code accesses the stored data through this
/// trait.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Returns the read operations, which see the latest committed data.
    fn reader(&self) -> &dyn Reader;

    /// Returns the read operations that may use read replicas, or `None` if the storage has none. A read sees at least
    /// what this process knows to be committed: its own changes, the versions that [`Snapshots`](crate::Snapshots) have
    /// returned, and what the latest poll of [`changes`](Self::changes) has reported. It may miss later changes.
    fn reader_of_replicas(&self) -> Option<&dyn Reader> {
        None
    }

    /// Returns the read operations on one consistent snapshot: they see the data as it was committed when this method
    /// returned, whatever changes afterwards. The snapshot has a connection of its own, until it is dropped.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the storage cannot be reached.
    async fn snapshot(&self) -> Result<Box<dyn Reader>>;

    /// Begins a unit of work. Before any other operation, the unit of work acquires the locks of its target and
    /// increments the version of the target.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the locks cannot be acquired before the lock timeout, or if the storage cannot be
    /// reached. Returns `Conflict` if the target is a company that was erased.
    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>>;

    /// Returns the operations on navigation trails.
    fn nav_trail(&self) -> &dyn NavTrail;

    /// Returns the operations on effective view permissions.
    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions;

    /// Returns the operations on effective feature permissions.
    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions;

    /// Returns the operation that records when API keys were last used.
    fn api_key_uses(&self) -> &dyn ApiKeyUses;

    /// Returns the operation that deletes the expired records of requests with idempotency keys.
    fn idempotency_keys(&self) -> &dyn IdempotencyKeys;

    /// Returns the operations on the sessions of the console.
    fn sessions(&self) -> &dyn Sessions;

    /// Returns the feed of committed changes.
    fn changes(&self) -> &dyn ChangeFeed;
}

/// The health check of a storage backend. Adapters may implement this trait.
#[async_trait]
pub trait Health: Send + Sync {
    /// Checks that the storage responds.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the storage does not respond in time.
    async fn ping(&self) -> Result<()>;
}

/// The utilization of a connection pool at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// Number of open connections.
    pub size: u32,
    /// Number of open connections that are idle.
    pub idle: u32,
    /// Maximum number of open connections.
    pub max: u32,
}

/// The statistics of a connection pool. Adapters that have a connection pool implement this trait.
pub trait PoolStats: Send + Sync {
    /// Returns the current utilization of the connection pool.
    fn pool(&self) -> PoolUse;
}

/// An error that reports whether the whole unit of work may be retried.
pub trait Retryable {
    /// Returns `true` if the unit of work failed for a transient reason (such as a serialization failure or a deadlock)
    /// and nothing was committed.
    fn is_retryable(&self) -> bool;
}

impl Retryable for StorageError {
    fn is_retryable(&self) -> bool {
        Self::is_retryable(self)
    }
}

/// The operations of one change, which run in a unit of work. After a retryable error, [`transact`] runs the operations
/// again in a new unit of work.
#[async_trait]
pub trait Work: Send + Sync {
    /// The value that the operations return on success.
    type Output: Send;
    /// The error that the operations return on failure.
    type Error: From<StorageError> + Retryable + Send;

    /// Runs the operations in the unit of work `tx`. If this method returns an error, `tx` is dropped, which rolls it
    /// back.
    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Self::Output, Self::Error>;
}

/// Maximum number of attempts to run a unit of work.
const ATTEMPTS: u32 = 4;
/// Delay before the second attempt. The delay doubles before each further attempt (exponential back-off).
const BACK_OFF: Duration = Duration::from_millis(5);

/// Runs `work` in a unit of work and commits the unit of work. After a retryable error, such as a serialization failure
/// or a deadlock, retries with exponential back-off, each time in a new unit of work.
///
/// If this future is cancelled (dropped) before the commit begins, the unit of work is rolled back. If it is cancelled
/// during the commit, the outcome of the commit is unknown. To protect a change against cancellation, call this
/// function in a spawned task.
///
/// # Errors
///
/// Returns the error of `work` or of the storage. If the fourth attempt also fails with a retryable error, returns this
/// error.
pub async fn transact<W: Work + ?Sized>(
    storage: &dyn Storage,
    target: Target,
    context: &ChangeContext,
    work: &W,
) -> Result<(W::Output, CommitStamp), W::Error> {
    let mut attempt = 1;
    loop {
        match attempt_once(storage, target, context.clone(), work).await {
            Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                tracing::debug!(attempt, "retrying a unit of work after a retryable error");
                tokio::time::sleep(BACK_OFF * 2_u32.pow(attempt - 1)).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

async fn attempt_once<W: Work + ?Sized>(
    storage: &dyn Storage,
    target: Target,
    context: ChangeContext,
    work: &W,
) -> Result<(W::Output, CommitStamp), W::Error> {
    let mut tx = storage.begin(target, context).await?;
    let output = work.run(tx.as_mut()).await?;
    let stamp = tx.commit().await?;
    Ok((output, stamp))
}
