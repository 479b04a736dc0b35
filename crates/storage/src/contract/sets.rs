//! Helpers for the tests of sets: mappings, matrices and assignments.

use std::collections::BTreeSet;
use std::sync::Arc;

use iam_domain::{
    CompanyId, EntityType, Feature, FeatureId, Module, ModuleId, UserId, UserLevel, UserLevelId, View, ViewId,
    ViewState,
};
use uuid::Uuid;

use super::fixtures::{
    Given, at, feature_cell, given, given_all, holding, level, some_company, some_feature, some_module, some_user,
    some_view, unique, view_cell,
};
use crate::{Reader, Result, Storage, Target, UnitOfWork};

/// A set of elements, identified by its kind and its owner.
#[derive(Debug, Clone)]
pub(super) enum Members {
    ViewsOfFeature(FeatureId),
    ViewsOfModule(ModuleId),
    FeaturesOfModule(ModuleId),
    ModulesOfCompany(CompanyId),
    LevelsOfUser(CompanyId, UserId),
    ViewCells(UserLevel),
    FeatureCells(UserLevel),
}

impl Members {
    pub(super) fn target(&self) -> Target {
        match self {
            Self::ViewsOfFeature(_) | Self::ViewsOfModule(_) | Self::FeaturesOfModule(_) => Target::Catalog,
            Self::ModulesOfCompany(company) | Self::LevelsOfUser(company, _) => Target::Company(*company),
            Self::ViewCells(level) | Self::FeatureCells(level) => Target::Company(level.company_id),
        }
    }

    /// Returns the entity type of the elements.
    pub(super) const fn kind(&self) -> EntityType {
        match self {
            Self::ViewsOfFeature(_) | Self::ViewsOfModule(_) | Self::ViewCells(_) => EntityType::View,
            Self::FeaturesOfModule(_) | Self::FeatureCells(_) => EntityType::Feature,
            Self::ModulesOfCompany(_) => EntityType::Module,
            Self::LevelsOfUser(..) => EntityType::UserLevel,
        }
    }

    /// Returns `true` if the set is a matrix, which rejects duplicate cells.
    pub(super) const fn is_matrix(&self) -> bool {
        matches!(self, Self::ViewCells(_) | Self::FeatureCells(_))
    }

    /// Returns a set of the same kind whose owner does not exist. The result includes the entity type and the id of the
    /// missing owner. Returns `None` if the owner is a company or a user, because the storage accepts every company id
    /// and user id.
    pub(super) fn with_unknown_owner(&self) -> Option<(Self, EntityType, Uuid)> {
        let (feature, module) = (FeatureId::generate(at(0)), ModuleId::generate(at(0)));
        match self {
            Self::ViewsOfFeature(_) => Some((Self::ViewsOfFeature(feature), EntityType::Feature, feature.as_uuid())),
            Self::ViewsOfModule(_) => Some((Self::ViewsOfModule(module), EntityType::Module, module.as_uuid())),
            Self::FeaturesOfModule(_) => Some((Self::FeaturesOfModule(module), EntityType::Module, module.as_uuid())),
            Self::ModulesOfCompany(_) | Self::LevelsOfUser(..) => None,
            Self::ViewCells(there) => {
                let missing = level(there.company_id, "Missing");
                let id = missing.id.as_uuid();
                Some((Self::ViewCells(missing), EntityType::UserLevel, id))
            }
            Self::FeatureCells(there) => {
                let missing = level(there.company_id, "Missing");
                let id = missing.id.as_uuid();
                Some((Self::FeatureCells(missing), EntityType::UserLevel, id))
            }
        }
    }

