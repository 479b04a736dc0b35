//! The service: decides from the cache if it is current, and otherwise from the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use iam_domain::{CommitStamp, CompanyId, UserId};
use iam_storage::{Result, Storage, StorageError, Target};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::cache::Cache;
use crate::credentials::service::Credentials;
use crate::engine::access::decide;
use crate::engine::outcome::Outcome;
use crate::loading::context::Context;
use crate::loading::error::unavailable;
use crate::loading::loads::Loads;
use crate::loading::menus::Menus;
use crate::loading::polls::Polls;
use crate::loading::resolver::{ATTEMPTS, Resolved, Resolver};
use crate::{Access, CacheOptions, CacheStats, Consistency, Navigation, Question, Subject};

/// Decides what users may see and do. Share it behind an `Arc`; tasks of any runtime may call it.
///
/// Every result belongs to one state of the store, carries its versions, and is as recent as the requested
/// [`Consistency`]. Errors of the storage are returned: a failure never allows, never looks like a denial, and is never
/// cached. Cancelling a call does not cancel loads that other calls wait for.
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
    /// Creates a service over this storage. Loads run on `runtime`, which must live as long as the storage.
    ///
    /// While [`follow`](Self::follow) does not run, each request that uses the cache needs a poll. The results are
    /// still correct, but slower.
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

    /// Decides from the cache if it is current. Does not wait, takes no lock, and allocates nothing. Returns `None`
    /// otherwise.
    #[inline]
    #[must_use]
    pub fn try_check(&self, company: CompanyId, subject: Subject, question: &Question) -> Option<Outcome> {
        let outcome = self.cache.hit(&(company, subject.holder()), |set| decide(set, subject, question).outcome)?;
        self.cache.counters.hits.add(1);
        Some(outcome)
    }

    /// Returns the access of the subject from the cache, if it is current and as recent as `consistency` requires.
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

    /// Whether [`try_access`](Self::try_access) would answer. This does not count as a hit.
    #[must_use]
    pub fn is_cached(&self, company: CompanyId, subject: Subject, consistency: Consistency) -> bool {
        self.cache.hit(&(company, subject.holder()), |set| consistency.is_satisfied_by(set, subject)) == Some(true)
    }

    /// What the subject may see and do.
    ///
    /// # Errors
    ///
    /// Returns errors of the storage. Returns `Unavailable` also on a timeout, or if the store does not have the
    /// required state.
    pub async fn access(&self, company: CompanyId, subject: Subject, consistency: Consistency) -> Result<Access> {
        if let Some(access) = self.try_access(company, subject, consistency) {
            return Ok(access);
        }
        self.cache.counters.misses.add(1);
        let (set, age) = self.resolver.resolve(company, subject, consistency).await?;
        Ok(Access::new(set, subject, age))
    }

    /// Returns the accesses of several subjects of one company, in the order of the subjects. Subjects that are not
    /// cached are loaded together.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::access`].
    pub async fn accesses(
        &self,
        company: CompanyId,
        subjects: &[Subject],
        consistency: Consistency,
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
        self.resolver.resolve_all(company, &missing, consistency, &mut found).await?;
        let mut states = found.values().map(|(set, _)| set.versions);
        let first = states.next();
        if !states.all(|state| Some(state) == first) {
            // A change was committed between two of the reads.
            self.resolver.load_together(company, subjects, consistency, &mut found).await?;
        }
        let access = |subject: &Subject| {
            let (set, age) =
                found.get(&subject.holder()).ok_or_else(|| StorageError::corrupt("a user was not loaded"))?;
            Ok(Access::new(Arc::clone(set), *subject, *age))
        };
        subjects.iter().map(access).collect()
    }

    /// Returns the menu that the subject of an access may see, and the access that the menu belongs to. This is a newer
    /// access if the store has changed.
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
        Err(unavailable("the store kept changing while the menu was loaded"))
    }

    /// Returns the API keys and the token cut-offs of users.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Reports a committed change of this process. From now on, every result is from a state that includes the change.
    /// Call it after each change, before its success is reported.
    pub fn changed(&self, target: Target, stamp: CommitStamp) {
        self.cache.changed(target, stamp);
    }

    /// Reports a change of this process with an unknown outcome. From now on, data that was cached before is used only
    /// after it is proven current.
    pub fn distrust(&self, target: Target) {
        self.cache.distrust(target);
    }

    /// Returns the current statistics of the cache.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// Polls for changes of other processes, forever: run it in a task of its own. Successful polls keep the lease
    /// running, so that cached data is trusted. Wake-ups make it poll at once; without any, it polls four times per
    /// lease.
    pub async fn follow(&self) {
        self.polls.follow().await;
    }
}
