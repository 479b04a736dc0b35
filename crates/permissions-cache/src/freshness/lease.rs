//! How long what is kept may be trusted without a question to the store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::freshness::clock::Moment;

/// Runs while polls prove that no change was missed. A poll sees every change that committed before it began, so hits
/// are trusted for a while from the moment when it *began*.
///
/// It needs no timer: a process that was stopped finds it expired when it continues.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    until: AtomicU64,
    /// When the last poll began that proved something.
    confirmed: AtomicU64,
    /// When the storage last began to acknowledge a commit.
    acknowledged: AtomicU64,
    /// Whether a poll proves nothing without an acknowledged commit.
    is_fenced: AtomicBool,
    /// How often the lease was revoked: polls that began before the last revocation prove nothing. It is a counter,
    /// since two events may happen in the same moment.
    term: AtomicU64,
}

/// When a poll began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    at: Moment,
    term: u64,
}

impl Lease {
    #[inline]
    pub(crate) fn runs(&self) -> bool {
        Moment::now().as_millis() < self.until.load(Ordering::Acquire)
    }

    /// When everything was last known to be current.
    pub(crate) fn confirmed(&self) -> Moment {
        Moment::from_millis(self.confirmed.load(Ordering::Acquire))
    }

    /// A poll is about to begin.
    pub(crate) fn sending(&self) -> Sent {
        Sent { term: self.term.load(Ordering::Acquire), at: Moment::now() }
    }

    /// The poll proved something. Must not run concurrently with [`Self::revoke`].
    pub(crate) fn confirm(&self, sent: Sent) -> bool {
        let counts = sent.term == self.term.load(Ordering::Acquire);
        if counts {
            self.confirmed.store(sent.at.as_millis(), Ordering::Release);
        }
        counts
    }

    /// The same, and hits are trusted for `length` from when the poll began.
    pub(crate) fn extend(&self, sent: Sent, length: Duration) {
        if self.confirm(sent) {
            self.until.store(sent.at.plus(length).as_millis(), Ordering::Release);
        }
    }

    /// Ends the lease, until a poll is answered that begins after this.
    pub(crate) fn revoke(&self) {
        self.term.fetch_add(1, Ordering::AcqRel);
        self.until.store(0, Ordering::Release);
    }

    /// Sets whether a poll proves nothing without an acknowledgement, as a poll reported.
    pub(crate) fn fence(&self, is_fenced: bool) {
        self.is_fenced.store(is_fenced, Ordering::Release);
    }

    /// Whether nothing that was read counts while the lease does not run: only acknowledgements distinguish a primary
    /// that was replaced from one that was not.
    pub(crate) fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Acquire)
    }

    /// The storage acknowledged a commit that began at this moment.
    pub(crate) fn acknowledged(&self, at: Moment) {
        self.acknowledged.store(at.as_millis(), Ordering::Release);
    }

    /// Whether a poll that begins now should end with an acknowledgement to keep a lease of this length running.
    pub(crate) fn wants_acknowledgement(&self, length: Duration) -> bool {
        let last = Moment::from_millis(self.acknowledged.load(Ordering::Acquire));
        !self.runs() || Moment::now().since(last) >= length / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_from_when_the_poll_began() {
        let lease = Lease::default();
        assert!(!lease.runs());
        let now = lease.sending();
        lease.extend(now, Duration::from_secs(60));
        assert!(lease.runs());
        assert_eq!(lease.confirmed(), now.at);
        lease.extend(Sent { at: Moment::from_millis(1), ..now }, Duration::from_millis(1));
        assert!(!lease.runs(), "it began too long ago");
    }

    #[test]
    fn a_poll_that_began_before_it_was_revoked_does_not_bring_it_back() {
        let lease = Lease::default();
        let before = lease.sending();
        lease.extend(before, Duration::from_secs(60));
        lease.revoke();
        lease.extend(before, Duration::from_secs(60));
        assert!(!lease.runs());
        lease.extend(lease.sending(), Duration::from_secs(60));
        assert!(lease.runs(), "it began later, if in the same moment");
    }
}
