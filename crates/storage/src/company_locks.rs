//! In-process read-write locks for adapters, one lock for each company.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iam_domain::CompanyId;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

type Lock = Arc<RwLock<()>>;

/// A read-write lock for each company. A lock is kept in memory only while a task holds it or waits for it.
#[derive(Debug, Default, Clone)]
pub struct CompanyLocks {
    /// The locks, each with the number of tasks that hold it or wait for it. A `std` mutex suffices, because it is held
    /// only while the map is read or modified.
    locks: Arc<Mutex<HashMap<CompanyId, (Lock, usize)>>>,
}

/// A guard that holds a company's exclusive lock until it is dropped.
#[derive(Debug)]
pub struct Exclusive(#[expect(dead_code, reason = "holds the lock")] Held<OwnedRwLockWriteGuard<()>>);

/// A guard that holds a company's shared lock until it is dropped.
#[derive(Debug)]
pub struct Shared(#[expect(dead_code, reason = "holds the lock")] Held<OwnedRwLockReadGuard<()>>);

/// A lock guard with a counted reference to its lock. Fields are dropped in declaration order, so the lock is released
/// before the reference is dropped.
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
    /// Waits for the company's lock and acquires it in exclusive mode. Waiting tasks acquire it in FIFO order.
    /// Cancelling this future removes the task from the queue.
    pub async fn exclusive(&self, company: CompanyId) -> Exclusive {
        let reference = self.reference(company);
        let guard = Arc::clone(&reference.lock).write_owned().await;
        Exclusive(Held { _guard: guard, _reference: reference })
    }

    /// Acquires the company's lock in shared mode, without waiting. Returns `None` if another task holds the lock in
    /// exclusive mode or waits for exclusive mode.
    #[must_use]
    pub fn try_shared(&self, company: CompanyId) -> Option<Shared> {
        let reference = self.reference(company);
        let guard = Arc::clone(&reference.lock).try_read_owned().ok()?;
        Some(Shared(Held { _guard: guard, _reference: reference }))
    }

    /// Returns the number of companies whose lock is held by a task or requested by a waiting task.
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
