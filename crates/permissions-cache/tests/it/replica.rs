//! Services for tests. Replicas follow the changes of a shared store, and tests can interrupt their change feeds. Other
//! services for tests do not follow changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use iam_permissions_cache::{CacheOptions, Consistency, Permissions};
use iam_storage::{
    ApiKeyUses, ChangeContext, ChangeFeed, EffectiveFeaturePermissions, EffectiveViewPermissions, IdempotencyKeys,
    NavTrail, Polled, Position, Reader, Result, Sessions, Storage, StorageError, Target, UnitOfWork, WakeUps,
};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, yield_now};

use crate::store::{Store, eventually};
use crate::world::see;

/// The state of a replica's connection to the change feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FeedConnection {
    Open,
    /// Polls wait until the connection is open again, and there are no wake-ups.
    Silent,
    /// Polls fail, and there are no wake-ups.
    Cut,
}

/// The change feed of a replica, which tests can interrupt. All other calls go directly to the store.
pub(crate) struct InterruptibleFeed {
    store: Arc<Store>,
    air: watch::Sender<FeedConnection>,
    nudge: Arc<Notify>,
    /// The number of polls that have begun.
    polls: AtomicUsize,
}

impl InterruptibleFeed {
    fn new(store: &Arc<Store>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            air: watch::Sender::new(FeedConnection::Open),
            nudge: Arc::default(),
            polls: AtomicUsize::new(0),
        })
    }

    /// Blocks polls, and suppresses wake-ups.
    pub(crate) fn silence(&self) {
        self.air.send_replace(FeedConnection::Silent);
    }

    /// Makes polls fail, and suppresses wake-ups.
    pub(crate) fn cut(&self) {
        self.air.send_replace(FeedConnection::Cut);
    }

    /// Delivers polls and wake-ups again.
    pub(crate) fn open(&self) {
        self.air.send_replace(FeedConnection::Open);
    }

    /// Waits until the result of a poll that began after this call has been applied.
    pub(crate) async fn heard_all(&self) {
        let before = self.polls.load(Ordering::SeqCst);
        // One poll may already be in progress. When the second new poll begins, the result of the first new poll has
        // been applied.
        eventually("the replica polls twice", || {
            self.nudge.notify_one();
            self.polls.load(Ordering::SeqCst) >= before + 2
        })
        .await;
    }
}

#[async_trait]
impl ChangeFeed for InterruptibleFeed {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled> {
        let mut air = self.air.subscribe();
        let now = *air.wait_for(|air| *air != FeedConnection::Silent).await.unwrap();
        if now == FeedConnection::Cut {
            return Err(StorageError::Unavailable { retryable: false, source: Some("cut".into()) });
        }
        self.polls.fetch_add(1, Ordering::SeqCst);
        self.store.poll(since).await
    }

    async fn acknowledge(&self) -> Result<()> {
        self.store.acknowledge().await
    }

    async fn renew(&self, epoch: u64) -> Result<()> {
        self.store.renew(epoch).await
    }

    async fn listen(&self) -> Result<Box<dyn WakeUps>> {
        let (air, nudge) = (self.air.subscribe(), Arc::clone(&self.nudge));
        Ok(Box::new(Tuned { air, nudge, commits: self.store.listen().await? }))
    }
}

/// A subscription that delivers a wake-up after each commit while the connection is open, and whenever the test
/// requests a poll.
struct Tuned {
    air: watch::Receiver<FeedConnection>,
    nudge: Arc<Notify>,
    commits: Box<dyn WakeUps>,
}

#[async_trait]
impl WakeUps for Tuned {
    async fn next(&mut self) -> Result<()> {
        loop {
            tokio::select! {
                () = self.nudge.notified() => return Ok(()),
                woken = self.commits.next() => {
                    woken?;
                    if *self.air.borrow() == FeedConnection::Open {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// The storage of one replica: the shared store, with the replica's own change feed.
struct Seen {
    store: Arc<Store>,
    radio: Arc<InterruptibleFeed>,
}

#[async_trait]
impl Storage for Seen {
    fn reader(&self) -> &dyn Reader {
        self.store.as_ref()
    }

    async fn snapshot(&self) -> Result<Box<dyn Reader>> {
        Storage::snapshot(self.store.as_ref()).await
    }

    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>> {
        self.store.begin(target, context).await
    }

    fn nav_trail(&self) -> &dyn NavTrail {
        self.store.nav_trail()
    }

    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions {
        self.store.effective_view_permissions()
    }

    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions {
        self.store.effective_feature_permissions()
    }

    fn api_key_uses(&self) -> &dyn ApiKeyUses {
        self.store.api_key_uses()
    }

    fn idempotency_keys(&self) -> &dyn IdempotencyKeys {
        self.store.idempotency_keys()
    }

    fn sessions(&self) -> &dyn Sessions {
        self.store.sessions()
    }

    fn changes(&self) -> &dyn ChangeFeed {
        self.radio.as_ref()
    }
}

/// A service that follows the changes of a store.
pub(crate) struct Replica {
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) radio: Arc<InterruptibleFeed>,
    follower: JoinHandle<()>,
}

impl Replica {
    /// Creates a replica, and waits until it holds a lease.
    pub(crate) async fn new(store: &Arc<Store>, options: CacheOptions) -> Self {
        let replica = Self::starting(store, options);
        eventually("a poll confirms the cached data", || replica.permissions.stats().age.is_some()).await;
        replica
    }

    /// Creates a replica without waiting for its first poll.
    pub(crate) fn starting(store: &Arc<Store>, options: CacheOptions) -> Self {
        let radio = InterruptibleFeed::new(store);
        let seen = Arc::new(Seen { store: Arc::clone(store), radio: Arc::clone(&radio) });
        let permissions = Arc::new(Permissions::new(seen, Handle::current(), options));
        let follower = tokio::spawn({
            let permissions = Arc::clone(&permissions);
            async move { permissions.follow().await }
        });
        Self { permissions, radio, follower }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Creates a service that does not follow changes.
pub(crate) fn alone(store: &Arc<Store>, options: CacheOptions) -> Arc<Permissions> {
    let storage: Arc<dyn Storage> = Arc::<Store>::clone(store);
    Arc::new(Permissions::new(storage, Handle::current(), options))
}

/// Returns options with a lease that is longer than any test.
pub(crate) fn patient() -> CacheOptions {
    let minute = Duration::from_secs(60);
    CacheOptions { lease: minute, load_timeout: minute, ..CacheOptions::default() }
}

/// Checks in a separate task whether the user may see view 0.
pub(crate) fn ask(permissions: &Arc<Permissions>, who: usize, consistency: Consistency) -> JoinHandle<Result<bool>> {
    let permissions = Arc::clone(permissions);
    tokio::spawn(async move { see(&permissions, 0, who, consistency).await })
}

/// Waits until `count` requests have missed the cache.
pub(crate) async fn waiting(permissions: &Permissions, count: u64) {
    eventually("all requests wait", || permissions.stats().misses == count).await;
    for _ in 0..10 {
        yield_now().await;
    }
}
