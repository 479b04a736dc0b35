//! How long what is kept may be trusted without asking.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;

/// Runs while signs of life come back. One that was sent at a moment and came back after every change that had committed by
/// then proves that nothing older than that moment was missed: hits are trusted for a while from the moment it was *sent*.
///
/// It needs no timer: a process that was stopped finds it run out when it goes on.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    until: AtomicU64,
    /// When the last sign of life was sent that came back.
    confirmed: AtomicU64,
    /// How often it was revoked: signs of life that were sent before the last time prove nothing. It is no moment, since two
    /// things may happen in one.
    term: AtomicU64,
}

/// When a sign of life was sent.
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

    /// When everything was last known to be heard.
    pub(crate) fn confirmed(&self) -> Moment {
        Moment::from_millis(self.confirmed.load(Ordering::Acquire))
    }

    /// A sign of life is about to be sent.
    pub(crate) fn sending(&self) -> Sent {
        Sent { term: self.term.load(Ordering::Acquire), at: Moment::now() }
    }

    /// It came back. Not at once with [`Self::revoke`].
    pub(crate) fn extend(&self, sent: Sent, length: Duration) {
        if sent.term == self.term.load(Ordering::Acquire) {
            self.confirmed.store(sent.at.as_millis(), Ordering::Release);
            self.until.store(sent.at.plus(length).as_millis(), Ordering::Release);
        }
    }

    /// Ends it, until a sign of life comes back that is sent after this.
    pub(crate) fn revoke(&self) {
        self.term.fetch_add(1, Ordering::AcqRel);
        self.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_from_when_the_sign_of_life_was_sent() {
        let lease = Lease::default();
        assert!(!lease.runs());
        let now = lease.sending();
        lease.extend(now, Duration::from_secs(60));
        assert!(lease.runs());
        assert_eq!(lease.confirmed(), now.at);
        lease.extend(Sent { at: Moment::from_millis(1), ..now }, Duration::from_millis(1));
        assert!(!lease.runs(), "sent too long ago");
    }

    #[test]
    fn what_was_sent_before_it_was_revoked_does_not_bring_it_back() {
        let lease = Lease::default();
        let before = lease.sending();
        lease.extend(before, Duration::from_secs(60));
        lease.revoke();
        lease.extend(before, Duration::from_secs(60));
        assert!(!lease.runs());
        lease.extend(lease.sending(), Duration::from_secs(60));
        assert!(lease.runs(), "sent later, if in the same moment");
    }
}
