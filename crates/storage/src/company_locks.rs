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
    locks: Arc<Mutex<HashMap<CompanyId, (Lock, usize)>>>,
}

/// A company's exclusive lock, held until this is dropped.
#[derive(Debug)]
pub struct Exclusive(#[expect(dead_code, reason = "held")] Held<OwnedRwLockWriteGuard<()>>);

/// A company's shared lock, held until this is dropped.
#[derive(Debug)]
pub struct Shared(#[expect(dead_code, reason = "held")] Held<OwnedRwLockReadGuard<()>>);

/// A guard with the reference to its lock. Fields drop in order: the lock is released first.
#[derive(Debug)]
struct Held<Guard> {
    _guard: Guard,
    _reference: LockRef,
}

/// A counted reference to a company's lock, which keeps the lock in the map while a task holds it or waits for it.
#[derive(Debug)]
struct LockRef {
    locks: CompanyLocks,
    company: CompanyId,
    lock: Lock,
}

impl CompanyLocks {
    /// Waits for the company's exclusive lock, first come, first served. Cancelling gives up the place in the queue.
    pub async fn exclusive(&self, company: CompanyId) -> Exclusive {
        let reference = self.reference(company);
        let guard = Arc::clone(&reference.lock).write_owned().await;
        Exclusive(Held { _guard: guard, _reference: reference })
    }

    /// The company's shared lock, unless a task holds it exclusively or waits to.
    #[must_use]
    pub fn try_shared(&self, company: CompanyId) -> Option<Shared> {
        let reference = self.reference(company);
        let guard = Arc::clone(&reference.lock).try_read_owned().ok()?;
        Some(Shared(Held { _guard: guard, _reference: reference }))
    }

    /// The number of companies whose locks are held or waited for.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.entries().len()
    }

    fn reference(&self, company: CompanyId) -> LockRef {
        let mut entries = self.entries();
        let (lock, users) = entries.entry(company).or_default();
        *users += 1;
        LockRef { locks: self.clone(), company, lock: Arc::clone(lock) }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<CompanyId, (Lock, usize)>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LockRef {
    fn drop(&mut self) {
        let mut entries = self.locks.entries();
        if let Some((_, users)) = entries.get_mut(&self.company) {
            *users -= 1;
            if *users == 0 {
                entries.remove(&self.company);
            }
        }
    }
}
