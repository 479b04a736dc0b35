//! Changes of the catalog: views, features, modules and their mappings. For super admins.

use std::collections::BTreeSet;

use iam_domain::{
    Action, Catalog, Category, Description, EntityType, Feature, FeatureId, FeatureKey, Icon, Module, ModuleCode,
    ModuleId, Name, Priority, ResourceType, View, ViewId, ViewUrl, is_reserved,
};
use iam_storage::{MenuUse, Target};

use crate::execute::change;
use crate::failure::unknown_at;
use crate::{Failure, IfMatch, Patch};

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

change!(CreateView -> View, needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    let now = tx.now();
    let view = View {
        id: ViewId::generate(now),
        name: this.name.clone(),
        url: this.url.clone(),
        category: this.category.clone(),
        description: this.description.clone(),
        icon: this.icon.clone(),
        requires_auth: this.requires_auth,
        created_at: now,
        updated_at: now,
    };
    tx.views_mut().create(&view).await?;
    Ok(view)
});

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

change!(UpdateView -> View, needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    let before = tx.views().find_by_id(this.id).await?.ok_or(Failure::NotFound(VIEW))?;
    this.if_match.check(&before)?;
    let mut view = before.clone();
    view.name = this.name.clone().unwrap_or(view.name);
    view.url = this.url.clone().unwrap_or(view.url);
    this.category.apply(&mut view.category);
    this.description.apply(&mut view.description);
    this.icon.apply(&mut view.icon);
    view.requires_auth = this.requires_auth.unwrap_or(view.requires_auth);
    if view != before {
        view.updated_at = tx.now();
        tx.views_mut().update(&view).await?;
    }
    Ok(view)
});

/// Deletes a view that no menu uses.
#[derive(Debug, Clone)]
pub struct DeleteView {
    /// The view.
    pub id: ViewId,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

change!(DeleteView -> (), needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    let view = tx.views().find_by_id(this.id).await?.ok_or(Failure::NotFound(VIEW))?;
    this.if_match.check(&view)?;
    refuse_if_used(VIEW, &tx.menu_items().find_using_view(this.id).await?)?;
    tx.views_mut().delete(this.id).await?;
    Ok(())
});

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

change!(CreateFeature -> Feature, needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    if this.key.as_ref().is_some_and(is_reserved) {
        return Err(reserved());
    }
    let now = tx.now();
    let feature = Feature {
        id: FeatureId::generate(now),
        key: this.key.clone(),
        name: this.name.clone(),
        description: this.description.clone(),
        resource_type: this.resource_type.clone(),
        actions: this.actions.clone(),
        category: this.category.clone(),
        enabled: this.enabled,
        created_at: now,
        updated_at: now,
    };
    tx.features_mut().create(&feature).await?;
    Ok(feature)
});

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

change!(UpdateFeature -> Feature, needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    let before = tx.features().find_by_id(this.id).await?.ok_or(Failure::NotFound(FEATURE))?;
    this.if_match.check(&before)?;
    let mut feature = before.clone();
    this.key.apply(&mut feature.key);
    feature.name = this.name.clone().unwrap_or(feature.name);
    this.description.apply(&mut feature.description);
    this.resource_type.apply(&mut feature.resource_type);
    this.actions.apply(&mut feature.actions);
    this.category.apply(&mut feature.category);
    feature.enabled = this.enabled.unwrap_or(feature.enabled);
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
});

/// Deletes a feature that no menu uses.
#[derive(Debug, Clone)]
pub struct DeleteFeature {
    /// The feature.
    pub id: FeatureId,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

change!(DeleteFeature -> (), needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    let feature = tx.features().find_by_id(this.id).await?.ok_or(Failure::NotFound(FEATURE))?;
    this.if_match.check(&feature)?;
    if feature.key.as_ref().is_some_and(is_reserved) {
        return Err(reserved());
    }
    let mut uses = tx.menu_items().find_using_feature(this.id).await?;
    if let Some(key) = &feature.key {
        uses.extend(tx.menu_items().find_requiring(key).await?);
        // An item may both lead to the feature and require its key.
        uses.sort();
        uses.dedup();
    }
    refuse_if_used(FEATURE, &uses)?;
    tx.features_mut().delete(this.id).await?;
    Ok(())
});

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

