//! Reading what changed: how a process proves that it knows every change, and what wakes it to poll.

use std::fmt;

use async_trait::async_trait;
use iam_domain::CompanyId;

use crate::Result;

/// One state of the catalog, of the credentials, or of a company.
///
/// The version grows with each committed change. The stamp is random and new with each change, so that two histories
/// which reach the same version (one of them restored from a backup) still differ. Two states are the same only if
/// both agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StateId {
    /// The version; 0 before the first change.
    pub version: i64,
    /// The stamp of the change that made it; 0 before the first change.
    pub stamp: i64,
}

/// The position up to which changes were read: opaque text of the adapter that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(String);

impl Position {
    /// A position from the adapter's text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The adapter's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The result of one poll, of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The history that the versions are of: the epoch of every other read of the same database.
    pub epoch: u64,
    /// Further identity of the database, as far as the adapter can read it. A difference proves another history;
    /// equality proves nothing.
    pub identity: u64,
    /// Where the next poll continues.
    pub position: Position,
    /// Whether every change since the previous position is included. `false` also for a poll without one.
    pub is_continuous: bool,
    /// The catalog's state.
    pub catalog: StateId,
    /// The state of the credentials.
    pub credentials: StateId,
    /// The companies that changed since the previous position, each with its state now.
    pub companies: Vec<(CompanyId, StateId)>,
    /// Whether the poll proves something only together with an [acknowledgement](ChangeFeed::acknowledge): the storage
    /// is replicated synchronously, and a replaced primary cannot acknowledge.
    pub needs_acknowledgement: bool,
}

/// Why the answers of a storage do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotPrimary {
    /// It replays the changes of another server.
    InRecovery,
    /// It refuses writes.
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
    /// The primary, and what changed.
    Primary(Changes),
    /// A server whose answers may be outdated: nothing that was read from it counts.
    NotPrimary(NotPrimary),
}

/// Reports what was committed.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// Reads what changed since `since`. Every change that committed before this call began is part of the state at
    /// that position, or of the answer. Without a position, the answer has only the position and the states of the
    /// catalog and of the credentials. **Across companies**.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the storage cannot be reached in time.
    async fn poll(&self, since: Option<&Position>) -> Result<Polled>;

    /// Commits a write without effect, and returns once the storage acknowledges it as durably as a change.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it is not acknowledged in time.
    async fn acknowledge(&self) -> Result<()>;

    /// Gives the history a new epoch, unless another process has done so since `epoch` was read. Call it when versions
    /// went back although the epoch stayed the same.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the storage cannot be reached in time.
    async fn renew(&self, epoch: u64) -> Result<()>;

    /// Listens for wake-ups, from the moment this returns.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the storage cannot be reached in time.
    async fn listen(&self) -> Result<Box<dyn WakeUps>>;
}

/// Hints that a poll may find something. Dropping it ends the listening.
///
/// A wake-up claims nothing: one that is forged costs a poll, one that is lost costs time until the next poll.
#[async_trait]
pub trait WakeUps: Send {
    /// Waits for the next wake-up; several may arrive as one. Cancelling this future loses none.
    ///
    /// # Errors
    ///
    /// `Unavailable` when no more will come: listen again.
    async fn next(&mut self) -> Result<()>;
}
