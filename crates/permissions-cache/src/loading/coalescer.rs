//! Coalesced loads (single flight): all requests that wait for the value of the same key share one load. Each request
//! specifies a ticket, and receives the result of a load that began after this ticket was issued.

use std::hash::Hash;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::freshness::ticket::{Ticket, Tickets};
use crate::loading::batches::{Batches, Limits, Loading, Lost};

/// Loads values by key. For each key, at most one load is in progress and at most one more is pending, regardless of
/// the number of waiting requests. Each load runs in a separate task and continues even if the waiting requests are
/// cancelled.
pub(crate) struct Coalescer<K, T>(Arc<Batches<K, (), T>>);

impl<K, T> Coalescer<K, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + 'static,
{
    /// Creates a coalescer that loads values with `load`. The closure receives the key and the ticket at which the load
    /// begins. The semaphore `gate` limits the number of concurrent loads.
    pub(crate) fn new(
        tickets: Arc<Tickets>,
        gate: Arc<Semaphore>,
        runtime: Handle,
        load: impl Fn(K, Ticket) -> Loading<T> + Send + Sync + 'static,
    ) -> Self {
        let limits = Limits { loads: 1, members: 1 };
        Self(Batches::new(tickets, gate, runtime, limits, move |key, _, began| {
            let loading = load(key, began);
            Box::pin(async move { vec![loading.await] })
        }))
    }

    /// Returns the result of a load that began after the ticket `since` was issued. Cancelling this call does not
    /// cancel the load.
    pub(crate) async fn get(&self, key: K, since: Ticket) -> Result<T, Lost> {
        self.0.get(key, (), since).await
    }
}
