//! Which open connections are outdated, whatever pool they are of.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use tokio::sync::watch;

use crate::error::is_outdated;

/// Which connections are outdated, whatever pool they are of.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    reached: Mutex<Reached>,
    given_up: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Reached {
    /// The epoch that the latest poll read.
    latest: Option<u64>,
    /// When the epoch changed, or connections were found to be outdated. Connections from before are not used again.
    changed: Option<Instant>,
}

impl Epochs {
    /// Records the epoch that a poll read. Connections from before a change of it are not used again.
    pub(crate) fn saw(&self, epoch: u64) {
        let before = self.reached().latest.replace(epoch);
        if before.is_some_and(|before| before != epoch) {
            self.give_up("the history of the database is another one than before");
        }
    }

    /// Gives up all connections that are open now: they are not used again, and statements on them are not waited for.
    /// Their server is not the primary, or does not answer.
    pub(crate) fn give_up(&self, why: &str) {
        tracing::warn!(reason = why, "open connections are given up");
        self.reached().changed = Some(Instant::now());
        self.given_up.send_replace(());
    }

    /// Notified when open connections are given up, from now on.
    pub(crate) fn given_up(&self) -> watch::Receiver<()> {
        self.given_up.subscribe()
    }

    /// Whether a connection of this age is outdated.
    pub(crate) fn is_past(&self, age: Duration) -> bool {
        self.reached().changed.is_some_and(|changed| age > changed.elapsed())
    }

    /// Records the failure of a statement that began at `sent_at`: if its connection is outdated, all that are open now
    /// are, and none is used again. Statements that fail together report this once.
    pub(crate) fn note(&self, error: &DbErr, sent_at: Instant) {
        if !is_outdated(error) {
            return;
        }
        let mut reached = self.reached();
        if reached.changed.is_none_or(|changed| changed < sent_at) {
            tracing::warn!(%error, "a connection is outdated, and with it all that are open now");
            reached.changed = Some(Instant::now());
        }
    }

    fn reached(&self) -> MutexGuard<'_, Reached> {
        // Held for a look-up only, and consistent at every moment.
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
