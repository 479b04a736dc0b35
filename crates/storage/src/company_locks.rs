//! A lock for each company, for adapters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iam_domain::CompanyId;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

type Lock = Arc<RwLock<()>>;

/// One lock for each company. A lock is kept only while it is held or waited for.
#[derive(Debug, Default, Clone)]
pub struct CompanyLocks {
    /// The locks, each with the number of tasks that hold it or wait for it. A std mutex, since it is held for a
    /// look-up only.
    places: Arc<Mutex<HashMap<CompanyId, (Lock, usize)>>>,
}

/// A company's exclusive lock, held until this is dropped.
#[derive(Debug)]
pub struct Exclusive(#[expect(dead_code, reason = "held")] Held<OwnedRwLockWriteGuard<()>>);

/// A company's shared lock, held until this is dropped.
#[derive(Debug)]
pub struct Shared(#[expect(dead_code, reason = "held")] Held<OwnedRwLockReadGuard<()>>);

/// Fields drop in order: first the lock is released, then its place.
#[derive(Debug)]
struct Held<Guard> {
    _guard: Guard,
    _place: Place,
}

/// A place among the locks, kept while a task holds this one or waits for it.
#[derive(Debug)]
struct Place {
    locks: CompanyLocks,
    company: CompanyId,
    lock: Lock,
}

impl CompanyLocks {
    /// Waits for the company's exclusive lock, first come, first served. Cancelling gives up the place in the queue.
    pub async fn exclusive(&self, company: CompanyId) -> Exclusive {
        let place = self.place(company);
        let guard = Arc::clone(&place.lock).write_owned().await;
        Exclusive(Held { _guard: guard, _place: place })
    }

    /// The company's shared lock, unless a task holds it exclusively or waits to.
    #[must_use]
    pub fn try_shared(&self, company: CompanyId) -> Option<Shared> {
        let place = self.place(company);
        let guard = Arc::clone(&place.lock).try_read_owned().ok()?;
        Some(Shared(Held { _guard: guard, _place: place }))
    }

    /// The number of companies whose locks are held or waited for.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.places().len()
    }

    fn place(&self, company: CompanyId) -> Place {
        let mut places = self.places();
        let (lock, users) = places.entry(company).or_default();
        *users += 1;
        Place { locks: self.clone(), company, lock: Arc::clone(lock) }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<CompanyId, (Lock, usize)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.locks.places();
        if let Some((_, users)) = places.get_mut(&self.company) {
            *users -= 1;
            if *users == 0 {
                places.remove(&self.company);
            }
        }
    }
}
