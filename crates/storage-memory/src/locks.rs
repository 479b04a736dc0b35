//! The locks of units of work: the global lock and one lock for each company. Changes to companies hold the global lock
//! in shared mode. Changes to the catalog and to the credentials hold the global lock in exclusive mode.

use std::sync::Arc;
use std::time::Duration;

use iam_domain::CompanyId;
use iam_storage::company_locks::{CompanyLocks, Exclusive, Shared};
use iam_storage::{Result, StorageError, Target};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The locks of a storage. A unit of work always acquires the global lock before the lock of a company. This fixed
/// order prevents deadlocks.
#[derive(Default)]
pub(crate) struct Locks {
    global_lock: Arc<RwLock<()>>,
    companies: CompanyLocks,
}

/// The locks of a unit of work. Dropping the value releases the locks.
pub(crate) enum HeldLocks {
    /// The global lock in exclusive mode. While it is held, no other change is in progress.
    Catalog { _global_lock: OwnedRwLockWriteGuard<()> },
    /// The global lock in shared mode, and the lock of the company. While both are held, no other change to this
    /// company, to the catalog or to the credentials is in progress.
    Company { _company: Exclusive, _global_lock: OwnedRwLockReadGuard<()> },
}

/// Shared locks on the global lock and on a company. Until they are dropped, no change to the company, to the catalog
/// or to the credentials can begin.
pub(crate) struct SharedLocks {
    _company: Shared,
    _global_lock: OwnedRwLockReadGuard<()>,
}

impl Locks {
    /// Waits for the locks of a unit of work and acquires them. Returns `Unavailable` after `timeout`.
    pub(crate) async fn acquire(&self, target: Target, timeout: Duration) -> Result<HeldLocks> {
        let held = async {
            match target {
                // Changes to the catalog and changes to the credentials both write audit records of the platform, so
                // they must exclude each other. Both acquire the global lock in exclusive mode. Such changes are rare.
                Target::Catalog | Target::Credentials => {
                    HeldLocks::Catalog { _global_lock: Arc::clone(&self.global_lock).write_owned().await }
                }
                Target::Company(company) => {
                    let global_lock = Arc::clone(&self.global_lock).read_owned().await;
                    HeldLocks::Company { _company: self.companies.exclusive(company).await, _global_lock: global_lock }
                }
            }
        };
        let gave_up = |_| StorageError::Unavailable { retryable: false, source: None };
        tokio::time::timeout(timeout, held).await.map_err(gave_up)
    }

    /// Blocks new changes to a company, to the catalog and to the credentials until the result is dropped. The function
    /// does not wait. It returns `None` if such a change is in progress or is waiting for its locks.
    pub(crate) fn try_block_changes(&self, company: CompanyId) -> Option<SharedLocks> {
        let global_lock = Arc::clone(&self.global_lock).try_read_owned().ok()?;
        Some(SharedLocks { _company: self.companies.try_shared(company)?, _global_lock: global_lock })
    }
}

#[cfg(test)]
mod tests {
    use iam_domain::Timestamp;

    use super::*;

    const SHORT: Duration = Duration::from_millis(10);

    fn company() -> CompanyId {
        CompanyId::generate(Timestamp::from_millis(1_700_000_000_000).unwrap())
    }

    #[tokio::test]
    async fn the_map_keeps_only_locks_in_use() {
        let locks = Arc::new(Locks::default());
        let (a, b) = (company(), company());
        let held = locks.acquire(Target::Company(a), SHORT).await.unwrap();
        assert!(locks.acquire(Target::Company(a), SHORT).await.is_err());
        assert!(locks.try_block_changes(a).is_none());
        assert!(locks.try_block_changes(b).is_some());
        assert_eq!(locks.companies.in_use(), 1);
        drop(held);
        assert_eq!(locks.companies.in_use(), 0);
    }

    #[tokio::test]
    async fn waiting_and_cancelled_callers_leave_no_locks() {
        let locks = Arc::new(Locks::default());
        let a = company();
        let tasks: Vec<_> = (0..50_u64)
            .map(|n| {
                let locks = Arc::clone(&locks);
                tokio::spawn(async move {
                    if let Ok(_held) = locks.acquire(Target::Company(a), Duration::from_millis(n / 5)).await {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(locks.companies.in_use(), 0);
    }

    #[tokio::test]
    async fn a_catalog_change_excludes_company_changes() {
        let locks = Arc::new(Locks::default());
        let held = locks.acquire(Target::Catalog, SHORT).await.unwrap();
        assert!(locks.acquire(Target::Company(company()), SHORT).await.is_err());
        assert!(locks.try_block_changes(company()).is_none());
        drop(held);
        let held = locks.acquire(Target::Company(company()), SHORT).await.unwrap();
        assert!(locks.acquire(Target::Catalog, SHORT).await.is_err());
        drop(held);
        assert!(locks.acquire(Target::Catalog, SHORT).await.is_ok());
    }
}
