//! The changes, one module per resource.

mod assignments;
mod ceilings;
mod companies;
pub(crate) mod credentials;
mod default_levels;
mod directory;
pub(crate) mod features;
mod matrices;
pub(crate) mod menu;
mod menu_order;
pub(crate) mod modules;
mod profiles;
mod quotas;
mod restoration;
pub(crate) mod user_levels;
pub(crate) mod views;

pub use assignments::{
    AssignUserLevels, AssignedLevels, EditAssignments, EditedAssignments, LevelOfUser, RequestedLevels,
};
pub use ceilings::SetCompanyCeilings;
pub use companies::{
    ProvisionCompany, Provisioned, ProvisionedAdmin, SetCompanyModules, SwitchCompanyModule, SwitchedModule,
};
pub use credentials::{CreateApiKey, CutOffUser, RevokeApiKey};
pub use directory::{CreateCompany, UpdateCompany};
pub use features::{CreateFeature, DeleteFeature, SetFeatureViews, UpdateFeature};
pub use matrices::{
    ChangeFeaturePermissions, ChangeViewPermissions, NewFeaturePermission, NewViewPermission, ReplacedMatrix,
    RequestedCells,
};
pub use menu::{
    CreateMenuItem, CreateSubMenuItem, DeleteMenuItem, DeleteSubMenuItem, UpdateMenuItem, UpdateSubMenuItem,
};
pub use menu_order::{OrderMenuItems, OrderSubMenuItems};
pub use modules::{CreateModule, DeleteModule, HOW_TO_UNGATE, SetModuleFeatures, SetModuleViews, UpdateModule};
pub use profiles::{RemoveUser, SetUserProfile};
pub use quotas::SetCompanyQuotas;
pub use user_levels::{CreateUserLevel, CreatedUserLevel, DeleteUserLevel, UpdateUserLevel};
pub use views::{CreateView, DeleteView, UpdateView};