    pub(super) async fn read(&self, reader: &dyn Reader) -> BTreeSet<Uuid> {
        let views = |views: Vec<View>| views.iter().map(|view| view.id.as_uuid()).collect();
        match self {
            Self::ViewsOfFeature(id) => views(reader.feature_views().get_views_by_feature(*id).await.unwrap()),
            Self::ViewsOfModule(id) => views(reader.module_views().get_views_by_module(*id).await.unwrap()),
            Self::FeaturesOfModule(id) => {
                let features = reader.module_features().get_features_by_module(*id).await.unwrap();
                features.iter().map(|feature| feature.id.as_uuid()).collect()
            }
            Self::ModulesOfCompany(company) => {
                let modules = reader.company_modules().get_modules_by_company(*company).await.unwrap();
                modules.iter().map(|granted| granted.module.id.as_uuid()).collect()
            }
            Self::LevelsOfUser(company, user) => {
                let levels = reader.assignments().get_user_levels(*company, *user).await.unwrap();
                levels.iter().map(|level| level.id.as_uuid()).collect()
            }
            Self::ViewCells(UserLevel { company_id, id, .. }) => {
                let cells = reader.view_permissions().find_by_user_level(*company_id, *id).await.unwrap();
                cells.iter().map(|cell| cell.view_id.as_uuid()).collect()
            }
            Self::FeatureCells(UserLevel { company_id, id, .. }) => {
                let cells = reader.feature_permissions().find_by_user_level(*company_id, *id).await.unwrap();
                cells.iter().map(|cell| cell.feature_id.as_uuid()).collect()
            }
        }
    }

    pub(super) async fn replace(&self, tx: &mut dyn UnitOfWork, elements: &[Uuid]) -> Result<()> {
        fn ids<T>(elements: &[Uuid], id: impl Fn(Uuid) -> T) -> Vec<T> {
            elements.iter().map(|element| id(*element)).collect()
        }
        let views = ids(elements, ViewId::from_uuid);
        match self {
            Self::ViewsOfFeature(id) => tx.feature_views_mut().replace_for_feature(*id, &views).await,
            Self::ViewsOfModule(id) => tx.module_views_mut().replace_for_module(*id, &views).await,
            Self::FeaturesOfModule(id) => {
                tx.module_features_mut().replace_for_module(*id, &ids(elements, FeatureId::from_uuid)).await
            }
            Self::ModulesOfCompany(company) => {
                tx.company_modules_mut().replace_for_company(*company, &ids(elements, ModuleId::from_uuid)).await
            }
            Self::LevelsOfUser(company, user) => {
                let levels = ids(elements, UserLevelId::from_uuid);
                tx.assignments_mut().replace_for_user(*company, *user, &levels, None).await.map(drop)
            }
            Self::ViewCells(level) => {
                let cells = ids(elements, |id| view_cell(level, ViewId::from_uuid(id), ViewState::Allow));
                tx.view_permissions_mut().replace_for_user_level(level.company_id, level.id, &cells).await
            }
            Self::FeatureCells(level) => {
                let cells = ids(elements, |id| feature_cell(level, FeatureId::from_uuid(id), "Read"));
                tx.feature_permissions_mut().replace_for_user_level(level.company_id, level.id, &cells).await
            }
        }
    }

    /// Adds an element. Returns `true` if the element is new. For a matrix, always returns `true`.
    pub(super) async fn add(&self, tx: &mut dyn UnitOfWork, element: Uuid) -> Result<bool> {
        let (view, feature) = (ViewId::from_uuid(element), FeatureId::from_uuid(element));
        match self {
            Self::ViewsOfFeature(id) => tx.feature_views_mut().add(*id, view).await,
            Self::ViewsOfModule(id) => tx.module_views_mut().add(*id, view).await,
            Self::FeaturesOfModule(id) => tx.module_features_mut().add(*id, feature).await,
            Self::ModulesOfCompany(company) => {
                tx.company_modules_mut().add(*company, ModuleId::from_uuid(element)).await
            }
            Self::LevelsOfUser(company, user) => {
                let held = UserLevel { id: UserLevelId::from_uuid(element), ..level(*company, "Held") };
                tx.assignments_mut().add(&holding(*user, &held)).await
            }
            Self::ViewCells(level) => {
                tx.view_permissions_mut().upsert(&view_cell(level, view, ViewState::Allow)).await.map(|()| true)
            }
            Self::FeatureCells(level) => {
                tx.feature_permissions_mut().upsert(&feature_cell(level, feature, "Read")).await.map(|()| true)
            }
        }
    }

