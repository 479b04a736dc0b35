//! The write operation on the whole content of a company.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::CompanyId;
use iam_storage::{CompanyContent, CompanyContentsMut, CompanyCopy, CompanyState, Constraint, Result, Target};

use crate::constraints::refuse_if;
use crate::repository::Repository;
use crate::simulator::company_of;
use crate::state::{CompanyData, RowId, RowKind};
use crate::unit_of_work::Unit;

#[async_trait]
impl CompanyContentsMut for Repository<Unit> {
    async fn install(&mut self, content: &CompanyContent) -> Result<()> {
        self.0.change(Target::Company(content.company), |unit| {
            unit.install(content)?;
            unit.quota_overrides = content.quotas.clone();
            unit.recorder.company_imported(content);
            Ok(())
        })
    }
}

impl Unit {
    fn install(&mut self, content: &CompanyContent) -> Result<()> {
        let company = content.company;
        self.check_entities(content)?;
        check_uniqueness(content)?;
        let before = self.work.company(company).clone();
        self.release_ids(before.content_ids());
        for id in ids(content) {
            self.take_id(id)?;
        }
        let copy = self.copy_with(content, company, before.version);
        let after = CompanyData {
            profiles: content.profiles.iter().map(|profile| (profile.user_id, profile.clone())).collect(),
            audit: before.audit,
            ..company_of(&copy, before.version)
        };
        after.check_levels(content.holders.values().flat_map(|held| held.keys().copied()))?;
        *self.work.company_mut(company) = after;
        Ok(())
    }

    /// Returns `Unknown` if a module, view or feature to which the content refers does not exist.
    fn check_entities(&self, content: &CompanyContent) -> Result<()> {
        let CompanyContent { levels, menu, .. } = content;
        let catalog = self.catalog();
        catalog.check_modules(content.modules.iter().map(|module| module.module_id))?;
        let views = levels.iter().flat_map(|level| level.views.iter().map(|cell| cell.view_id));
        let shown = menu.items.iter().map(|item| item.view_id).chain(menu.sub_items.iter().map(|item| item.view_id));
        catalog.check_views(views.chain(shown.flatten()))?;
        let features = levels.iter().flat_map(|level| level.features.iter().map(|cell| cell.feature_id));
        let used =
            menu.items.iter().map(|item| item.feature_id).chain(menu.sub_items.iter().map(|item| item.feature_id));
        catalog.check_features(features.chain(used.flatten()))
    }

    fn copy_with(&self, content: &CompanyContent, company: CompanyId, version: i64) -> CompanyCopy {
        CompanyCopy {
            company,
            read_at: self.recorder.now(),
            catalog: self.catalog().compiled(),
            state: CompanyState {
                version,
                provisioned_at: content.provisioned_at,
                details: content.details.clone(),
                erased_at: None,
            },
            modules: content.modules.clone(),
            ceilings: content.ceilings.clone(),
            quotas: content.quotas.clone(),
            levels: content.levels.clone(),
            holders: content.holders.clone(),
            menu: content.menu.clone(),
            common_menu: iam_domain::Menu::default(),
        }
    }
}

/// Returns `Conflict` if two levels have the same name, or two cells of a level are for the same view or action.
fn check_uniqueness(content: &CompanyContent) -> Result<()> {
    let mut names = BTreeSet::new();
    for level in &content.levels {
        refuse_if(!names.insert(&level.level.name), Constraint::UserLevelName)?;
        let views: BTreeSet<_> = level.views.iter().map(|cell| cell.view_id).collect();
        let features: BTreeSet<_> = level.features.iter().map(|cell| (cell.feature_id, &cell.action)).collect();
        let is_unique = views.len() == level.views.len() && features.len() == level.features.len();
        refuse_if(!is_unique, Constraint::Duplicate)?;
    }
    Ok(())
}

/// Returns the ids of the rows of the content.
fn ids(content: &CompanyContent) -> impl Iterator<Item = RowId> {
    let levels = content.levels.iter().flat_map(|level| {
        let views = level.views.iter().map(|cell| (RowKind::ViewPermissions, cell.id.as_uuid()));
        let features = level.features.iter().map(|cell| (RowKind::FeaturePermissions, cell.id.as_uuid()));
        std::iter::once((RowKind::UserLevels, level.level.id.as_uuid())).chain(views).chain(features)
    });
    let items = content.menu.items.iter().map(|item| (RowKind::MenuItems, item.id.as_uuid()));
    let sub_items = content.menu.sub_items.iter().map(|item| (RowKind::SubMenuItems, item.id.as_uuid()));
    levels.chain(items).chain(sub_items)
}
