//! The simulation of changes: the copy of a company as a state, and units of work on it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use iam_domain::{Catalog, Clock, CompanyId, FeaturePermission, Menu, Timestamp, UserId, Versions};
use iam_storage::{ChangeContext, CompanyCopy, CopiedLevel, CursorKey, Result, Simulator, Stamped, Target, UnitOfWork};
use imbl::OrdSet;
use tokio::sync::watch;

use crate::clock::StorageClock;
use crate::options::MemoryOptions;
use crate::reads::menu::{items_in_order, sub_items_in_order};
use crate::shared::SharedStorage;
use crate::state::{CatalogData, CompanyData, LevelData, MenuData, State};
use crate::swapped::Swapped;
use crate::unit_of_work::Unit;

/// Simulates changes in memory, on copies of companies.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemorySimulator;

#[async_trait]
impl Simulator for MemorySimulator {
    async fn begin(
        &self,
        copy: &Stamped<CompanyCopy>,
        target: Target,
        context: ChangeContext,
    ) -> Result<Box<dyn UnitOfWork>> {
        let read_at = copy.value.read_at;
        let shared = Arc::new(SharedStorage {
            state: Swapped::new(state_of(&copy.value, copy.versions)),
            auxiliary: Swapped::default(),
            locks: Arc::default(),
            commits: watch::Sender::new(()),
            clock: StorageClock::new(Clock::new(move || read_at)),
            epoch: copy.versions.epoch,
            cursor_key: CursorKey([0; CursorKey::LENGTH]),
            options: MemoryOptions::default(),
        });
        Ok(Box::new(Unit::begin(shared, target, context).await?))
    }
}

/// Returns the copy of a company that is read at the time `read_at`.
pub(crate) fn copy_of(state: &State, id: CompanyId, read_at: Timestamp) -> CompanyCopy {
    let company = state.company(id);
    let level = |level: &Arc<LevelData>| CopiedLevel {
        level: level.level.clone(),
        views: level.views.values().cloned().collect(),
        features: level.features.values().cloned().collect(),
    };
    CompanyCopy {
        company: id,
        read_at,
        catalog: state.catalog.compiled(),
        state: company.to_state(),
        modules: company.modules.values().cloned().collect(),
        ceilings: company.ceilings.as_ref().clone(),
        quotas: company.quotas.clone(),
        levels: company.levels.values().map(level).collect(),
        holders: company.held.iter().map(|(user, held)| (*user, Arc::clone(held))).collect(),
        menu: menu_of(&company.menu),
        common_menu: menu_of(&state.catalog.menu),
    }
}

fn menu_of(menu: &MenuData) -> Menu {
    Menu { items: items_in_order(menu.items.values()), sub_items: sub_items_in_order(menu.sub_items.values()) }
}

fn menu_data(menu: &Menu) -> MenuData {
    MenuData {
        items: menu.items.iter().map(|item| (item.id, item.clone())).collect(),
        sub_items: menu.sub_items.iter().map(|item| (item.id, item.clone())).collect(),
    }
}

/// Returns the state that contains exactly this company and its catalog.
fn state_of(copy: &CompanyCopy, versions: Versions) -> State {
    let catalog = CatalogData { menu: menu_data(&copy.common_menu), ..catalog_of(&copy.catalog, versions.catalog) };
    let mut state = State { catalog: Arc::new(catalog), ..State::default() };
    *state.company_mut(copy.company) = company_of(copy, versions.company);
    state
}

fn catalog_of(catalog: &Arc<Catalog>, version: i64) -> CatalogData {
    let module_views =
        catalog.views().flat_map(|view| catalog.modules_of_view(view.id).map(move |module| (module, view.id)));
    let module_features = catalog
        .features()
        .flat_map(|feature| catalog.modules_of_feature(feature.id).map(move |module| (module, feature.id)));
    CatalogData {
        version,
        views: catalog.views().map(|view| (view.id, view.clone())).collect(),
        modules: catalog.modules().map(|module| (module.id, module.clone())).collect(),
        features: catalog.features().map(|feature| (feature.id, feature.clone())).collect(),
        module_views: module_views.collect(),
        module_features: module_features.collect(),
        compiled: OnceLock::from(Arc::clone(catalog)),
        ..CatalogData::default()
    }
}

/// Returns the data of the company.
pub(crate) fn company_of(copy: &CompanyCopy, version: i64) -> CompanyData {
    let mut company = CompanyData {
        version,
        provisioned_at: copy.state.provisioned_at,
        details: copy.state.details.clone(),
        erased_at: copy.state.erased_at,
        quotas: copy.quotas.clone(),
        menu: menu_data(&copy.menu),
        ceilings: Arc::new(copy.ceilings.clone()),
        modules: copy.modules.iter().map(|module| (module.module_id, module.clone())).collect(),
        held: copy.holders.iter().map(|(user, held)| (*user, Arc::clone(held))).collect(),
        ..CompanyData::default()
    };
    let mut holders: HashMap<_, OrdSet<UserId>> = HashMap::new();
    for (user, held) in &copy.holders {
        for (level, period) in held.iter() {
            holders.entry(*level).or_default().insert(*user);
            for at in period.boundaries() {
                *company.boundaries.entry(at).or_default() += 1;
            }
        }
    }
    for CopiedLevel { level, views, features } in &copy.levels {
        let mut data = LevelData::new(level.clone());
        data.views = views.iter().map(|cell| (cell.view_id, cell.clone())).collect();
        let key = |cell: &FeaturePermission| (cell.feature_id, cell.action.clone());
        data.features = features.iter().map(|cell| (key(cell), cell.clone())).collect();
        data.holders = holders.remove(&level.id).unwrap_or_default();
        company.levels.insert(level.id, Arc::new(data));
    }
    company
}
