//! The catalog data, with the common menu and the audit log of the platform.

use std::sync::{Arc, OnceLock};

use iam_domain::{Catalog, EntityType, Feature, FeatureId, Module, ModuleId, View, ViewId};
use iam_storage::Result;
use imbl::{OrdMap, OrdSet};

use crate::constraints::refuse_unknown;
use crate::state::owned::{AuditLog, MenuData};

/// The views, modules, features and their mappings, with the common menu and the audit log of the platform.
#[derive(Clone, Default)]
pub(crate) struct CatalogData {
    pub(crate) version: i64,
    pub(crate) views: OrdMap<ViewId, View>,
    pub(crate) modules: OrdMap<ModuleId, Module>,
    pub(crate) features: OrdMap<FeatureId, Feature>,
    pub(crate) feature_views: OrdSet<(FeatureId, ViewId)>,
    pub(crate) module_views: OrdSet<(ModuleId, ViewId)>,
    pub(crate) module_features: OrdSet<(ModuleId, FeatureId)>,
    pub(crate) menu: MenuData,
    pub(crate) audit: AuditLog,
    /// The compiled catalog, which is computed on first use.
    pub(crate) compiled: OnceLock<Arc<Catalog>>,
}

impl CatalogData {
    /// Returns the compiled catalog, from which decisions are computed.
    pub(crate) fn compiled(&self) -> Arc<Catalog> {
        let compile = || {
            Arc::new(Catalog::new(
                self.views.values().cloned(),
                self.features.values().cloned(),
                self.modules.values().cloned(),
                self.module_views.iter().copied(),
                self.module_features.iter().copied(),
            ))
        };
        Arc::clone(self.compiled.get_or_init(compile))
    }

    /// Returns `Unknown` if a view does not exist.
    pub(crate) fn check_views(&self, ids: impl IntoIterator<Item = ViewId>) -> Result<()> {
        let unknown = ids.into_iter().filter(|id| !self.views.contains_key(id));
        refuse_unknown(EntityType::View, unknown.map(|id| id.as_uuid()))
    }

    /// Returns `Unknown` if a feature does not exist.
    pub(crate) fn check_features(&self, ids: impl IntoIterator<Item = FeatureId>) -> Result<()> {
        let unknown = ids.into_iter().filter(|id| !self.features.contains_key(id));
        refuse_unknown(EntityType::Feature, unknown.map(|id| id.as_uuid()))
    }

    /// Returns `Unknown` if a module does not exist.
    pub(crate) fn check_modules(&self, ids: impl IntoIterator<Item = ModuleId>) -> Result<()> {
        let unknown = ids.into_iter().filter(|id| !self.modules.contains_key(id));
        refuse_unknown(EntityType::Module, unknown.map(|id| id.as_uuid()))
    }
}
