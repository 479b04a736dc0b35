//! Which open connections may be dead, judged by what happened to others.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The failures of a pool's connections.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<Latest>);

#[derive(Debug, Default, Clone, Copy)]
struct Latest {
    lost: Option<Instant>,
    silent: Option<Instant>,
}

/// What to do with a connection that was idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is used: nothing speaks against it.
    Sound,
    /// Another one was lost while idle: the server has to answer on this one first.
    Doubtful,
    /// Another one did not answer while idle: this one is replaced, since a wait for each would add up.
    Dead,
}

impl Doubts {
    /// Records that a connection broke, or that a statement on it was not answered in time.
    pub(crate) fn lost(&self) {
        self.latest().lost = Some(Instant::now());
    }

    /// Records that a ping got no answer: whatever is between this process and the server has forgotten the
    /// connection.
    pub(crate) fn silent(&self) {
        self.latest().silent = Some(Instant::now());
    }

    /// Judges a connection that was idle this long.
    pub(crate) fn of(&self, idle_for: Duration) -> Verdict {
        let latest = *self.latest();
        let since = |at: Option<Instant>| at.is_some_and(|at| idle_for > at.elapsed());
        if since(latest.silent) {
            Verdict::Dead
        } else if since(latest.lost) {
            Verdict::Doubtful
        } else {
            Verdict::Sound
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        // Held for a look-up only, and consistent at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_idle_before_is_doubted() {
        let doubts = Doubts::default();
        let (before, after) = (Duration::from_secs(60), Duration::ZERO);
        assert_eq!(doubts.of(before), Verdict::Sound);
        doubts.lost();
        assert_eq!((doubts.of(before), doubts.of(after)), (Verdict::Doubtful, Verdict::Sound));
        doubts.silent();
        assert_eq!((doubts.of(before), doubts.of(after)), (Verdict::Dead, Verdict::Sound));
        doubts.lost();
        assert_eq!(doubts.of(before), Verdict::Dead);
    }
}
