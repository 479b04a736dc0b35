//! The order of the cache's events.

use std::sync::atomic::{AtomicU64, Ordering};

/// A point in the order of all events of the cache: requests arrive, loads begin, changes are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// A ticket just later than this one.
    pub(crate) const fn after(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Issues tickets.
#[derive(Debug, Default)]
pub(crate) struct Tickets(AtomicU64);

impl Tickets {
    /// The current ticket: whatever begins after this call has a later one.
    pub(crate) fn now(&self) -> Ticket {
        Ticket(self.0.load(Ordering::SeqCst))
    }

    /// A ticket later than every earlier result of `now`.
    pub(crate) fn begin(&self) -> Ticket {
        Ticket(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}
