//! Resolves the compiled set of a subject: returns the cached set if it is confirmed to be up to date, and otherwise
//! loads the set.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{CompanyId, UserId};
use iam_storage::{Result, StorageError};

use crate::engine::compiled::CompiledSet;
use crate::entries::Key;
use crate::freshness::clock::Moment;
use crate::freshness::ticket::Ticket;
use crate::loading::allowance::LoadAllowance;
use crate::loading::context::{Context, Source};
use crate::loading::error::unavailable;
use crate::loading::loads::{LoadedUser, Loads};
use crate::loading::polls::Polls;
use crate::lookup::Lookup;
use crate::{Consistency, Subject};

/// The compiled set of a subject, and the age of the set. The age is set only during an outage of the database.
pub(crate) type Resolved = (Arc<CompiledSet>, Option<Duration>);

/// The next step in resolving a subject.
enum Step {
    /// Return this compiled set. No load is needed.
    Answer(Resolved),
    /// Load the subject from this source. The load must begin after this ticket was issued.
    Load(Ticket, Source),
}

/// Maximum number of attempts to load a user or a menu, if the data or the primary changes during an attempt.
pub(crate) const ATTEMPTS: usize = 3;
/// Maximum number of steps to confirm that cached data is up to date: a poll, a load of the catalog, another poll, and
/// a last lookup.
pub(crate) const STEPS: usize = 4;

/// Resolves the permissions of subjects after a cache miss.
pub(crate) struct Resolver {
    context: Context,
    polls: Arc<Polls>,
    loads: Arc<Loads>,
}

impl Resolver {
    pub(crate) fn new(context: &Context, polls: Arc<Polls>, loads: Arc<Loads>) -> Self {
        Self { context: context.clone(), polls, loads }
    }

    /// Returns the compiled set of one subject. Like the following functions, loads only what `loads` allows.
    pub(crate) async fn resolve(
        &self,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
        loads: &mut LoadAllowance,
    ) -> Result<Resolved> {
        match self.resolve_from_cache(company, subject, consistency, self.context.cache.tickets.now()).await? {
            Step::Answer(resolved) => Ok(resolved),
            Step::Load(since, source) => self.load(company, subject, consistency, (since, source), loads).await,
        }
    }

    /// Adds the compiled permission sets of several subjects of one company to `found`. Subjects that are not cached
    /// are loaded in one batch.
    pub(crate) async fn resolve_all(
        &self,
        company: CompanyId,
        subjects: &[Subject],
        consistency: Consistency,
        found: &mut BTreeMap<UserId, Resolved>,
        loads: &mut LoadAllowance,
    ) -> Result<()> {
        let arrived = self.context.cache.tickets.now();
        let (mut missing, mut from) = (Vec::new(), (arrived, Source::Replicas));
        for subject in subjects {
            match self.resolve_from_cache(company, *subject, consistency, arrived).await? {
                Step::Answer(resolved) => drop(found.insert(subject.holder(), resolved)),
                Step::Load(since, source) => {
                    missing.push(*subject);
                    from = (since, if source == Source::Primary { source } else { from.1 });
                }
            }
        }
        if let [subject] = *missing {
            let resolved = self.load(company, subject, consistency, from, loads).await?;
            found.insert(subject.holder(), resolved);
        } else if !missing.is_empty() {
            self.load_together(company, &missing, (consistency, from.1), found, loads).await?;
        }
        Ok(())
    }

    /// Loads several subjects of one company from this source, and adds their compiled sets to `found`. All sets are from
    /// one consistent snapshot.
    pub(crate) async fn load_together(
        &self,
        company: CompanyId,
        subjects: &[Subject],
        (consistency, source): (Consistency, Source),
        found: &mut BTreeMap<UserId, Resolved>,
        loads: &mut LoadAllowance,
    ) -> Result<()> {
        let users: Vec<_> = subjects.iter().map(|subject| subject.holder()).collect();
        loads.take(users.len())?;
        let mut loaded = self.loads.users_together(company, users.clone(), source).await?;
        if !loaded.iter().all(|loaded| self.is_in_time(loaded)) {
            loads.take(users.len())?;
            loaded = self.loads.users_together(company, users, Source::Primary).await?;
        }
        for (subject, LoadedUser { set, .. }) in subjects.iter().zip(loaded) {
            consistency.refuse_older(&set, *subject)?;
            found.insert(subject.holder(), (set, None));
        }
        Ok(())
    }

