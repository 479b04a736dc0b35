//! Cache lookups, and the checks that determine whether a cached set may be served.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::Cache;
use crate::engine::compiled::CompiledSet;
use crate::entries::Key;
use crate::freshness::clock::Moment;
use crate::freshness::ticket::Ticket;

/// The result of [`Cache::look_up`]: a compiled set that may be served, or the poll or load that is required first.
pub(crate) enum Lookup {
    /// The set is up to date: the lease is valid, or a poll that began after the request arrived has confirmed the
    /// cached data.
    Current(Arc<CompiledSet>),
    /// The cached rules of the levels are up to date, but the catalog must be loaded. The load must begin after this
    /// ticket was issued.
    NeedsCatalog(Ticket),
    /// The cached data may be outdated. A poll must confirm it first.
    Unconfirmed,
    /// The user must be loaded. The load must begin after this ticket was issued.
    Missing(Ticket),
    /// An assignment of the company has started or ended. The user must be loaded, by a load that begins after the request
    /// arrived.
    Passed,
}

impl Cache {
    /// Passes the cached set of a user to `answer` and returns the result. Returns `None` if no set may be served.
    /// Acquires no lock and allocates no memory.
    #[inline]
    pub(crate) fn hit<R>(&self, key: &Key, answer: impl FnOnce(&Arc<CompiledSet>) -> R) -> Option<R> {
        // The lease is checked last. If the process was suspended before this check, the check detects that the lease
        // has expired.
        self.entries.hit(key, |set| (self.is_current(set) && self.lease.runs()).then(|| answer(set)))
    }

    /// Returns `true` if the set has the latest known versions of the company and of the catalog, and if no assignment of
    /// the company has started or ended since.
    fn is_current(&self, set: &CompiledSet) -> bool {
        set.is_alive() && self.is_catalog_version(set.versions.catalog) && !self.clock.may_have_reached(set.until)
    }

    /// Looks up the cached set of a user. If only the catalog has changed, recompiles the set from cached rules where
    /// possible. If the lease has expired, the caller passes `confirmed_after`. The set is then returned only if a poll
    /// has confirmed the cached data, and this poll began after the ticket `confirmed_after` was issued.
    pub(crate) fn look_up(&self, key: Key, confirmed_after: Option<Ticket>) -> Lookup {
        let mut state = self.lock();
        let tracker = &state.tracker;
        if !tracker.has_position() {
            return Lookup::Unconfirmed;
        }
        let missing = Lookup::Missing(tracker.least(key.0));
        let company = tracker.company(key.0);
        // A change to a company invalidates only the sets in the company's `sets`. A set for a newer catalog may have
        // replaced this set there. This set then remains alive even if the company changes. Therefore the company
        // version is also compared.
        let has_latest_version = |set: &Arc<CompiledSet>| set.is_alive() && company == Some(set.company_state());
        let Some(set) = self.entries.set(&key).filter(has_latest_version) else { return missing };
        if self.clock.may_have_reached(set.until) {
            return Lookup::Passed;
        }
        let Some(catalog) = tracker.catalog() else { return Lookup::Unconfirmed };
        if confirmed_after.is_some_and(|since| tracker.confirmed() <= since) {
            return Lookup::Unconfirmed;
        }
        if set.index.state == catalog {
            return Lookup::Current(set);
        }
        let Some(index) = state.index.clone().filter(|index| index.state == catalog) else {
            return Lookup::NeedsCatalog(tracker.least_for_catalog());
        };
        if !tracker.is_catalog_polled() {
            return Lookup::Unconfirmed;
        }
        let company = state.companies.get_mut(&key.0);
        let Some(set) = company.and_then(|company| company.recompile(&set, &index, &self.memory)) else {
            return missing;
        };
        self.put(&mut state, key, &set);
        Lookup::Current(set)
    }

    /// Returns `true` if the user has a cached entry, and no known change to the company has invalidated the entry.
    pub(crate) fn keeps(&self, key: &Key) -> bool {
        self.entries.set(key).is_some_and(|set| set.is_alive())
    }

    /// Returns the cached set of a user, and the time since it was last confirmed to be up to date. Used while the
    /// database is unavailable.
    pub(crate) fn last_known(&self, key: Key) -> Option<(Arc<CompiledSet>, Duration)> {
        let set = self.entries.set(&key).filter(|set| self.is_current(set))?;
        Some((set, Moment::now().since(self.lease.confirmed())))
    }

    /// Returns the keys and compiled sets of the active members. A member is active if the member's entry was added or
    /// used since [`Entries::rest`](crate::entries::Entries::rest) last marked it as inactive. Entries with outdated
    /// sets are omitted.
    pub(crate) fn active(&self) -> Vec<(Key, Arc<CompiledSet>)> {
        let mut active = self.entries.active();
        active.retain(|(_, set)| self.is_current(set));
        active
    }
}
