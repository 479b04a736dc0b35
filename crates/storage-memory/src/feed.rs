//! The change feed: polls for committed changes, and wake-ups within the process.

use async_trait::async_trait;
use iam_storage::{ChangeFeed, Changes, Polled, Position, Result, StateId, StorageError, WakeUps};
use tokio::sync::watch;

use crate::storage::MemoryStorage;

/// Returns the identifier of a state. The stamp is always 0. This storage is never restored from a backup, so the
/// version alone identifies a state.
const fn state(version: i64) -> StateId {
    StateId { version, stamp: 0 }
}

#[async_trait]
impl ChangeFeed for MemoryStorage {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled> {
        let (now, epoch) = (self.shared().state.load(), self.shared().epoch);
        let since =
            since.map(|position| position.as_str().parse::<u64>()).transpose().map_err(StorageError::corrupt)?;
        let changed = since.into_iter().flat_map(|since| now.log.since(since));
        Ok(Polled::Primary(Changes {
            epoch,
            identity: epoch,
            position: Position::new(now.log.latest.to_string()),
            is_continuous: since.is_some(),
            catalog: state(now.catalog.version),
            credentials: state(now.credentials.version),
            companies: changed.map(|company| (company, state(now.company(company).version))).collect(),
            delays: Vec::new(),
            now: self.shared().clock.read(),
            needs_acknowledgement: false,
        }))
    }

    async fn acknowledge(&self) -> Result<()> {
        Ok(())
    }

    async fn renew(&self, _epoch: u64) -> Result<()> {
        Err(StorageError::Misuse("the versions of an in-memory storage never decrease"))
    }

    async fn listen(&self) -> Result<Box<dyn WakeUps>> {
        Ok(Box::new(Commits(self.shared().commits.subscribe())))
    }
}

/// A subscription that receives a wake-up after each commit.
struct Commits(watch::Receiver<()>);

#[async_trait]
impl WakeUps for Commits {
    async fn next(&mut self) -> Result<()> {
        let gone = |error| StorageError::Unavailable { retryable: false, source: Some(Box::new(error)) };
        self.0.changed().await.map_err(gone)
    }
}
