//! The snapshots from which decisions are computed. Each snapshot is read from a single state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::escalation::{Cell, OtherReaches, OtherRules, Reach};
use iam_domain::{
    Catalog, CompanyId, CompanySnapshot, LevelPermissions, Menu, Snapshot, Timestamp, UserId, UserLevelId, Versions,
};
use iam_storage::{CellName, CompanyCopy, CompanyMatrix, IdOrText, Result, Snapshots, Stamped, Stamps};

use crate::reads::menu::{items_in_order, sub_items_in_order};
use crate::reads::sorted;
use crate::repository::{Repository, StateSource};
use crate::simulator::copy_of;
use crate::state::{CompanyData, LevelData};

/// Returns the value with the versions of the state from which it was read. All stamps are 0, because a version alone
/// identifies a state of this storage.
fn stamped<T>(versions: Versions, next_boundary: Option<Timestamp>, value: T) -> Stamped<T> {
    Stamped { versions, stamps: Stamps::default(), next_boundary, value }
}

/// Returns the levels whose assignments to a user are in effect.
fn active(company: &CompanyData, user: UserId, now: Timestamp) -> BTreeSet<UserLevelId> {
    company.active_levels_of(user, now).map(|level| level.level.id).collect()
}

/// Returns the cell with this name, or `None` if the view or the feature does not exist.
fn find_cell(catalog: &Catalog, name: &CellName) -> Option<Cell> {
    match name {
        CellName::View(IdOrText::Id(id)) => Some(Cell::View(*id)),
        CellName::View(IdOrText::Text(url)) => catalog.view_by_url(url).map(|view| Cell::View(view.id)),
        CellName::Action(IdOrText::Id(id), action) => Some(Cell::Action(*id, action.clone())),
        CellName::Action(IdOrText::Text(key), action) => {
            catalog.feature_by_key(key).map(|feature| Cell::Action(feature.id, action.clone()))
        }
    }
}

/// Returns the permissions of a level with only the rule for one cell.
fn only(level: &LevelData, cell: &Cell) -> LevelPermissions {
    let mut all = level.permissions();
    match cell {
        Cell::View(view) => {
            all.views.retain(|id, _| id == view);
            all.features.clear();
        }
        Cell::Action(feature, action) => {
            all.views.clear();
            all.features.retain(|id, _| id == feature);
            if let Some(rules) = all.features.get_mut(feature) {
                rules.retain(|own, _| own == action);
            }
            all.features.retain(|_, rules| !rules.is_empty());
        }
    }
    all
}

#[async_trait]
impl<S: StateSource> Snapshots for Repository<S> {
    async fn load_user(&self, company: CompanyId, user: UserId) -> Result<Stamped<Snapshot>> {
        let (state, now) = (self.0.state(), self.0.now());
        let versions = state.versions(self.0.epoch(), Some(company), now);
        let company = state.company(company);
        let value = Snapshot {
            catalog: state.catalog.compiled(),
            status: company.details.status,
            modules: company.enabled_modules(),
            ceilings: Arc::clone(&company.ceilings),
            levels: company.active_levels_of(user, now).map(LevelData::permissions).collect(),
        };
        Ok(stamped(versions, company.next_boundary(now), value))
    }

    async fn load_company(&self, company: CompanyId) -> Result<Stamped<CompanySnapshot>> {
        let (state, now) = (self.0.state(), self.0.now());
        let versions = state.versions(self.0.epoch(), Some(company), now);
        let company = state.company(company);
        let value = CompanySnapshot {
            catalog: state.catalog.compiled(),
            status: company.details.status,
            modules: company.enabled_modules(),
            ceilings: Arc::clone(&company.ceilings),
            levels: company.levels.iter().map(|(id, level)| (*id, level.permissions())).collect(),
            holders: company.active_levels(now),
        };
        Ok(stamped(versions, company.next_boundary(now), value))
    }

    async fn load_users(&self, company: CompanyId, users: &[UserId]) -> Result<Stamped<CompanySnapshot>> {
        let (state, now) = (self.0.state(), self.0.now());
        let versions = state.versions(self.0.epoch(), Some(company), now);
        let company = state.company(company);
        let held = users.iter().map(|user| (*user, active(company, *user, now)));
        let held = held.filter(|(_, held)| !held.is_empty());
        let holders: BTreeMap<UserId, _> = held.map(|(user, held)| (user, Arc::new(held))).collect();
        let levels: BTreeSet<_> = holders.values().flat_map(|held| held.iter()).collect();
        let levels = levels.into_iter().filter_map(|id| company.levels.get_key_value(id));
        let value = CompanySnapshot {
            catalog: state.catalog.compiled(),
            status: company.details.status,
            modules: company.enabled_modules(),
            ceilings: Arc::clone(&company.ceilings),
            levels: levels.map(|(id, level)| (*id, level.permissions())).collect(),
            holders,
        };
        Ok(stamped(versions, company.next_boundary(now), value))
    }

