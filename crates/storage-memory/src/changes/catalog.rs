//! Write operations on views, modules and features.

use async_trait::async_trait;
use iam_domain::{Feature, FeatureId, FeaturePermission, Module, ModuleId, View, ViewId, ViewPermission};
use iam_storage::{Constraint, FeaturesMut, ModulesMut, Result, StorageError, Target, ViewsMut};
use imbl::OrdSet;

use crate::constraints::refuse_if;
use crate::repository::Repository;
use crate::state::CatalogData;
use crate::unit_of_work::Unit;

/// Removes from a mapping all pairs for which `matches` returns `true`.
fn remove_pairs<A: Ord + Copy, B: Ord + Copy>(mapping: &mut OrdSet<(A, B)>, matches: impl Fn(A, B) -> bool) {
    *mapping = mapping.iter().filter(|(a, b)| !matches(*a, *b)).copied().collect();
}

impl CatalogData {
    fn check_unique_url(&self, view: &View) -> Result<()> {
        let taken = self.views.values().any(|other| other.id != view.id && other.url == view.url);
        refuse_if(taken, Constraint::ViewUrl)
    }

    fn check_unique_code(&self, module: &Module) -> Result<()> {
        let taken = self.modules.values().any(|other| other.id != module.id && other.code == module.code);
        refuse_if(taken, Constraint::ModuleCode)
    }

    fn check_unique_key(&self, feature: &Feature) -> Result<()> {
        let same_key = |other: &Feature| other.id != feature.id && other.key == feature.key;
        refuse_if(feature.key.is_some() && self.features.values().any(same_key), Constraint::FeatureKey)
    }
}

#[async_trait]
impl ViewsMut for Repository<Unit> {
    async fn create(&mut self, view: &View) -> Result<()> {
        self.0.change(Target::Catalog, |unit| {
            refuse_if(unit.catalog().views.contains_key(&view.id), Constraint::Duplicate)?;
            unit.catalog().check_unique_url(view)?;
            unit.work.catalog_mut().views.insert(view.id, view.clone());
            unit.recorder.view_created(view);
            Ok(())
        })
    }

    async fn update(&mut self, view: &View) -> Result<View> {
        self.0.change(Target::Catalog, |unit| {
            let before = unit.catalog().views.get(&view.id).cloned().ok_or(StorageError::NotFound)?;
            unit.catalog().check_unique_url(view)?;
            let after = View { created_at: before.created_at, ..view.clone() };
            unit.recorder.view_updated(&before, &after);
            unit.work.catalog_mut().views.insert(view.id, after);
            Ok(before)
        })
    }

    async fn delete(&mut self, id: ViewId) -> Result<View> {
        self.0.change(Target::Catalog, |unit| {
            let before = unit.catalog().views.get(&id).cloned().ok_or(StorageError::NotFound)?;
            let in_menu = !unit.work.menu_uses(|used, _| used == Some(id)).is_empty();
            refuse_if(in_menu, Constraint::ViewInMenu)?;
            let catalog = unit.work.catalog_mut();
            catalog.views.remove(&id);
            remove_pairs(&mut catalog.feature_views, |_, view| view == id);
            remove_pairs(&mut catalog.module_views, |_, view| view == id);
            unit.remove_cells(|cell: &ViewPermission| cell.view_id == id);
            unit.removed.views.insert(id);
            unit.recorder.view_deleted(&before);
            Ok(before)
        })
    }
}

#[async_trait]
impl ModulesMut for Repository<Unit> {
    async fn create(&mut self, module: &Module) -> Result<()> {
        self.0.change(Target::Catalog, |unit| {
            refuse_if(unit.catalog().modules.contains_key(&module.id), Constraint::Duplicate)?;
            unit.catalog().check_unique_code(module)?;
            unit.work.catalog_mut().modules.insert(module.id, module.clone());
            unit.recorder.module_created(module);
            Ok(())
        })
    }

    async fn update(&mut self, module: &Module) -> Result<Module> {
        self.0.change(Target::Catalog, |unit| {
            let before = unit.catalog().modules.get(&module.id).cloned().ok_or(StorageError::NotFound)?;
            unit.catalog().check_unique_code(module)?;
            let after = Module { created_at: before.created_at, ..module.clone() };
            unit.recorder.module_updated(&before, &after);
            unit.work.catalog_mut().modules.insert(module.id, after);
            Ok(before)
        })
    }

    async fn delete(&mut self, id: ModuleId) -> Result<Module> {
        self.0.change(Target::Catalog, |unit| {
            let catalog = unit.work.catalog_mut();
            let before = catalog.modules.remove(&id).ok_or(StorageError::NotFound)?;
            remove_pairs(&mut catalog.module_views, |module, _| module == id);
            remove_pairs(&mut catalog.module_features, |module, _| module == id);
            unit.cascade(
                |company| company.modules.contains_key(&id),
                |company| {
                    company.modules.remove(&id);
                },
            );
            unit.recorder.module_deleted(&before);
            Ok(before)
        })
    }
}

#[async_trait]
impl FeaturesMut for Repository<Unit> {
    async fn create(&mut self, feature: &Feature) -> Result<()> {
        self.0.change(Target::Catalog, |unit| {
            refuse_if(unit.catalog().features.contains_key(&feature.id), Constraint::Duplicate)?;
            unit.catalog().check_unique_key(feature)?;
            unit.work.catalog_mut().features.insert(feature.id, feature.clone());
            unit.recorder.feature_created(feature);
            Ok(())
        })
    }

    async fn update(&mut self, feature: &Feature) -> Result<Feature> {
        self.0.change(Target::Catalog, |unit| {
            let before = unit.catalog().features.get(&feature.id).cloned().ok_or(StorageError::NotFound)?;
            unit.catalog().check_unique_key(feature)?;
            let after = Feature { created_at: before.created_at, ..feature.clone() };
            if before.actions != after.actions {
                unit.remove_cells(|cell: &FeaturePermission| cell.feature_id == after.id && !after.knows(&cell.action));
            }
            unit.recorder.feature_updated(&before, &after);
            unit.work.catalog_mut().features.insert(feature.id, after);
            Ok(before)
        })
    }

    async fn delete(&mut self, id: FeatureId) -> Result<Feature> {
        self.0.change(Target::Catalog, |unit| {
            let before = unit.catalog().features.get(&id).cloned().ok_or(StorageError::NotFound)?;
            let in_menu = !unit.work.menu_uses(|_, used| used == Some(id)).is_empty();
            refuse_if(in_menu, Constraint::FeatureInMenu)?;
            let catalog = unit.work.catalog_mut();
            catalog.features.remove(&id);
            remove_pairs(&mut catalog.feature_views, |feature, _| feature == id);
            remove_pairs(&mut catalog.module_features, |_, feature| feature == id);
            unit.remove_cells(|cell: &FeaturePermission| cell.feature_id == id);
            unit.removed.features.insert(id);
            unit.recorder.feature_deleted(&before);
            Ok(before)
        })
    }
}
