//! Replicas: doors to one storage that keep permissions of their own and hear of each other's changes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iam_http::HttpOptions;
use iam_permissions_cache::{CacheOptions, CacheStats, Permissions};
use iam_storage::{Beat, ChangeFeed, Heard, Result, Storage, StorageError, Subscription};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::api::{TestApi, patient};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must happen sooner or later.
pub async fn sooner_or_later<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("waited too long")
}

/// Asks again and again until it is so.
pub async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    sooner_or_later(async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// How a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Everything is heard.
    Whole,
    /// Signs of life are heard, changes are lost on the way: what no channel may do, so that nothing but what is tested
    /// brings the news.
    Deaf,
    /// It breaks, and cannot be opened.
    Broken,
}

/// The way on which a replica hears of changes.
pub struct Channel {
    feed: Arc<dyn ChangeFeed>,
    line: watch::Sender<Line>,
    last_beat: watch::Sender<Option<Beat>>,
}

impl Channel {
    /// Makes it so.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

fn broken() -> StorageError {
    StorageError::Unavailable { retryable: false, source: None }
}

#[async_trait]
impl ChangeFeed for Channel {
    async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        if *self.line.borrow() == Line::Broken {
            return Err(broken());
        }
        let subscription = self.feed.subscribe().await?;
        Ok(Box::new(Listener { subscription, line: self.line.subscribe(), last_beat: self.last_beat.clone() }))
    }

    async fn beat(&self, beat: Beat) -> Result<()> {
        if *self.line.borrow() == Line::Broken { Err(broken()) } else { self.feed.beat(beat).await }
    }
}

struct Listener {
    subscription: Box<dyn Subscription>,
    line: watch::Receiver<Line>,
    last_beat: watch::Sender<Option<Beat>>,
}

async fn breaks(line: &mut watch::Receiver<Line>) {
    let _ = line.wait_for(|line| *line == Line::Broken).await;
}

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> Heard {
        loop {
            let heard = tokio::select! {
                () = breaks(&mut self.line) => Heard::Lost,
                heard = self.subscription.next() => heard,
            };
            match heard {
                Heard::Changed(_) if *self.line.borrow() == Line::Deaf => {}
                Heard::Beat(beat) => {
                    self.last_beat.send_replace(Some(beat));
                    return heard;
                }
                _ => return heard,
            }
        }
    }
}

/// One of several processes, as far as they can tell.
pub struct Replica {
    pub api: TestApi,
    pub permissions: Arc<Permissions>,
    pub channel: Arc<Channel>,
    _follower: JoinSet<()>,
}

impl Replica {
    /// Another one of this storage. Its lease is so long that no test sees it end: what becomes new was heard.
    pub async fn of(api: &TestApi) -> Self {
        Self::with_options(api, CacheOptions { lease: PATIENCE * 10, ..patient() }).await
    }

    /// Another one of this storage. Over PostgreSQL it has its own connections.
    pub async fn with_options(api: &TestApi, options: CacheOptions) -> Self {
        let (storage, feed): (Arc<dyn Storage>, Arc<dyn ChangeFeed>) = match &api.database {
            Some(database) => {
                let storage = Arc::new(database.storage());
                (Arc::clone(&storage) as _, storage)
            }
            None => (Arc::clone(&api.storage), Arc::clone(api.feed.as_ref().expect("a storage that tells"))),
        };
        Self::over(api, storage, feed, options).await
    }

    /// Another one, of the storage behind this and by what this tells; it follows when this answers.
    pub async fn over(
        api: &TestApi,
        storage: Arc<dyn Storage>,
        feed: Arc<dyn ChangeFeed>,
        options: CacheOptions,
    ) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let permissions = Arc::new(Permissions::new(Arc::clone(&storage), runtime, options));
        let (line, last_beat) = (watch::Sender::new(Line::Whole), watch::Sender::default());
        let channel = Arc::new(Channel { feed, line, last_beat });
        let mut follower = JoinSet::new();
        let (following, followed) = (Arc::clone(&permissions), Arc::clone(&channel));
        follower.spawn(async move { following.follow(followed).await });
        let shared = Arc::clone(&permissions);
        let door = TestApi::answering(storage, shared, api.database.clone(), HttpOptions::default()).await;
        let replica = Self { api: door, permissions, channel, _follower: follower };
        until(async || replica.stats().age.is_some()).await;
        replica
    }

    /// What it keeps.
    pub fn stats(&self) -> CacheStats {
        self.permissions.stats()
    }

    /// Waits until it has heard of everything that has committed by now.
    pub async fn hears_everything(&self) {
        let (beat, mut last) = (Beat::new(), self.channel.last_beat.subscribe());
        sooner_or_later(async {
            self.channel.feed.beat(beat).await.unwrap();
            last.wait_for(|last| *last == Some(beat)).await.unwrap();
        })
        .await;
    }
}
