//! Changes of the catalog: views, features, modules and their mappings. For super admins.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::{
    Action, Caller, Catalog, Category, Description, EntityType, Feature, FeatureId, FeatureKey, Icon, Module,
    ModuleCode, ModuleId, Name, Priority, ResourceType, View, ViewId, ViewUrl, is_reserved,
};
use iam_storage::{MenuUse, Target, UnitOfWork};

use crate::failure::unknown_at;
use crate::{Change, Failure, IfMatch, Patch, Requirement};

pub(crate) const VIEW: &str = "View";
pub(crate) const FEATURE: &str = "Feature";
pub(crate) const MODULE: &str = "Module";

/// Adds a view.
#[derive(Debug, Clone)]
pub struct CreateView {
    /// Its display name.
    pub name: Name,
    /// Its URL.
    pub url: ViewUrl,
    /// Its category.
    pub category: Option<Category>,
    /// Its description.
    pub description: Option<Description>,
    /// Its icon.
    pub icon: Option<Icon>,
    /// `false` makes it public.
    pub requires_auth: bool,
}

#[async_trait]
impl Change for CreateView {
    type Answer = View;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let now = tx.now();
        let view = View {
            id: ViewId::generate(now),
            name: self.name.clone(),
            url: self.url.clone(),
            category: self.category.clone(),
            description: self.description.clone(),
            icon: self.icon.clone(),
            requires_auth: self.requires_auth,
            created_at: now,
            updated_at: now,
        };
        tx.views_mut().create(&view).await?;
        Ok(view)
    }
}

/// Updates a view. Omitted members stay unchanged.
#[derive(Debug, Clone)]
pub struct UpdateView {
    /// The view.
    pub id: ViewId,
    /// Its display name.
    pub name: Option<Name>,
    /// Its URL.
    pub url: Option<ViewUrl>,
    /// Its category.
    pub category: Patch<Category>,
    /// Its description.
    pub description: Patch<Description>,
    /// Its icon.
    pub icon: Patch<Icon>,
    /// `false` makes it public.
    pub requires_auth: Option<bool>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for UpdateView {
    type Answer = View;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let before = tx.views().find_by_id(self.id).await?.ok_or(Failure::NotFound(VIEW))?;
        self.if_match.check(&before)?;
        let mut view = before.clone();
        view.name = self.name.clone().unwrap_or(view.name);
        view.url = self.url.clone().unwrap_or(view.url);
        self.category.apply(&mut view.category);
        self.description.apply(&mut view.description);
        self.icon.apply(&mut view.icon);
        view.requires_auth = self.requires_auth.unwrap_or(view.requires_auth);
        if view != before {
            view.updated_at = tx.now();
            tx.views_mut().update(&view).await?;
        }
        Ok(view)
    }
}

/// Deletes a view that no menu uses.
#[derive(Debug, Clone)]
pub struct DeleteView {
    /// The view.
    pub id: ViewId,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for DeleteView {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let view = tx.views().find_by_id(self.id).await?.ok_or(Failure::NotFound(VIEW))?;
        self.if_match.check(&view)?;
        refuse_if_used(VIEW, &tx.menu_items().find_using_view(self.id).await?)?;
        tx.views_mut().delete(self.id).await?;
        Ok(())
    }
}

/// Adds a feature.
#[derive(Debug, Clone)]
pub struct CreateFeature {
    /// Its natural key.
    pub key: Option<FeatureKey>,
    /// Its display name.
    pub name: Name,
    /// Its description.
    pub description: Option<Description>,
    /// The type of resource that it concerns.
    pub resource_type: Option<ResourceType>,
    /// Its custom actions.
    pub actions: Option<Vec<Action>>,
    /// Its category.
    pub category: Option<Category>,
    /// `false` denies it to all users.
    pub enabled: bool,
}

#[async_trait]
impl Change for CreateFeature {
    type Answer = Feature;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        if self.key.as_ref().is_some_and(is_reserved) {
            return Err(reserved());
        }
        let now = tx.now();
        let feature = Feature {
            id: FeatureId::generate(now),
            key: self.key.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            resource_type: self.resource_type.clone(),
            actions: self.actions.clone(),
            category: self.category.clone(),
            enabled: self.enabled,
            created_at: now,
            updated_at: now,
        };
        tx.features_mut().create(&feature).await?;
        Ok(feature)
    }
}

