//! Caches the results of loads, unless the results are already outdated.

use std::sync::Arc;

use iam_domain::{Catalog, CompanyId, LevelPermissions, UserId};
use iam_storage::{CredentialChanges, Stamped, StateId};

use crate::cache::{Cache, State};
use crate::companies::KnownParts;
use crate::engine::compiled::CompiledSet;
use crate::engine::entitlements::{CommonParts, Entitlements};
use crate::engine::index::CatalogIndex;
use crate::engine::level_rules::LevelRules;
use crate::entries::Key;
use crate::freshness::clock::Moment;
use crate::freshness::ticket::Ticket;
use crate::freshness::tracker::{Loaded, Retention};

/// The guard of a load of one company (RAII guard). Until it is dropped, the company remains tracked, so that changes
/// that the load may miss are recorded.
pub(crate) struct Load {
    cache: Arc<Cache>,
    company: CompanyId,
    began: Ticket,
    at: Moment,
}

impl Load {
    /// Returns a time at which the result of the load is up to date.
    pub(crate) const fn up_to_date_at(&self) -> Moment {
        self.at
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        if let Some(company) = state.companies.get_mut(&self.company) {
            company.end_load();
        }
        state.forget_if_unused(self.company);
    }
}

impl Cache {
    /// Registers a load of a company, whose result is up to date at the time `at`, and returns its guard.
    pub(crate) fn begin(self: &Arc<Self>, company: CompanyId, began: Ticket, at: Moment) -> Load {
        let mut state = self.lock();
        state.tracker.track(company);
        state.companies.entry(company).or_default().begin_load();
        Load { cache: Arc::clone(self), company, began, at }
    }

    /// Compiles and returns the result of a load for one user, who holds the levels `held`. Caches the compiled set,
    /// unless the set is already outdated.
    pub(crate) fn keep(
        &self,
        load: &Load,
        user: UserId,
        stamped: &Stamped<CommonParts<'_>>,
        held: &[&LevelPermissions],
    ) -> Arc<CompiledSet> {
        let snapshot = stamped.value;
        let levels: Box<[_]> = held.iter().map(|level| level.level).collect();
        let (catalog, company) = (stamped.catalog_state(), stamped.company_state());
        let until = stamped.next_boundary.map_or(i64::MAX, |next| next.micros());
        let (index, known) = {
            let state = self.lock();
            let index = state.index.clone().filter(|index| index.state == catalog);
            let has_latest_version = state.tracker.company(load.company) == Some(company);
            let known = index.as_ref().filter(|_| has_latest_version).and_then(|index| {
                let company = state.companies.get(&load.company)?;
                Some(company.known_parts(&levels, index, stamped.versions.boundary, until))
            });
            (index, known)
        };
        // The permissions are compiled while the cache's mutex is not held.
        let index = index.unwrap_or_else(|| Arc::new(CatalogIndex::new(catalog, Arc::clone(snapshot.catalog))));
        let KnownParts { set, rules, entitlements } = known.unwrap_or_default();
        let set = set.unwrap_or_else(|| {
            let compile = |(level, known): (&&LevelPermissions, Option<Arc<LevelRules>>)| {
                known.unwrap_or_else(|| Arc::new(LevelRules::new(&index, level, &self.memory)))
            };
            let rules = held.iter().zip(rules.into_iter().chain(std::iter::repeat(None))).map(compile).collect();
            let is_known = entitlements.are_of(snapshot);
            let entitlements =
                if is_known { entitlements } else { Arc::new(Entitlements::new(snapshot, &self.memory)) };
            Arc::new(CompiledSet::new(
                stamped.versions,
                until,
                company.stamp,
                &index,
                &entitlements,
                rules,
                &self.memory,
            ))
        });
        self.keep_set(load, (load.company, user), &set).unwrap_or(set)
    }

    /// Caches a compiled set, and returns the set that is now cached. This may be an equal set of a concurrent load.
    /// Returns `None` if the set is already outdated.
    fn keep_set(&self, load: &Load, key: Key, set: &Arc<CompiledSet>) -> Option<Arc<CompiledSet>> {
        let mut state = self.lock();
        let loaded = Loaded {
            epoch: set.versions.epoch,
            catalog: set.index.state,
            company: Some((key.0, set.company_state())),
            began: load.began,
        };
        if self.report_load(&mut state, &loaded) == Retention::Discard {
            return None;
        }
        state.learn_index(&set.index);
        let set = state.companies.get_mut(&key.0)?.adopt(set);
        self.put(&mut state, key, &set);
        self.evict(&mut state);
        Some(set)
    }

    /// Caches the catalog that a load returned, unless it is already outdated.
    pub(crate) fn keep_catalog(&self, stamped: Stamped<Arc<Catalog>>, began: Ticket) {
        let (epoch, catalog) = (stamped.versions.epoch, stamped.catalog_state());
        let index = Arc::new(CatalogIndex::new(catalog, stamped.value));
        let mut state = self.lock();
        let loaded = Loaded { epoch, catalog, company: None, began };
        if self.report_load(&mut state, &loaded) == Retention::Keep {
            state.learn_index(&index);
        }
    }

    /// Caches the credentials that a load returned, unless they are already outdated. The load returned the credentials
    /// that changed after the version `since`.
    pub(crate) fn keep_credentials(&self, changes: CredentialChanges, since: StateId, began: Ticket, at: Moment) {
        let mut state = self.lock();
        let now = self.tickets.now();
        let (retention, effects) = state.tracker.on_credentials(changes.epoch, changes.state, began, now);
        self.apply(&mut state, &effects);
        if retention == Retention::Keep && self.credentials.learn(changes, since) {
            state.credentials = state.credentials.max(Some((began, at)));
        }
    }

    /// Reports the result of a load to the tracker, and applies the effects to the cached data.
    fn report_load(&self, state: &mut State, loaded: &Loaded) -> Retention {
        let (retention, effects) = state.tracker.on_load(loaded, self.tickets.now());
        self.apply(state, &effects);
        retention
    }
}

impl State {
    fn learn_index(&mut self, index: &Arc<CatalogIndex>) {
        if self.tracker.catalog() == Some(index.state) {
            self.index = Some(Arc::clone(index));
        }
    }
}
