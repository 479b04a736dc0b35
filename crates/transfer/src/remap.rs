//! Gives the rows of a company other ids: those of the catalog of the destination, and new ids of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::{
    CompanyId, FeatureId, FeaturePermissionId, MenuItemId, ModuleId, SubMenuItemId, UserLevelId, ViewId,
    ViewPermissionId,
};
use iam_storage::CompanyContent;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The rows of the destination's catalog that stand for rows of the file with other ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CatalogIds {
    pub(crate) views: BTreeMap<ViewId, ViewId>,
    pub(crate) features: BTreeMap<FeatureId, FeatureId>,
    pub(crate) modules: BTreeMap<ModuleId, ModuleId>,
}

impl CatalogIds {
    pub(crate) fn view(&self, id: ViewId) -> ViewId {
        self.views.get(&id).copied().unwrap_or(id)
    }

    pub(crate) fn feature(&self, id: FeatureId) -> FeatureId {
        self.features.get(&id).copied().unwrap_or(id)
    }

    pub(crate) fn module(&self, id: ModuleId) -> ModuleId {
        self.modules.get(&id).copied().unwrap_or(id)
    }

    pub(crate) fn views(&self, ids: &BTreeSet<ViewId>) -> BTreeSet<ViewId> {
        ids.iter().map(|id| self.view(*id)).collect()
    }

    pub(crate) fn features(&self, ids: &BTreeSet<FeatureId>) -> BTreeSet<FeatureId> {
        ids.iter().map(|id| self.feature(*id)).collect()
    }

    /// Replaces the ids of the catalog in the content of a company.
    pub(crate) fn apply(&self, content: &mut CompanyContent) {
        if *self == Self::default() {
            return;
        }
        for module in &mut content.modules {
            module.module_id = self.module(module.module_id);
        }
        content.modules.sort_unstable_by_key(|module| module.module_id);
        for level in &mut content.levels {
            for cell in &mut level.views {
                cell.view_id = self.view(cell.view_id);
            }
            level.views.sort_unstable_by_key(|cell| cell.view_id);
            for cell in &mut level.features {
                cell.feature_id = self.feature(cell.feature_id);
            }
            level.features.sort_unstable_by(|a, b| (a.feature_id, &a.action).cmp(&(b.feature_id, &b.action)));
        }
        let ceilings = &mut content.ceilings;
        ceilings.hidden_views = self.views(&ceilings.hidden_views);
        let actions = std::mem::take(&mut ceilings.actions).into_iter();
        ceilings.actions = actions.map(|(feature, actions)| (self.feature(feature), actions)).collect();
        for item in &mut content.menu.items {
            item.view_id = item.view_id.map(|id| self.view(id));
            item.feature_id = item.feature_id.map(|id| self.feature(id));
        }
        for item in &mut content.menu.sub_items {
            item.view_id = item.view_id.map(|id| self.view(id));
            item.feature_id = item.feature_id.map(|id| self.feature(id));
        }
    }
}

/// Makes the content that of another company, or of the same company, and gives each row a new id. The ids are computed
/// from the company and the old ids, so the result of a repetition is the same.
pub(crate) fn with_new_ids(content: &mut CompanyContent, company: CompanyId) {
    let new = |old: Uuid| new_id(company, old);
    content.company = company;
    for module in &mut content.modules {
        module.company_id = company;
    }
    for copied in &mut content.levels {
        copied.level.id = UserLevelId::from_uuid(new(copied.level.id.as_uuid()));
        copied.level.company_id = company;
        for cell in &mut copied.views {
            cell.id = ViewPermissionId::from_uuid(new(cell.id.as_uuid()));
            (cell.company_id, cell.user_level_id) = (company, copied.level.id);
        }
        for cell in &mut copied.features {
            cell.id = FeaturePermissionId::from_uuid(new(cell.id.as_uuid()));
            (cell.company_id, cell.user_level_id) = (company, copied.level.id);
        }
    }
    content.levels.sort_unstable_by_key(|copied| copied.level.id);
    for held in content.holders.values_mut() {
        let moved = held.iter().map(|(level, period)| (UserLevelId::from_uuid(new(level.as_uuid())), *period));
        *held = Arc::new(moved.collect());
    }
    for item in &mut content.menu.items {
        item.id = MenuItemId::from_uuid(new(item.id.as_uuid()));
        item.company_id = Some(company);
    }
    for item in &mut content.menu.sub_items {
        item.id = SubMenuItemId::from_uuid(new(item.id.as_uuid()));
        item.menu_item_id = MenuItemId::from_uuid(new(item.menu_item_id.as_uuid()));
    }
    // Entries with the same place and label are ordered by id.
    let menu = &mut content.menu;
    menu.items.sort_by(|a, b| (a.sort_order, &a.label, a.id).cmp(&(b.sort_order, &b.label, b.id)));
    menu.sub_items.sort_by(|a, b| (a.sort_order, &a.label, a.id).cmp(&(b.sort_order, &b.label, b.id)));
    for profile in &mut content.profiles {
        profile.company_id = company;
    }
}

fn new_id(company: CompanyId, old: Uuid) -> Uuid {
    let digest = Sha256::new().chain_update(company.as_uuid()).chain_update(old).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, hashed)| *byte = hashed);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