/// Updates a feature. Omitted members stay unchanged; a key that a menu requires cannot change.
#[derive(Debug, Clone)]
pub struct UpdateFeature {
    /// The feature.
    pub id: FeatureId,
    /// Its natural key.
    pub key: Patch<FeatureKey>,
    /// Its display name.
    pub name: Option<Name>,
    /// Its description.
    pub description: Patch<Description>,
    /// The type of resource that it concerns.
    pub resource_type: Patch<ResourceType>,
    /// Its custom actions. Permissions for removed actions are deleted.
    pub actions: Patch<Vec<Action>>,
    /// Its category.
    pub category: Patch<Category>,
    /// `false` denies it to all users.
    pub enabled: Option<bool>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for UpdateFeature {
    type Answer = Feature;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let before = tx.features().find_by_id(self.id).await?.ok_or(Failure::NotFound(FEATURE))?;
        self.if_match.check(&before)?;
        let mut feature = before.clone();
        self.key.apply(&mut feature.key);
        feature.name = self.name.clone().unwrap_or(feature.name);
        self.description.apply(&mut feature.description);
        self.resource_type.apply(&mut feature.resource_type);
        self.actions.apply(&mut feature.actions);
        self.category.apply(&mut feature.category);
        feature.enabled = self.enabled.unwrap_or(feature.enabled);
        let is_or_was_reserved = [&before.key, &feature.key].into_iter().flatten().any(is_reserved);
        if is_or_was_reserved && (feature.key != before.key || (before.enabled && !feature.enabled)) {
            return Err(reserved());
        }
        if let Some(key) = before.key.as_ref().filter(|_| feature.key != before.key) {
            refuse_if_used(FEATURE, &tx.menu_items().find_requiring(key).await?)?;
        }
        if feature != before {
            feature.updated_at = tx.now();
            tx.features_mut().update(&feature).await?;
        }
        Ok(feature)
    }
}

/// Deletes a feature that no menu uses.
#[derive(Debug, Clone)]
pub struct DeleteFeature {
    /// The feature.
    pub id: FeatureId,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for DeleteFeature {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let feature = tx.features().find_by_id(self.id).await?.ok_or(Failure::NotFound(FEATURE))?;
        self.if_match.check(&feature)?;
        if feature.key.as_ref().is_some_and(is_reserved) {
            return Err(reserved());
        }
        let mut uses = tx.menu_items().find_using_feature(self.id).await?;
        if let Some(key) = &feature.key {
            uses.extend(tx.menu_items().find_requiring(key).await?);
            // An item may both lead to the feature and require its key.
            uses.sort();
            uses.dedup();
        }
        refuse_if_used(FEATURE, &uses)?;
        tx.features_mut().delete(self.id).await?;
        Ok(())
    }
}

/// Adds a module.
#[derive(Debug, Clone)]
pub struct CreateModule {
    /// Its natural key.
    pub code: ModuleCode,
    /// Its display name.
    pub name: Name,
    /// Its description.
    pub description: Option<Description>,
    /// Its icon.
    pub icon: Option<Icon>,
    /// `false` switches it off for every company.
    pub enabled: bool,
    /// Its priority.
    pub priority: Priority,
}

#[async_trait]
impl Change for CreateModule {
    type Answer = Module;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
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

/// Updates a module. Omitted members stay unchanged.
#[derive(Debug, Clone)]
pub struct UpdateModule {
    /// The module.
    pub id: ModuleId,
    /// Its natural key.
    pub code: Option<ModuleCode>,
    /// Its display name.
    pub name: Option<Name>,
    /// Its description.
    pub description: Patch<Description>,
    /// Its icon.
    pub icon: Patch<Icon>,
    /// `false` switches it off for every company.
    pub enabled: Option<bool>,
    /// Its priority.
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

/// Deletes a module. What it alone gates would open to all companies, so the caller must confirm that.
#[derive(Debug, Clone)]
pub struct DeleteModule {
    /// The module.
    pub id: ModuleId,
    /// Confirms that what it alone gates may open to all companies.
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
            refuse_to_open(&opened)?;
        }
        tx.modules_mut().delete(self.id).await?;
        Ok(())
    }
}

