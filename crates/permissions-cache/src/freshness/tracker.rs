//! Tracks the known states of the store: a pure state machine, without a lock, a clock or I/O.
//!
//! Methods take events and return [`Effects`]. [`Ticket`]s define the order of events: a read that began after a state
//! was learned sees that state or a later one; a read that began before may or may not see it. Three rules ensure
//! correctness:
//!
//! * Nothing is known before the first poll. After it, each poll continues where the last one ended, so no change is
//!   missed, however long polls fail in between.
//! * A reported state invalidates the known state, and every load that began before the report arrived, unless both
//!   have exactly the reported state.
//! * If a read that began after a state was learned sees an older state, or another stamp under the same version, the
//!   database has another history: it was restored. Then everything that was known is discarded.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use iam_domain::CompanyId;
use iam_storage::{Changes, Position, StateId, Target};

use crate::freshness::ticket::Ticket;

/// The known states of the store.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    history: Option<History>,
    /// Reads that began before this ticket belong to an earlier history.
    since: Ticket,
    /// The number of histories so far. A poll that began in an earlier generation continued from a position of another
    /// history, so its result is ignored.
    generation: u64,
    /// The epoch within which versions went back, until it is replaced.
    to_renew: Option<u64>,
    /// The position from which the next poll continues. `None` before the first poll of a history.
    position: Option<Position>,
    /// The start of the newest poll that proved something.
    proven: Ticket,
    catalog: Known,
    /// `true` if a poll reported that the catalog and all companies had their known states at the same time.
    is_catalog_polled: bool,
    credentials: Known,
    companies: HashMap<CompanyId, Known, RandomState>,
    /// Reads that began before this ticket may miss the latest change of a company that is no longer tracked.
    forgotten: Ticket,
}

/// The identity of the database history that the states belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct History {
    epoch: u64,
    identity: u64,
}

/// The known state of the catalog, of the credentials, or of a company.
#[derive(Debug, Default)]
struct Known {
    /// The newest state that was read. `None` if something may have changed since.
    state: Option<StateId>,
    /// Reads that began after this ticket see this state or a later one.
    learned: Ticket,
    /// Reads that began before this ticket may miss the latest change.
    outdated: Ticket,
}

/// How the state that a read returned relates to the known state.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The state is the known one.
    Same,
    /// The state is newer than the known one.
    Newer,
    /// The read began too early to be compared.
    Outdated,
    /// The state contradicts the known one: versions went back.
    WentBack,
}

impl Known {
    fn sees(&self, state: StateId, began: Ticket) -> Seen {
        match self.state {
            None if began > self.outdated => Seen::Newer,
            None => Seen::Outdated,
            Some(known) if known == state => Seen::Same,
            // If the read began before the latest change was learned, it may belong to a history that a restore has
            // ended.
            Some(known) if state.version > known.version && began > self.outdated => Seen::Newer,
            Some(known) if state.version > known.version => Seen::Outdated,
            Some(_) if began > self.learned => Seen::WentBack,
            Some(_) => Seen::Outdated,
        }
    }

    fn learn(&mut self, state: StateId, now: Ticket) {
        self.state = Some(state);
        self.learned = now;
    }

    /// Records that something changed, or may have changed. Reads that began before now may miss the change.
    fn outdate(&mut self, now: Ticket) {
        self.state = None;
        self.outdated = now;
    }

    /// Records the state that a poll reported. Returns how it relates to the known state.
    fn report(&mut self, state: StateId, began: Ticket, now: Ticket) -> Seen {
        let seen = self.sees(state, began);
        match seen {
            Seen::Newer => {
                self.outdated = now;
                self.learn(state, now);
            }
            // Which of the two states is later is not known, and polls do not report this state again.
            Seen::Outdated => self.outdate(now),
            Seen::Same | Seen::WentBack => {}
        }
        seen
    }
}

/// The effects of an event on the cached data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// The cached data of these companies is no longer used.
    pub(crate) outdated: Vec<CompanyId>,
    /// The catalog changed, or may have changed.
    pub(crate) catalog: bool,
    /// The credentials changed, or may have changed.
    pub(crate) credentials: bool,
    /// All cached data is dropped and read again.
    pub(crate) everything: bool,
    /// Cached data is not used before a poll that begins after this event.
    pub(crate) end_lease: bool,
}

