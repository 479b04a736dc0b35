//! Read operations on views, modules and features, and on their mappings.

use async_trait::async_trait;
use iam_domain::{Feature, FeatureId, Module, ModuleId, View, ViewId};
use iam_storage::{FeatureViews, Features, ModuleFeatures, ModuleViews, Modules, Result, Views};

use crate::reads::sorted;
use crate::repository::{Repository, StateSource};
use crate::state::CatalogData;

fn by_url(views: impl Iterator<Item = View>) -> Vec<View> {
    sorted(views, |a, b| (&a.url, a.id).cmp(&(&b.url, b.id)))
}

fn by_key(features: impl Iterator<Item = Feature>) -> Vec<Feature> {
    sorted(features, |a, b| (a.key.is_none(), &a.key, a.id).cmp(&(b.key.is_none(), &b.key, b.id)))
}

fn by_name(modules: impl Iterator<Item = Module>) -> Vec<Module> {
    sorted(modules, |a, b| (&a.name, a.id).cmp(&(&b.name, b.id)))
}

impl CatalogData {
    fn views_of(&self, ids: impl Iterator<Item = ViewId>) -> Vec<View> {
        by_url(ids.filter_map(|id| self.views.get(&id)).cloned())
    }

    fn features_of(&self, ids: impl Iterator<Item = FeatureId>) -> Vec<Feature> {
        by_key(ids.filter_map(|id| self.features.get(&id)).cloned())
    }

    pub(super) fn modules_of(&self, ids: impl Iterator<Item = ModuleId>) -> Vec<Module> {
        by_name(ids.filter_map(|id| self.modules.get(&id)).cloned())
    }
}

/// Returns the second ids of all pairs whose first id is `of`.
fn right<A: Ord + Copy, B: Ord + Copy>(mapping: &imbl::OrdSet<(A, B)>, of: A) -> impl Iterator<Item = B> {
    mapping.iter().filter(move |(a, _)| *a == of).map(|(_, b)| *b)
}

/// Returns the first ids of all pairs whose second id is `of`.
fn left<A: Ord + Copy, B: Ord + Copy>(mapping: &imbl::OrdSet<(A, B)>, of: B) -> impl Iterator<Item = A> {
    mapping.iter().filter(move |(_, b)| *b == of).map(|(a, _)| *a)
}

#[async_trait]
impl<S: StateSource> Views for Repository<S> {
    async fn find_all(&self) -> Result<Vec<View>> {
        Ok(by_url(self.0.state().catalog.views.values().cloned()))
    }

    async fn find_by_id(&self, id: ViewId) -> Result<Option<View>> {
        Ok(self.0.state().catalog.views.get(&id).cloned())
    }

    async fn find_by_url(&self, url: &str) -> Result<Option<View>> {
        Ok(self.0.state().catalog.views.values().find(|view| view.url.as_str() == url).cloned())
    }
}

#[async_trait]
impl<S: StateSource> Modules for Repository<S> {
    async fn find_all(&self) -> Result<Vec<Module>> {
        Ok(by_name(self.0.state().catalog.modules.values().cloned()))
    }

    async fn find_by_id(&self, id: ModuleId) -> Result<Option<Module>> {
        Ok(self.0.state().catalog.modules.get(&id).cloned())
    }

    async fn find_by_code(&self, code: &str) -> Result<Option<Module>> {
        Ok(self.0.state().catalog.modules.values().find(|module| module.code.as_str() == code).cloned())
    }
}

#[async_trait]
impl<S: StateSource> Features for Repository<S> {
    async fn find_all(&self) -> Result<Vec<Feature>> {
        Ok(by_key(self.0.state().catalog.features.values().cloned()))
    }

    async fn find_by_id(&self, id: FeatureId) -> Result<Option<Feature>> {
        Ok(self.0.state().catalog.features.get(&id).cloned())
    }

    async fn find_by_key(&self, key: &str) -> Result<Option<Feature>> {
        let has_key = |feature: &&Feature| feature.key.as_ref().is_some_and(|own| own.as_str() == key);
        Ok(self.0.state().catalog.features.values().find(has_key).cloned())
    }
}

#[async_trait]
impl<S: StateSource> FeatureViews for Repository<S> {
    async fn get_views_by_feature(&self, feature: FeatureId) -> Result<Vec<View>> {
        let catalog = &self.0.state().catalog;
        Ok(catalog.views_of(right(&catalog.feature_views, feature)))
    }

    async fn get_features_by_view(&self, view: ViewId) -> Result<Vec<Feature>> {
        let catalog = &self.0.state().catalog;
        Ok(catalog.features_of(left(&catalog.feature_views, view)))
    }
}

#[async_trait]
impl<S: StateSource> ModuleViews for Repository<S> {
    async fn get_views_by_module(&self, module: ModuleId) -> Result<Vec<View>> {
        let catalog = &self.0.state().catalog;
        Ok(catalog.views_of(right(&catalog.module_views, module)))
    }

    async fn get_modules_by_view(&self, view: ViewId) -> Result<Vec<Module>> {
        let catalog = &self.0.state().catalog;
        Ok(catalog.modules_of(left(&catalog.module_views, view)))
    }
}

#[async_trait]
impl<S: StateSource> ModuleFeatures for Repository<S> {
    async fn get_features_by_module(&self, module: ModuleId) -> Result<Vec<Feature>> {
        let catalog = &self.0.state().catalog;
        Ok(catalog.features_of(right(&catalog.module_features, module)))
    }

    async fn get_modules_by_feature(&self, feature: FeatureId) -> Result<Vec<Module>> {
        let catalog = &self.0.state().catalog;
        Ok(catalog.modules_of(left(&catalog.module_features, feature)))
    }
}
