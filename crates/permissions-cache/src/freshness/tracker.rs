//! What is known of the store's states: a pure state machine, without a lock, a clock or I/O.
//!
//! Events go in, [`Effects`] come out. [`Ticket`]s give the order of events: a read that began after a state was
//! learned sees that state, and one that began before may or may not. Three rules keep it right:
//!
//! * Nothing is known before the first poll. From then on each poll continues where the last one ended, so that no
//!   change is missed, however long polls fail in between.
//! * What a poll reports outdates what is known, and every load that began before the report arrived, unless both are
//!   of exactly the reported state.
//! * A read that began after a state was learned, and sees an older state or a different one of the same version,
//!   proves that the history is another one: the database was restored. Then nothing that was known counts.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use iam_domain::CompanyId;
use iam_storage::{Changes, Position, StateId, Target};

use crate::freshness::ticket::Ticket;

/// What is known of the store's states.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    history: Option<History>,
    /// Reads that began before this are of a history that is over.
    since: Ticket,
    /// Grows with each new history: a poll that began in an earlier one continues from a position of that history.
    generation: u64,
    /// Versions went back within this epoch, and the history has no other epoch yet.
    to_renew: Option<u64>,
    /// Where the next poll continues; none before the first poll of a history.
    position: Option<Position>,
    /// When the newest poll began that proved something.
    proven: Ticket,
    catalog: Known,
    /// Whether a poll reported that the catalog's state is consistent with all that is known of companies.
    is_catalog_polled: bool,
    credentials: Known,
    companies: HashMap<CompanyId, Known, RandomState>,
    /// Reads that began before this may miss the latest change of a company that is no longer tracked.
    forgotten: Ticket,
}

/// The history that the states are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct History {
    epoch: u64,
    identity: u64,
}

/// What is known of the catalog, of the credentials, or of a company.
#[derive(Debug, Default)]
struct Known {
    /// The newest state that was read; none if something may have changed since.
    state: Option<StateId>,
    /// Reads that begin after this see that state or a later one.
    learned: Ticket,
    /// Reads that began before this may miss the latest change.
    outdated: Ticket,
}

/// What a read says about a state, given what is known.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The known state.
    Same,
    /// A newer state than the known one.
    Newer,
    /// The read began too early to say anything.
    Outdated,
    /// The state contradicts what is known.
    WentBack,
}

impl Known {
    fn sees(&self, state: StateId, began: Ticket) -> Seen {
        match self.state {
            None if began > self.outdated => Seen::Newer,
            None => Seen::Outdated,
            Some(known) if known == state => Seen::Same,
            // A read that began before the latest change was learned may be of a history that a restore has ended.
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

    /// Something changed, or may have changed: reads that began before now may miss it.
    fn outdate(&mut self, now: Ticket) {
        self.state = None;
        self.outdated = now;
    }

    /// A poll reports this state. Returns how it relates to what is known.
    fn report(&mut self, state: StateId, began: Ticket, now: Ticket) -> Seen {
        let seen = self.sees(state, began);
        match seen {
            Seen::Newer => {
                self.outdated = now;
                self.learn(state, now);
            }
            // What is reported now is not reported again, and it is not known which of the two states is later.
            Seen::Outdated => self.outdate(now),
            Seen::Same | Seen::WentBack => {}
        }
        seen
    }
}

/// What an event does to kept entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Nothing that is kept of these companies answers any more.
    pub(crate) outdated: Vec<CompanyId>,
    /// The catalog changed, or may have changed.
    pub(crate) catalog: bool,
    /// The credentials changed, or may have changed.
    pub(crate) credentials: bool,
    /// Nothing that is kept answers any more, and everything is read again.
    pub(crate) everything: bool,
    /// Nothing answers before a poll that begins after this.
    pub(crate) end_lease: bool,
}

/// Whether the result of a load is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    /// It is the newest known state.
    Keep,
    /// It may be outdated: it answers the requests that came before it began, and is not kept.
    Discard,
}

/// What a load read, of which states, and when it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) epoch: u64,
    pub(crate) catalog: StateId,
    /// The state of a company, if it was read.
    pub(crate) company: Option<(CompanyId, StateId)>,
    pub(crate) began: Ticket,
}

impl Tracker {
    /// Where a poll that begins now continues, and the generation to pass to [`Self::on_poll`].
    pub(crate) fn next_poll(&self) -> (Option<Position>, u64) {
        (self.position.clone(), self.generation)
    }

    /// Whether a poll has reported the states.
    pub(crate) const fn has_position(&self) -> bool {
        self.position.is_some()
    }

