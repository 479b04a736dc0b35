//! Replicas of the service inside the test process. A replica is an API instance with its own cache. All replicas use
//! one storage and detect each other's changes through the change feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use iam_http::HttpOptions;
use iam_permissions_cache::{CacheOptions, CacheStats, Permissions};
use iam_storage::{
    ApiKeyUses, ChangeContext, ChangeFeed, EffectiveFeaturePermissions, EffectiveViewPermissions, IdempotencyKeys,
    NavTrail, Polled, Position, Reader, Result, Sessions, Storage, StorageError, Target, UnitOfWork, WakeUps,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::api::{TestApi, patient};

/// Timeout for each wait. If it expires, the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a future, for at most 60 s.
pub async fn sooner_or_later<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("the future must complete within 60 s")
}

/// Evaluates the condition repeatedly until it is `true`, for at most 60 s.
pub async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    sooner_or_later(async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// The state of the connection between a replica and the change feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Polls and wake-ups work.
    Whole,
    /// Polls do not return, so the replica detects changes only through the mechanism under test. The replica's lease
    /// is long and remains valid.
    Stalled,
    /// Polls fail, and listening for wake-ups fails.
    Broken,
}

/// The change feed of one replica. A test sets the state of its connection.
pub struct Channel {
    storage: Arc<dyn Storage>,
    line: watch::Sender<Line>,
    nudge: Arc<Notify>,
    /// Number of polls that have begun.
    polls: AtomicUsize,
}

impl Channel {
    /// Sets the state of the connection.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

fn broken() -> StorageError {
    StorageError::Unavailable { retryable: false, source: None }
}

#[async_trait]
impl ChangeFeed for Channel {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        let mut lines = self.line.subscribe();
        loop {
            let line = *lines.wait_for(|line| *line != Line::Stalled).await.unwrap();
            if line == Line::Broken {
                return Err(broken());
            }
            let polled = self.storage.changes().poll(since).await;
            // If the connection has stalled during the poll, the replica must not receive the changes that the poll has
            // read.
            if *lines.borrow() != Line::Stalled {
                return polled;
            }
        }
    }

    async fn acknowledge(&self) -> Result<()> {
        self.storage.changes().acknowledge().await
    }

    async fn renew(&self, epoch: u64) -> Result<()> {
        self.storage.changes().renew(epoch).await
    }

    async fn listen(&self) -> Result<Box<dyn WakeUps>> {
        if *self.line.borrow() == Line::Broken {
            return Err(broken());
        }
        let wake_ups = self.storage.changes().listen().await?;
        Ok(Box::new(Listener { wake_ups, line: self.line.subscribe(), nudge: Arc::clone(&self.nudge) }))
    }
}

struct Listener {
    wake_ups: Box<dyn WakeUps>,
    line: watch::Receiver<Line>,
    nudge: Arc<Notify>,
}

#[async_trait]
impl WakeUps for Listener {
    async fn next(&mut self) -> Result<()> {
        tokio::select! {
            _ = self.line.wait_for(|line| *line == Line::Broken) => Err(broken()),
            () = self.nudge.notified() => Ok(()),
            woken = self.wake_ups.next() => woken,
        }
    }
}

/// The storage of one replica. Its change feed is replaced with a [`Channel`]; all other calls go directly to the inner
/// storage.
struct Reached {
    storage: Arc<dyn Storage>,
    channel: Arc<Channel>,
}

#[async_trait]
impl Storage for Reached {
    fn reader(&self) -> &dyn Reader {
        self.storage.reader()
    }

    async fn snapshot(&self) -> Result<Box<dyn Reader>> {
        self.storage.snapshot().await
    }

    async fn begin(&self, target: Target, context: ChangeContext) -> Result<Box<dyn UnitOfWork>> {
        self.storage.begin(target, context).await
    }

    fn nav_trail(&self) -> &dyn NavTrail {
        self.storage.nav_trail()
    }

    fn effective_view_permissions(&self) -> &dyn EffectiveViewPermissions {
        self.storage.effective_view_permissions()
    }

    fn effective_feature_permissions(&self) -> &dyn EffectiveFeaturePermissions {
        self.storage.effective_feature_permissions()
    }

    fn api_key_uses(&self) -> &dyn ApiKeyUses {
        self.storage.api_key_uses()
    }

    fn idempotency_keys(&self) -> &dyn IdempotencyKeys {
        self.storage.idempotency_keys()
    }

    fn sessions(&self) -> &dyn Sessions {
        self.storage.sessions()
    }

    fn changes(&self) -> &dyn ChangeFeed {
        self.channel.as_ref()
    }
}

/// A replica of the service inside the test process.
pub struct Replica {
    pub api: TestApi,
    pub permissions: Arc<Permissions>,
    pub channel: Arc<Channel>,
    _follower: JoinSet<()>,
}

impl Replica {
    /// Starts a replica on the storage of `api`. The lease is too long to expire during a test, so the replica detects
    /// changes only through polls and wake-ups.
    pub async fn of(api: &TestApi) -> Self {
        Self::with_options(api, CacheOptions { lease: PATIENCE * 10, ..patient() }).await
    }

    /// Starts a replica on the storage of `api` with the given cache options. On PostgreSQL the replica has its own
    /// connection pool.
    pub async fn with_options(api: &TestApi, options: CacheOptions) -> Self {
        let storage: Arc<dyn Storage> = match &api.database {
            Some(database) => Arc::new(database.storage()),
            None => Arc::clone(&api.storage),
        };
        Self::over(api, storage, options).await
    }

    /// Starts a replica on the given storage. When this function returns, the replica is polling for changes.
    pub async fn over(api: &TestApi, storage: Arc<dyn Storage>, options: CacheOptions) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let channel = Arc::new(Channel {
            storage: Arc::clone(&storage),
            line: watch::Sender::new(Line::Whole),
            nudge: Arc::default(),
            polls: AtomicUsize::new(0),
        });
        let storage: Arc<dyn Storage> = Arc::new(Reached { storage, channel: Arc::clone(&channel) });
        let permissions = Arc::new(Permissions::new(Arc::clone(&storage), runtime, options));
        let mut follower = JoinSet::new();
        let following = Arc::clone(&permissions);
        follower.spawn(async move { following.follow().await });
        let shared = Arc::clone(&permissions);
        let router = TestApi::answering(storage, shared, api.database.clone(), HttpOptions::default()).await;
        let replica = Self { api: router, permissions, channel, _follower: follower };
        until(async || replica.stats().age.is_some()).await;
        replica
    }

    /// Returns the statistics of the replica's cache.
    pub fn stats(&self) -> CacheStats {
        self.permissions.stats()
    }

    /// Returns the number of polls that the replica has begun.
    pub fn polls(&self) -> usize {
        self.channel.polls.load(Ordering::SeqCst)
    }

    /// Waits until the replica has applied every change that was committed before the call.
    pub async fn catch_up(&self) {
        let before = self.polls();
        // A poll that began before the call may miss the latest changes. Once two further polls have begun, the first
        // of these two has ended. It began after the call, and its result has been applied.
        until(async || {
            self.channel.nudge.notify_one();
            self.polls() >= before + 2
        })
        .await;
    }
}
