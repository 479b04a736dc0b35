//! Changes to modules, and to the sets of views and features that modules gate. These changes require super admin
//! rights.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::{
    Caller, Catalog, Description, EntityType, Feature, FeatureId, FeatureKey, Icon, Module, ModuleCode, ModuleId, Name,
    Priority, View, ViewId, is_reserved,
};
use iam_storage::{Target, UnitOfWork};
use uuid::Uuid;

use super::features::reserved_feature;
use crate::failure::unknown_ids;
use crate::{Change, Failure, IfMatch, Patch, Requirement};

pub(crate) const MODULE: &str = "Module";

/// Creates a module.
#[derive(Debug, Clone)]
pub struct CreateModule {
    /// The unique code of the module.
    pub code: ModuleCode,
    /// The display name of the module.
    pub name: Name,
    /// The description of the module.
    pub description: Option<Description>,
    /// The icon of the module.
    pub icon: Option<Icon>,
    /// If `false`, the module is disabled for all companies.
    pub enabled: bool,
    /// The commercial tier of the module.
    pub priority: Priority,
}

#[async_trait]
impl Change for CreateModule {
    type Answer = Module;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    const CREATES: bool = true;

    fn target(&self) -> Target {
        Target::Catalog
    }

    fn created(&self, answer: &Self::Answer) -> Option<Uuid> {
        Some(answer.id.as_uuid())
    }

    async fn find_created(&self, tx: &mut dyn UnitOfWork, id: Uuid) -> Result<Option<Self::Answer>, Failure> {
        Ok(tx.modules().find_by_id(ModuleId::from_uuid(id)).await?)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let now = tx.now();
        let module = Module {
            id: ModuleId::generate(now),
            code: self.code.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            icon: self.icon.clone(),
            enabled: self.enabled,
            priority: self.priority,
            created_at: now,
            updated_at: now,
        };
        tx.modules_mut().create(&module).await?;
        Ok(module)
    }
}

/// Updates a module. Omitted fields remain unchanged.
#[derive(Debug, Clone)]
pub struct UpdateModule {
    /// The module to update.
    pub id: ModuleId,
    /// The unique code of the module.
    pub code: Option<ModuleCode>,
    /// The display name of the module.
    pub name: Option<Name>,
    /// The description of the module.
    pub description: Patch<Description>,
    /// The icon of the module.
    pub icon: Patch<Icon>,
    /// If `false`, the module is disabled for all companies.
    pub enabled: Option<bool>,
    /// The commercial tier of the module.
    pub priority: Option<Priority>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for UpdateModule {
    type Answer = Module;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let before = tx.modules().find_by_id(self.id).await?.ok_or(Failure::NotFound(MODULE))?;
        self.if_match.check(&before)?;
        let mut module = before.clone();
        module.code = self.code.clone().unwrap_or(module.code);
        module.name = self.name.clone().unwrap_or(module.name);
        self.description.apply(&mut module.description);
        self.icon.apply(&mut module.icon);
        module.enabled = self.enabled.unwrap_or(module.enabled);
        module.priority = self.priority.unwrap_or(module.priority);
        if module != before {
            module.updated_at = tx.now();
            tx.modules_mut().update(&module).await?;
        }
        Ok(module)
    }
}

/// Deletes a module. Views and features that only this module gates then become available to all companies. The caller
/// must confirm this with `ungate`.
#[derive(Debug, Clone)]
pub struct DeleteModule {
    /// The module to delete.
    pub id: ModuleId,
    /// `true` to confirm that some views and features become available to all companies: those that only this module
    /// gates.
    pub ungate: bool,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for DeleteModule {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let module = tx.modules().find_by_id(self.id).await?.ok_or(Failure::NotFound(MODULE))?;
        self.if_match.check(&module)?;
        if !self.ungate {
            let catalog = tx.snapshots().load_catalog().await?.value;
            let mut opened = views_only_in(&catalog, self.id, None);
            opened.extend(features_only_in(&catalog, self.id, None));
            check_no_gate_removed(&opened)?;
        }
        tx.modules_mut().delete(self.id).await?;
        Ok(())
    }
}

