//! One load for all requests that wait for the same thing, begun after each of them arrived.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

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

pub(crate) type Loading<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The requests that wait for one thing.
struct Flight<T> {
    /// When the load under way began; `None` before it begins.
    began: Option<Ticket>,
    /// The requests that the load under way answers.
    aboard: Vec<oneshot::Sender<T>>,
    /// The requests that the next load answers.
    waiting: Vec<oneshot::Sender<T>>,
}

/// The most keys that are waited for at once. Requests for further keys fail at once.
const MOST_FLIGHTS: usize = 10_000;

/// Loads values by key. For each key at most one load is under way and at most one more is to follow, however many
/// requests wait. A load runs in a task of its own and continues when the waiting requests are cancelled.
pub(crate) struct Coalescer<K, T> {
    flights: Mutex<HashMap<K, Flight<T>>>,
    tickets: Arc<Tickets>,
    gate: Arc<Semaphore>,
    runtime: Handle,
    load: Box<dyn Fn(K, Ticket) -> Loading<T> + Send + Sync>,
}

/// The load ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a load ended without an answer")]
pub(crate) struct Lost;

impl<K, T> Coalescer<K, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + 'static,
{
    /// Loads with `load`, which gets the ticket of its beginning. The gate limits how many loads run at once.
    pub(crate) fn new(
        tickets: Arc<Tickets>,
        gate: Arc<Semaphore>,
        runtime: Handle,
        load: impl Fn(K, Ticket) -> Loading<T> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { flights: Mutex::default(), tickets, gate, runtime, load: Box::new(load) })
    }

    /// The result of a load that began after `since`. Cancelling this call does not cancel the load.
    pub(crate) async fn get(self: &Arc<Self>, key: K, since: Ticket) -> Result<T, Lost> {
        let (sender, answer) = oneshot::channel();
        let is_first = {
            let mut flights = self.flights();
            let is_first = !flights.contains_key(&key);
            if is_first && flights.len() >= MOST_FLIGHTS {
                return Err(Lost);
            }
            let flight =
                flights.entry(key.clone()).or_insert(Flight { began: None, aboard: Vec::new(), waiting: Vec::new() });
            if flight.began.is_some_and(|began| began > since) {
                flight.aboard.push(sender);
            } else {
                flight.waiting.push(sender);
            }
            is_first
        };
        if is_first {
            self.runtime.spawn(Arc::clone(self).fly(key));
        }
        answer.await.map_err(|_| Lost)
    }

    /// Loads as long as requests wait.
    async fn fly(self: Arc<Self>, key: K) {
        loop {
            // The gate is never closed.
            let permit = Arc::clone(&self.gate).acquire_owned().await;
            let began = {
                let mut flights = self.flights();
                let Some(flight) = flights.get_mut(&key) else { return };
                // Cancelled requests need no load.
                flight.waiting.retain(|waiter| !waiter.is_closed());
                if flight.waiting.is_empty() {
                    flights.remove(&key);
                    return;
                }
                flight.aboard = std::mem::take(&mut flight.waiting);
                *flight.began.insert(self.tickets.begin())
            };
            // A task of its own: if it panics, the waiting requests get an error, and the next load begins.
            let loaded = self.runtime.spawn((self.load)(key.clone(), began)).await;
            drop(permit);
            let (aboard, is_over) = {
                let mut flights = self.flights();
                let Some(flight) = flights.get_mut(&key) else { return };
                flight.began = None;
                let aboard = std::mem::take(&mut flight.aboard);
                let is_over = flight.waiting.is_empty();
                if is_over {
                    flights.remove(&key);
                }
                (aboard, is_over)
            };
            if let Ok(value) = loaded {
                for waiter in aboard {
                    // The receiver may be gone.
                    let _ = waiter.send(value.clone());
                }
            }
            if is_over {
                return;
            }
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<K, Flight<T>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::*;

    /// A coalescer whose loads wait until they are released one by one, and answer with their number.
    struct Bench {
        coalescer: Arc<Coalescer<u8, usize>>,
        tickets: Arc<Tickets>,
        begun: Arc<AtomicUsize>,
        go: Arc<Semaphore>,
        began: Arc<Notify>,
    }

    fn bench() -> Bench {
        let tickets = Arc::<Tickets>::default();
        let (begun, go, began) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let load = {
            let (begun, go, began) = (Arc::clone(&begun), Arc::clone(&go), Arc::clone(&began));
            move |_, _| -> Loading<usize> {
                let (begun, go, began) = (Arc::clone(&begun), Arc::clone(&go), Arc::clone(&began));
                Box::pin(async move {
                    let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    began.notify_one();
                    go.acquire().await.unwrap().forget();
                    assert_ne!(number, 13, "the thirteenth load panics");
                    number
                })
            }
        };
        let coalescer = Coalescer::new(Arc::clone(&tickets), Arc::new(Semaphore::new(8)), Handle::current(), load);
        Bench { coalescer, tickets, begun, go, began }
    }

    impl Bench {
        fn ask(&self, since: Ticket) -> tokio::task::JoinHandle<Result<usize, Lost>> {
            let coalescer = Arc::clone(&self.coalescer);
            tokio::spawn(async move { coalescer.get(0, since).await })
        }

        async fn waiting(&self, count: usize) {
            while self
                .coalescer
                .flights()
                .get(&0)
                .is_none_or(|flight| flight.aboard.len() + flight.waiting.len() < count)
            {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_thousand_who_wait_make_one_load() {
        let bench = bench();
        let since = bench.tickets.now();
        let waiters: Vec<_> = (0..1000).map(|_| bench.ask(since)).collect();
        bench.waiting(1000).await;
        bench.go.add_permits(1000);
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), Ok(1));
        }
        assert_eq!(bench.begun.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn whoever_arrives_after_a_load_began_is_answered_by_the_next_one() {
        let bench = bench();
        let early = bench.ask(bench.tickets.now());
        bench.began.notified().await;
        let late: Vec<_> = (0..10).map(|_| bench.ask(bench.tickets.now())).collect();
        bench.waiting(11).await;
        bench.go.add_permits(2);
        assert_eq!(early.await.unwrap(), Ok(1));
        for late in late {
            assert_eq!(late.await.unwrap(), Ok(2));
        }
    }

    #[tokio::test]
    async fn whoever_does_not_mind_joins_the_load_under_way() {
        let bench = bench();
        let before = bench.tickets.now();
        let first = bench.ask(before);
        bench.began.notified().await;
        let second = bench.ask(before);
        bench.waiting(2).await;
        bench.go.add_permits(1);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(1), Ok(1)));
    }

    #[tokio::test]
    async fn a_load_survives_whoever_began_it() {
        let bench = bench();
        let before = bench.tickets.now();
        let first = bench.ask(before);
        bench.began.notified().await;
        let second = bench.ask(before);
        bench.waiting(2).await;
        first.abort();
        bench.go.add_permits(1);
        assert_eq!(second.await.unwrap(), Ok(1));
        assert_eq!(bench.begun.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_load_that_panics_answers_nobody_and_blocks_nobody() {
        let bench = bench();
        bench.begun.store(12, Ordering::SeqCst);
        bench.go.add_permits(2);
        assert_eq!(bench.ask(bench.tickets.now()).await.unwrap(), Err(Lost));
        assert_eq!(bench.ask(bench.tickets.now()).await.unwrap(), Ok(14));
    }
}
