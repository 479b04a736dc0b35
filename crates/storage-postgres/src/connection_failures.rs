//! Recent failures of connections, and which idle connections they make suspicious.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The latest failures of a pool's connections.
#[derive(Debug, Default)]
pub(crate) struct ConnectionFailures(Mutex<Latest>);

#[derive(Debug, Default, Clone, Copy)]
struct Latest {
    lost: Option<Instant>,
    silent: Option<Instant>,
}

/// What to do with a connection that was idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleCheck {
    /// Use it: no other connection failed since it became idle.
    Use,
    /// Ping it first: another one was lost meanwhile.
    Ping,
    /// Close it: another one did not answer a ping meanwhile, and a wait for each would add up.
    Close,
}

impl ConnectionFailures {
    /// Records that a connection broke, or that a statement on it was not answered in time.
    pub(crate) fn record_loss(&self) {
        self.latest().lost = Some(Instant::now());
    }

    /// Records that a ping got no answer: whatever is between this process and the server has forgotten the
    /// connection.
    pub(crate) fn record_silence(&self) {
        self.latest().silent = Some(Instant::now());
    }

    /// What to do with a connection that was idle this long.
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
        // Held for a look-up only, and consistent at every moment, so a poisoned lock is usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_concerns_only_connections_that_were_idle_before() {
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
