//! Tickets: a logical clock that orders the cache's events.

use std::sync::atomic::{AtomicU64, Ordering};

/// A logical timestamp. It orders the arrival of requests, the start of loads and polls, and the changes reported to
/// the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// Returns the ticket that follows this one.
    pub(crate) const fn after(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Issues tickets in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Tickets(AtomicU64);

impl Tickets {
    /// Returns the current ticket. Every load or poll that begins after this call receives a later ticket.
    pub(crate) fn now(&self) -> Ticket {
        Ticket(self.0.load(Ordering::SeqCst))
    }

    /// Returns a new ticket for a load or poll that begins now. It is later than every ticket that `now` has returned
    /// so far.
    pub(crate) fn begin(&self) -> Ticket {
        Ticket(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}
