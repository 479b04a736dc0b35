//! Changes. They happen in a unit of work, which is all or nothing.
//!
//! After a mutation that returned an error, the unit of work can only be dropped. Mutations record what they changed;
//! [`UnitOfWork::commit`] derives the audit records and the wake-up from that. Updates and deletions return what was
//! there before.

use async_trait::async_trait;
use iam_domain::{
    Action, ApiKey, ApiKeyDigest, ApiKeyId, Assignment, AuditRecord, CommitStamp, CompanyId, ExternalId, Feature,
    FeatureId, FeaturePermission, MenuItem, MenuItemId, Module, ModuleId, SubMenuItem, SubMenuItemId, Timestamp,
    UserId, UserLevel, UserLevelId, View, ViewId, ViewPermission,
};
use uuid::Uuid;

use crate::{Reader, Result};

/// What a unit of work may change: the catalog (and the menu of every company), one company, or credentials.
///
/// There is one gate: changes of companies share it, and changes of the catalog and of credentials hold it alone. Each
/// company has a lock besides. So changes of one company are serial, changes of different companies are concurrent,
/// and nothing deadlocks. The gate is fair: a stream of company changes cannot starve a change that needs the gate
/// alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// Views, modules, features, their mappings, and the menu items of every company.
    Catalog,
    /// The levels, matrices, assignments, modules and own menu items of one company.
    Company(CompanyId),
    /// API keys, and the cut-offs of users.
    Credentials,
}

impl Target {
    /// The company, if it is one.
    #[must_use]
    pub const fn company(self) -> Option<CompanyId> {
        match self {
            Self::Catalog | Self::Credentials => None,
            Self::Company(company) => Some(company),
        }
    }

    /// The target that a menu of this owner belongs to.
    #[must_use]
    pub fn of_menu(owner: Option<CompanyId>) -> Self {
        owner.map_or(Self::Catalog, Self::Company)
    }
}

/// Changes of views.
#[async_trait]
pub trait ViewsMut: Send + Sync {
    /// Adds a view.
    async fn create(&mut self, view: &View) -> Result<()>;
    /// Changes a view; `created_at` stays.
    async fn update(&mut self, view: &View) -> Result<View>;
    /// Removes a view with its permissions and mappings. A view that a menu uses cannot be removed: `Conflict`.
    async fn delete(&mut self, id: ViewId) -> Result<View>;
}

/// Changes of modules.
#[async_trait]
pub trait ModulesMut: Send + Sync {
    /// Adds a module.
    async fn create(&mut self, module: &Module) -> Result<()>;
    /// Changes a module; `created_at` stays.
    async fn update(&mut self, module: &Module) -> Result<Module>;
    /// Removes a module with its mappings, also those to companies.
    async fn delete(&mut self, id: ModuleId) -> Result<Module>;
}

/// Changes of features.
#[async_trait]
pub trait FeaturesMut: Send + Sync {
    /// Adds a feature.
    async fn create(&mut self, feature: &Feature) -> Result<()>;
    /// Changes a feature; `created_at` stays. Permissions for actions that it no longer has are removed.
    async fn update(&mut self, feature: &Feature) -> Result<Feature>;
    /// Removes a feature with its permissions and mappings. A feature that a menu uses cannot be removed: `Conflict`.
    async fn delete(&mut self, id: FeatureId) -> Result<Feature>;
}

/// Changes of which features stand on which view.
#[async_trait]
pub trait FeatureViewsMut: Send + Sync {
    /// Adds a mapping; `false` when it exists.
    async fn add(&mut self, feature: FeatureId, view: ViewId) -> Result<bool>;
    /// Removes a mapping; `false` when it does not exist.
    async fn remove(&mut self, feature: FeatureId, view: ViewId) -> Result<bool>;
    /// Makes these the views of the feature. Unknown ids: `Unknown`.
    async fn replace_for_feature(&mut self, feature: FeatureId, views: &[ViewId]) -> Result<()>;
}

/// Changes of which views a module gates.
#[async_trait]
pub trait ModuleViewsMut: Send + Sync {
    /// Adds a mapping; `false` when it exists.
    async fn add(&mut self, module: ModuleId, view: ViewId) -> Result<bool>;
    /// Removes a mapping; `false` when it does not exist.
    async fn remove(&mut self, module: ModuleId, view: ViewId) -> Result<bool>;
    /// Makes these the views of the module. Unknown ids: `Unknown`.
    async fn replace_for_module(&mut self, module: ModuleId, views: &[ViewId]) -> Result<()>;
}

