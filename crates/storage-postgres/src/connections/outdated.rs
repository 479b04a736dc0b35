//! Tracks which open connections are outdated, across all pools of a storage.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use tokio::sync::watch;

use crate::error;

/// The record of outdated connections. A connection is outdated in four cases: its server has another epoch (after a
/// restore or a failover), its server is not the primary, its server does not respond, or its prepared statements are
/// no longer valid.
#[derive(Debug, Default)]
pub(crate) struct OutdatedConnections {
    state: Mutex<State>,
    /// Notifies the statements that wait for a response when all open connections are discarded.
    discarded: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The epoch that the latest poll read.
    latest: Option<u64>,
    /// The time when the epoch last changed, or when a connection was last found to be outdated. Connections that were
    /// opened before this time are not used again.
    changed: Option<Instant>,
}

impl OutdatedConnections {
    /// Records the epoch that a poll read. If the epoch differs from the previous one, all open connections are
    /// discarded.
    pub(crate) fn observe_epoch(&self, epoch: u64) {
        let before = self.state().latest.replace(epoch);
        if before.is_some_and(|before| before != epoch) {
            self.discard_open("the epoch of the database has changed");
        }
    }

    /// Discards all connections that are open now: they are not used again, and statements that still wait for a
    /// response on them fail.
    pub(crate) fn discard_open(&self, why: &str) {
        tracing::warn!(reason = why, "discarding all open database connections");
        self.state().changed = Some(Instant::now());
        self.discarded.send_replace(());
    }

    /// Returns a receiver that is notified whenever open connections are discarded after this call.
    pub(crate) fn discarded(&self) -> watch::Receiver<()> {
        self.discarded.subscribe()
    }

    /// Returns `true` if a connection of this age is outdated.
    pub(crate) fn is_outdated(&self, age: Duration) -> bool {
        self.state().changed.is_some_and(|changed| age > changed.elapsed())
    }

    /// Records the error of a statement that was sent at `sent_at`. If the error shows that the statement's connection
    /// is outdated, all connections that are open now count as outdated and are not used again. If several statements
    /// fail at the same time, only one log message is written.
    pub(crate) fn record_error(&self, error: &DbErr, sent_at: Instant) {
        if !error::is_outdated(error) {
            return;
        }
        let mut state = self.state();
        if state.changed.is_none_or(|changed| changed < sent_at) {
            tracing::warn!(
                error = error as &dyn Error,
                "the open database connections are outdated and will be replaced"
            );
            state.changed = Some(Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The lock guards only single reads and assignments, so the state is consistent even if the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
