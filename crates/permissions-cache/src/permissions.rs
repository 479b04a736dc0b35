//! The service: answers from what is kept if that may be trusted, otherwise from the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use iam_domain::{ApiKeyPrefix, CompanyId, Freshness, Menu, Timestamp, UserId, Versions};
use iam_storage::{BoxError, ChangeFeed, Polled, Result, Stamped, StateId, Storage, StorageError, Target};
use quick_cache::sync::Cache as MenuCache;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::access::{decide, is_non_member};
use crate::cache::{Cache, Key, Known};
use crate::coalesce::{Coalescer, Lost, Ticket};
use crate::compiled::{CompiledSet, Outcome};
use crate::credentials::{KnownApiKey, Table};
use crate::freshness::clock::Moment;
use crate::{Access, CacheOptions, CacheStats, Navigation, Question, Subject};

/// How recent the state of an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// What is kept is enough, while it is known to be current within the lease.
    #[default]
    Cached,
    /// A state not older than this one, which an earlier answer or a write returned.
    AtLeast(Versions),
    /// What the store has after the question was asked.
    Fresh,
}

/// Several requests wait for one load, so they share its error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a load that others wait for too failed")]
struct Shared(#[source] Arc<StorageError>);

type Loaded<T> = Result<T, Arc<StorageError>>;
type StampedMenu = Stamped<Arc<Menu>>;

/// The set that answers; and its age, if that exceeds the lease.
type Resolved = (Arc<CompiledSet>, Option<Duration>);

/// Users with their sets.
type Loads = Vec<(UserId, Arc<CompiledSet>)>;

/// What a load read, and when it began.
#[derive(Clone)]
struct Read {
    set: Arc<CompiledSet>,
    at: Moment,
}

/// What is kept of a user.
enum Kept {
    /// Enough to answer.
    Answers(Resolved),
    /// Not enough: a load must answer that begins after this.
    Loads(Ticket),
}

/// The menus that were read, by owner and version. A menu of one version never changes.
type Menus = MenuCache<(u64, Option<CompanyId>, StateId), Arc<Menu>>;
/// How many menus are kept.
const MENUS: usize = 2048;
/// How many times an answer is attempted when the store changes meanwhile.
const ATTEMPTS: usize = 3;
/// The most steps to prove what is kept: a poll, a read of the catalog, a poll consistent with it.
const STEPS: usize = 4;

/// Answers what users may see and do. Share it behind an `Arc`; any task may call it, also one of another runtime.
///
/// Every answer is of one state and names it. It is as recent as [`Consistency`] asks for. Errors of the storage are
/// returned: a failure never allows, never looks like a denial, and is never kept. Cancelling a call does not cancel
/// loads that others wait for.
pub struct Permissions {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) options: CacheOptions,
    users: Arc<Coalescer<Key, Loaded<Read>>>,
    runtime: Handle,
    catalogs: Arc<Coalescer<(), Loaded<()>>>,
    polls: Arc<Coalescer<(), Loaded<()>>>,
    credential_loads: Arc<Coalescer<(), Loaded<()>>>,
    menu_loads: Arc<Coalescer<Option<CompanyId>, Loaded<StampedMenu>>>,
    menus: Menus,
    gate: Arc<Semaphore>,
    /// Whether polls extend the lease.
    pub(crate) is_followed: Arc<AtomicBool>,
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
        let gate = Arc::new(Semaphore::new(options.max_loads.max(1)));
        let (alone, at_the_door) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
        let is_followed = Arc::<AtomicBool>::default();
        let tickets = || Arc::clone(&cache.tickets);
        let context = || (Arc::clone(&storage), Arc::clone(&cache));

        let (store, kept) = context();
        let users =
            Coalescer::new(tickets(), Arc::clone(&gate), runtime.clone(), move |(company, user): Key, began| {
                let (store, kept) = (Arc::clone(&store), Arc::clone(&kept));
                Box::pin(async move {
                    let load = kept.begin(company, began);
                    let reader = store.reader().snapshots();
                    let stamped = timed(&kept, options.load_timeout, reader.load_user(company, user)).await?;
                    let (stamped, snapshot) = split(stamped);
                    Ok(Read { set: kept.keep(&load, user, &stamped, &snapshot), at: load.began_at() })
                })
            });

        let (store, kept) = context();
        let catalogs = Coalescer::new(tickets(), Arc::clone(&gate), runtime.clone(), move |(), began| {
            let (store, kept) = (Arc::clone(&store), Arc::clone(&kept));
            Box::pin(async move {
                let stamped = timed(&kept, options.load_timeout, store.reader().snapshots().load_catalog()).await?;
                kept.keep_catalog(stamped, began);
                Ok(())
            })
        });

        let (store, kept) = context();
        let followed = Arc::clone(&is_followed);
        let polls = Coalescer::new(tickets(), alone, runtime.clone(), move |(), began| {
            let (store, kept, followed) = (Arc::clone(&store), Arc::clone(&kept), Arc::clone(&followed));
            Box::pin(
                async move { poll(store.as_ref(), &kept, &options, followed.load(Ordering::Acquire), began).await },
            )
        });

        let (store, kept) = context();
        // Authentication does not wait until permissions of others are loaded.
        let credential_loads =
            Coalescer::new(tickets(), Arc::clone(&at_the_door), runtime.clone(), move |(), began| {
                let (store, kept) = (Arc::clone(&store), Arc::clone(&kept));
                Box::pin(async move {
                    let (since, at) = (kept.credentials.table().state(), Moment::now());
                    let changes = store.reader().credentials().changes_since(since.version);
                    let changes = timed(&kept, options.load_timeout, changes).await?;
                    kept.keep_credentials(changes, since, began, at);
                    Ok(())
                })
            });

        let (store, kept) = context();
        let menu_loads = Coalescer::new(tickets(), Arc::clone(&gate), runtime.clone(), move |owner, _| {
            let (store, kept) = (Arc::clone(&store), Arc::clone(&kept));
            Box::pin(async move {
                let stamped = timed(&kept, options.load_timeout, store.reader().snapshots().load_menu(owner)).await?;
                let (stamped, menu) = split(stamped);
                Ok(Stamped { versions: stamped.versions, stamps: stamped.stamps, value: Arc::new(menu) })
            })
        });

        let menus = MenuCache::new(MENUS);
        Self {
            storage,
            cache,
            options,
            users,
            catalogs,
            polls,
            credential_loads,
            menu_loads,
            menus,
            gate,
            is_followed,
            runtime,
        }
    }

    /// Answers from what is kept, if that may be trusted: without waiting, without a lock, without an allocation.
    #[inline]
    #[must_use]
    pub fn try_check(&self, company: CompanyId, subject: Subject, question: &Question) -> Option<Outcome> {
        let outcome = self.cache.hit(&(company, subject.user_id()), |set| decide(set, subject, question).outcome)?;
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
        let set = self.cache.hit(&(company, subject.user_id()), Arc::clone)?;
        if !satisfies(&set, subject, consistency) {
            return None;
        }
        self.cache.counters.hits.add(1);
        Some(Access::new(set, subject, None))
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
        let (set, age) = self.resolve(company, subject, consistency).await?;
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
                Some(access) => drop(found.insert(subject.user_id(), (Arc::clone(access.set()), None))),
                None => missing.push(*subject),
            }
        }
        self.cache.counters.misses.add(missing.len() as u64);
        let arrived = self.cache.tickets.now();
        let (mut loads, mut since) = (Vec::new(), arrived);
        for subject in missing {
            match self.kept(company, subject, consistency, arrived).await? {
                Kept::Answers(resolved) => drop(found.insert(subject.user_id(), resolved)),
                Kept::Loads(after) => {
                    loads.push(subject);
                    since = after;
                }
            }
        }
        if let [subject] = *loads {
            let resolved = self.loaded(company, subject, consistency, since).await?;
            found.insert(subject.user_id(), resolved);
        } else if !loads.is_empty() {
            self.find_together(company, &loads, consistency, &mut found).await?;
        }
        let mut states = found.values().map(|(set, _)| set.versions);
        let first = states.next();
        if !states.all(|state| Some(state) == first) {
            // Something changed between two of them.
            self.find_together(company, subjects, consistency, &mut found).await?;
        }
        let access = |subject: &Subject| {
            let (set, age) =
                found.get(&subject.user_id()).ok_or_else(|| StorageError::corrupt("a user was not loaded"))?;
            Ok(Access::new(Arc::clone(set), *subject, *age))
        };
        subjects.iter().map(access).collect()
    }

    async fn find_together(
        &self,
        company: CompanyId,
        subjects: &[Subject],
        consistency: Consistency,
        found: &mut BTreeMap<UserId, Resolved>,
    ) -> Result<()> {
        let users: Vec<_> = subjects.iter().map(|subject| subject.user_id()).collect();
        let sets = self.load_together(company, users).await?;
        for (subject, (user, set)) in subjects.iter().zip(sets) {
            refuse_older(&set, *subject, consistency)?;
            found.insert(user, (set, None));
        }
        Ok(())
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
            let shared = self.menu(None, versions.epoch, access.set().index.state).await?;
            let own = self.menu(Some(company), versions.epoch, access.set().company_state()).await?;
            if let (Some(shared), Some(own)) = (shared, own) {
                let navigation = Navigation::of(&access, [&shared, &own]);
                return Ok((access, navigation));
            }
            access = self.access(company, access.subject(), Consistency::Fresh).await?;
        }
        Err(unavailable("the store changes faster than a menu is read"))
    }

    /// The menu of an owner at exactly this state; `None` if the store has another one by now.
    async fn menu(&self, owner: Option<CompanyId>, epoch: u64, state: StateId) -> Result<Option<Arc<Menu>>> {
        if let Some(menu) = self.menus.get(&(epoch, owner, state)) {
            return Ok(Some(menu));
        }
        let loaded = self.in_time(self.menu_loads.get(owner, self.cache.tickets.now())).await?;
        let read = if owner.is_some() { loaded.company_state() } else { loaded.catalog_state() };
        self.menus.insert((loaded.versions.epoch, owner, read), Arc::clone(&loaded.value));
        Ok(((loaded.versions.epoch, read) == (epoch, state)).then_some(loaded.value))
    }

    /// The cut-off of the user: tokens issued before it are refused. `None` if there is none. As current as permissions
    /// are.
    ///
    /// # Errors
    ///
    /// As [`Self::access`].
    pub async fn not_before(&self, user: UserId) -> Result<Option<Timestamp>> {
        self.credentials(|table| table.not_before(user)).await
    }

    /// The API key with this prefix, even if it was revoked or has expired. As current as permissions are.
    ///
    /// # Errors
    ///
    /// As [`Self::access`].
    pub async fn api_key(&self, prefix: &ApiKeyPrefix) -> Result<Option<Arc<KnownApiKey>>> {
        self.credentials(|table| table.api_key(prefix)).await
    }

    /// Notes that a key was used. [`maintain`](Self::maintain) stores it, about once a minute.
    pub fn api_key_used(&self, key: &KnownApiKey, at: Timestamp) {
        self.cache.credentials.used(key, at);
    }

    async fn credentials<R>(&self, read: impl Fn(&Table) -> R) -> Result<R> {
        let credentials = &self.cache.credentials;
        let table = credentials.table();
        let answer = read(&table);
        // Checked after the table was read: the process may be paused for long between any two of these.
        if credentials.is_current(&table) && self.cache.lease.runs() {
            return Ok(answer);
        }
        let arrived = self.cache.tickets.now();
        for _ in 0..STEPS {
            if let Err(error) = self.in_time(self.credential_loads.get((), arrived)).await {
                let is_outage = matches!(error, StorageError::Unavailable { .. });
                let last = self.cache.last_known_credentials();
                let last = last.filter(|(_, age)| is_outage && *age < self.options.outage_grace);
                return last.map(|(table, _)| read(&table)).ok_or(error);
            }
            if let Some(table) = self.cache.credentials_seen_after(arrived) {
                self.be_sure_of_the_primary().await?;
                return Ok(read(&table));
            }
            self.be_polled().await?;
        }
        Err(unavailable("the store changes faster than credentials are read"))
    }

    /// Reports a change of this process: from now on, every request is answered from a state that includes it. Call it
    /// after each change, before the change is reported as made.
    pub fn changed(&self, target: Target, versions: Versions) {
        self.cache.made(target, versions);
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

    /// The answer after a miss.
    async fn resolve(&self, company: CompanyId, subject: Subject, consistency: Consistency) -> Result<Resolved> {
        match self.kept(company, subject, consistency, self.cache.tickets.now()).await? {
            Kept::Answers(resolved) => Ok(resolved),
            Kept::Loads(since) => self.loaded(company, subject, consistency, since).await,
        }
    }

    /// The result of a load that began after `since`.
    async fn loaded(
        &self,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
        since: Ticket,
    ) -> Result<Resolved> {
        let key = (company, subject.user_id());
        let mut since = since;
        for attempt in 0..ATTEMPTS {
            let read = self.in_time(self.users.get(key, since)).await?;
            since = self.cache.tickets.now();
            // A read is repeated once if it took longer than anything may be outdated, if the process was stopped
            // meanwhile, or if the database that answered is not the primary.
            let is_in_time = attempt > 0 || Moment::now().since(read.at) <= self.options.lease;
            if is_in_time && self.is_of_the_primary(&read.set).await? {
                refuse_older(&read.set, subject, consistency)?;
                return Ok((read.set, None));
            }
        }
        Err(unavailable("another database answered than the one that counts"))
    }

    /// What is kept of a user, once it is proven as recent as is asked for; or from when on a load must begin that
    /// answers instead.
    async fn kept(
        &self,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
        arrived: Ticket,
    ) -> Result<Kept> {
        let key = (company, subject.user_id());
        if consistency == Consistency::Fresh {
            // Nothing that is read before the first poll is kept.
            self.be_polled().await?;
            return Ok(Kept::Loads(arrived));
        }
        for _ in 0..STEPS {
            // Checked in each step: the lease may end during a wait.
            let is_trusted = self.cache.lease.runs();
            match self.cache.known(key, (!is_trusted).then_some(arrived)) {
                Known::Current(set) if satisfies(&set, subject, consistency) => {
                    return Ok(Kept::Answers((set, None)));
                }
                Known::Current(_) => break,
                Known::Catalog(since) => self.in_time(self.catalogs.get((), since)).await?,
                Known::Unproven => {
                    self.cache.counters.confirmations.add(1);
                    if let Err(error) = self.in_time(self.polls.get((), arrived)).await {
                        // It may be as recent as is asked for, but it is not known whether it is current.
                        let is_outage = matches!(error, StorageError::Unavailable { .. });
                        let last = if is_outage { self.in_outage(key, subject, consistency) } else { None };
                        return last.map(Kept::Answers).ok_or(error);
                    }
                }
                // Under the lease, a load is recent enough that began after the latest known change.
                Known::Nothing(heard) if is_trusted && consistency == Consistency::Cached => {
                    return Ok(Kept::Loads(heard));
                }
                Known::Nothing(_) => break,
            }
        }
        Ok(Kept::Loads(arrived))
    }

    /// Polls, and extends the lease if that proves something.
    pub(crate) async fn poll_for_lease(&self) -> Result<()> {
        self.in_time(self.polls.get((), self.cache.tickets.now())).await
    }

    /// Polls unless that has been done: nothing that is read before the first poll is kept.
    pub(crate) async fn be_polled(&self) -> Result<()> {
        if self.cache.has_position() { Ok(()) } else { self.poll_for_lease().await }
    }

    /// Whether what was just read is of the current history; if that is not known, the next poll decides.
    async fn is_of_the_primary(&self, set: &CompiledSet) -> Result<bool> {
        self.be_sure_of_the_primary().await?;
        self.be_polled().await?;
        Ok(self.cache.epoch() == Some(set.versions.epoch))
    }

    /// Returns an error unless what was just read came from the primary. Where only acknowledgements prove that, there
    /// must be one within the lease.
    async fn be_sure_of_the_primary(&self) -> Result<()> {
        let lease = &self.cache.lease;
        if lease.is_fenced() && !lease.runs() { self.poll_for_lease().await } else { Ok(()) }
    }

    fn in_outage(&self, key: Key, subject: Subject, consistency: Consistency) -> Option<Resolved> {
        let (set, age) = self.cache.last_known(key)?;
        (age < self.options.outage_grace && satisfies(&set, subject, consistency)).then_some((set, Some(age)))
    }

    /// Loads users of a company in one statement, which begins after this call and is not cancelled with it.
    pub(crate) async fn load_together(&self, company: CompanyId, users: Vec<UserId>) -> Result<Loads> {
        self.be_polled().await?;
        let (storage, cache) = (Arc::clone(&self.storage), Arc::clone(&self.cache));
        let (gate, limit) = (Arc::clone(&self.gate), self.options.load_timeout);
        let load = async move {
            let permit = tokio::time::timeout(limit, gate.acquire());
            let _permit = permit.await.map_err(|_| unavailable("too many loads are under way"))?;
            let load = cache.begin(company, cache.tickets.begin());
            let stamped = timed(&cache, limit, storage.reader().snapshots().load_users(company, &users));
            let stamped = stamped.await.map_err(|error| shared(&error))?;
            let (stamped, snapshot) = split(stamped);
            let keep = |user| (user, cache.keep(&load, user, &stamped, &snapshot.of_user(user)));
            Ok(users.into_iter().map(keep).collect())
        };
        let loaded: Loads = self.runtime.spawn(load).await.map_err(unavailable)??;
        for (_, set) in &loaded {
            if !self.is_of_the_primary(set).await? {
                return Err(unavailable("another database answered than the one that counts"));
            }
        }
        Ok(loaded)
    }

    async fn in_time<T>(&self, load: impl Future<Output = Result<Loaded<T>, Lost>>) -> Result<T> {
        match tokio::time::timeout(self.options.load_timeout, load).await {
            Ok(Ok(loaded)) => loaded.map_err(|error| shared(&error)),
            Ok(Err(lost)) => Err(unavailable(lost)),
            Err(_) => Err(unavailable("the store took too long")),
        }
    }
}

