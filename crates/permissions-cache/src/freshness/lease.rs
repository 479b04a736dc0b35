//! The lease: the period during which cached data may be served without a query to the database.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::freshness::clock::Moment;

/// A lease on the cached data. Each poll that confirms the cached data renews the lease. The lease is counted from the
/// *start* of the poll, because the poll may miss changes that were committed after its start. The length of the lease
/// therefore bounds the staleness of cache hits.
///
/// Expiry is checked at each cache hit, so no timer is needed. A process that was suspended for longer than the lease
/// observes the expiry at its next cache hit.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    until: AtomicU64,
    /// The time at which the last poll that confirmed the cached data began. All changes that were committed before
    /// this time have been reported to this process.
    confirmed: AtomicU64,
    /// The time at which the last [acknowledged](iam_storage::ChangeFeed::acknowledge) commit began.
    acknowledged: AtomicU64,
    /// `true` if the storage replicates synchronously. A poll then confirms the cached data only together with an
    /// acknowledged commit.
    is_fenced: AtomicBool,
    /// The number of times that the lease has been revoked. A poll that began in an earlier term cannot renew the
    /// lease. A counter is used instead of a time, because a poll and a revocation may occur in the same millisecond.
    term: AtomicU64,
}

/// The time at which a poll began, and the term of the lease at that time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    at: Moment,
    term: u64,
}

impl Sent {
    /// Returns the time at which the poll began.
    pub(crate) const fn at(self) -> Moment {
        self.at
    }
}

impl Lease {
    #[inline]
    pub(crate) fn runs(&self) -> bool {
        Moment::now().as_millis() < self.until.load(Ordering::Acquire)
    }

    /// Returns the time until the lease expires. Returns zero if it has expired or was revoked.
    pub(crate) fn remaining(&self) -> Duration {
        Moment::from_millis(self.until.load(Ordering::Acquire)).since(Moment::now())
    }

    /// Returns the time at which the last poll that confirmed the cached data began. At that time, all cached data was
    /// up to date.
    pub(crate) fn confirmed(&self) -> Moment {
        Moment::from_millis(self.confirmed.load(Ordering::Acquire))
    }

    /// Returns the current time and the current term of the lease. The caller begins a poll immediately afterwards.
    pub(crate) fn sending(&self) -> Sent {
        Sent { term: self.term.load(Ordering::Acquire), at: Moment::now() }
    }

    /// Records that a poll confirmed the cached data. If the lease was revoked after the poll began, records nothing
    /// and returns `false`. Must not run concurrently with [`Self::revoke`].
    pub(crate) fn confirm(&self, sent: Sent) -> bool {
        let counts = sent.term == self.term.load(Ordering::Acquire);
        if counts {
            self.confirmed.store(sent.at.as_millis(), Ordering::Release);
        }
        counts
    }

    /// Records that a poll confirmed the cached data, and renews the lease for `length`, counted from the start of the
    /// poll. Has no effect if the lease was revoked after the poll began.
    pub(crate) fn extend(&self, sent: Sent, length: Duration) {
        if self.confirm(sent) {
            self.until.store(sent.at.plus(length).as_millis(), Ordering::Release);
        }
    }

    /// Revokes the lease immediately. Only a poll that begins after this call can renew it.
    pub(crate) fn revoke(&self) {
        self.term.fetch_add(1, Ordering::AcqRel);
        self.until.store(0, Ordering::Release);
    }

    /// Records whether the storage replicates synchronously, as the latest poll reported. If it does, a poll confirms
    /// the cached data only together with an acknowledged commit.
    pub(crate) fn fence(&self, is_fenced: bool) {
        self.is_fenced.store(is_fenced, Ordering::Release);
    }

    /// Returns `true` if the storage replicates synchronously. A primary that was replaced in a failover may then still
    /// serve reads (split brain). An acknowledged commit proves that the server is still the primary. The lease
    /// requires such a commit, so a valid lease proves that reads come from the primary.
    pub(crate) fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Acquire)
    }

    /// Records that the storage acknowledged a commit that began at `at`.
    pub(crate) fn acknowledged(&self, at: Moment) {
        self.acknowledged.store(at.as_millis(), Ordering::Release);
    }

    /// Returns `true` if a poll that begins now should be followed by an acknowledged commit. This is the case if the
    /// lease has expired, or if at least half of its length has passed since the last acknowledged commit began.
    pub(crate) fn wants_acknowledgement(&self, length: Duration) -> bool {
        let last = Moment::from_millis(self.acknowledged.load(Ordering::Acquire));
        !self.runs() || Moment::now().since(last) >= length / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_starts_when_the_poll_began() {
        let lease = Lease::default();
        assert!(!lease.runs());
        let now = lease.sending();
        lease.extend(now, Duration::from_secs(60));
        assert!(lease.runs());
        assert_eq!(lease.confirmed(), now.at);
        lease.extend(Sent { at: Moment::from_millis(1), ..now }, Duration::from_millis(1));
        assert!(!lease.runs(), "the lease must have expired, because the poll began too long ago");
    }

    #[test]
    fn a_poll_that_began_before_the_lease_was_revoked_does_not_renew_it() {
        let lease = Lease::default();
        let before = lease.sending();
        lease.extend(before, Duration::from_secs(60));
        lease.revoke();
        lease.extend(before, Duration::from_secs(60));
        assert!(!lease.runs());
        lease.extend(lease.sending(), Duration::from_secs(60));
        assert!(lease.runs(), "a poll that begins after a revocation must renew the lease");
    }
}
