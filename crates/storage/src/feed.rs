//! The change feed: polls report every committed change, and wake-ups (notifications) make the next poll come sooner.

use std::fmt;

use async_trait::async_trait;
use iam_domain::CompanyId;

use crate::Result;

/// Identifies the state of the catalog, of the credentials, or of a company: a version with the random stamp of its
/// change.
///
/// Each committed change increases the version and sets a new random stamp. The stamp distinguishes equal versions of
/// two database timelines, one of which was restored from a backup. Two states are the same only if both version and
/// stamp are equal. An adapter whose database is never restored may leave the stamp 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StateId {
    /// The version; 0 before the first change.
    pub version: i64,
    /// The random stamp of the change that produced this version; 0 before the first change.
    pub stamp: i64,
}

/// The position in the feed up to which changes were read. The string is opaque to all code except the adapter that
/// created it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(String);

impl Position {
    /// Creates a position from the adapter's string.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the adapter's string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The changes that one poll found, and the current versions, all read in one consistent snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The epoch that the versions belong to. It identifies the database timeline: all reads of the same timeline
    /// return the same epoch.
    pub epoch: u64,
    /// A further identifier of the database, as far as the adapter can read one. A different value means another
    /// database timeline; an equal value does not rule out another timeline.
    pub identity: u64,
    /// The position from which the next poll continues.
    pub position: Position,
    /// Whether every change since the previous position is included. Always `false` for a poll without a position.
    pub is_continuous: bool,
    /// The current version and stamp of the catalog.
    pub catalog: StateId,
    /// The current version and stamp of the credentials.
    pub credentials: StateId,
    /// The companies that changed since the previous position, each with its current version and stamp.
    pub companies: Vec<(CompanyId, StateId)>,
    /// Whether the poll confirms that no change was missed only if a write is [acknowledged](ChangeFeed::acknowledge)
    /// after it. This is the case if the storage replicates synchronously: a primary that was replaced still responds
    /// to polls, but its writes are not acknowledged.
    pub needs_acknowledgement: bool,
}

/// The reason why a server is not the primary. The data of such a server may be outdated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotPrimary {
    /// The server is a standby in recovery: it replays the changes of another server.
    InRecovery,
    /// The server rejects writes.
    ReadOnly,
}

impl fmt::Display for NotPrimary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InRecovery => "the database is a standby in recovery",
            Self::ReadOnly => "the database is read-only",
        })
    }
}

/// The result of a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// The primary responded with these changes.
    Primary(Changes),
    /// A server other than the primary responded. Its data may be outdated and must not be used.
    NotPrimary(NotPrimary),
}

/// A feed of committed changes.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// Returns the changes after the position `since`. Every change that was committed before this call began is either
    /// covered by `since` or included in the result. Without a position, the result lists no companies: such a poll
    /// serves to get a position, the epoch, and the versions of the catalog and of the credentials. **Across
    /// companies**.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the storage cannot be reached in time.
    async fn poll(&self, since: Option<&Position>) -> Result<Polled>;

    /// Commits a write that is not a change, and returns once the storage has acknowledged it with the same durability
    /// as a change.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the write is not acknowledged in time.
    async fn acknowledge(&self) -> Result<()>;

    /// Assigns a new epoch to the database timeline, unless another process has already replaced `epoch`. Call this
    /// function if versions went back although the epoch stayed the same.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the storage cannot be reached in time.
    async fn renew(&self, epoch: u64) -> Result<()>;

    /// Subscribes to wake-ups. The subscription is active when this function returns.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the storage cannot be reached in time.
    async fn listen(&self) -> Result<Box<dyn WakeUps>>;
}

/// A subscription to wake-ups, which hint that a poll may find changes. Dropping it ends the subscription.
///
/// A wake-up carries no data. A forged wake-up only costs a poll. If a wake-up is lost, the next regular poll finds the
/// change.
#[async_trait]
pub trait WakeUps: Send {
    /// Waits for the next wake-up. Several wake-ups may be delivered as one. Cancelling this future does not lose
    /// wake-ups.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the subscription has ended; then call [`ChangeFeed::listen`] again.
    async fn next(&mut self) -> Result<()>;
}
