//! Changes to features, and to the sets of views that features are shown on. These changes require super admin rights.

use async_trait::async_trait;
use iam_domain::{
    Action, Caller, Category, Description, EntityType, Feature, FeatureId, FeatureKey, Name, ResourceType, View,
    ViewId, is_reserved,
};
use iam_storage::{Target, UnitOfWork};
use uuid::Uuid;

use super::menu::check_unused;
use crate::failure::unknown_ids;
use crate::{Change, Failure, IfMatch, Patch, Requirement};

pub(crate) const FEATURE: &str = "Feature";

/// Creates a feature.
#[derive(Debug, Clone)]
pub struct CreateFeature {
    /// The unique key of the feature.
    pub key: Option<FeatureKey>,
    /// The display name of the feature.
    pub name: Name,
    /// The description of the feature.
    pub description: Option<Description>,
    /// The type of resource that the feature applies to.
    pub resource_type: Option<ResourceType>,
    /// The custom actions of the feature, in addition to the standard actions.
    pub actions: Option<Vec<Action>>,
    /// The category of the feature.
    pub category: Option<Category>,
    /// If `false`, the feature is denied to all users.
    pub enabled: bool,
}

#[async_trait]
impl Change for CreateFeature {
    type Answer = Feature;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    const CREATES: bool = true;

    fn target(&self) -> Target {
        Target::Catalog
    }

    fn created(&self, answer: &Self::Answer) -> Option<Uuid> {
        Some(answer.id.as_uuid())
    }

    async fn find_created(&self, tx: &mut dyn UnitOfWork, id: Uuid) -> Result<Option<Self::Answer>, Failure> {
        Ok(tx.features().find_by_id(FeatureId::from_uuid(id)).await?)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        if self.key.as_ref().is_some_and(is_reserved) {
            return Err(reserved_feature());
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

/// Updates a feature. Omitted fields remain unchanged. The key cannot be changed while a menu item requires it.
#[derive(Debug, Clone)]
pub struct UpdateFeature {
    /// The feature to update.
    pub id: FeatureId,
    /// The unique key of the feature.
    pub key: Patch<FeatureKey>,
    /// The display name of the feature.
    pub name: Option<Name>,
    /// The description of the feature.
    pub description: Patch<Description>,
    /// The type of resource that the feature applies to.
    pub resource_type: Patch<ResourceType>,
    /// The custom actions of the feature. Permissions for removed actions are deleted.
    pub actions: Patch<Vec<Action>>,
    /// The category of the feature.
    pub category: Patch<Category>,
    /// If `false`, the feature is denied to all users.
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
            return Err(reserved_feature());
        }
        if let Some(key) = before.key.as_ref().filter(|_| feature.key != before.key) {
            check_unused(FEATURE, &tx.menu_items().find_requiring(key).await?)?;
        }
        if feature != before {
            feature.updated_at = tx.now();
            tx.features_mut().update(&feature).await?;
        }
        Ok(feature)
    }
}

/// Deletes a feature. This fails if a menu item uses the feature.
#[derive(Debug, Clone)]
pub struct DeleteFeature {
    /// The feature to delete.
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
            return Err(reserved_feature());
        }
        let mut uses = tx.menu_items().find_using_feature(self.id).await?;
        if let Some(key) = &feature.key {
            uses.extend(tx.menu_items().find_requiring(key).await?);
            // Remove duplicates: a menu item may both link to the feature and require its key.
            uses.sort();
            uses.dedup();
        }
        check_unused(FEATURE, &uses)?;
        tx.features_mut().delete(self.id).await?;
        Ok(())
    }
}

/// Replaces the views that a feature is shown on.
#[derive(Debug, Clone)]
pub struct SetFeatureViews {
    /// The feature whose views are replaced.
    pub feature: FeatureId,
    /// The views that the feature is shown on after the change, without duplicates.
    pub views: Vec<ViewId>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetFeatureViews {
    /// The views that show the feature after the change, sorted by URL.
    type Answer = Vec<View>;

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
            unknown_ids(error, EntityType::View, sent, |index| format!("viewIds[{index}]"))
        })?;
        Ok(tx.feature_views().get_views_by_feature(self.feature).await?)
    }
}

/// Returns the failure for a change to a reserved feature. The keys of reserved features begin with `iam.`.
pub(super) fn reserved_feature() -> Failure {
    Failure::Conflict(
        "Features whose keys begin with iam. are reserved for the service. They cannot be created, disabled, deleted \
         or gated by a module, and their keys cannot be changed"
            .to_owned(),
    )
}
