//! The ids of the catalog in a file, to which the companies in the file may refer.

use std::collections::BTreeSet;

use iam_domain::{FeatureId, Menu, ModuleId, ViewId};
use iam_storage::CompanyContent;

use crate::catalog::CatalogContent;
use crate::company::check_menu;
use crate::rows::are_distinct;

/// The ids of the catalog in a file.
#[derive(Default)]
pub(crate) struct References {
    views: BTreeSet<ViewId>,
    features: BTreeSet<FeatureId>,
    modules: BTreeSet<ModuleId>,
}

impl References {
    /// Returns the ids of a catalog. Fails if the catalog contradicts itself.
    pub(crate) fn of(catalog: &CatalogContent) -> Result<Self, &'static str> {
        let CatalogContent { views, features, modules, menu } = catalog;
        let are_unique = are_distinct(views.iter().map(|view| &view.url))
            && are_distinct(features.iter().filter_map(|mapped| mapped.feature.key.as_ref()))
            && are_distinct(modules.iter().map(|mapped| &mapped.module.code));
        let references = Self {
            views: views.iter().map(|view| view.id).collect(),
            features: features.iter().map(|mapped| mapped.feature.id).collect(),
            modules: modules.iter().map(|mapped| mapped.module.id).collect(),
        };
        let counts = (references.views.len(), references.features.len(), references.modules.len());
        if !are_unique || counts != (views.len(), features.len(), modules.len()) {
            return Err("two rows of the catalog have the same id, URL, key or code");
        }
        let mapped = features.iter().all(|mapped| mapped.views.is_subset(&references.views))
            && modules.iter().all(|mapped| {
                mapped.views.is_subset(&references.views) && mapped.features.is_subset(&references.features)
            });
        if !mapped {
            return Err("a mapping refers to a view or feature that is not in the file");
        }
        references.check_menu(menu)?;
        Ok(references)
    }

    /// Checks that the views, features and modules to which a company refers are in the file. Ceilings may refer to
    /// others.
    pub(crate) fn check(&self, content: &CompanyContent) -> Result<(), &'static str> {
        let levels = || content.levels.iter();
        let exist = levels().all(|level| level.views.iter().all(|cell| self.views.contains(&cell.view_id)))
            && levels().all(|level| level.features.iter().all(|cell| self.features.contains(&cell.feature_id)))
            && content.modules.iter().all(|module| self.modules.contains(&module.module_id));
        if !exist {
            return Err("the company refers to a view, feature or module that is not in the file");
        }
        self.check_menu(&content.menu)
    }

    fn check_menu(&self, menu: &Menu) -> Result<(), &'static str> {
        check_menu(menu)?;
        let items = menu.items.iter().map(|item| (item.view_id, item.feature_id));
        let mut entries = items.chain(menu.sub_items.iter().map(|item| (item.view_id, item.feature_id)));
        let exist = entries.all(|(view, feature)| {
            view.is_none_or(|view| self.views.contains(&view))
                && feature.is_none_or(|feature| self.features.contains(&feature))
        });
        if exist { Ok(()) } else { Err("the menu refers to a view or feature that is not in the file") }
    }
}
