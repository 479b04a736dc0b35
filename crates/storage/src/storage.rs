//! The storage as a whole, and how a change is run against it.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::CommitStamp;

use crate::{
    ApiKeyUses, ChangeContext, ChangeFeed, EffectiveFeaturePermissions, EffectiveViewPermissions, NavTrail, Reader,
    Result, StorageError, Target, UnitOfWork,
};

/// The storage. Adapters implement it; all other code uses only this trait.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Reads of the latest committed state.
    fn reader(&self) -> &dyn Reader;

    /// Begins a change: takes the locks and raises the version of the target before anything else is read.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the locks cannot be had in time or the storage cannot be reached.
    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>>;

    /// Navigation trails.
    fn nav_trail(&self) -> &dyn NavTrail;

    /// Effective view permissions.
    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions;

    /// Effective feature permissions.
    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions;

    /// When API keys were last used.
    fn api_key_uses(&self) -> &dyn ApiKeyUses;

    /// The feed of committed changes.
    fn changes(&self) -> &dyn ChangeFeed;
}

/// Optional: whether the storage can be reached.
#[async_trait]
pub trait Health: Send + Sync {
    /// Asks the storage for an answer.
    ///
    /// # Errors
    ///
    /// `Unavailable` when there is none in time.
    async fn ping(&self) -> Result<()>;
}

/// How a connection pool is used at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections that are open.
    pub size: u32,
    /// Open connections that are idle.
    pub idle: u32,
    /// The maximum.
    pub max: u32,
}

/// Optional: the connection pool.
pub trait PoolStats: Send + Sync {
    /// The usage now.
    fn pool(&self) -> PoolUse;
}

/// An error that knows whether the whole unit of work may be retried.
pub trait Retryable {
    /// Whether the unit lost a race and left nothing behind.
    fn is_retryable(&self) -> bool;
}

impl Retryable for StorageError {
    fn is_retryable(&self) -> bool {
        Self::is_retryable(self)
    }
}

/// Work that is done in a unit of work. It may run more than once, each time in a new unit.
#[async_trait]
pub trait Work: Send + Sync {
    /// The result.
    type Output: Send;
    /// The error.
    type Error: From<StorageError> + Retryable + Send;

    /// Does the work. An error drops the unit of work.
    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Self::Output, Self::Error>;
}

/// How often a unit of work is tried.
const ATTEMPTS: u32 = 4;
/// How long to wait before the second attempt; each later one waits twice as long.
const BACK_OFF: Duration = Duration::from_millis(5);

/// Runs work in a unit of work and commits it; tries again when it lost a race (serialization failure, deadlock).
///
/// Cancelling this future drops the unit of work, which rolls it back, unless the commit was already under way: then
/// the outcome is unknown. Callers that must not be interrupted run it in a task of its own.
///
/// # Errors
///
/// The error of the work or of the storage; after four attempts also a lost race.
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
                tracing::debug!(attempt, "a unit of work lost a race and is tried again");
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