/// Replaces the views that a module gates.
#[derive(Debug, Clone)]
pub struct SetModuleViews {
    /// The module whose views are replaced.
    pub module: ModuleId,
    /// The views that the module gates after the change, without duplicates.
    pub views: Vec<ViewId>,
    /// `true` to confirm that some of the removed views become available to all companies: those that only this module
    /// gates.
    pub ungate: bool,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetModuleViews {
    /// The views that the module gates after the change, sorted by URL.
    type Answer = Vec<View>;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        tx.modules().find_by_id(self.module).await?.ok_or(Failure::NotFound(MODULE))?;
        if self.if_match.needs_content() {
            self.if_match.check(&tx.module_views().get_views_by_module(self.module).await?)?;
        }
        if !self.ungate {
            let catalog = tx.snapshots().load_catalog().await?.value;
            let kept = self.views.iter().copied().collect();
            check_no_gate_removed(&views_only_in(&catalog, self.module, Some(&kept)))?;
        }
        tx.module_views_mut().replace_for_module(self.module, &self.views).await.map_err(|error| {
            let sent = self.views.iter().map(ViewId::as_uuid);
            unknown_ids(error, EntityType::View, sent, |index| format!("viewIds[{index}]"))
        })?;
        Ok(tx.module_views().get_views_by_module(self.module).await?)
    }
}

/// Replaces the features that a module gates.
#[derive(Debug, Clone)]
pub struct SetModuleFeatures {
    /// The module whose features are replaced.
    pub module: ModuleId,
    /// The features that the module gates after the change, without duplicates.
    pub features: Vec<FeatureId>,
    /// `true` to confirm that some of the removed features become available to all companies: those that only this
    /// module gates.
    pub ungate: bool,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetModuleFeatures {
    /// The features that the module gates after the change, sorted by key.
    type Answer = Vec<Feature>;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        tx.modules().find_by_id(self.module).await?.ok_or(Failure::NotFound(MODULE))?;
        if self.if_match.needs_content() {
            self.if_match.check(&tx.module_features().get_features_by_module(self.module).await?)?;
        }
        let catalog = tx.snapshots().load_catalog().await?.value;
        let gates_reserved = self.features.iter().filter_map(|id| catalog.feature(*id)?.key.as_ref()).any(is_reserved);
        if gates_reserved {
            return Err(reserved_feature());
        }
        if !self.ungate {
            let kept = self.features.iter().copied().collect();
            check_no_gate_removed(&features_only_in(&catalog, self.module, Some(&kept)))?;
        }
        tx.module_features_mut().replace_for_module(self.module, &self.features).await.map_err(|error| {
            let sent = self.features.iter().map(FeatureId::as_uuid);
            unknown_ids(error, EntityType::Feature, sent, |index| format!("featureIds[{index}]"))
        })?;
        Ok(tx.module_features().get_features_by_module(self.module).await?)
    }
}

/// How a client of the API confirms that views and features become available to all companies, or avoids it.
pub const HOW_TO_UNGATE: &str =
    "To confirm, set \"ungate\": true. To disable the module instead, update it with \"enabled\": false";

/// Returns a [`Failure::Conflict`] if `opened` is not empty. `opened` lists the views and features that the change
/// would make available to all companies without the caller's confirmation.
fn check_no_gate_removed(opened: &[String]) -> Result<(), Failure> {
    if opened.is_empty() {
        return Ok(());
    }
    Err(Failure::Conflict(format!(
        "This change would make the following available to every company: {}. {HOW_TO_UNGATE}",
        opened.join(", ")
    )))
}

/// Returns the URLs of the views that only this module gates and that are not in `kept`.
fn views_only_in(catalog: &Catalog, module: ModuleId, kept: Option<&BTreeSet<ViewId>>) -> Vec<String> {
    catalog
        .views()
        .filter(|view| {
            catalog.modules_of_view(view.id).eq([module]) && !kept.is_some_and(|kept| kept.contains(&view.id))
        })
        .map(|view| view.url.to_string())
        .collect()
}

/// Returns the keys of the features that only this module gates and that are not in `kept`. For a feature without a
/// key, returns its name.
fn features_only_in(catalog: &Catalog, module: ModuleId, kept: Option<&BTreeSet<FeatureId>>) -> Vec<String> {
    catalog
        .features()
        .filter(|feature| {
            catalog.modules_of_feature(feature.id).eq([module]) && !kept.is_some_and(|kept| kept.contains(&feature.id))
        })
        .map(|feature| feature.key.as_ref().map_or(feature.name.to_string(), FeatureKey::to_string))
        .collect()
}
