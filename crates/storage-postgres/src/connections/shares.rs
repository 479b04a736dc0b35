//! The shares of the connection pool: how many connections each class of work, and each company, can use at a time.
//!
//! Each class has one connection of its own. The remaining connections are common: every class may use them, but the
//! work of one company uses at most half of them. So a flood of one class leaves a connection to each other class, and
//! a flood of one company leaves half of the common connections to other companies. Reads of the audit log cost much
//! processor time of the database, so each company has at most one at a time, with pauses between them.
//!
//! A pool with fewer than eight connections has fewer connections than this needs. The classes that are listed first in
//! [`Class`] then have a connection of their own, and at least one connection is common.
//!
//! Waiting work is served in FIFO order. For the connection of a class, only one waiting statement of each company
//! counts, so companies take turns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iam_domain::CompanyId;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Number of classes.
const CLASSES: u32 = 6;
/// Minimum number of connections for which two connections, and not one, remain common.
const TWO_COMMON_FROM: u32 = 4;

/// The pause between two reads of the audit log of one company, as a multiple of the duration of the first read. Reads
/// whose pause is not cut short by [`MAX_AUDIT_PAUSE`] use at most a quarter of the time of a processor of the database.
const AUDIT_PAUSE: u32 = 3;
/// Maximum length of this pause.
const MAX_AUDIT_PAUSE: Duration = Duration::from_millis(100);

/// A class of work that uses the connection pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Reads, and all work of no other class.
    Reads,
    /// Changes to the credentials, which revoke rights.
    Revocations,
    /// Loads of permissions, and the maintenance of effective-permission rows.
    Loads,
    /// Changes to companies and to the catalog.
    Changes,
    /// Reads of the audit log.
    Audit,
    /// Reads and writes of navigation trails, and the markers for reads from replicas.
    Trails,
}

/// The connections that a company, or all work without a company, waits for or uses: those of one class, or the common
/// connections (`None`).
type Key = (Option<CompanyId>, Option<Class>);

/// The shares of one connection pool.
#[derive(Debug)]
pub(crate) struct Shares {
    /// The connections of each class, in the order of [`Class`].
    own: [Arc<Semaphore>; 6],
    common: Arc<Semaphore>,
    /// Maximum number of common connections that one company uses at a time.
    common_of_company: usize,
    companies: Companies,
}

/// The right to use one connection of the pool. Dropping it admits the next waiting work.
#[derive(Debug)]
pub(crate) struct Permit {
    /// The fields are dropped in this order: the connection becomes available before the next work of the same company
    /// begins to wait for it.
    _connection: OwnedSemaphorePermit,
    _turn: Option<Turn>,
    _audit_turn: Option<AuditTurn>,
}

impl Permit {
    /// Waits for a permit of this semaphore, which is never closed.
    pub(crate) async fn of(semaphore: &Arc<Semaphore>) -> Self {
        Self { _connection: available(semaphore).await, _turn: None, _audit_turn: None }
    }
}

impl Shares {
    /// Divides a pool with this number of connections.
    pub(crate) fn new(connections: u32) -> Self {
        let least_common = if connections < TWO_COMMON_FROM { 1 } else { 2 };
        let own = connections.saturating_sub(least_common).min(CLASSES);
        let common = usize::try_from(connections.saturating_sub(own)).unwrap_or(Semaphore::MAX_PERMITS);
        let common = common.clamp(1, Semaphore::MAX_PERMITS);
        let mut left = own;
        let own = std::array::from_fn(|_| {
            let has_own = left > 0;
            left = left.saturating_sub(1);
            Arc::new(Semaphore::new(usize::from(has_own)))
        });
        Self {
            own,
            common: Arc::new(Semaphore::new(common)),
            common_of_company: (common / 2).max(1),
            companies: Companies::default(),
        }
    }

