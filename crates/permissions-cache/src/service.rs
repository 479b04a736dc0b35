//! The entry point of the crate. It makes decisions from the cache while the cached data is up to date. Otherwise it
//! loads the data from the database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{CommitStamp, CompanyId, UserId};
use iam_storage::{Result, Storage, StorageError, Target};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::cache::Cache;
use crate::credentials::service::Credentials;
use crate::engine::access::decide;
use crate::engine::outcome::Outcome;
use crate::freshness::Freshness;
use crate::freshness::clock::Moment;
use crate::loading::allowance::LoadAllowance;
use crate::loading::context::{Context, Source};
use crate::loading::error::unavailable;
use crate::loading::loads::Loads;
use crate::loading::menus::Menus;
use crate::loading::polls::Polls;
use crate::loading::resolver::{ATTEMPTS, Resolved, Resolver};
use crate::{Access, CacheOptions, CacheStats, Check, Consistency, Navigation, Subject};

/// Decides what users may see and do. Share it through an `Arc`. Tasks of any Tokio runtime may call it.
///
/// Every result comes from one consistent snapshot of the database, carries the versions of that snapshot, and
/// satisfies the requested [`Consistency`]. Storage errors are returned to the caller. An error never grants access
/// (fail closed), is never reported as a denial, and is never cached. Cancelling a call does not cancel loads that
/// other calls wait for.
pub struct Permissions {
    cache: Arc<Cache>,
    pub(crate) context: Context,
    pub(crate) loads: Arc<Loads>,
    polls: Arc<Polls>,
    resolver: Resolver,
    menus: Menus,
    credentials: Credentials,
}