/// Separates what was read from its states.
fn split<T>(stamped: Stamped<T>) -> (Stamped<()>, T) {
    let Stamped { versions, stamps, value } = stamped;
    (Stamped { versions, stamps, value: () }, value)
}

/// Polls once. If that proves something and changes are followed, the lease is extended.
async fn poll(
    store: &dyn Storage,
    cache: &Arc<Cache>,
    options: &CacheOptions,
    is_followed: bool,
    began: Ticket,
) -> Loaded<()> {
    let changes = store.changes();
    renew(changes, cache, options).await?;
    let sent = cache.lease.sending();
    let (since, generation) = cache.next_poll();
    cache.counters.polls.add(1);
    let told = match in_limit(options.load_timeout, changes.poll(since.as_ref())).await.map_err(Arc::new)? {
        Polled::Primary(told) => told,
        Polled::NotPrimary(why) => {
            cache.not_primary(why, generation);
            return Err(Arc::new(unavailable(why.to_string())));
        }
    };
    cache.polled(&told, generation, began);
    // A regression that this poll found is repaired at once; one that loads found, by the next poll.
    renew(changes, cache, options).await?;
    if told.needs_acknowledgement {
        if !cache.lease.wants_acknowledgement(options.lease) {
            return Ok(());
        }
        let at = Moment::now();
        in_limit(options.load_timeout, changes.acknowledge()).await.map_err(Arc::new)?;
        cache.lease.acknowledged(at);
    }
    cache.proven(generation, began, sent, is_followed.then_some(options.lease));
    Ok(())
}

