//! Tracks the latest known versions of the catalog, the credentials and the companies. The tracker is a pure state
//! machine: it uses no lock, no clock and no I/O.
//!
//! Each method receives an event and returns its [`Effects`]. A [`StateId`] consists of a version and the random stamp
//! of the change that produced the version. [`Ticket`]s order the events: a read that began after a version was learned
//! returns this version or a later one, whereas a read that began earlier may return an older version. Three rules
//! ensure correctness:
//!
//! * The tracker has no version before the first poll. Each later poll continues from the position that the last
//!   successful poll returned, so no change is missed, even if polls fail for a long time.
//! * If a poll reports a version, cached data of another version is invalidated, and the result of a load in progress
//!   is not cached if it has another version. The same version with a different stamp is treated as another version.
//! * If a read that began after a version was learned returns an older version, or the same version with another stamp,
//!   the database was restored and has another history. All known versions and all cached data are then discarded.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use iam_domain::CompanyId;
use iam_storage::{Changes, Position, StateId, Target};

use crate::freshness::ticket::Ticket;

/// The latest known versions, and the database history that they belong to.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    history: Option<History>,
    /// The result of a load is cached only if the load began after this ticket was issued. Results of earlier loads may
    /// be from an earlier history, or may miss changes that were committed before the first poll of the current
    /// history.
    since: Ticket,
    /// The number of times that the tracker was reset. The result of a poll that began in an earlier generation is
    /// ignored, because the poll continued from a position that is no longer valid.
    generation: u64,
    /// The epoch that must be replaced, because the database was restored without a new epoch. `None` if no epoch must
    /// be replaced.
    to_renew: Option<u64>,
    /// The position in the change feed from which the next poll continues. `None` before the first poll of a history.
    position: Option<Position>,
    /// The ticket at which the latest poll that confirmed the known versions began.
    confirmed: Ticket,
    catalog: Known,
    /// `true` if the known versions of the catalog and of all companies are from one consistent snapshot. Cached
    /// company data may then be combined with this catalog.
    is_catalog_polled: bool,
    credentials: Known,
    companies: HashMap<CompanyId, Known, RandomState>,
    /// The value of `outdated` for all companies that are not tracked: a load that began before this ticket was issued
    /// may miss the latest change to such a company.
    forgotten: Ticket,
}

/// The identifier of a database history. A restore or failover starts another history, and versions are comparable
/// only within one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct History {
    epoch: u64,
    identity: u64,
}

/// The latest known version of the catalog, of the credentials, or of a company.
#[derive(Debug, Default)]
struct Known {
    /// The latest known version and its stamp. `None` if no version is known, or if there may be a later version.
    state: Option<StateId>,
    /// The ticket at which `state` was learned. Reads that begin after this ticket was issued return this version or a
    /// later one.
    learned: Ticket,
    /// The ticket at which the latest change was reported. Reads that began before this ticket was issued may miss this
    /// change.
    outdated: Ticket,
}

/// The result of comparing the version that a read returned with the latest known version.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The returned version and its stamp equal the known version and its stamp.
    Same,
    /// The returned version is newer than the known version, or no version was known.
    Newer,
    /// The read began before the latest change was reported, so the returned version may be outdated.
    Outdated,
    /// The returned version is inconsistent with the known version: it is older, or has another stamp, although the
    /// read began after the known version was learned. The database was therefore restored.
    Regressed,
}

impl Known {
    fn sees(&self, state: StateId, began: Ticket) -> Seen {
        match self.state {
            None if began > self.outdated => Seen::Newer,
            None => Seen::Outdated,
            Some(known) if known == state => Seen::Same,
            // A read that began before the latest change was reported may have read a history that a restore has since
            // replaced.
            Some(known) if state.version > known.version && began > self.outdated => Seen::Newer,
            Some(known) if state.version > known.version => Seen::Outdated,
            Some(_) if began > self.learned => Seen::Regressed,
            Some(_) => Seen::Outdated,
        }
    }

    fn learn(&mut self, state: StateId, now: Ticket) {
        self.state = Some(state);
        self.learned = now;
    }

    /// Records a change, or a possible change, whose version is not known. Reads that began before `now` may miss the
    /// change.
    fn outdate(&mut self, now: Ticket) {
        self.state = None;
        self.outdated = now;
    }