    /// The epoch of the history, if a poll has reported it.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.history.filter(|_| self.has_position()).map(|history| history.epoch)
    }

    /// The epoch within which versions went back: the history must get another one before the next poll.
    pub(crate) const fn to_renew(&self) -> Option<u64> {
        self.to_renew
    }

    /// The history no longer has this epoch.
    pub(crate) fn on_renewed(&mut self, epoch: u64) {
        self.to_renew = self.to_renew.filter(|waiting| *waiting != epoch);
    }

    /// When the newest poll began that proved something.
    pub(crate) const fn proven(&self) -> Ticket {
        self.proven
    }

    /// The catalog's state, if it is known.
    pub(crate) const fn catalog(&self) -> Option<StateId> {
        self.catalog.state
    }

    /// The state of the credentials, if it is known.
    pub(crate) const fn credentials(&self) -> Option<StateId> {
        self.credentials.state
    }

    /// The state of a company, if it is known.
    pub(crate) fn company(&self, id: CompanyId) -> Option<StateId> {
        self.companies.get(&id)?.state
    }

    /// Whether the catalog's state and those of all known companies were the store's at one moment.
    pub(crate) const fn is_catalog_polled(&self) -> bool {
        self.is_catalog_polled
    }

    /// A load of the catalog sees its latest known change if it begins after this ticket.
    pub(crate) fn least_for_catalog(&self) -> Ticket {
        self.catalog.outdated.max(self.since)
    }

    /// A load of a company sees the latest known changes if it begins after this ticket.
    pub(crate) fn least(&self, company: CompanyId) -> Ticket {
        let company = self.companies.get(&company).map_or(self.forgotten, |known| known.outdated);
        company.max(self.least_for_catalog())
    }

    /// Starts to track this company.
    pub(crate) fn track(&mut self, company: CompanyId) {
        let outdated = self.forgotten;
        self.companies.entry(company).or_insert_with(|| Known { outdated, ..Known::default() });
    }

    /// Stops to track a company of which nothing is kept and no load is under way.
    pub(crate) fn forget(&mut self, company: CompanyId) {
        if let Some(known) = self.companies.remove(&company) {
            self.forgotten = self.forgotten.max(known.outdated);
        }
    }

    /// A poll of this generation that began at `began` was answered. It proves nothing before [`Self::on_proof`].
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
            // Reads that began before may miss what was committed before this poll.
            self.since = now;
            self.forgotten = now;
        }
        self.history = Some(history);
        self.position = Some(changes.position.clone());
        // This very poll has seen what the other history makes outdated as of now.
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

    /// What the poll of this generation reported was true when it began, or later: the primary answered.
    pub(crate) fn on_proof(&mut self, generation: u64, began: Ticket) -> bool {
        let counts = generation == self.generation && self.position.is_some();
        if counts {
            self.proven = self.proven.max(began);
        }
        counts
    }

    /// A load was answered.
    pub(crate) fn on_load(&mut self, loaded: &Loaded, now: Ticket) -> (Retention, Effects) {
        let mut effects = Effects::default();
        if loaded.began <= self.since {
            return (Retention::Discard, effects);
        }
        if self.history.is_some_and(|known| known.epoch != loaded.epoch) {
            // The next poll decides which of the two databases counts.
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
            // The catalog alone, or a company that was forgotten meanwhile.
            None if loaded.company.is_none() => (Retention::Keep, effects),
            None => (Retention::Discard, effects),
        }
    }

    /// A load of credentials was answered.
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

    /// A change of this process was committed, in a database of this epoch.
    pub(crate) fn on_own_change(&mut self, target: Target, epoch: u64, now: Ticket) -> Effects {
        let mut effects = Effects::default();
        if self.history.is_some_and(|known| known.epoch != epoch) {
            self.start_over(&mut effects, now);
        } else {
            self.outdate(target, &mut effects, now);
        }
        effects
    }

    /// A change of this process ended with an unknown outcome.
    pub(crate) fn on_unknown_outcome(&mut self, target: Target, now: Ticket) -> Effects {
        let mut effects = Effects { end_lease: true, ..Effects::default() };
        self.outdate(target, &mut effects, now);
        effects
    }

    /// The database that answers is not the primary.
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
                    // It may be tracked again before a poll ends that began before this.
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

    /// Versions went back although the epoch stayed the same.
    fn go_back(&mut self, effects: &mut Effects, now: Ticket) {
        self.to_renew = self.history.map(|history| history.epoch);
        self.start_over(effects, now);
    }

    /// The history is another one: nothing that was known counts.
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