    /// Returns `true` if the result was up to date within the lease, and if no assignment can have started or ended since. Otherwise, the load must be repeated: for example, the process was suspended, or the load began before the
    /// request arrived.
    fn is_in_time(&self, loaded: &LoadedUser) -> bool {
        let Context { options, cache, .. } = &self.context;
        Moment::now().since(loaded.at) <= options.lease && !cache.clock.may_have_reached(loaded.set.until)
    }

    /// Loads one subject, first from this source. The load begins only after the ticket `since` was issued.
    async fn load(
        &self,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
        (mut since, mut source): (Ticket, Source),
        loads: &mut LoadAllowance,
    ) -> Result<Resolved> {
        let key = (company, subject.holder());
        for attempt in 0..ATTEMPTS {
            loads.take(1)?;
            let loaded = self.loads.user(key, since, source).await?;
            (since, source) = (self.context.cache.tickets.now(), Source::Primary);
            // The load is repeated if it is not of the current history. Only the first load is repeated because it was not
            // in time.
            let is_in_time = attempt > 0 || self.is_in_time(&loaded);
            if is_in_time && self.polls.is_of_the_primary(&loaded.set).await? {
                consistency.refuse_older(&loaded.set, subject)?;
                return Ok((loaded.set, None));
            }
        }
        Err(unavailable("the response is not from the current primary database"))
    }

    /// Tries to satisfy `consistency` from the cache, and polls if the cached data must be confirmed first. Returns
    /// [`Step::Answer`] with the cached set, or [`Step::Load`] if a load is required.
    async fn resolve_from_cache(
        &self,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
        arrived: Ticket,
    ) -> Result<Step> {
        let cache = &self.context.cache;
        let key = (company, subject.holder());
        if consistency == Consistency::Fresh {
            // Polls before the load, because the result of a load that began before the first poll is not cached.
            self.polls.ensure_polled().await?;
            return Ok(Step::Load(arrived, Source::Primary));
        }
        for _ in 0..STEPS {
            // The lease is checked in each step, since it may expire while a step waits.
            let is_trusted = cache.lease.runs();
            match cache.look_up(key, (!is_trusted).then_some(arrived)) {
                Lookup::Current(set) if consistency.is_satisfied_by(&set, subject) => {
                    return Ok(Step::Answer((set, None)));
                }
                Lookup::Current(_) => break,
                Lookup::NeedsCatalog(since) => self.loads.catalog(since).await?,
                Lookup::Unconfirmed => {
                    if self.polls.is_in_outage()
                        && let Some(last) = self.in_outage(key, subject, consistency)
                    {
                        return Ok(Step::Answer(last));
                    }
                    cache.counters.confirmations.add(1);
                    if let Err(error) = self.polls.poll_after(arrived).await {
                        // During an outage, the cached set may be served within the outage grace, although no poll
                        // could confirm it (stale-if-error).
                        let is_outage = matches!(error, StorageError::Unavailable { .. });
                        let last = if is_outage { self.in_outage(key, subject, consistency) } else { None };
                        let Some(last) = last else { return Err(error) };
                        tracing::debug!(
                            error = &error as &dyn Error,
                            "serving cached data within the outage grace, because a poll failed"
                        );
                        return Ok(Step::Answer(last));
                    }
                }
                // While the lease is valid, a load that begins after the latest known change is recent enough.
                Lookup::Missing(outdated) if is_trusted && consistency == Consistency::Cached => {
                    return Ok(Step::Load(outdated, Source::Replicas));
                }
                Lookup::Missing(_) | Lookup::Passed => break,
            }
        }
        Ok(Step::Load(arrived, Source::Primary))
    }

    /// Returns the cached set during an outage of the database, if the age of the set is below the outage grace and the
    /// set satisfies `consistency`.
    fn in_outage(&self, key: Key, subject: Subject, consistency: Consistency) -> Option<Resolved> {
        let (set, age) = self.context.cache.last_known(key)?;
        let is_good = age < self.context.options.outage_grace && consistency.is_satisfied_by(&set, subject);
        is_good.then_some((set, Some(age)))
    }
}
