//! The change feed: polls, which prove that a process knows every committed change, and wake-ups, which make the next
//! poll come sooner.

use std::fmt;

use async_trait::async_trait;
use iam_domain::CompanyId;

use crate::Result;

/// The id of a state of the catalog, of the credentials, or of a company.
///
/// The version grows with each committed change. Each change also sets a new random stamp, so that the states of two
/// histories (one of them restored from a backup) differ even if they have the same version. Two states are the same
/// only if both version and stamp are equal. An adapter whose history is never restored may leave the stamp 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StateId {
    /// The version; 0 before the first change.
    pub version: i64,
    /// The stamp of the change that led to this state; 0 before the first change.
    pub stamp: i64,
}

/// The position in the feed up to which changes were read. Its text is opaque to all but the adapter that created it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(String);

impl Position {
    /// Creates a position from the adapter's text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the adapter's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The changes that one poll found, and the current states, all read at the same moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The epoch that the versions belong to. All reads of the same database return the same epoch.
    pub epoch: u64,
    /// Further identification of the database, as far as the adapter can read it. A different value proves another
    /// history; an equal value proves nothing.
    pub identity: u64,
    /// The position from which the next poll continues.
    pub position: Position,
    /// Whether every change since the previous position is included. Always `false` for a poll without a position.
    pub is_continuous: bool,
    /// The catalog's state.
    pub catalog: StateId,
    /// The state of the credentials.
    pub credentials: StateId,
    /// The companies that changed since the previous position, each with its current state.
    pub companies: Vec<(CompanyId, StateId)>,
    /// Whether the poll proves anything only if a write is [acknowledged](ChangeFeed::acknowledge) after it. This is
    /// the case if the storage replicates synchronously: a primary that was replaced still responds to polls, but its
    /// writes are not acknowledged.
    pub needs_acknowledgement: bool,
}

/// The reason why a server is not the primary, so that its data may be outdated.
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
    /// The primary responded, with these changes.
    Primary(Changes),
    /// A server that is not the primary responded. Its data may be outdated, so nothing that was read from it may be
    /// used.
    NotPrimary(NotPrimary),
}

/// A feed of committed changes.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// Returns the changes after the position `since`. Every change that was committed before this call began is either
    /// part of the state at `since` or included in the result. Without a position, the result lists no companies: it
    /// serves to get a position, the epoch, and the states of the catalog and of the credentials. **Across companies**.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the storage cannot be reached in time.
    async fn poll(&self, since: Option<&Position>) -> Result<Polled>;

    /// Commits a write that does not count as a change, and returns once the storage has acknowledged it with the same
    /// durability as a change.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the write is not acknowledged in time.
    async fn acknowledge(&self) -> Result<()>;

    /// Assigns a new epoch to the history, unless another process has already replaced `epoch`. Call this function if
    /// versions went backwards although the epoch stayed the same.
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
/// A wake-up carries no data. A forged one costs a poll, and after a lost one the change is found by the next regular
/// poll.
#[async_trait]
pub trait WakeUps: Send {
    /// Waits for the next wake-up. Several wake-ups may be delivered as one. Cancelling this future loses none.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the subscription has ended; then call [`ChangeFeed::listen`] again.
    async fn next(&mut self) -> Result<()>;
}
