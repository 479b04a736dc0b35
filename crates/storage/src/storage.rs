//! The [`Storage`] trait, and [`transact`], which runs a change in a unit of work.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::CommitStamp;

use crate::{
    ApiKeyUses, ChangeContext, ChangeFeed, EffectiveFeaturePermissions, EffectiveViewPermissions, NavTrail, Reader,
    Result, StorageError, Target, UnitOfWork,
};

/// A storage. Adapters implement this trait, and all other code accesses the storage only through it.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Returns the read operations on the latest committed state.
    fn reader(&self) -> &dyn Reader;

    /// Begins a unit of work: takes its locks and raises the version of the target before anything else is read.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the locks cannot be acquired in time or the storage cannot be reached.
    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>>;

    /// Returns the operations on navigation trails.
    fn nav_trail(&self) -> &dyn NavTrail;

    /// Returns the operations on effective view permissions.
    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions;

    /// Returns the operations on effective feature permissions.
    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions;

    /// Returns the operation that records when API keys were last used.
    fn api_key_uses(&self) -> &dyn ApiKeyUses;

    /// Returns the feed of committed changes.
    fn changes(&self) -> &dyn ChangeFeed;
}

/// An optional health check of the storage.
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

/// Optional statistics of the connection pool.
pub trait PoolStats: Send + Sync {
    /// Returns the current utilization.
    fn pool(&self) -> PoolUse;
}

/// An error that can tell whether the whole unit of work may be retried.
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

/// Work to run in a unit of work. It may run more than once, each time in a new unit of work.
#[async_trait]
pub trait Work: Send + Sync {
    /// The result of successful work.
    type Output: Send;
    /// The error of failed work.
    type Error: From<StorageError> + Retryable + Send;

    /// Does the work. If it returns an error, the unit of work is dropped, which rolls it back.
    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Self::Output, Self::Error>;
}

/// Maximum number of attempts to run a unit of work.
const ATTEMPTS: u32 = 4;
/// Delay before the second attempt. It doubles before each further attempt.
const BACK_OFF: Duration = Duration::from_millis(5);

/// Runs work in a unit of work and commits it. Retries if the error is retryable (such as a serialization failure or a
/// deadlock).
///
/// Cancelling this future drops the unit of work, which rolls it back. If the commit has already begun, the outcome is
/// unknown instead. A caller that must not be cancelled runs this function in a task of its own.
///
/// # Errors
///
/// Returns the error of the work or of the storage. A retryable error is returned only after the fourth attempt.
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
                tracing::debug!(attempt, "a unit of work lost a race and is retried");
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
