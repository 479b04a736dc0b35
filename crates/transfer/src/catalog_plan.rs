//! Compares the catalog of a file with the catalog of a storage, and writes the difference.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iam_domain::{MenuItem, SubMenuItem, Timestamp, View};
use iam_storage::{UnitOfWork, Work};

use crate::catalog::{CatalogContent, MappedFeature, MappedModule};
use crate::error::ImportError;
use crate::options::OnConflict;
use crate::remap::CatalogIds;
use crate::report::{Outcome, Report};

/// A row with the ids that it has in the storage, and its outcome.
type Planned<T> = Vec<(T, Outcome)>;

/// The difference between two catalogs.
#[derive(Default)]
pub(crate) struct CatalogPlan {
    /// The rows of the storage that stand for rows of the file with other ids.
    pub(crate) ids: CatalogIds,
    views: Planned<View>,
    features: Planned<MappedFeature>,
    modules: Planned<MappedModule>,
    items: Planned<MenuItem>,
    sub_items: Planned<SubMenuItem>,
}

const OTHER_ID: &str = "it exists with another id";
const OTHER_CONTENT: &str = "it exists with other content";

/// Returns the outcome for a row: `there` is the row of the storage for which it stands.
fn outcome<T: PartialEq>(wanted: &T, there: Option<T>, has_other_id: bool) -> Outcome {
    match there {
        None => Outcome::Create,
        Some(_) if has_other_id => Outcome::Conflict(OTHER_ID.to_owned()),
        Some(there) if there == *wanted => Outcome::Unchanged,
        Some(_) => Outcome::Conflict(OTHER_CONTENT.to_owned()),
    }
}

impl CatalogPlan {
    /// Compares the catalog of a file with that of a storage. Rows are the same if they have the same id, or the same
    /// URL, key or code. The times of the rows are not compared.
    pub(crate) fn new(file: &CatalogContent, there: &CatalogContent) -> Self {
        let mut plan = Self::default();
        plan.compare_views(file, there);
        plan.compare_features(file, there);
        plan.compare_modules(file, there);
        plan.compare_menu(file, there);
        plan
    }

    fn compare_views(&mut self, file: &CatalogContent, there: &CatalogContent) {
        let by_id: BTreeMap<_, _> = there.views.iter().map(|view| (view.id, view)).collect();
        let by_url: BTreeMap<_, _> = there.views.iter().map(|view| (&view.url, view)).collect();
        for wanted in &file.views {
            let found = by_id.get(&wanted.id).or_else(|| by_url.get(&wanted.url)).copied();
            let id = found.map_or(wanted.id, |found| found.id);
            let untimed =
                |view: &View| View { created_at: wanted.created_at, updated_at: wanted.updated_at, ..view.clone() };
            let planned = View { id, ..wanted.clone() };
            let outcome = outcome(&planned, found.map(untimed), id != wanted.id);
            if id != wanted.id {
                self.ids.views.insert(wanted.id, id);
            }
            self.views.push((planned, outcome));
        }
    }

    fn compare_features(&mut self, file: &CatalogContent, there: &CatalogContent) {
        let by_id: BTreeMap<_, _> = there.features.iter().map(|mapped| (mapped.feature.id, mapped)).collect();
        let keyed = there.features.iter().filter_map(|mapped| Some((mapped.feature.key.as_ref()?, mapped)));
        let by_key: BTreeMap<_, _> = keyed.collect();
        for wanted in &file.features {
            let same_key = || wanted.feature.key.as_ref().and_then(|key| by_key.get(key));
            let found = by_id.get(&wanted.feature.id).or_else(same_key).copied();
            let id = found.map_or(wanted.feature.id, |found| found.feature.id);
            let mut planned = wanted.clone();
            planned.feature.id = id;
            planned.views = self.ids.views(&wanted.views);
            let untimed = found.cloned().map(|mut found| {
                (found.feature.created_at, found.feature.updated_at) =
                    (wanted.feature.created_at, wanted.feature.updated_at);
                found
            });
            let outcome = outcome(&planned, untimed, id != wanted.feature.id);
            if id != wanted.feature.id {
                self.ids.features.insert(wanted.feature.id, id);
            }
            self.features.push((planned, outcome));
        }
    }