change!(CreateModule -> Module, needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    let now = tx.now();
    let module = Module {
        id: ModuleId::generate(now),
        code: this.code.clone(),
        name: this.name.clone(),
        description: this.description.clone(),
        icon: this.icon.clone(),
        enabled: this.enabled,
        priority: this.priority,
        created_at: now,
        updated_at: now,
    };
    tx.modules_mut().create(&module).await?;
    Ok(module)
});

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

change!(UpdateModule -> Module, needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    let before = tx.modules().find_by_id(this.id).await?.ok_or(Failure::NotFound(MODULE))?;
    this.if_match.check(&before)?;
    let mut module = before.clone();
    module.code = this.code.clone().unwrap_or(module.code);
    module.name = this.name.clone().unwrap_or(module.name);
    this.description.apply(&mut module.description);
    this.icon.apply(&mut module.icon);
    module.enabled = this.enabled.unwrap_or(module.enabled);
    module.priority = this.priority.unwrap_or(module.priority);
    if module != before {
        module.updated_at = tx.now();
        tx.modules_mut().update(&module).await?;
    }
    Ok(module)
});

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

change!(DeleteModule -> (), needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    let module = tx.modules().find_by_id(this.id).await?.ok_or(Failure::NotFound(MODULE))?;
    this.if_match.check(&module)?;
    if !this.ungate {
        let catalog = tx.snapshots().load_catalog().await?.value;
        let mut opened = views_only_in(&catalog, this.id, None);
        opened.extend(features_only_in(&catalog, this.id, None));
        refuse_to_open(&opened)?;
    }
    tx.modules_mut().delete(this.id).await?;
    Ok(())
});

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

change!(SetModuleViews -> (), needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    tx.modules().find_by_id(this.module).await?.ok_or(Failure::NotFound(MODULE))?;
    if this.if_match.needs_content() {
        this.if_match.check(&tx.module_views().get_views_by_module(this.module).await?)?;
    }
    if !this.ungate {
        let catalog = tx.snapshots().load_catalog().await?.value;
        let kept = this.views.iter().copied().collect();
        refuse_to_open(&views_only_in(&catalog, this.module, Some(&kept)))?;
    }
    tx.module_views_mut().replace_for_module(this.module, &this.views).await.map_err(|error| {
        let sent = this.views.iter().map(ViewId::as_uuid);
        unknown_at(error, EntityType::View, sent, |index| format!("viewIds[{index}]"))
    })
});

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

change!(SetModuleFeatures -> (), needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    tx.modules().find_by_id(this.module).await?.ok_or(Failure::NotFound(MODULE))?;
    if this.if_match.needs_content() {
        this.if_match.check(&tx.module_features().get_features_by_module(this.module).await?)?;
    }
    let catalog = tx.snapshots().load_catalog().await?.value;
    let gates_reserved = this
        .features
        .iter()
        .filter_map(|id| catalog.feature(*id)?.key.as_ref())
        .any(is_reserved);
    if gates_reserved {
        return Err(reserved());
    }
    if !this.ungate {
        let kept = this.features.iter().copied().collect();
        refuse_to_open(&features_only_in(&catalog, this.module, Some(&kept)))?;
    }
    tx.module_features_mut().replace_for_module(this.module, &this.features).await.map_err(|error| {
        let sent = this.features.iter().map(FeatureId::as_uuid);
        unknown_at(error, EntityType::Feature, sent, |index| format!("featureIds[{index}]"))
    })
});

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

change!(SetFeatureViews -> (), needs SuperAdmin, locks |_catalog| Target::Catalog, |this, tx, _| {
    tx.features().find_by_id(this.feature).await?.ok_or(Failure::NotFound(FEATURE))?;
    if this.if_match.needs_content() {
        this.if_match.check(&tx.feature_views().get_views_by_feature(this.feature).await?)?;
    }
    tx.feature_views_mut().replace_for_feature(this.feature, &this.views).await.map_err(|error| {
        let sent = this.views.iter().map(ViewId::as_uuid);
        unknown_at(error, EntityType::View, sent, |index| format!("viewIds[{index}]"))
    })
});

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