/// Changes of which features a module gates.
#[async_trait]
pub trait ModuleFeaturesMut: Send + Sync {
    /// Adds a mapping; `false` when it exists.
    async fn add(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool>;
    /// Removes a mapping; `false` when it does not exist.
    async fn remove(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool>;
    /// Makes these the features of the module. Unknown ids: `Unknown`.
    async fn replace_for_module(&mut self, module: ModuleId, features: &[FeatureId]) -> Result<()>;
}

/// Changes of which modules a company has.
#[async_trait]
pub trait CompanyModulesMut: Send + Sync {
    /// Adds a module, switched on; `false` when the company has it, switched on or off.
    async fn add(&mut self, company: CompanyId, module: ModuleId) -> Result<bool>;
    /// Removes a module; `false` when the company does not have it.
    async fn remove(&mut self, company: CompanyId, module: ModuleId) -> Result<bool>;
    /// Makes these the modules of the company. Those that it has keep their switch. Unknown ids: `Unknown`.
    async fn replace_for_company(&mut self, company: CompanyId, modules: &[ModuleId]) -> Result<()>;
    /// Switches a module of the company on or off. One that it does not have: `NotFound`.
    async fn set_enabled(&mut self, company: CompanyId, module: ModuleId, enabled: bool) -> Result<()>;
}

/// Changes of user levels.
#[async_trait]
pub trait UserLevelsMut: Send + Sync {
    /// Adds a level.
    async fn create(&mut self, level: &UserLevel) -> Result<()>;
    /// Changes a level; `created_at` stays.
    async fn update(&mut self, level: &UserLevel) -> Result<UserLevel>;
    /// Removes a level with its permissions. A level that a user holds cannot be removed: `Conflict`.
    async fn delete(&mut self, company: CompanyId, id: UserLevelId) -> Result<UserLevel>;
}

/// Changes of view matrices.
#[async_trait]
pub trait ViewPermissionsMut: Send + Sync {
    /// Writes a cell. An existing one keeps its id and `created_at`.
    async fn upsert(&mut self, permission: &ViewPermission) -> Result<()>;
    /// Removes a cell; `false` when it does not exist.
    async fn delete(&mut self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<bool>;
    /// Makes these the cells of the level. Existing ones keep their id and `created_at`, and `updated_at` if nothing
    /// differs. Unknown level or views: `Unknown`; two cells for one view: `Conflict`.
    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[ViewPermission],
    ) -> Result<()>;
}

/// Changes of feature matrices.
#[async_trait]
pub trait FeaturePermissionsMut: Send + Sync {
    /// Writes a cell. An existing one keeps its id and `created_at`.
    async fn upsert(&mut self, permission: &FeaturePermission) -> Result<()>;
    /// Removes a cell; `false` when it does not exist.
    async fn delete(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<bool>;
    /// Makes these the cells of the level. Existing ones keep their id and `created_at`, and `updated_at` if nothing
    /// differs. Unknown level or features: `Unknown`; two cells for one action: `Conflict`.
    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[FeaturePermission],
    ) -> Result<()>;
}

/// Changes of who holds which level.
#[async_trait]
pub trait AssignmentsMut: Send + Sync {
    /// Assigns a level; `false` when the user holds it.
    async fn add(&mut self, assignment: &Assignment) -> Result<bool>;
    /// Takes a level away; `false` when the user does not hold it.
    async fn remove(&mut self, company: CompanyId, user: UserId, level: UserLevelId) -> Result<bool>;
    /// Makes these the user's levels in this company, and in no other. Assignments that stay are unchanged; new ones
    /// name the actor that assigned them ([`Assignment::assigned_by`]). Unknown ids: `Unknown`.
    async fn replace_for_user(
        &mut self,
        company: CompanyId,
        user: UserId,
        levels: &[UserLevelId],
        assigned_by: Option<Uuid>,
    ) -> Result<()>;
}

/// Changes of menu items. The unit of work must have been begun for their owner ([`Target::of_menu`]).
#[async_trait]
pub trait MenuItemsMut: Send + Sync {
    /// Adds an item. Unknown view or feature: `Unknown`.
    async fn create(&mut self, item: &MenuItem) -> Result<()>;
    /// Changes an item; owner and `created_at` stay.
    async fn update(&mut self, item: &MenuItem) -> Result<MenuItem>;
    /// Removes an item with its sub-items.
    async fn delete(&mut self, owner: Option<CompanyId>, id: MenuItemId) -> Result<MenuItem>;
}

/// Changes of sub-items. The unit of work must have been begun for their owner ([`Target::of_menu`]).
#[async_trait]
pub trait SubMenuItemsMut: Send + Sync {
    /// Adds a sub-item to an item of this owner. Unknown item, view or feature: `Unknown`.
    async fn create(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<()>;
    /// Changes a sub-item; `created_at` stays. It may move to another item of the same owner.
    async fn update(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<SubMenuItem>;
    /// Removes a sub-item.
    async fn delete(&mut self, owner: Option<CompanyId>, id: SubMenuItemId) -> Result<SubMenuItem>;
}

/// Records that are not derived from a change.
#[async_trait]
pub trait AuditLogsMut: Send + Sync {
    /// Appends a record, to be committed with the rest. Its company must be the unit of work's.
    async fn append(&mut self, record: &AuditRecord) -> Result<()>;
}

/// Changes of the state of a company as such.
#[async_trait]
pub trait CompanyStatesMut: Send + Sync {
    /// Marks the company as provisioned; `false` when it is.
    async fn set_provisioned(&mut self, company: CompanyId) -> Result<bool>;
}

/// Changes of users across companies.
#[async_trait]
pub trait UsersMut: Send + Sync {
    /// Stores the name of an external user, so that answers can return it. It is committed with any other change of
    /// the unit of work, of any target: alone it is no change, and is not committed.
    async fn remember(&mut self, external_id: &ExternalId) -> Result<()>;
    /// Sets the user's cut-off: tokens from before this time are refused, and no others. Returns the previous cut-off.
    /// For [`Target::Credentials`].
    async fn cut_off(&mut self, user: UserId, not_before: Timestamp) -> Result<Option<Timestamp>>;
}

/// Changes of API keys, for [`Target::Credentials`].
#[async_trait]
pub trait ApiKeysMut: Send + Sync {
    /// Adds a key.
    async fn create(&mut self, key: &ApiKey, digest: &ApiKeyDigest) -> Result<()>;
    /// Revokes a key at the time of the unit of work; a revoked key is unchanged. Returns the previous state of the
    /// key.
    async fn revoke(&mut self, id: ApiKeyId) -> Result<ApiKey>;
}

macro_rules! unit_of_work {
    ($($(#[doc = $doc:literal])+ $accessor:ident: $name:ident),+ $(,)?) => {
        /// All changes, one accessor a resource. A type that implements the resources is a writer.
        pub trait Writer: Send + Sync {
            $($(#[doc = $doc])+ fn $accessor(&mut self) -> &mut dyn $name;)+
        }

        impl<T: $($name +)+> Writer for T {
            $(fn $accessor(&mut self) -> &mut dyn $name {
                self
            })+
        }
    };
}

unit_of_work! {
    /// Changes of views.
    views_mut: ViewsMut,
    /// Changes of modules.
    modules_mut: ModulesMut,
    /// Changes of features.
    features_mut: FeaturesMut,
    /// Changes of which features stand on which view.
    feature_views_mut: FeatureViewsMut,
    /// Changes of which views a module gates.
    module_views_mut: ModuleViewsMut,
    /// Changes of which features a module gates.
    module_features_mut: ModuleFeaturesMut,
    /// Changes of which modules a company has.
    company_modules_mut: CompanyModulesMut,
    /// Changes of user levels.
    user_levels_mut: UserLevelsMut,
    /// Changes of view matrices.
    view_permissions_mut: ViewPermissionsMut,
    /// Changes of feature matrices.
    feature_permissions_mut: FeaturePermissionsMut,
    /// Changes of who holds which level.
    assignments_mut: AssignmentsMut,
    /// Changes of menu items.
    menu_items_mut: MenuItemsMut,
    /// Changes of sub-items of the menu.
    sub_menu_items_mut: SubMenuItemsMut,
    /// Records that are not derived from a change.
    audit_logs_mut: AuditLogsMut,
    /// Changes of the state of a company as such.
    company_states_mut: CompanyStatesMut,
    /// Changes of users across companies.
    users_mut: UsersMut,
    /// Changes of API keys.
    api_keys_mut: ApiKeysMut,
}

/// A change under way. It holds the lock of its [`Target`] from the beginning; dropped without a commit it leaves
/// nothing.
///
/// Reads through it see its writes. A mutation outside its target returns [`Misuse`](crate::StorageError::Misuse), and
/// so do every mutation, and the commit, after a failed one.
#[async_trait]
pub trait UnitOfWork: Reader + Writer {
    /// The storage's clock when the unit of work got its lock. Records and rows of one unit have this time.
    fn now(&self) -> Timestamp;

    /// Whether nothing was changed, so that a commit has no effect.
    fn is_unchanged(&self) -> bool;

    /// Commits everything with its audit records. The raised version outdates effective rows, which stay until they
    /// expire. A unit that changed nothing commits nothing: no version, no record, no wake-up. Returns the version of
    /// the target that includes its change.
    ///
    /// # Errors
    ///
    /// `Unavailable`: nothing was committed if `retryable`; otherwise the outcome is unknown, and callers must treat
    /// everything that they know about the target as outdated.
    async fn commit(self: Box<Self>) -> Result<CommitStamp>;
}