    async fn load_levels(&self, company: CompanyId, levels: &[UserLevelId]) -> Result<Stamped<Snapshot>> {
        let (state, now) = (self.0.state(), self.0.now());
        let versions = state.versions(self.0.epoch(), Some(company), now);
        let company = state.company(company);
        let asked: BTreeSet<_> = levels.iter().collect();
        let value = Snapshot {
            catalog: state.catalog.compiled(),
            status: company.details.status,
            modules: company.enabled_modules(),
            ceilings: Arc::clone(&company.ceilings),
            levels: asked
                .into_iter()
                .filter_map(|id| company.levels.get(id))
                .map(|level| level.permissions())
                .collect(),
        };
        Ok(stamped(versions, company.next_boundary(now), value))
    }

    async fn load_other_rules(
        &self,
        company: CompanyId,
        level: UserLevelId,
        cells: &BTreeSet<Cell>,
        without: Option<UserId>,
    ) -> Result<Stamped<OtherRules>> {
        let (state, now) = (self.0.state(), self.0.now());
        let versions = state.versions(self.0.epoch(), Some(company), now);
        let company = state.company(company);
        let users = || company.unexpired_holders(level, now).filter(|user| Some(*user) != without);
        let reaches_of = |user: UserId, cell: &Cell| {
            let others = company.lasting_levels_of(user, now).filter(|other| other.level.id != level);
            let lasting = others.fold(Reach::default(), |reach, other| reach.with(other.rule(cell)));
            let others = company.assigned_to(user).filter(|(_, period)| !period.is_expired(now));
            let others = others.filter(|(other, _)| other.level.id != level);
            let all = others.fold(Reach::default(), |reach, (other, _)| reach.with(other.rule(cell)));
            // A deny that ends does not count.
            [lasting, Reach { is_denied: lasting.is_denied, ..all }]
        };
        let reaches: OtherReaches = cells
            .iter()
            .map(|cell| (cell.clone(), users().flat_map(|user| reaches_of(user, cell)).collect::<BTreeSet<_>>()))
            .filter(|(_, reaches)| !reaches.is_empty())
            .collect();
        Ok(stamped(versions, company.next_boundary(now), OtherRules { catalog: state.catalog.compiled(), reaches }))
    }

    async fn load_cell(&self, company: CompanyId, cell: &CellName) -> Result<Stamped<Snapshot>> {
        let (state, now) = (self.0.state(), self.0.now());
        let versions = state.versions(self.0.epoch(), Some(company), now);
        let (company, catalog) = (state.company(company), state.catalog.compiled());
        let cell = find_cell(&catalog, cell);
        let rules = |level: &LevelData| match &cell {
            None => LevelPermissions::new(level.level.id, [], []),
            Some(cell) => only(level, cell),
        };
        let levels = company.levels.values().map(|level| rules(level)).collect();
        let (status, modules) = (company.details.status, company.enabled_modules());
        let ceilings = company.ceilings.clone();
        let next = company.next_boundary(now);
        Ok(stamped(versions, next, Snapshot { catalog, status, modules, ceilings, levels }))
    }

    async fn load_matrix(&self, company: CompanyId) -> Result<Stamped<CompanyMatrix>> {
        let state = self.0.state();
        let versions = state.versions(self.0.epoch(), Some(company), self.0.now());
        let levels = state.company(company).levels.values().map(|level| level.matrix());
        let levels = sorted(levels, |a, b| (&a.level.name, a.level.id).cmp(&(&b.level.name, b.level.id)));
        Ok(stamped(versions, None, CompanyMatrix { catalog: state.catalog.compiled(), levels }))
    }

    async fn load_copy(&self, id: CompanyId) -> Result<Stamped<CompanyCopy>> {
        let state = self.0.state();
        let now = self.0.now();
        let versions = state.versions(self.0.epoch(), Some(id), now);
        Ok(stamped(versions, state.company(id).next_boundary(now), copy_of(&state, id, now)))
    }

    async fn load_catalog(&self) -> Result<Stamped<Arc<Catalog>>> {
        let state = self.0.state();
        Ok(stamped(state.versions(self.0.epoch(), None, self.0.now()), None, state.catalog.compiled()))
    }

    async fn load_menu(&self, owner: Option<CompanyId>) -> Result<Stamped<Menu>> {
        let state = self.0.state();
        let menu = state.menu(owner);
        let value =
            Menu { items: items_in_order(menu.items.values()), sub_items: sub_items_in_order(menu.sub_items.values()) };
        Ok(stamped(state.versions(self.0.epoch(), owner, self.0.now()), None, value))
    }
}
