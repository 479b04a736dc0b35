//! Records recent connection failures, and determines which check an idle connection needs as a result.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The times of the latest failures of a pool's connections.
#[derive(Debug, Default)]
pub(crate) struct ConnectionFailures(Mutex<Latest>);

#[derive(Debug, Default, Clone, Copy)]
struct Latest {
    /// The time when a connection last broke, or when a statement last received no response in time.
    lost: Option<Instant>,
    /// The time when a ping last timed out.
    silent: Option<Instant>,
}

/// The check that an idle connection needs before use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleCheck {
    /// No special check is needed, because no other connection has failed since this connection became idle.
    Use,
    /// Ping the connection before use, because another connection was lost since this connection became idle.
    Ping,
    /// Close the connection without a ping, because a ping of another connection timed out since this connection became
    /// idle. Pinging several idle connections one after the other would add up their timeouts.
    Close,
}

impl ConnectionFailures {
    /// Records that a connection broke, or that a statement on it received no response in time.
    pub(crate) fn record_loss(&self) {
        self.latest().lost = Some(Instant::now());
    }

    /// Records that a ping timed out. The pinged connection is probably half-open, because a firewall or proxy has
    /// dropped it.
    pub(crate) fn record_silence(&self) {
        self.latest().silent = Some(Instant::now());
    }

    /// Returns the check that a connection needs if it has been idle for this time.
    pub(crate) fn check(&self, idle_for: Duration) -> IdleCheck {
        let latest = *self.latest();
        let since = |at: Option<Instant>| at.is_some_and(|at| idle_for > at.elapsed());
        if since(latest.silent) {
            IdleCheck::Close
        } else if since(latest.lost) {
            IdleCheck::Ping
        } else {
            IdleCheck::Use
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        // The lock guards only single reads and assignments, so the state is consistent even if the lock is poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_affects_only_connections_that_were_already_idle() {
        let failures = ConnectionFailures::default();
        let (before, after) = (Duration::from_secs(60), Duration::ZERO);
        assert_eq!(failures.check(before), IdleCheck::Use);
        failures.record_loss();
        assert_eq!((failures.check(before), failures.check(after)), (IdleCheck::Ping, IdleCheck::Use));
        failures.record_silence();
        assert_eq!((failures.check(before), failures.check(after)), (IdleCheck::Close, IdleCheck::Use));
        failures.record_loss();
        assert_eq!(failures.check(before), IdleCheck::Close);
    }
}
