//! Hearing of changes: how a process learns of what others committed, and that it still would.

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Result, Target};

/// A commit that can change a decision or a menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Notice {
    /// What was changed.
    pub target: Target,
    /// Its version after the change.
    pub version: i64,
}

/// A sign of life that comes back to who sent it. Others hear it too, and know that it is not theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Beat(Uuid);

impl Beat {
    /// A sign of life unlike any other.
    #[expect(clippy::new_without_default, reason = "a default would be the same each time")]
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }

    /// The sign of life that is written so.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// How it is written.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

/// What a subscriber hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Something was changed.
    Changed(Notice),
    /// Somebody sent a sign of life.
    Beat(Beat),
    /// Something may have been missed. It is the last that a subscription answers, for ever.
    Lost,
}

/// Optional ability: tells of committed changes, once each and in the order of their commits. Never of what is written
/// beside decisions, of what was rolled back, or of a change that can change no decision and no menu.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// Hears everything that commits after this has answered.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the storage cannot be reached in time.
    async fn subscribe(&self) -> Result<Box<dyn Subscription>>;

    /// Sends a sign of life the way that changes go. Subscribers hear it after every change that committed before it was
    /// sent.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the storage cannot be reached in time.
    async fn beat(&self, beat: Beat) -> Result<()>;
}

/// A place to hear from. Dropping it ends the subscription.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for what is heard next. Cancelling this future loses nothing.
    ///
    /// A channel that is broken without anybody noticing is silent, not lost: whoever must know sends [`Beat`]s.
    async fn next(&mut self) -> Heard;
}
