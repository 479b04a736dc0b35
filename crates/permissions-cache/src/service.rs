//! The service: answers from what is kept if that may be trusted, otherwise from the store.

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

/// Answers what users may see and do. Share it behind an `Arc`; any task may call it, also one of another runtime.
///
/// Every answer is of one state and names it. It is as recent as [`Consistency`] asks for. Errors of the storage are
/// returned: a failure never allows, never looks like a denial, and is never kept. Cancelling a call does not cancel
/// loads that others wait for.
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
    /// Answers from this storage. Loads run on `runtime`, which must live as long as the storage.
    ///
    /// Unless [`follow`](Self::follow) runs, each request that is answered from what is kept costs a poll: right, but
    /// slower.
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

    /// Answers from what is kept, if that may be trusted: without waiting, without a lock, without an allocation.
    #[inline]
    #[must_use]
    pub fn try_check(&self, company: CompanyId, subject: Subject, question: &Question) -> Option<Outcome> {
        let outcome = self.cache.hit(&(company, subject.holder()), |set| decide(set, subject, question).outcome)?;
        self.cache.counters.hits.add(1);
        Some(outcome)
    }

    /// What the subject may see and do, from what is kept, if that may be trusted and is as recent as `consistency`
    /// asks.
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
    /// Errors of the storage; `Unavailable` also if it took too long, or lacks the state that is asked for.
    pub async fn access(&self, company: CompanyId, subject: Subject, consistency: Consistency) -> Result<Access> {
        if let Some(access) = self.try_access(company, subject, consistency) {
            return Ok(access);
        }
        self.cache.counters.misses.add(1);
        let (set, age) = self.resolver.resolve(company, subject, consistency).await?;
        Ok(Access::new(set, subject, age))
    }

    /// What several subjects of one company may see and do, in their order. Subjects that are not kept are loaded
    /// together.
    ///
    /// # Errors
    ///
    /// As [`Self::access`].
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
            // Something changed between two of them.
            self.resolver.load_together(company, subjects, consistency, &mut found).await?;
        }
        let access = |subject: &Subject| {
            let (set, age) =
                found.get(&subject.holder()).ok_or_else(|| StorageError::corrupt("a user was not loaded"))?;
            Ok(Access::new(Arc::clone(set), *subject, *age))
        };
        subjects.iter().map(access).collect()
    }

    /// The menu that the subject of an access sees, and the access that it is of: a newer one, if the store has
    /// changed.
    ///
    /// # Errors
    ///
    /// As [`Self::access`].
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
        Err(unavailable("the store changes faster than a menu is read"))
    }

    /// API keys and cut-offs of users.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Reports a change of this process: from now on, every request is answered from a state that includes it. Call it
    /// after each change, before the change is reported as made.
    pub fn changed(&self, target: Target, stamp: CommitStamp) {
        self.cache.changed(target, stamp);
    }

    /// Reports a change with an unknown outcome: nothing that was read before is used unproven.
    pub fn distrust(&self, target: Target) {
        self.cache.distrust(target);
    }

    /// The statistics of the cache at this moment.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// Polls for changes of other processes, forever: run it in a task of its own. While its polls are answered, what
    /// is kept is trusted. Wake-ups make it poll at once; without any it polls four times in the time of a lease.
    pub async fn follow(&self) {
        self.polls.follow().await;
    }
}
