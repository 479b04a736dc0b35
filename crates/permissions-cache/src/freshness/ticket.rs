//! Tickets, which order the cache's events.

use std::sync::atomic::{AtomicU64, Ordering};

/// A position in the order of the cache's events: requests that arrive, loads that begin, changes that are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// Returns the next later ticket.
    pub(crate) const fn after(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Issues tickets in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Tickets(AtomicU64);

impl Tickets {
    /// Returns the current ticket. Everything that begins after this call gets a later one.
    pub(crate) fn now(&self) -> Ticket {
        Ticket(self.0.load(Ordering::SeqCst))
    }

    /// Returns a new ticket, later than every earlier result of `now`.
    pub(crate) fn begin(&self) -> Ticket {
        Ticket(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}
