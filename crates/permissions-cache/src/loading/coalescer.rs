//! Coalesced loads (single flight): all requests that wait for the value of the same key share one load. Each request
//! specifies a ticket, and receives the result of a load that began after this ticket was issued.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::freshness::ticket::{Ticket, Tickets};

pub(crate) type Loading<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The requests that wait for the value of one key.
struct Waiters<T> {
    /// The ticket at which the load in progress began. `None` if no load is in progress.
    began: Option<Ticket>,
    /// The requests that receive the result of the load in progress.
    current: Vec<oneshot::Sender<T>>,
    /// The requests that receive the result of the next load.
    next: Vec<oneshot::Sender<T>>,
}

/// Maximum number of keys that have waiting requests at the same time. Requests for further keys fail immediately
/// (load shedding).
const MAX_KEYS: usize = 10_000;

/// Loads values by key. For each key, at most one load is in progress and at most one more is pending, regardless of
/// the number of waiting requests. Each load runs in a separate task and continues even if the waiting requests are
/// cancelled.
pub(crate) struct Coalescer<K, T> {
    keys: Mutex<HashMap<K, Waiters<T>>>,
    tickets: Arc<Tickets>,
    gate: Arc<Semaphore>,
    runtime: Handle,
    load: Box<dyn Fn(K, Ticket) -> Loading<T> + Send + Sync>,
}

/// The error that a request receives if a load ended without a result, for example because it panicked, or if too many
/// keys have waiting requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a load ended without a result, or too many loads are pending")]
pub(crate) struct Lost;

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
    ) -> Arc<Self> {
        Arc::new(Self { keys: Mutex::default(), tickets, gate, runtime, load: Box::new(load) })
    }

    /// Returns the result of a load that began after the ticket `since` was issued. Cancelling this call does not
    /// cancel the load.
    pub(crate) async fn get(self: &Arc<Self>, key: K, since: Ticket) -> Result<T, Lost> {
        let (sender, answer) = oneshot::channel();
        let is_first = {
            let mut keys = self.keys();
            let is_first = !keys.contains_key(&key);
            if is_first && keys.len() >= MAX_KEYS {
                return Err(Lost);
            }
            let waiters =
                keys.entry(key.clone()).or_insert(Waiters { began: None, current: Vec::new(), next: Vec::new() });
            if waiters.began.is_some_and(|began| began > since) {
                waiters.current.push(sender);
            } else {
                waiters.next.push(sender);
            }
            is_first
        };
        if is_first {
            self.runtime.spawn(Arc::clone(self).load_while_awaited(key));
        }
        answer.await.map_err(|_| Lost)
    }

    /// Runs loads for a key for as long as requests wait for its value.
    async fn load_while_awaited(self: Arc<Self>, key: K) {
        loop {
            // The semaphore is never closed, so this cannot fail.
            let permit = Arc::clone(&self.gate).acquire_owned().await;
            let began = {
                let mut keys = self.keys();
                let Some(waiters) = keys.get_mut(&key) else { return };
                // No load is needed for cancelled requests.
                waiters.next.retain(|waiter| !waiter.is_closed());
                if waiters.next.is_empty() {
                    keys.remove(&key);
                    return;
                }
                waiters.current = std::mem::take(&mut waiters.next);
                *waiters.began.insert(self.tickets.begin())
            };
            // The load runs in a separate task. If it panics, the waiting requests receive an error, and the next load
            // can begin.
            let loaded = self.runtime.spawn((self.load)(key.clone(), began)).await;
            drop(permit);
            let (current, is_over) = {
                let mut keys = self.keys();
                let Some(waiters) = keys.get_mut(&key) else { return };
                waiters.began = None;
                let current = std::mem::take(&mut waiters.current);
                let is_over = waiters.next.is_empty();
                if is_over {
                    keys.remove(&key);
                }
                (current, is_over)
            };
            if let Ok(value) = loaded {
                for waiter in current {
                    // The request may have been cancelled.
                    let _ = waiter.send(value.clone());
                }
            }
            if is_over {
                return;
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<K, Waiters<T>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// A coalescer whose loads block until the test releases them one by one. Each load returns its number.
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
            while self.coalescer.keys().get(&0).is_none_or(|waiters| waiters.current.len() + waiters.next.len() < count)
            {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_thousand_waiting_requests_share_one_load() {
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
    async fn a_request_that_arrives_after_a_load_began_is_answered_by_the_next_one() {
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
    async fn a_request_that_accepts_an_earlier_state_joins_the_load_in_progress() {
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
    async fn a_load_survives_the_cancellation_of_the_request_that_began_it() {
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
    async fn a_load_that_panics_fails_its_requests_and_blocks_no_others() {
        let bench = bench();
        bench.begun.store(12, Ordering::SeqCst);
        bench.go.add_permits(2);
        assert_eq!(bench.ask(bench.tickets.now()).await.unwrap(), Err(Lost));
        assert_eq!(bench.ask(bench.tickets.now()).await.unwrap(), Ok(14));
    }
}
