//! Answers from what is kept, and whether they may be used.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::Cache;
use crate::engine::compiled::CompiledSet;
use crate::entries::Key;
use crate::freshness::clock::Moment;
use crate::freshness::ticket::Ticket;

/// What is kept of a user after a miss.
pub(crate) enum Lookup {
    /// The set is current, if the lease runs or the store has just confirmed it.
    Current(Arc<CompiledSet>),
    /// The rules are current, but the catalog must be read: by a load that begins after this.
    NeedsCatalog(Ticket),
    /// Nothing proves that the set is still current: a poll must.
    Unproven,
    /// Everything must be read: by a load that begins after this.
    Missing(Ticket),
}

impl Cache {
    /// Answers from the entry if it may be used. Takes no lock, allocates nothing.
    #[inline]
    pub(crate) fn hit<R>(&self, key: &Key, answer: impl FnOnce(&Arc<CompiledSet>) -> R) -> Option<R> {
        // The lease is checked last: the process may be paused for long between any two of these.
        self.entries.hit(key, |set| (self.is_current(set) && self.lease.runs()).then(|| answer(set)))
    }

    /// Whether the set is of the newest known states.
    fn is_current(&self, set: &CompiledSet) -> bool {
        set.is_alive() && self.is_catalog_version(set.versions.catalog)
    }

    /// What is kept of a user, proven by the lease or, if it does not run, by a poll that began after `proven_after`.
    /// Recompiles for a newer catalog if all rules are in memory.
    pub(crate) fn look_up(&self, key: Key, proven_after: Option<Ticket>) -> Lookup {
        let mut state = self.lock();
        let tracker = &state.tracker;
        if !tracker.has_position() {
            return Lookup::Unproven;
        }
        let missing = Lookup::Missing(tracker.least(key.0));
        let company = tracker.company(key.0);
        // A set for an older catalog leaves its company once another one replaces it there. It may then have missed a
        // change of the company.
        let is_of_now = |set: &Arc<CompiledSet>| set.is_alive() && company == Some(set.company_state());
        let Some(set) = self.entries.set(&key).filter(is_of_now) else { return missing };
        let Some(catalog) = tracker.catalog() else { return Lookup::Unproven };
        if proven_after.is_some_and(|since| tracker.proven() <= since) {
            return Lookup::Unproven;
        }
        if set.index.state == catalog {
            return Lookup::Current(set);
        }
        let Some(index) = state.index.clone().filter(|index| index.state == catalog) else {
            return Lookup::NeedsCatalog(tracker.least_for_catalog());
        };
        if !tracker.is_catalog_polled() {
            return Lookup::Unproven;
        }
        let company = state.companies.get_mut(&key.0);
        let Some(set) = company.and_then(|company| company.recompile(&set, &index, &self.memory)) else {
            return missing;
        };
        self.put(&mut state, key, &set);
        Lookup::Current(set)
    }

    /// Whether the user has an entry to answer from, proven or not.
    pub(crate) fn keeps(&self, key: &Key) -> bool {
        self.entries.set(key).is_some_and(|set| set.is_alive())
    }

    /// The last known set of a user, and how long ago it was last proven current. For when the store is unavailable.
    pub(crate) fn last_known(&self, key: Key) -> Option<(Arc<CompiledSet>, Duration)> {
        let set = self.entries.set(&key).filter(|set| self.is_current(set))?;
        Some((set, Moment::now().since(self.lease.confirmed())))
    }

    /// The members who were asked about since their last [rest](Entries::rest), with their current sets.
    pub(crate) fn active(&self) -> Vec<(Key, Arc<CompiledSet>)> {
        let mut active = self.entries.active();
        active.retain(|(_, set)| self.is_current(set));
        active
    }
}
