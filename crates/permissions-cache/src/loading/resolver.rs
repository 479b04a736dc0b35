//! Finds the set that answers: what is kept once it is proven current, or what a load reads.

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
use crate::loading::context::Context;
use crate::loading::error::unavailable;
use crate::loading::loads::Loads;
use crate::loading::polls::Polls;
use crate::lookup::Lookup;
use crate::{Consistency, Subject};

/// The set that answers; and its age, if that exceeds the lease.
pub(crate) type Resolved = (Arc<CompiledSet>, Option<Duration>);

/// What must be done to answer.
enum Step {
    /// Nothing: this answers.
    Answer(Resolved),
    /// A load must answer that begins after this.
    Load(Ticket),
}

/// How many times an answer is attempted when the store changes meanwhile.
pub(crate) const ATTEMPTS: usize = 3;
/// The most steps to prove what is kept: a poll, a read of the catalog, a poll consistent with it.
pub(crate) const STEPS: usize = 4;

/// Resolves subjects that cannot be answered at once.
pub(crate) struct Resolver {
    context: Context,
    polls: Arc<Polls>,
    loads: Arc<Loads>,
}

impl Resolver {
    pub(crate) fn new(context: &Context, polls: Arc<Polls>, loads: Arc<Loads>) -> Self {
        Self { context: context.clone(), polls, loads }
    }

    /// The set of one subject.
    pub(crate) async fn resolve(
        &self,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
    ) -> Result<Resolved> {
        match self.prove(company, subject, consistency, self.context.cache.tickets.now()).await? {
            Step::Answer(resolved) => Ok(resolved),
            Step::Load(since) => self.load(company, subject, consistency, since).await,
        }
    }

    /// Adds the sets of several subjects of one company to `found`. Those that are not kept are loaded together.
    pub(crate) async fn resolve_all(
        &self,
        company: CompanyId,
        subjects: &[Subject],
        consistency: Consistency,
        found: &mut BTreeMap<UserId, Resolved>,
    ) -> Result<()> {
        let arrived = self.context.cache.tickets.now();
        let (mut missing, mut since) = (Vec::new(), arrived);
        for subject in subjects {
            match self.prove(company, *subject, consistency, arrived).await? {
                Step::Answer(resolved) => drop(found.insert(subject.holder(), resolved)),
                Step::Load(after) => {
                    missing.push(*subject);
                    since = after;
                }
            }
        }
        if let [subject] = *missing {
            let resolved = self.load(company, subject, consistency, since).await?;
            found.insert(subject.holder(), resolved);
        } else if !missing.is_empty() {
            self.load_together(company, &missing, consistency, found).await?;
        }
        Ok(())
    }

    /// Adds the sets of several subjects of one company to `found`, all of one state.
    pub(crate) async fn load_together(
        &self,
        company: CompanyId,
        subjects: &[Subject],
        consistency: Consistency,
        found: &mut BTreeMap<UserId, Resolved>,
    ) -> Result<()> {
        let users: Vec<_> = subjects.iter().map(|subject| subject.holder()).collect();
        let sets = self.loads.users_together(company, users).await?;
        for (subject, (user, set)) in subjects.iter().zip(sets) {
            consistency.refuse_older(&set, *subject)?;
            found.insert(user, (set, None));
        }
        Ok(())
    }

    /// The result of a load that began after `since`.
    async fn load(
        &self,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
        since: Ticket,
    ) -> Result<Resolved> {
        let key = (company, subject.holder());
        let mut since = since;
        for attempt in 0..ATTEMPTS {
            let loaded = self.loads.user(key, since).await?;
            since = self.context.cache.tickets.now();
            // A read is repeated once if it took longer than anything may be outdated, if the process was stopped
            // meanwhile, or if the database that answered is not the primary.
            let is_in_time = attempt > 0 || Moment::now().since(loaded.at) <= self.context.options.lease;
            if is_in_time && self.polls.is_of_the_primary(&loaded.set).await? {
                consistency.refuse_older(&loaded.set, subject)?;
                return Ok((loaded.set, None));
            }
        }
        Err(unavailable("another database answered than the one that counts"))
    }

    /// Proves that what is kept of a user is as recent as is asked for, or returns the load that must answer instead.
    async fn prove(
        &self,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
        arrived: Ticket,
    ) -> Result<Step> {
        let cache = &self.context.cache;
        let key = (company, subject.holder());
        if consistency == Consistency::Fresh {
            // Nothing that is read before the first poll is kept.
            self.polls.ensure_polled().await?;
            return Ok(Step::Load(arrived));
        }
        for _ in 0..STEPS {
            // Checked in each step: the lease may end during a wait.
            let is_trusted = cache.lease.runs();
            match cache.look_up(key, (!is_trusted).then_some(arrived)) {
                Lookup::Current(set) if consistency.is_satisfied_by(&set, subject) => {
                    return Ok(Step::Answer((set, None)));
                }
                Lookup::Current(_) => break,
                Lookup::NeedsCatalog(since) => self.loads.catalog(since).await?,
                Lookup::Unproven => {
                    cache.counters.confirmations.add(1);
                    if let Err(error) = self.polls.poll_after(arrived).await {
                        // It may be as recent as is asked for, but it is not known whether it is current.
                        let is_outage = matches!(error, StorageError::Unavailable { .. });
                        let last = if is_outage { self.in_outage(key, subject, consistency) } else { None };
                        let Some(last) = last else { return Err(error) };
                        tracing::debug!(error = &error as &dyn Error, "answered from the last known state");
                        return Ok(Step::Answer(last));
                    }
                }
                // Under the lease, a load is recent enough that began after the latest known change.
                Lookup::Missing(outdated) if is_trusted && consistency == Consistency::Cached => {
                    return Ok(Step::Load(outdated));
                }
                Lookup::Missing(_) => break,
            }
        }
        Ok(Step::Load(arrived))
    }

    /// What answers while the store is unavailable, within the grace.
    fn in_outage(&self, key: Key, subject: Subject, consistency: Consistency) -> Option<Resolved> {
        let (set, age) = self.context.cache.last_known(key)?;
        let is_good = age < self.context.options.outage_grace && consistency.is_satisfied_by(&set, subject);
        is_good.then_some((set, Some(age)))
    }
}