    /// Records the version that a poll reported. Returns the result of comparing it with the known version.
    fn report(&mut self, state: StateId, began: Ticket, now: Ticket) -> Seen {
        let seen = self.sees(state, began);
        match seen {
            Seen::Newer => {
                self.outdated = now;
                self.learn(state, now);
            }
            // It is unknown which of the two versions is later. The next poll may not report this version again, so the
            // known version is discarded.
            Seen::Outdated => self.outdate(now),
            Seen::Same | Seen::Regressed => {}
        }
        seen
    }
}

/// The effects of an event on the cached data and on the lease.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// The companies whose cached data is invalidated.
    pub(crate) outdated: Vec<CompanyId>,
    /// `true` if the catalog changed or may have changed. Sets that were compiled for another version of the catalog
    /// are no longer served.
    pub(crate) catalog: bool,
    /// `true` if the credentials changed or may have changed. Cached credentials are served only after the changes have
    /// been loaded.
    pub(crate) credentials: bool,
    /// `true` if all cached data is discarded and must be loaded again.
    pub(crate) everything: bool,
    /// `true` if the lease is revoked. Cached data is then served only after a poll that begins after this event has
    /// confirmed it.
    pub(crate) end_lease: bool,
}

/// Determines whether the result of a load is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    /// The result has the latest known version and is cached.
    Keep,
    /// The result may be outdated and is not cached. Only the requests that wait for this load receive it.
    Discard,
}

/// The versions that a load returned, and the ticket (logical timestamp) that was issued when the load began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) epoch: u64,
    pub(crate) catalog: StateId,
    /// The company and its version. `None` if the load read only the catalog.
    pub(crate) company: Option<(CompanyId, StateId)>,
    pub(crate) began: Ticket,
}

impl Tracker {
    /// Returns the position in the change feed from which the next poll continues, and the current generation. The
    /// caller passes the generation to [`Self::on_poll`].
    pub(crate) fn next_poll(&self) -> (Option<Position>, u64) {
        (self.position.clone(), self.generation)
    }

    /// Returns `true` if a poll has reported the versions of the current history.
    pub(crate) const fn has_position(&self) -> bool {
        self.position.is_some()
    }