    /// Waits for a connection for work on the rows of a company (`None`: work that concerns no single company).
    pub(crate) async fn acquire(&self, class: Class, company: Option<CompanyId>) -> Permit {
        if class == Class::Audit {
            let turn = self.companies.turn((company, Some(class)), 1).await;
            let own = Permit::of(self.own(class));
            let permit = tokio::select! {
                biased;
                permit = own => permit,
                permit = self.acquire_common(company) => permit,
            };
            return Permit { _audit_turn: Some(AuditTurn { turn: Some(turn), since: Instant::now() }), ..permit };
        }
        if let Ok(connection) = Arc::clone(self.own(class)).try_acquire_owned() {
            return Permit { _connection: connection, _turn: None, _audit_turn: None };
        }
        let own = async {
            let turn = self.companies.turn((company, Some(class)), 1).await;
            Permit { _turn: Some(turn), ..Permit::of(self.own(class)).await }
        };
        tokio::select! {
            biased;
            permit = own => permit,
            permit = self.acquire_common(company) => permit,
        }
    }

    /// Waits for a common connection for work on the rows of a company.
    async fn acquire_common(&self, company: Option<CompanyId>) -> Permit {
        let turn = self.companies.turn((company, None), self.common_of_company).await;
        Permit { _turn: Some(turn), ..Permit::of(&self.common).await }
    }

    /// Waits for a connection for work that the caller has already limited for each company.
    pub(crate) async fn acquire_limited(&self, class: Class) -> Permit {
        tokio::select! {
            biased;
            permit = Permit::of(self.own(class)) => permit,
            permit = Permit::of(&self.common) => permit,
        }
    }

    fn own(&self, class: Class) -> &Arc<Semaphore> {
        let [reads, revocations, loads, changes, audit, trails] = &self.own;
        match class {
            Class::Reads => reads,
            Class::Revocations => revocations,
            Class::Loads => loads,
            Class::Changes => changes,
            Class::Audit => audit,
            Class::Trails => trails,
        }
    }
}

/// Waits for a permit. The semaphores of this module are never closed, so the wait cannot fail.
async fn available(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    match Arc::clone(semaphore).acquire_owned().await {
        Ok(permit) => permit,
        Err(_) => std::future::pending().await,
    }
}

/// The limits of companies. A semaphore is kept in memory only while work waits for it or holds a permit of it.
#[derive(Debug, Default, Clone)]
struct Companies(Arc<Mutex<HashMap<Key, Counted>>>);

/// A semaphore, and the number of [`TurnRef`]s that refer to it.
#[derive(Debug)]
struct Counted {
    semaphore: Arc<Semaphore>,
    references: usize,
}

/// A permit of a company's semaphore. Fields are dropped in declaration order, so the permit is released before the
/// reference is dropped.
#[derive(Debug)]
struct Turn {
    _permit: OwnedSemaphorePermit,
    _reference: TurnRef,
}

/// The turn of a read of the audit log of a company. The next read begins after a pause.
#[derive(Debug)]
struct AuditTurn {
    /// `None` after the read has ended.
    turn: Option<Turn>,
    /// The time at which the read began.
    since: Instant,
}

impl Drop for AuditTurn {
    fn drop(&mut self) {
        let turn = self.turn.take();
        let pause = self.since.elapsed().saturating_mul(AUDIT_PAUSE).min(MAX_AUDIT_PAUSE);
        // Outside a runtime, nothing can wait for the next turn.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                sleep(pause).await;
                drop(turn);
            });
        }
    }
}

/// A counted reference to a company's semaphore.
#[derive(Debug)]
struct TurnRef {
    companies: Companies,
    key: Key,
    semaphore: Arc<Semaphore>,
}

impl Companies {
    /// Waits until fewer than `limit` permits of this key are held.
    async fn turn(&self, key: Key, limit: usize) -> Turn {
        let reference = self.reference(key, limit);
        Turn { _permit: available(&reference.semaphore).await, _reference: reference }
    }