/// Gives the history another epoch, if versions went back within the current one.
async fn renew(changes: &dyn ChangeFeed, cache: &Cache, options: &CacheOptions) -> Loaded<()> {
    if let Some(epoch) = cache.to_renew() {
        in_limit(options.load_timeout, changes.renew(epoch)).await.map_err(Arc::new)?;
        cache.renewed(epoch);
    }
    Ok(())
}

/// Ends a load that takes too long, and counts the load.
async fn timed<T>(cache: &Cache, limit: Duration, load: impl Future<Output = Result<T>>) -> Loaded<T> {
    let began = Instant::now();
    let loaded = in_limit(limit, load).await;
    cache.counters.loads.add(1);
    metrics::histogram!("iam_cache_load_seconds").record(began.elapsed().as_secs_f64());
    loaded.map_err(|error| {
        cache.counters.failed_loads.add(1);
        tracing::warn!(error = &error as &dyn std::error::Error, "a load failed");
        Arc::new(error)
    })
}

/// Ends a call that takes too long.
async fn in_limit<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(unavailable("the store took too long")))
}

fn unavailable(why: impl Into<BoxError>) -> StorageError {
    StorageError::Unavailable { retryable: false, source: Some(why.into()) }
}

/// The error of a load, for one of the requests that waited for it.
fn shared(error: &Arc<StorageError>) -> StorageError {
    let source: BoxError = Box::new(Shared(Arc::clone(error)));
    match error.as_ref() {
        StorageError::Corrupt { what, .. } => StorageError::Corrupt { what: what.clone(), source: Some(source) },
        _ => unavailable(source),
    }
}

/// Whether what is kept is as recent as is asked for. `AtLeast` is never satisfied for non-members, who would otherwise
/// learn the company's version.
fn satisfies(set: &CompiledSet, subject: Subject, consistency: Consistency) -> bool {
    match consistency {
        Consistency::Cached => true,
        Consistency::AtLeast(least) => {
            !is_non_member(set, subject) && set.versions.against(least) == Freshness::Satisfied
        }
        Consistency::Fresh => false,
    }
}

/// What was loaded after the request arrived is as recent as possible. It is still refused if the client has seen a
/// newer state of the same database: then this database is not the primary.
fn refuse_older(set: &CompiledSet, subject: Subject, consistency: Consistency) -> Result<()> {
    match consistency {
        Consistency::AtLeast(least)
            if !is_non_member(set, subject) && set.versions.against(least) == Freshness::Older =>
        {
            Err(unavailable("the state that was asked for is not here"))
        }
        _ => Ok(()),
    }
}
