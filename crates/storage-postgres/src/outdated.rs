//! Which open connections are outdated, across all pools of a storage.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use tokio::sync::watch;

use crate::error;

/// The record of which connections are outdated: those to another history of the database, to a server that is not the
/// primary, or to one that does not answer.
#[derive(Debug, Default)]
pub(crate) struct OutdatedConnections {
    state: Mutex<State>,
    discarded: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The epoch that the latest poll read.
    latest: Option<u64>,
    /// When the epoch changed, or connections were found to be outdated. Connections from before are not used again.
    changed: Option<Instant>,
}

impl OutdatedConnections {
    /// Records the epoch that a poll read. Connections from before a change of it are not used again.
    pub(crate) fn observe_epoch(&self, epoch: u64) {
        let before = self.state().latest.replace(epoch);
        if before.is_some_and(|before| before != epoch) {
            self.discard_open("the history of the database is another one than before");
        }
    }

    /// Discards all connections that are open now: they are not used again, and statements on them are not waited for.
    pub(crate) fn discard_open(&self, why: &str) {
        tracing::warn!(reason = why, "open connections are discarded");
        self.state().changed = Some(Instant::now());
        self.discarded.send_replace(());
    }

    /// Returns a receiver that is notified when open connections are discarded, from now on.
    pub(crate) fn discarded(&self) -> watch::Receiver<()> {
        self.discarded.subscribe()
    }

    /// Whether a connection of this age is outdated.
    pub(crate) fn is_outdated(&self, age: Duration) -> bool {
        self.state().changed.is_some_and(|changed| age > changed.elapsed())
    }

    /// Records the error of a statement that was sent at `sent_at`. If it shows an outdated connection, all connections
    /// that are open now count as outdated, and none is used again. Statements that fail together log this once.
    pub(crate) fn record_error(&self, error: &DbErr, sent_at: Instant) {
        if !error::is_outdated(error) {
            return;
        }
        let mut state = self.state();
        if state.changed.is_none_or(|changed| changed < sent_at) {
            tracing::warn!(%error, "a connection is outdated, and with it all that are open now");
            state.changed = Some(Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Held for a look-up only, and consistent at every moment, so a poisoned lock is usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
