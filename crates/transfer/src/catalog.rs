//! The catalog with the common menu, as the file contains it.

use std::collections::BTreeSet;

use iam_domain::{Feature, FeatureId, Menu, Module, View, ViewId};
use iam_storage::{Reader, Result};

/// A feature with the views to which it is mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MappedFeature {
    pub(crate) feature: Feature,
    pub(crate) views: BTreeSet<ViewId>,
}

/// A module with the views and the features that it gates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MappedModule {
    pub(crate) module: Module,
    pub(crate) views: BTreeSet<ViewId>,
    pub(crate) features: BTreeSet<FeatureId>,
}

/// The views, the features and the modules with their mappings, and the common menu.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CatalogContent {
    pub(crate) views: Vec<View>,
    pub(crate) features: Vec<MappedFeature>,
    pub(crate) modules: Vec<MappedModule>,
    pub(crate) menu: Menu,
}

impl CatalogContent {
    /// Reads the catalog of a storage.
    pub(crate) async fn read(reader: &dyn Reader) -> Result<Self> {
        let mut features = Vec::new();
        for feature in reader.features().find_all().await? {
            let views = reader.feature_views().get_views_by_feature(feature.id).await?;
            features.push(MappedFeature { feature, views: views.iter().map(|view| view.id).collect() });
        }
        let mut modules = Vec::new();
        for module in reader.modules().find_all().await? {
            let views = reader.module_views().get_views_by_module(module.id).await?;
            let gated = reader.module_features().get_features_by_module(module.id).await?;
            modules.push(MappedModule {
                module,
                views: views.iter().map(|view| view.id).collect(),
                features: gated.iter().map(|feature| feature.id).collect(),
            });
        }
        let views = reader.views().find_all().await?;
        Ok(Self { views, features, modules, menu: reader.snapshots().load_menu(None).await?.value })
    }
}
