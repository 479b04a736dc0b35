//! The sessions of people who are signed in to the console.

use std::fmt;

use async_trait::async_trait;
use iam_domain::Timestamp;

use crate::Result;

/// The SHA-256 digest of the key of a session. The key itself is known only to the browser, so a copy of the stored data
/// grants no access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionDigest(pub [u8; 32]);

impl fmt::Debug for SessionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionDigest(…)")
    }
}

/// A session.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// The content of the session. The storage does not interpret it.
    pub content: String,
    /// The time at which the session ends, even if it is in use.
    pub ends_at: Timestamp,
    /// The time at which the session ends unless it is extended. It is not after `ends_at`.
    pub expires_at: Timestamp,
}

impl fmt::Debug for StoredSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ends_at, expires_at, .. } = self;
        f.debug_struct("StoredSession")
            .field("ends_at", ends_at)
            .field("expires_at", expires_at)
            .finish_non_exhaustive()
    }
}

/// Operations on sessions. They see the latest committed data, and run outside units of work.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Returns the session with this digest, unless it has expired at the time `now`.
    async fn find(&self, digest: &SessionDigest, now: Timestamp) -> Result<Option<StoredSession>>;
    /// Stores a new session. If a session with this digest exists, it is replaced.
    async fn create(&self, digest: &SessionDigest, session: &StoredSession) -> Result<()>;
    /// Replaces the content of a session, and extends it until this time, but not beyond its end. Returns `false` if there
    /// is no such session: a session that has ended is not stored again.
    async fn update(&self, digest: &SessionDigest, content: &str, expires_at: Timestamp) -> Result<bool>;
    /// Extends a session until this time, but not beyond its end. Its content is not changed. Returns `false` if there is no
    /// such session.
    async fn extend(&self, digest: &SessionDigest, expires_at: Timestamp) -> Result<bool>;
    /// Ends a session.
    async fn delete(&self, digest: &SessionDigest) -> Result<()>;
    /// Deletes at most `limit` expired sessions and returns their number.
    async fn delete_expired(&self, limit: u64) -> Result<u64>;
}