    /// Returns the epoch of the current history. `None` if no poll has reported it yet.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.history.filter(|_| self.has_position()).map(|history| history.epoch)
    }

    /// Returns the epoch that must be replaced before the next poll, because the database was restored without a new
    /// epoch. `None` if no epoch must be replaced.
    pub(crate) const fn to_renew(&self) -> Option<u64> {
        self.to_renew
    }

    /// Records that `epoch` was replaced.
    pub(crate) fn on_renewed(&mut self, epoch: u64) {
        self.to_renew = self.to_renew.filter(|waiting| *waiting != epoch);
    }

    /// Returns the ticket at which the latest poll that confirmed the known versions began.
    pub(crate) const fn confirmed(&self) -> Ticket {
        self.confirmed
    }

    /// Returns the latest known version and stamp of the catalog.
    pub(crate) const fn catalog(&self) -> Option<StateId> {
        self.catalog.state
    }

    /// Returns the latest known version and stamp of the credentials.
    pub(crate) const fn credentials(&self) -> Option<StateId> {
        self.credentials.state
    }

    /// Returns the latest known version and stamp of a company.
    pub(crate) fn company(&self, id: CompanyId) -> Option<StateId> {
        self.companies.get(&id)?.state
    }

    /// Returns `true` if the known versions of the catalog and of all companies are from one consistent snapshot.
    pub(crate) const fn is_catalog_polled(&self) -> bool {
        self.is_catalog_polled
    }

    /// Returns a ticket. If a load of the catalog begins after this ticket was issued, its result includes the latest
    /// known change to the catalog.
    pub(crate) fn least_for_catalog(&self) -> Ticket {
        self.catalog.outdated.max(self.since)
    }

    /// Returns a ticket. If a load of the company begins after this ticket was issued, its result includes the latest
    /// known changes to the company and to the catalog.
    pub(crate) fn least(&self, company: CompanyId) -> Ticket {
        let company = self.companies.get(&company).map_or(self.forgotten, |known| known.outdated);
        company.max(self.least_for_catalog())
    }

    /// Starts tracking the version of this company.
    pub(crate) fn track(&mut self, company: CompanyId) {
        let outdated = self.forgotten;
        self.companies.entry(company).or_insert_with(|| Known { outdated, ..Known::default() });
    }

    /// Stops tracking the version of a company. The caller must ensure that the cache contains no data of the company,
    /// and that no load of the company is in progress.
    pub(crate) fn forget(&mut self, company: CompanyId) {
        if let Some(known) = self.companies.remove(&company) {
            self.forgotten = self.forgotten.max(known.outdated);
        }
    }

    /// Applies the result of a poll that began at the ticket `began`, while the tracker was in this generation. This
    /// call does not confirm the cached data; [`Self::on_confirmed`] does.
    pub(crate) fn on_poll(&mut self, changes: &Changes, generation: u64, began: Ticket, now: Ticket) -> Effects {
        let mut effects = Effects::default();
        if generation != self.generation {
            return effects;
        }
        let history = History { epoch: changes.epoch, identity: changes.identity };
        let is_other = self.history.is_some_and(|known| known != history);
        let is_first = self.position.is_none();
        if is_other || !(is_first || changes.is_continuous) {
            self.reset(&mut effects, now);
        } else if is_first {
            // Loads that began before this poll may miss changes that were committed before the poll.
            self.since = now;
            self.forgotten = now;
        }
        self.history = Some(history);
        self.position = Some(changes.position.clone());
        // This poll read the new history, so the reset must not cause the poll's own result to be classified as
        // outdated.
        let began = if effects.everything { now.after() } else { began };

        let mut has_regressed = false;
        match self.catalog.report(changes.catalog, began, now) {
            Seen::Same => self.is_catalog_polled = true,
            Seen::Newer => {
                self.is_catalog_polled = true;
                effects.catalog = true;
            }
            Seen::Outdated => {
                self.is_catalog_polled = false;
                effects.catalog = true;
            }
            Seen::Regressed => has_regressed = true,
        }
        match self.credentials.report(changes.credentials, began, now) {
            Seen::Newer | Seen::Outdated => effects.credentials = true,
            Seen::Regressed => has_regressed = true,
            Seen::Same => {}
        }
        for (id, state) in &changes.companies {
            match self.companies.get_mut(id).map(|known| known.report(*state, began, now)) {
                Some(Seen::Newer | Seen::Outdated) => effects.outdated.push(*id),
                Some(Seen::Regressed) => has_regressed = true,
                Some(Seen::Same) | None => {}
            }
        }
        if has_regressed {
            self.reset_after_regression(&mut effects, now);
        }
        effects
    }

    /// Records that the result of a poll is confirmed to come from the primary. The known versions were therefore up to
    /// date when the poll began. Returns `false` if the tracker was reset after the poll began.
    pub(crate) fn on_confirmed(&mut self, generation: u64, began: Ticket) -> bool {
        let counts = generation == self.generation && self.position.is_some();
        if counts {
            self.confirmed = self.confirmed.max(began);
        }
        counts
    }

    /// Handles the result of a load of permissions or of the catalog. Returns whether to cache it, and the effects on
    /// other cached data.
    pub(crate) fn on_load(&mut self, loaded: &Loaded, now: Ticket) -> (Retention, Effects) {
        let mut effects = Effects::default();
        if loaded.began <= self.since {
            return (Retention::Discard, effects);
        }
        if self.history.is_some_and(|known| known.epoch != loaded.epoch) {
            // The load read from a different database than the latest poll. The next poll determines which of these two
            // databases is the current primary.
            self.reset(&mut effects, now);
        }
        if self.position.is_none() {
            return (Retention::Discard, effects);
        }
        let catalog = self.catalog.sees(loaded.catalog, loaded.began);
        let company = loaded.company.and_then(|(id, state)| {
            let known = self.companies.get(&id)?;
            Some((id, state, known.sees(state, loaded.began)))
        });
        if catalog == Seen::Regressed || company.as_ref().is_some_and(|(_, _, seen)| *seen == Seen::Regressed) {
            self.reset_after_regression(&mut effects, now);
            return (Retention::Discard, effects);
        }
        match catalog {
            Seen::Newer => {
                self.catalog.outdated = now;
                self.catalog.learn(loaded.catalog, now);
                self.is_catalog_polled = false;
                effects.catalog = true;
            }
            Seen::Outdated => return (Retention::Discard, effects),
            Seen::Same | Seen::Regressed => {}
        }
        match company {
            Some((id, state, Seen::Newer)) => {
                if let Some(known) = self.companies.get_mut(&id) {
                    if known.state.is_some() {
                        effects.outdated.push(id);
                    }
                    known.learn(state, now);
                }
                (Retention::Keep, effects)
            }
            Some((_, _, Seen::Same)) => (Retention::Keep, effects),
            Some((_, _, Seen::Outdated | Seen::Regressed)) => (Retention::Discard, effects),
            // The load read only the catalog, or the company is no longer tracked.
            None if loaded.company.is_none() => (Retention::Keep, effects),
            None => (Retention::Discard, effects),
        }
    }

    /// Handles the result of a load of credentials. Returns whether to cache it, and the effects on other cached data.
    pub(crate) fn on_credentials(
        &mut self,
        epoch: u64,
        state: StateId,
        began: Ticket,
        now: Ticket,
    ) -> (Retention, Effects) {
        let mut effects = Effects::default();
        if began <= self.since {
            return (Retention::Discard, effects);
        }
        if self.history.is_some_and(|known| known.epoch != epoch) {
            self.reset(&mut effects, now);
        }
        if self.position.is_none() {
            return (Retention::Discard, effects);
        }
        match self.credentials.sees(state, began) {
            Seen::Same => (Retention::Keep, effects),
            Seen::Newer => {
                self.credentials.learn(state, now);
                effects.credentials = true;
                (Retention::Keep, effects)
            }
            Seen::Outdated => (Retention::Discard, effects),
            Seen::Regressed => {
                self.reset_after_regression(&mut effects, now);
                (Retention::Discard, effects)
            }
        }
    }

    /// Handles a change that this process committed to the database with this `epoch`.
    pub(crate) fn on_own_change(&mut self, target: Target, epoch: u64, now: Ticket) -> Effects {
        let mut effects = Effects::default();
        if self.history.is_some_and(|known| known.epoch != epoch) {
            self.reset(&mut effects, now);
        } else {
            self.outdate(target, &mut effects, now);
        }
        effects
    }

    /// Handles a change that this process made, and whose outcome is unknown: the commit may or may not have succeeded.
    pub(crate) fn on_unknown_outcome(&mut self, target: Target, now: Ticket) -> Effects {
        let mut effects = Effects { end_lease: true, ..Effects::default() };
        self.outdate(target, &mut effects, now);
        effects
    }

    /// Handles a poll that reached a server other than the primary: discards all known versions.
    pub(crate) fn on_not_primary(&mut self, generation: u64, now: Ticket) -> Effects {
        let mut effects = Effects::default();
        if generation == self.generation && self.position.is_some() {
            self.reset(&mut effects, now);
        }
        effects
    }

    fn outdate(&mut self, target: Target, effects: &mut Effects, now: Ticket) {
        match target {
            Target::Company(id) => {
                if let Some(known) = self.companies.get_mut(&id) {
                    known.outdate(now);
                    effects.outdated.push(id);
                } else {
                    // A read that began before this change may miss the change. The company may be tracked again before
                    // this read returns.
                    self.forgotten = now;
                }
            }
            Target::Catalog => {
                self.catalog.outdate(now);
                self.is_catalog_polled = false;
                effects.catalog = true;
            }
            Target::Credentials => {
                self.credentials.outdate(now);
                effects.credentials = true;
            }
        }
    }

    /// Discards all known versions because the database was restored without a new epoch, and marks the epoch for
    /// replacement.
    fn reset_after_regression(&mut self, effects: &mut Effects, now: Ticket) {
        self.to_renew = self.history.map(|history| history.epoch);
        self.reset(effects, now);
    }

    /// Discards all known versions, because they may belong to another history or to a server other than the primary.
    fn reset(&mut self, effects: &mut Effects, now: Ticket) {
        effects.everything = true;
        effects.end_lease = true;
        self.generation += 1;
        self.since = now;
        self.history = None;
        self.position = None;
        self.confirmed = Ticket::default();
        self.is_catalog_polled = false;
        self.forgotten = now;
        for known in self.companies.values_mut().chain([&mut self.catalog, &mut self.credentials]) {
            known.outdate(now);
        }
    }
}