/// Replaces the views of a module.
#[derive(Debug, Clone)]
pub struct SetModuleViews {
    /// The module.
    pub module: ModuleId,
    /// Its views, without duplicates.
    pub views: Vec<ViewId>,
    /// Confirms that what it alone gated may open to all companies.
    pub ungate: bool,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetModuleViews {
    type Answer = ();

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
            refuse_to_open(&views_only_in(&catalog, self.module, Some(&kept)))?;
        }
        tx.module_views_mut().replace_for_module(self.module, &self.views).await.map_err(|error| {
            let sent = self.views.iter().map(ViewId::as_uuid);
            unknown_at(error, EntityType::View, sent, |index| format!("viewIds[{index}]"))
        })
    }
}

/// Replaces the features of a module.
#[derive(Debug, Clone)]
pub struct SetModuleFeatures {
    /// The module.
    pub module: ModuleId,
    /// Its features, without duplicates.
    pub features: Vec<FeatureId>,
    /// Confirms that what it alone gated may open to all companies.
    pub ungate: bool,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetModuleFeatures {
    type Answer = ();

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
            return Err(reserved());
        }
        if !self.ungate {
            let kept = self.features.iter().copied().collect();
            refuse_to_open(&features_only_in(&catalog, self.module, Some(&kept)))?;
        }
        tx.module_features_mut().replace_for_module(self.module, &self.features).await.map_err(|error| {
            let sent = self.features.iter().map(FeatureId::as_uuid);
            unknown_at(error, EntityType::Feature, sent, |index| format!("featureIds[{index}]"))
        })
    }
}

/// Replaces the views on which a feature is shown.
#[derive(Debug, Clone)]
pub struct SetFeatureViews {
    /// The feature.
    pub feature: FeatureId,
    /// Its views, without duplicates.
    pub views: Vec<ViewId>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetFeatureViews {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        tx.features().find_by_id(self.feature).await?.ok_or(Failure::NotFound(FEATURE))?;
        if self.if_match.needs_content() {
            self.if_match.check(&tx.feature_views().get_views_by_feature(self.feature).await?)?;
        }
        tx.feature_views_mut().replace_for_feature(self.feature, &self.views).await.map_err(|error| {
            let sent = self.views.iter().map(ViewId::as_uuid);
            unknown_at(error, EntityType::View, sent, |index| format!("viewIds[{index}]"))
        })
    }
}

fn reserved() -> Failure {
    Failure::Conflict(
        "Features whose key begins with iam. belong to the service: they cannot be made, disabled, deleted, re-keyed \
         or gated"
            .to_owned(),
    )
}

fn refuse_if_used(what: &str, uses: &[MenuUse]) -> Result<(), Failure> {
    if uses.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = uses.iter().map(|item| format!("{} ({})", item.label, item.id)).collect();
    Err(Failure::Conflict(format!("{what} is used by menu items: {}", names.join(", "))))
}

/// Refuses to open gates unless the caller confirms it.
fn refuse_to_open(opened: &[String]) -> Result<(), Failure> {
    if opened.is_empty() {
        return Ok(());
    }
    Err(Failure::Conflict(format!(
        "This would open to every company: {}. Say \"ungate\": true to do so; to switch off, use enabled",
        opened.join(", ")
    )))
}

/// The views that this module alone gates and that are not kept in it.
fn views_only_in(catalog: &Catalog, module: ModuleId, kept: Option<&BTreeSet<ViewId>>) -> Vec<String> {
    catalog
        .views()
        .filter(|view| {
            catalog.modules_of_view(view.id).eq([module]) && !kept.is_some_and(|kept| kept.contains(&view.id))
        })
        .map(|view| view.url.to_string())
        .collect()
}

/// The features that this module alone gates and that are not kept in it.
fn features_only_in(catalog: &Catalog, module: ModuleId, kept: Option<&BTreeSet<FeatureId>>) -> Vec<String> {
    catalog
        .features()
        .filter(|feature| {
            catalog.modules_of_feature(feature.id).eq([module]) && !kept.is_some_and(|kept| kept.contains(&feature.id))
        })
        .map(|feature| feature.key.as_ref().map_or(feature.name.to_string(), FeatureKey::to_string))
        .collect()
}
