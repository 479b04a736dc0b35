//! The changes, by resource.

pub(crate) mod catalog;
mod companies;
pub(crate) mod credentials;
mod matrices;
pub(crate) mod menu;
pub(crate) mod user_levels;

pub use catalog::{
    CreateFeature, CreateModule, CreateView, DeleteFeature, DeleteModule, DeleteView, SetFeatureViews,
    SetModuleFeatures, SetModuleViews, UpdateFeature, UpdateModule, UpdateView,
};
pub use companies::{ProvisionCompany, SetCompanyModules, SwitchCompanyModule};
pub use credentials::{CreateApiKey, CutOffUser, RevokeApiKey};
pub use matrices::{FeatureCell, ReplaceFeaturePermissions, ReplaceViewPermissions, ViewCell};
pub use menu::{
    CreateMenuItem, CreateSubMenuItem, DeleteMenuItem, DeleteSubMenuItem, UpdateMenuItem, UpdateSubMenuItem,
};
pub use user_levels::{AssignUserLevels, CreateUserLevel, DeleteUserLevel, UpdateUserLevel};