    fn reference(&self, key: Key, limit: usize) -> TurnRef {
        let mut entries = self.entries();
        let counted =
            entries.entry(key).or_insert_with(|| Counted { semaphore: Arc::new(Semaphore::new(limit)), references: 0 });
        counted.references += 1;
        TurnRef { companies: self.clone(), key, semaphore: Arc::clone(&counted.semaphore) }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Counted>> {
        // The lock guards only updates of the map that cannot panic, so the map is consistent even if the lock is
        // poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TurnRef {
    fn drop(&mut self) {
        let mut entries = self.companies.entries();
        if let Some(counted) = entries.get_mut(&self.key) {
            counted.references -= 1;
            if counted.references == 0 {
                entries.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::{FutureExt, poll};

    use super::*;

    const ALL: [Class; 6] =
        [Class::Reads, Class::Revocations, Class::Loads, Class::Changes, Class::Audit, Class::Trails];

    fn company(n: u128) -> Option<CompanyId> {
        Some(CompanyId::from_uuid(uuid::Uuid::from_u128(n)))
    }

    /// Acquires permits for one company until none is available. Returns the permits.
    fn flood(shares: &Shares, class: Class, company: Option<CompanyId>) -> Vec<Permit> {
        std::iter::from_fn(|| shares.acquire(class, company).now_or_never()).collect()
    }

    #[test]
    fn one_company_uses_its_share_and_leaves_the_rest_to_others() {
        let shares = Shares::new(10);
        let mut held = Vec::new();
        for (class, permits) in ALL.into_iter().zip([3, 1, 1, 1, 1, 1]) {
            let permits_held = flood(&shares, class, company(1));
            assert_eq!(permits_held.len(), permits, "{class:?}");
            held.extend(permits_held);
        }
        // Another company can use the other half of the common connections, for any class.
        for class in ALL {
            let permits = if class == Class::Audit { 1 } else { 2 };
            assert_eq!(flood(&shares, class, company(2)).len(), permits, "{class:?}");
        }
        drop(held);
        assert!(shares.companies.entries().is_empty());
    }

    #[test]
    fn a_company_has_one_read_of_the_audit_log_at_a_time() {
        let shares = Shares::new(10);
        let held = flood(&shares, Class::Audit, company(1));
        assert_eq!(held.len(), 1);
        let others: Vec<_> = (2..=9).flat_map(|n| flood(&shares, Class::Audit, company(n))).collect();
        assert_eq!(others.len(), 4, "the common connections");
        drop((held, others));
        assert_eq!(flood(&shares, Class::Audit, company(1)).len(), 1);
    }

    #[tokio::test]
    async fn a_company_pauses_between_reads_of_the_audit_log() {
        let shares = Shares::new(10);
        drop(flood(&shares, Class::Audit, company(1)));
        assert_eq!(flood(&shares, Class::Audit, company(1)).len(), 0);
        assert_eq!(flood(&shares, Class::Audit, company(2)).len(), 1);
        shares.acquire(Class::Audit, company(1)).await;
    }

    #[test]
    fn one_class_leaves_a_connection_to_each_other_class() {
        for (connections, own) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (7, 5), (8, 6), (10, 6), (100, 6)] {
            let shares = Shares::new(connections);
            let flooded = *ALL.last().unwrap();
            let mut held = Vec::new();
            for n in 0.. {
                let more = flood(&shares, flooded, company(n));
                if more.is_empty() {
                    break;
                }
                held.extend(more);
            }
            let free = |class| shares.acquire(class, company(u128::MAX)).now_or_never().is_some();
            let others = ALL.iter().filter(|class| **class != flooded && free(**class)).count();
            assert_eq!(others, own.min(5), "{connections}");
            assert_eq!(held.len() + own.min(5), usize::try_from(connections).unwrap(), "{connections}");
        }
    }

    #[tokio::test]
    async fn companies_take_turns() {
        let shares = Shares::new(8);
        let mut held = flood(&shares, Class::Audit, company(1));
        held.extend(flood(&shares, Class::Reads, company(3)));
        held.extend(flood(&shares, Class::Reads, company(4)));
        let mut ours: Vec<_> = (0..64).map(|_| Box::pin(shares.acquire(Class::Audit, company(1)))).collect();
        for waiting in &mut ours {
            assert!(poll!(waiting).is_pending());
        }
        let mut theirs = Box::pin(shares.acquire(Class::Audit, company(2)));
        assert!(poll!(&mut theirs).is_pending());
        // The first statement of company 1 is ahead of the statement of company 2, and the other 63 are behind it.
        held.clear();
        let mut granted = Vec::new();
        while granted.is_empty() {
            // The pause after the first read must end.
            tokio::task::yield_now().await;
            for waiting in &mut ours {
                if let Poll::Ready(permit) = poll!(waiting) {
                    granted.push(permit);
                }
            }
        }
        assert_eq!(granted.len(), 1);
        assert!(poll!(&mut theirs).is_ready());
    }
}