impl std::fmt::Debug for Permissions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permissions").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Permissions {
    /// Creates a service that uses this storage. The tasks that load data and poll for changes run on `runtime`, which
    /// must remain running for as long as the storage is used.
    ///
    /// Polls renew the lease only while [`follow`](Self::follow) runs. If it does not run, each request for cached data
    /// waits for a poll. Results are still correct, but requests are slower.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, runtime: Handle, options: CacheOptions) -> Self {
        let cache = Arc::new(Cache::new(options));
        let context = Context { storage, cache: Arc::clone(&cache), options, runtime };
        let gate = Arc::new(Semaphore::new(options.max_loads.max(1)));
        let polls = Arc::new(Polls::new(&context));
        let loads = Arc::new(Loads::new(&context, Arc::clone(&polls), Arc::clone(&gate)));
        let resolver = Resolver::new(&context, Arc::clone(&polls), Arc::clone(&loads));
        let menus = Menus::new(&context, gate);
        let credentials = Credentials::new(&context, Arc::clone(&polls));
        Self { cache, context, loads, polls, resolver, menus, credentials }
    }

    /// Decides a check from the cache. Returns `None` if the subject is not cached, if the cached data is outdated,
    /// or if the lease has expired. Does not wait, acquires no lock, and allocates no memory.
    #[inline]
    #[must_use]
    pub fn try_check(&self, company: CompanyId, subject: Subject, check: &Check) -> Option<Outcome> {
        let outcome = self.cache.hit(&(company, subject.holder()), |set| decide(set, subject, check).outcome)?;
        self.cache.counters.hits.add(1);
        Some(outcome)
    }

    /// Returns the access (the resolved permissions) of the subject from the cache. Returns `None` if the subject is
    /// not cached, if the cached data is outdated or does not satisfy `consistency`, or if the lease has expired.
    #[must_use]
    pub fn try_access(&self, company: CompanyId, subject: Subject, consistency: Consistency) -> Option<Access> {
        if consistency == Consistency::Fresh {
            return None;
        }
        let set = self.cache.hit(&(company, subject.holder()), Arc::clone)?;
        if !consistency.is_satisfied_by(&set, subject) {
            return None;
        }
        self.cache.counters.hits.add(1);
        Some(Access::new(set, subject, None))
    }

    /// Returns `true` if [`try_access`](Self::try_access) would return an access. The statistics do not count this call
    /// as a cache hit.
    #[must_use]
    pub fn is_cached(&self, company: CompanyId, subject: Subject, consistency: Consistency) -> bool {
        self.cache.hit(&(company, subject.holder()), |set| consistency.is_satisfied_by(set, subject)) == Some(true)
    }

    /// Returns the access of the subject: its resolved permissions in the company. Data that cannot be served from the
    /// cache is loaded from the database.
    ///
    /// # Errors
    ///
    /// Returns storage errors. Also returns `Unavailable` on a timeout, or if the database does not have the required
    /// versions.
    pub async fn access(&self, company: CompanyId, subject: Subject, consistency: Consistency) -> Result<Access> {
        self.access_within(company, subject, consistency, &mut LoadAllowance::default()).await
    }

    /// Returns the same result as [`Self::access`], if the load that it may require is allowed. The loads are counted even
    /// if the function fails.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::access`]. Also returns an error if a load is required but not allowed
    /// ([`LoadAllowance::is_refused`]).
    pub async fn access_within(
        &self,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
        loads: &mut LoadAllowance,
    ) -> Result<Access> {
        if let Some(access) = self.try_access(company, subject, consistency) {
            return Ok(access);
        }
        self.cache.counters.misses.add(1);
        let (set, age) = self.resolver.resolve(company, subject, consistency, loads).await?;
        Ok(Access::new(set, subject, age))
    }

    /// Returns the access of each of several subjects in one company, in the order of `subjects`. All are at the same
    /// versions. Subjects that are not cached are loaded with one query (no N+1 queries).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::access_within`].
    pub async fn accesses(
        &self,
        company: CompanyId,
        subjects: &[Subject],
        consistency: Consistency,
        loads: &mut LoadAllowance,
    ) -> Result<Vec<Access>> {
        let mut found: BTreeMap<UserId, Resolved> = BTreeMap::new();
        let mut missing = Vec::new();
        for subject in subjects {
            match self.try_access(company, *subject, consistency) {
                Some(access) => drop(found.insert(subject.holder(), (Arc::clone(access.set()), None))),
                None => missing.push(*subject),
            }
        }
        self.cache.counters.misses.add(missing.len() as u64);
        self.resolver.resolve_all(company, &missing, consistency, &mut found, loads).await?;
        let mut states = found.values().map(|(set, _)| set.versions);
        let first = states.next();
        if !states.all(|state| Some(state) == first) {
            // A change was committed between two of the reads, so all subjects are loaded again from one snapshot.
            let from = (consistency, Source::Primary);
            self.resolver.load_together(company, subjects, from, &mut found, loads).await?;
        }
        let access = |subject: &Subject| {
            let (set, age) =
                found.get(&subject.holder()).ok_or_else(|| StorageError::corrupt("a user was not loaded"))?;
            Ok(Access::new(Arc::clone(set), *subject, *age))
        };
        subjects.iter().map(access).collect()
    }

    /// Returns the menu items that the subject of `access` may see, and the access from which they were computed. If
    /// the company or the catalog has changed since `access` was resolved, the returned access is newer than `access`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::access`].
    pub async fn navigation(&self, company: CompanyId, mut access: Access) -> Result<(Access, Navigation)> {
        for _ in 0..ATTEMPTS {
            if access.is_non_member() {
                return Ok((access, Navigation::default()));
            }
            let versions = access.set().versions;
            let shared = self.menus.menu(None, versions.epoch, access.set().index.state).await?;
            let own = self.menus.menu(Some(company), versions.epoch, access.set().company_state()).await?;
            if let (Some(shared), Some(own)) = (shared, own) {
                let navigation = Navigation::of(&access, [&shared, &own]);
                return Ok((access, navigation));
            }
            access = self.access(company, access.subject(), Consistency::Fresh).await?;
        }
        Err(unavailable("the data changed repeatedly while the menu was loaded"))
    }

    /// Returns the service that looks up API keys and the token cut-offs of users.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Reports a change that this process committed, and invalidates the cached data that the change made outdated.
    /// Every later result includes the change (read-your-writes). Call this function after each commit, before you
    /// report success to the client.
    pub fn changed(&self, target: Target, stamp: CommitStamp) {
        self.cache.changed(target, stamp);
    }

    /// Reports a change that this process made, and whose outcome is unknown: the commit may or may not have succeeded.
    /// Invalidates the cached data of `target` and revokes the lease, so that other cached data is served only after a
    /// poll has confirmed it.
    pub fn distrust(&self, target: Target) {
        self.cache.distrust(target);
    }

    /// Returns how up to date the cached data is.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        let (lease, confirmed) = (&self.cache.lease, self.cache.lease.confirmed());
        Freshness {
            age: (confirmed > Moment::NEVER).then(|| Moment::now().since(confirmed)),
            lease_remaining: lease.remaining(),
            served_for: self.context.options.lease.max(self.context.options.outage_grace),
            is_poll_failing: self.polls.has_failed(),
        }
    }

    /// Returns the current statistics of the cache.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// Returns the longest time from a change until this replica has heard of it, of the changes since the previous call.
    /// Returns `None` if it has heard of no change since then. Each delay is returned to only one caller.
    #[must_use]
    pub fn take_longest_revocation_delay(&self) -> Option<Duration> {
        self.cache.counters.take_longest_delay()
    }

    /// Polls for changes by other replicas in an endless loop. Run this function in a separate task. Each poll that
    /// confirms the cached data renews the lease. A wake-up triggers a poll immediately. Without wake-ups, there are
    /// four polls per lease duration.
    pub async fn follow(&self) {
        self.polls.follow().await;
    }
}
