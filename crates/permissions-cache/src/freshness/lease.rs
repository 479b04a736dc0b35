//! The lease: how long cached data may be trusted without a query to the store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::freshness::clock::Moment;

/// A lease that runs while polls prove that no change was missed. A poll sees every change that was committed before
/// the poll *began*, so hits trust cached data for a limited time from that moment.
///
/// The lease needs no timer: a process that was suspended finds it expired when it resumes.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    until: AtomicU64,
    /// The start of the last poll that proved something.
    confirmed: AtomicU64,
    /// The start of the last commit that the storage acknowledged.
    acknowledged: AtomicU64,
    /// `true` if a poll proves nothing without an acknowledged commit.
    is_fenced: AtomicBool,
    /// The number of times the lease was revoked. Polls that began before the last revocation prove nothing. A counter
    /// is used, since two events may have the same time.
    term: AtomicU64,
}

/// The start of a poll: its time, and the term of the lease.
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

    /// Returns the moment at which all cached data was last known to be current.
    pub(crate) fn confirmed(&self) -> Moment {
        Moment::from_millis(self.confirmed.load(Ordering::Acquire))
    }

    /// Returns the start of a poll that is about to begin.
    pub(crate) fn sending(&self) -> Sent {
        Sent { term: self.term.load(Ordering::Acquire), at: Moment::now() }
    }

    /// Records the proof of a poll. Returns `false` if the lease was revoked since the poll began. Must not run
    /// concurrently with [`Self::revoke`].
    pub(crate) fn confirm(&self, sent: Sent) -> bool {
        let counts = sent.term == self.term.load(Ordering::Acquire);
        if counts {
            self.confirmed.store(sent.at.as_millis(), Ordering::Release);
        }
        counts
    }

    /// Records the proof of a poll, and lets the lease run for `length` from the start of the poll.
    pub(crate) fn extend(&self, sent: Sent, length: Duration) {
        if self.confirm(sent) {
            self.until.store(sent.at.plus(length).as_millis(), Ordering::Release);
        }
    }

    /// Ends the lease. Only a poll that begins later can extend it again.
    pub(crate) fn revoke(&self) {
        self.term.fetch_add(1, Ordering::AcqRel);
        self.until.store(0, Ordering::Release);
    }

    /// Sets whether a poll proves nothing without an acknowledged commit, as a poll reported.
    pub(crate) fn fence(&self, is_fenced: bool) {
        self.is_fenced.store(is_fenced, Ordering::Release);
    }

    /// Returns `true` if reads prove nothing while the lease does not run, since only acknowledged commits show that
    /// the primary was not replaced.
    pub(crate) fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Acquire)
    }

    /// Records that the storage acknowledged a commit that began at this moment.
    pub(crate) fn acknowledged(&self, at: Moment) {
        self.acknowledged.store(at.as_millis(), Ordering::Release);
    }

    /// Returns `true` if a poll that begins now should end with an acknowledged commit, so that a lease of this length
    /// keeps running.
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
        assert!(!lease.runs(), "the poll began too long ago");
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
        assert!(lease.runs(), "the poll began after the revocation, possibly in the same millisecond");
    }
}