    fn compare_modules(&mut self, file: &CatalogContent, there: &CatalogContent) {
        let by_id: BTreeMap<_, _> = there.modules.iter().map(|mapped| (mapped.module.id, mapped)).collect();
        let by_code: BTreeMap<_, _> = there.modules.iter().map(|mapped| (&mapped.module.code, mapped)).collect();
        for wanted in &file.modules {
            let found = by_id.get(&wanted.module.id).or_else(|| by_code.get(&wanted.module.code)).copied();
            let id = found.map_or(wanted.module.id, |found| found.module.id);
            let mut planned = wanted.clone();
            planned.module.id = id;
            planned.views = self.ids.views(&wanted.views);
            planned.features = self.ids.features(&wanted.features);
            let untimed = found.cloned().map(|mut found| {
                (found.module.created_at, found.module.updated_at) =
                    (wanted.module.created_at, wanted.module.updated_at);
                found
            });
            let outcome = outcome(&planned, untimed, id != wanted.module.id);
            if id != wanted.module.id {
                self.ids.modules.insert(wanted.module.id, id);
            }
            self.modules.push((planned, outcome));
        }
    }

    fn compare_menu(&mut self, file: &CatalogContent, there: &CatalogContent) {
        let items: BTreeMap<_, _> = there.menu.items.iter().map(|item| (item.id, item)).collect();
        for wanted in &file.menu.items {
            let mut planned = wanted.clone();
            planned.view_id = wanted.view_id.map(|id| self.ids.view(id));
            planned.feature_id = wanted.feature_id.map(|id| self.ids.feature(id));
            let found = items.get(&wanted.id).map(|found| MenuItem {
                created_at: wanted.created_at,
                updated_at: wanted.updated_at,
                ..(*found).clone()
            });
            let outcome = outcome(&planned, found, false);
            self.items.push((planned, outcome));
        }
        let sub_items: BTreeMap<_, _> = there.menu.sub_items.iter().map(|item| (item.id, item)).collect();
        for wanted in &file.menu.sub_items {
            let mut planned = wanted.clone();
            planned.view_id = wanted.view_id.map(|id| self.ids.view(id));
            planned.feature_id = wanted.feature_id.map(|id| self.ids.feature(id));
            let found = sub_items.get(&wanted.id).map(|found| SubMenuItem {
                created_at: wanted.created_at,
                updated_at: wanted.updated_at,
                ..(*found).clone()
            });
            let outcome = outcome(&planned, found, false);
            self.sub_items.push((planned, outcome));
        }
    }

    /// Adds the outcomes to a report.
    pub(crate) fn report(&self, report: &mut Report) {
        for (view, outcome) in &self.views {
            report.note(format!("view {}", view.url), outcome.clone());
        }
        for (MappedFeature { feature, .. }, outcome) in &self.features {
            let name = feature.key.as_ref().map_or_else(|| feature.id.to_string(), ToString::to_string);
            report.note(format!("feature {name}"), outcome.clone());
        }
        for (MappedModule { module, .. }, outcome) in &self.modules {
            report.note(format!("module {}", module.code), outcome.clone());
        }
        for (item, outcome) in &self.items {
            report.note(format!("menu item {}", item.id), outcome.clone());
        }
        for (item, outcome) in &self.sub_items {
            report.note(format!("sub-item {}", item.id), outcome.clone());
        }
    }
}

/// Writes the difference between the catalog of a file and that of the storage.
pub(crate) struct ImportCatalog<'a> {
    pub(crate) file: &'a CatalogContent,
    pub(crate) on_conflict: OnConflict,
}