    pub(super) async fn remove(&self, tx: &mut dyn UnitOfWork, element: Uuid) -> Result<bool> {
        let (view, feature) = (ViewId::from_uuid(element), FeatureId::from_uuid(element));
        match self {
            Self::ViewsOfFeature(id) => tx.feature_views_mut().remove(*id, view).await,
            Self::ViewsOfModule(id) => tx.module_views_mut().remove(*id, view).await,
            Self::FeaturesOfModule(id) => tx.module_features_mut().remove(*id, feature).await,
            Self::ModulesOfCompany(company) => {
                tx.company_modules_mut().remove(*company, ModuleId::from_uuid(element)).await
            }
            Self::LevelsOfUser(company, user) => {
                tx.assignments_mut().remove(*company, *user, UserLevelId::from_uuid(element)).await
            }
            Self::ViewCells(level) => tx.view_permissions_mut().delete(level.company_id, level.id, view).await,
            Self::FeatureCells(level) => {
                let read = iam_domain::Action::read();
                tx.feature_permissions_mut().delete(level.company_id, level.id, feature, &read).await
            }
        }
    }
}

/// A set, a second set of the same kind (the neighbour), and six entities that can be elements of both sets.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) set: Members,
    pub(super) neighbour: Members,
    pub(super) elements: Vec<Uuid>,
}

/// Creates one [`Scene`] for each kind of set, in the order of the variants of [`Members`].
pub(super) async fn scenes(storage: &Arc<dyn Storage>) -> [Scene; 7] {
    let company = some_company();
    let user = some_user();
    let views = [(); 6].map(|()| some_view());
    let features = [(); 6].map(|()| some_feature());
    let modules = [(); 6].map(|()| some_module());
    let levels = [(); 6].map(|()| level(company, unique("Level")));
    given_all(storage, &views).await;
    given_all(storage, &features).await;
    given_all(storage, &modules).await;
    given_all(storage, &levels).await;

    let view_ids = views.map(|view| view.id.as_uuid()).to_vec();
    let feature_ids = features.map(|feature| feature.id.as_uuid()).to_vec();
    let module_ids = modules.map(|module| module.id.as_uuid()).to_vec();
    let level_ids = levels.clone().map(|level| level.id.as_uuid()).to_vec();
    let scene = |set, neighbour, elements: &Vec<Uuid>| Scene { set, neighbour, elements: elements.clone() };
    let [feature, other_feature] =
        owners(storage, [(); 2].map(|()| some_feature())).await.map(|owner: Feature| owner.id);
    let [module, other_module] = owners(storage, [(); 2].map(|()| some_module())).await.map(|owner: Module| owner.id);
    let [one, other, ..] = levels;
    [
        scene(Members::ViewsOfFeature(feature), Members::ViewsOfFeature(other_feature), &view_ids),
        scene(Members::ViewsOfModule(module), Members::ViewsOfModule(other_module), &view_ids),
        scene(Members::FeaturesOfModule(module), Members::FeaturesOfModule(other_module), &feature_ids),
        scene(Members::ModulesOfCompany(company), Members::ModulesOfCompany(some_company()), &module_ids),
        scene(Members::LevelsOfUser(company, user), Members::LevelsOfUser(company, some_user()), &level_ids),
        scene(Members::ViewCells(one.clone()), Members::ViewCells(other.clone()), &view_ids),
        scene(Members::FeatureCells(one), Members::FeatureCells(other), &feature_ids),
    ]
}

async fn owners<G: Given, const N: usize>(storage: &Arc<dyn Storage>, owners: [G; N]) -> [G; N] {
    for owner in &owners {
        given(storage, &[owner]).await;
    }
    owners
}
