//! The change feed. Polls report every committed change. Wake-ups (notifications) trigger the next poll before its
//! regular time.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{CompanyId, Timestamp};

use crate::Result;

/// Identifies one state of the catalog, the credentials or a company. It consists of the version, and the random stamp
/// of the change that produced this version.
///
/// Each committed change increments the version and sets a new random stamp. The stamp distinguishes states that have
/// the same version in different database histories, for example before and after a restore from a backup. Two states
/// are the same only if both version and stamp are equal. An adapter whose database is never restored may always use
/// the stamp 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StateId {
    /// The version; 0 before the first change.
    pub version: i64,
    /// The random stamp of the change that produced this version; 0 before the first change.
    pub stamp: i64,
}

/// An opaque cursor: the position up to which the changes of the feed were read. The cursor contains a string that only
/// the adapter that created it can interpret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(String);

impl Position {
    /// Creates a position from the string in which the adapter encodes the position.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the string in which the adapter encodes the position.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The result of one poll: the changed companies and the current versions, all read in one consistent snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The epoch, which identifies the database history. Versions are comparable only within one epoch.
    pub epoch: u64,
    /// A second identifier of the database history, or a constant if the adapter cannot read one. If the value changes,
    /// the database has another history. An unchanged value does not prove that the history is the same.
    pub identity: u64,
    /// The position from which the next poll continues.
    pub position: Position,
    /// Whether the result contains every change since the position that the caller passed to the poll. Always `false`
    /// for a poll without a position.
    pub is_continuous: bool,
    /// The current version and stamp of the catalog.
    pub catalog: StateId,
    /// The current version and stamp of the credentials.
    pub credentials: StateId,
    /// The companies that changed since the position that the caller passed to the poll, each with its current version
    /// and stamp.
    pub companies: Vec<(CompanyId, StateId)>,
    /// For each reported change, the time that has passed since it was made, by the storage's clock when the poll began.
    /// Contains the changes to the catalog and to the credentials, too. Empty if the storage does not record the time of
    /// changes.
    pub delays: Vec<Duration>,
    /// The time of the storage's clock after the poll began. The clock determines when assignments start and end.
    pub now: Timestamp,
    /// Whether the caller must also call [`ChangeFeed::acknowledge`] before this poll confirms the cached data. This is
    /// required with synchronous replication. After a failover, the old primary may still respond to polls (split
    /// brain), but the standbys no longer acknowledge its writes. An acknowledged write therefore shows that the server
    /// is still the primary.
    pub needs_acknowledgement: bool,
}

/// The reason why the server that responded is not the primary. The data of such a server may be outdated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotPrimary {
    /// The server is in recovery: it is a standby that replays the write-ahead log of another server.
    InRecovery,
    /// The server is read-only: it rejects writes.
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

/// The feed of committed changes, which each replica polls to keep its cache up to date.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// Returns the changes after the position `since`. Every change that was committed before this call began is either
    /// covered by `since` or included in the result. A poll without a position lists no companies. It returns the
    /// current position, the epoch, and the versions of the catalog and of the credentials. **Across companies**: a
    /// poll reports the changes to all companies.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the storage cannot be reached in time.
    async fn poll(&self, since: Option<&Position>) -> Result<Polled>;

    /// Commits a write that changes no target. Returns as soon as the storage has acknowledged the write with the same
    /// durability guarantee as the commit of a change.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the write is not acknowledged in time.
    async fn acknowledge(&self) -> Result<()>;

    /// Assigns a new epoch to the database history if the current epoch is still `epoch`. Because of this
    /// compare-and-swap, concurrent processes replace an epoch only once. Call this function if a version has decreased
    /// within one epoch.
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

/// A subscription to wake-ups. A wake-up is a notification that the next poll may return changes. Dropping the
/// subscription cancels it.
///
/// A wake-up carries no data. A forged wake-up only causes an extra poll. If a wake-up is lost, the next regular poll
/// reports the change.
#[async_trait]
pub trait WakeUps: Send {
    /// Waits for the next wake-up. Several wake-ups may be coalesced into one. The method is cancel-safe: cancelling
    /// its future loses no wake-up.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the subscription was terminated. The caller can subscribe again with
    /// [`ChangeFeed::listen`].
    async fn next(&mut self) -> Result<()>;
}