/// Whether the result of a load is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    /// The result is the newest known state.
    Keep,
    /// The result may be outdated. Only the requests that arrived before the load began may use it, and it is not
    /// cached.
    Discard,
}

/// The states that a load read, and its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) epoch: u64,
    pub(crate) catalog: StateId,
    /// The state of a company, if it was read.
    pub(crate) company: Option<(CompanyId, StateId)>,
    pub(crate) began: Ticket,
}

impl Tracker {
    /// Returns the position from which a poll that begins now must continue, and the generation to pass to
    /// [`Self::on_poll`].
    pub(crate) fn next_poll(&self) -> (Option<Position>, u64) {
        (self.position.clone(), self.generation)
    }

    /// Returns `true` if a poll has reported the states of the current history.
    pub(crate) const fn has_position(&self) -> bool {
        self.position.is_some()
    }

    /// Returns the epoch of the history, if a poll has reported it.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.history.filter(|_| self.has_position()).map(|history| history.epoch)
    }

    /// Returns the epoch within which versions went back. It must be replaced before the next poll.
    pub(crate) const fn to_renew(&self) -> Option<u64> {
        self.to_renew
    }

    /// Handles the replacement of this epoch.
    pub(crate) fn on_renewed(&mut self, epoch: u64) {
        self.to_renew = self.to_renew.filter(|waiting| *waiting != epoch);
    }

    /// Returns the start of the newest poll that proved something.
    pub(crate) const fn proven(&self) -> Ticket {
        self.proven
    }

    /// Returns the catalog's state, if it is known.
    pub(crate) const fn catalog(&self) -> Option<StateId> {
        self.catalog.state
    }

    /// Returns the state of the credentials, if it is known.
    pub(crate) const fn credentials(&self) -> Option<StateId> {
        self.credentials.state
    }

    /// Returns the state of a company, if it is known.
    pub(crate) fn company(&self, id: CompanyId) -> Option<StateId> {
        self.companies.get(&id)?.state
    }

    /// Returns `true` if the catalog and all companies had their known states at the same time.
    pub(crate) const fn is_catalog_polled(&self) -> bool {
        self.is_catalog_polled
    }

    /// Returns the ticket after which a load of the catalog must begin to see the latest known change of it.
    pub(crate) fn least_for_catalog(&self) -> Ticket {
        self.catalog.outdated.max(self.since)
    }

    /// Returns the ticket after which a load of a company must begin to see the latest known changes.
    pub(crate) fn least(&self, company: CompanyId) -> Ticket {
        let company = self.companies.get(&company).map_or(self.forgotten, |known| known.outdated);
        company.max(self.least_for_catalog())
    }

    /// Starts tracking this company.
    pub(crate) fn track(&mut self, company: CompanyId) {
        let outdated = self.forgotten;
        self.companies.entry(company).or_insert_with(|| Known { outdated, ..Known::default() });
    }

    /// Stops tracking a company of which nothing is cached and no load is in progress.
    pub(crate) fn forget(&mut self, company: CompanyId) {
        if let Some(known) = self.companies.remove(&company) {
            self.forgotten = self.forgotten.max(known.outdated);
        }
    }

    /// Handles the result of a poll of this generation that began at `began`. The poll proves nothing before
    /// [`Self::on_proof`].
    pub(crate) fn on_poll(&mut self, changes: &Changes, generation: u64, began: Ticket, now: Ticket) -> Effects {
        let mut effects = Effects::default();
        if generation != self.generation {
            return effects;
        }
        let history = History { epoch: changes.epoch, identity: changes.identity };
        let is_other = self.history.is_some_and(|known| known != history);
        let is_first = self.position.is_none();
        if is_other || !(is_first || changes.is_continuous) {
            self.start_over(&mut effects, now);
        } else if is_first {
            // Reads that began earlier may miss changes that were committed before this poll.
            self.since = now;
            self.forgotten = now;
        }
        self.history = Some(history);
        self.position = Some(changes.position.clone());
        // This poll itself read the new history, so the start over does not outdate it.
        let began = if effects.everything { now.after() } else { began };

        let mut went_back = false;
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
            Seen::WentBack => went_back = true,
        }
        match self.credentials.report(changes.credentials, began, now) {
            Seen::Newer | Seen::Outdated => effects.credentials = true,
            Seen::WentBack => went_back = true,
            Seen::Same => {}
        }
        for (id, state) in &changes.companies {
            match self.companies.get_mut(id).map(|known| known.report(*state, began, now)) {
                Some(Seen::Newer | Seen::Outdated) => effects.outdated.push(*id),
                Some(Seen::WentBack) => went_back = true,
                Some(Seen::Same) | None => {}
            }
        }
        if went_back {
            self.go_back(&mut effects, now);
        }
        effects
    }

    /// Records that the poll's result is from the primary, and so was current when the poll began or later. Returns
    /// `false` if another history was detected since.
    pub(crate) fn on_proof(&mut self, generation: u64, began: Ticket) -> bool {
        let counts = generation == self.generation && self.position.is_some();
        if counts {
            self.proven = self.proven.max(began);
        }
        counts
    }

    /// Handles the result of a load.
    pub(crate) fn on_load(&mut self, loaded: &Loaded, now: Ticket) -> (Retention, Effects) {
        let mut effects = Effects::default();
        if loaded.began <= self.since {
            return (Retention::Discard, effects);
        }
        if self.history.is_some_and(|known| known.epoch != loaded.epoch) {
            // The next poll determines which of the two databases is the primary.
            self.start_over(&mut effects, now);
        }
        if self.position.is_none() {
            return (Retention::Discard, effects);
        }
        let catalog = self.catalog.sees(loaded.catalog, loaded.began);
        let company = loaded.company.and_then(|(id, state)| {
            let known = self.companies.get(&id)?;
            Some((id, state, known.sees(state, loaded.began)))
        });
        if catalog == Seen::WentBack || company.as_ref().is_some_and(|(_, _, seen)| *seen == Seen::WentBack) {
            self.go_back(&mut effects, now);
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
            Seen::Same | Seen::WentBack => {}
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
            Some((_, _, Seen::Outdated | Seen::WentBack)) => (Retention::Discard, effects),
            // Only the catalog was read, or tracking of the company has ended since.
            None if loaded.company.is_none() => (Retention::Keep, effects),
            None => (Retention::Discard, effects),
        }
    }

    /// Handles the result of a load of credentials.
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
            self.start_over(&mut effects, now);
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
            Seen::WentBack => {
                self.go_back(&mut effects, now);
                (Retention::Discard, effects)
            }
        }
    }

    /// Handles a committed change of this process, in a database of this epoch.
    pub(crate) fn on_own_change(&mut self, target: Target, epoch: u64, now: Ticket) -> Effects {
        let mut effects = Effects::default();
        if self.history.is_some_and(|known| known.epoch != epoch) {
            self.start_over(&mut effects, now);
        } else {
            self.outdate(target, &mut effects, now);
        }
        effects
    }

    /// Handles a change of this process with an unknown outcome.
    pub(crate) fn on_unknown_outcome(&mut self, target: Target, now: Ticket) -> Effects {
        let mut effects = Effects { end_lease: true, ..Effects::default() };
        self.outdate(target, &mut effects, now);
        effects
    }

    /// Handles a result from a database that is not the primary.
    pub(crate) fn on_not_primary(&mut self, generation: u64, now: Ticket) -> Effects {
        let mut effects = Effects::default();
        if generation == self.generation && self.position.is_some() {
            self.start_over(&mut effects, now);
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
                    // The company may be tracked again before a poll ends that began before this change.
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

    /// Handles versions that went back although the epoch stayed the same.
    fn go_back(&mut self, effects: &mut Effects, now: Ticket) {
        self.to_renew = self.history.map(|history| history.epoch);
        self.start_over(effects, now);
    }

    /// Discards everything that was known, because another history was detected.
    fn start_over(&mut self, effects: &mut Effects, now: Ticket) {
        effects.everything = true;
        effects.end_lease = true;
        self.generation += 1;
        self.since = now;
        self.history = None;
        self.position = None;
        self.proven = Ticket::default();
        self.is_catalog_polled = false;
        self.forgotten = now;
        for known in self.companies.values_mut().chain([&mut self.catalog, &mut self.credentials]) {
            known.outdate(now);
        }
    }
}