#[async_trait]
impl Work for ImportCatalog<'_> {
    type Output = CatalogPlan;
    type Error = ImportError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<CatalogPlan, ImportError> {
        let plan = CatalogPlan::new(self.file, &CatalogContent::read(tx).await?);
        let now = tx.now();
        for (view, outcome) in &plan.views {
            match self.action(outcome, || format!("view {}", view.url))? {
                Action::Create => tx.views_mut().create(view).await?,
                Action::Replace => drop(tx.views_mut().update(&View { updated_at: now, ..view.clone() }).await?),
                Action::None => {}
            }
        }
        for (mapped, outcome) in &plan.features {
            self.feature(tx, now, mapped, outcome).await?;
        }
        for (mapped, outcome) in &plan.modules {
            self.module(tx, now, mapped, outcome).await?;
        }
        for (item, outcome) in &plan.items {
            match self.action(outcome, || format!("menu item {}", item.id))? {
                Action::Create => tx.menu_items_mut().create(item).await?,
                Action::Replace => {
                    drop(tx.menu_items_mut().update(&MenuItem { updated_at: now, ..item.clone() }).await?);
                }
                Action::None => {}
            }
        }
        for (item, outcome) in &plan.sub_items {
            match self.action(outcome, || format!("sub-item {}", item.id))? {
                Action::Create => tx.sub_menu_items_mut().create(None, item).await?,
                Action::Replace => {
                    let item = SubMenuItem { updated_at: now, ..item.clone() };
                    drop(tx.sub_menu_items_mut().update(None, &item).await?);
                }
                Action::None => {}
            }
        }
        Ok(plan)
    }
}

/// What to do with a row.
enum Action {
    None,
    Create,
    Replace,
}

impl ImportCatalog<'_> {
    fn action(&self, outcome: &Outcome, what: impl Fn() -> String) -> Result<Action, ImportError> {
        Ok(match (outcome, self.on_conflict) {
            (Outcome::Create, _) => Action::Create,
            (Outcome::Conflict(_), OnConflict::Replace) => Action::Replace,
            (Outcome::Conflict(_), OnConflict::Stop) | (Outcome::Refused(_), _) => {
                return Err(ImportError::Conflict(what()));
            }
            (Outcome::Conflict(_), OnConflict::Skip) | (Outcome::Unchanged, _) => Action::None,
        })
    }

    async fn feature(
        &self,
        tx: &mut dyn UnitOfWork,
        now: Timestamp,
        MappedFeature { feature, views }: &MappedFeature,
        outcome: &Outcome,
    ) -> Result<(), ImportError> {
        match self.action(outcome, || format!("feature {}", feature.id))? {
            Action::Create => tx.features_mut().create(feature).await?,
            Action::Replace => {
                let feature = iam_domain::Feature { updated_at: now, ..feature.clone() };
                drop(tx.features_mut().update(&feature).await?);
            }
            Action::None => return Ok(()),
        }
        let views: Vec<_> = views.iter().copied().collect();
        Ok(tx.feature_views_mut().replace_for_feature(feature.id, &views).await?)
    }

    async fn module(
        &self,
        tx: &mut dyn UnitOfWork,
        now: Timestamp,
        MappedModule { module, views, features }: &MappedModule,
        outcome: &Outcome,
    ) -> Result<(), ImportError> {
        match self.action(outcome, || format!("module {}", module.code))? {
            Action::Create => tx.modules_mut().create(module).await?,
            Action::Replace => {
                let module = iam_domain::Module { updated_at: now, ..module.clone() };
                drop(tx.modules_mut().update(&module).await?);
            }
            Action::None => return Ok(()),
        }
        let (views, features): (Vec<_>, Vec<_>) = (views.iter().copied().collect(), features.iter().copied().collect());
        tx.module_views_mut().replace_for_module(module.id, &views).await?;
        Ok(tx.module_features_mut().replace_for_module(module.id, &features).await?)
    }
}
