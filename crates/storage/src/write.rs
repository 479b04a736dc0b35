//! Write operations. They run in a unit of work, which is committed or rolled back as a whole.
//!
//! After a mutation has returned an error, the unit of work can only be dropped. Mutations record what they changed,
//! and [`UnitOfWork::commit`] derives the audit records and the wake-up from that. Updates and deletions of entities
//! return the previous value.

use async_trait::async_trait;
use iam_domain::{
    Action, ApiKey, ApiKeyDigest, ApiKeyId, Assignment, AuditRecord, CommitStamp, CompanyId, ExternalId, Feature,
    FeatureId, FeaturePermission, MenuItem, MenuItemId, Module, ModuleId, SubMenuItem, SubMenuItemId, Timestamp,
    UserId, UserLevel, UserLevelId, View, ViewId, ViewPermission,
};
use uuid::Uuid;

use crate::{Reader, Result};

/// The data that a unit of work locks and may change: the catalog (with the common menu), one company, or the
/// credentials.
///
/// There is one gate, a read-write lock: changes of companies hold it shared, and changes of the catalog and of the
/// credentials hold it exclusively. A change of a company then takes the company's own lock. So changes of one company
/// are serial, changes of different companies run concurrently, and the fixed order of the locks prevents deadlocks.
/// The gate is fair: a stream of company changes cannot starve a change that needs the gate exclusively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// Views, modules, features, their mappings, and the common menu items, which every company has.
    Catalog,
    /// The levels, matrices, assignments, modules and own menu items of this company.
    Company(CompanyId),
    /// API keys, and the token cut-offs of users.
    Credentials,
}

impl Target {
    /// Returns the company, if the target is a company.
    #[must_use]
    pub const fn company(self) -> Option<CompanyId> {
        match self {
            Self::Catalog | Self::Credentials => None,
            Self::Company(company) => Some(company),
        }
    }

    /// Returns the target that the menu of this owner belongs to.
    #[must_use]
    pub fn of_menu(owner: Option<CompanyId>) -> Self {
        owner.map_or(Self::Catalog, Self::Company)
    }
}

/// Write operations on views.
#[async_trait]
pub trait ViewsMut: Send + Sync {
    /// Creates a view.
    async fn create(&mut self, view: &View) -> Result<()>;
    /// Updates a view. `created_at` stays unchanged.
    async fn update(&mut self, view: &View) -> Result<View>;
    /// Deletes a view with its permissions and mappings. Returns `Conflict` if a menu uses the view.
    async fn delete(&mut self, id: ViewId) -> Result<View>;
}

/// Write operations on modules.
#[async_trait]
pub trait ModulesMut: Send + Sync {
    /// Creates a module.
    async fn create(&mut self, module: &Module) -> Result<()>;
    /// Updates a module. `created_at` stays unchanged.
    async fn update(&mut self, module: &Module) -> Result<Module>;
    /// Deletes a module with its mappings, and removes it from all companies.
    async fn delete(&mut self, id: ModuleId) -> Result<Module>;
}

/// Write operations on features.
#[async_trait]
pub trait FeaturesMut: Send + Sync {
    /// Creates a feature.
    async fn create(&mut self, feature: &Feature) -> Result<()>;
    /// Updates a feature. `created_at` stays unchanged. Permissions for actions that the feature no longer has are
    /// deleted.
    async fn update(&mut self, feature: &Feature) -> Result<Feature>;
    /// Deletes a feature with its permissions and mappings. Returns `Conflict` if a menu uses the feature.
    async fn delete(&mut self, id: FeatureId) -> Result<Feature>;
}

/// Write operations on the mapping of features to views.
#[async_trait]
pub trait FeatureViewsMut: Send + Sync {
    /// Adds a mapping. Returns `false` if it already exists.
    async fn add(&mut self, feature: FeatureId, view: ViewId) -> Result<bool>;
    /// Removes a mapping. Returns `false` if it does not exist.
    async fn remove(&mut self, feature: FeatureId, view: ViewId) -> Result<bool>;
    /// Replaces the views of the feature. Returns `Unknown` if an id does not exist.
    async fn replace_for_feature(&mut self, feature: FeatureId, views: &[ViewId]) -> Result<()>;
}

/// Write operations on the mapping of modules to the views that they gate.
#[async_trait]
pub trait ModuleViewsMut: Send + Sync {
    /// Adds a mapping. Returns `false` if it already exists.
    async fn add(&mut self, module: ModuleId, view: ViewId) -> Result<bool>;
    /// Removes a mapping. Returns `false` if it does not exist.
    async fn remove(&mut self, module: ModuleId, view: ViewId) -> Result<bool>;
    /// Replaces the views of the module. Returns `Unknown` if an id does not exist.
    async fn replace_for_module(&mut self, module: ModuleId, views: &[ViewId]) -> Result<()>;
}

/// Write operations on the mapping of modules to the features that they gate.
#[async_trait]
pub trait ModuleFeaturesMut: Send + Sync {
    /// Adds a mapping. Returns `false` if it already exists.
    async fn add(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool>;
    /// Removes a mapping. Returns `false` if it does not exist.
    async fn remove(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool>;
    /// Replaces the features of the module. Returns `Unknown` if an id does not exist.
    async fn replace_for_module(&mut self, module: ModuleId, features: &[FeatureId]) -> Result<()>;
}

/// Write operations on the modules of companies.
#[async_trait]
pub trait CompanyModulesMut: Send + Sync {
    /// Adds a module, which is then enabled. Returns `false` if the company already has the module, enabled or
    /// disabled.
    async fn add(&mut self, company: CompanyId, module: ModuleId) -> Result<bool>;
    /// Removes a module. Returns `false` if the company does not have it.
    async fn remove(&mut self, company: CompanyId, module: ModuleId) -> Result<bool>;
    /// Replaces the modules of the company. A module that the company already has keeps its `enabled` flag. Returns
    /// `Unknown` if an id does not exist.
    async fn replace_for_company(&mut self, company: CompanyId, modules: &[ModuleId]) -> Result<()>;
    /// Enables or disables a module of the company. Returns `NotFound` if the company does not have the module.
    async fn set_enabled(&mut self, company: CompanyId, module: ModuleId, enabled: bool) -> Result<()>;
}

/// Write operations on user levels.
#[async_trait]
pub trait UserLevelsMut: Send + Sync {
    /// Creates a level.
    async fn create(&mut self, level: &UserLevel) -> Result<()>;
    /// Updates a level. `created_at` stays unchanged.
    async fn update(&mut self, level: &UserLevel) -> Result<UserLevel>;
    /// Deletes a level with its permissions. Returns `Conflict` if a user holds the level.
    async fn delete(&mut self, company: CompanyId, id: UserLevelId) -> Result<UserLevel>;
}

/// Write operations on view matrices.
#[async_trait]
pub trait ViewPermissionsMut: Send + Sync {
    /// Creates or updates a cell. An existing cell keeps its id and `created_at`.
    async fn upsert(&mut self, permission: &ViewPermission) -> Result<()>;
    /// Deletes a cell. Returns `false` if it does not exist.
    async fn delete(&mut self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<bool>;
    /// Replaces the cells of the level. Existing cells keep their ids and `created_at`, and also `updated_at` if their
    /// content does not change. Returns `Unknown` if the level or a view does not exist, and `Conflict` if two cells
    /// are for the same view.
    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[ViewPermission],
    ) -> Result<()>;
}

/// Write operations on feature matrices.
#[async_trait]
pub trait FeaturePermissionsMut: Send + Sync {
    /// Creates or updates a cell. An existing cell keeps its id and `created_at`.
    async fn upsert(&mut self, permission: &FeaturePermission) -> Result<()>;
    /// Deletes a cell. Returns `false` if it does not exist.
    async fn delete(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<bool>;
    /// Replaces the cells of the level. Existing cells keep their ids and `created_at`, and also `updated_at` if their
    /// content does not change. Returns `Unknown` if the level or a feature does not exist, and `Conflict` if two cells
    /// are for the same action of a feature.
    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[FeaturePermission],
    ) -> Result<()>;
}

/// Write operations on the assignments of levels to users.
#[async_trait]
pub trait AssignmentsMut: Send + Sync {
    /// Assigns a level to a user. Returns `false` if the user already holds it.
    async fn add(&mut self, assignment: &Assignment) -> Result<bool>;
    /// Removes a level from a user. Returns `false` if the user does not hold it.
    async fn remove(&mut self, company: CompanyId, user: UserId, level: UserLevelId) -> Result<bool>;
    /// Replaces the user's levels in this company. The levels in other companies, and the assignments of levels that
    /// the user keeps, stay unchanged. Returns `Unknown` if a level does not exist in this company.
    async fn replace_for_user(
        &mut self,
        company: CompanyId,
        user: UserId,
        levels: &[UserLevelId],
        assigned_by: Option<Uuid>,
    ) -> Result<()>;
}

/// Write operations on menu items. The unit of work must have been begun for the target of their owner
/// ([`Target::of_menu`]).
#[async_trait]
pub trait MenuItemsMut: Send + Sync {
    /// Creates an item. Returns `Unknown` if its view or feature does not exist.
    async fn create(&mut self, item: &MenuItem) -> Result<()>;
    /// Updates an item. The owner and `created_at` stay unchanged.
    async fn update(&mut self, item: &MenuItem) -> Result<MenuItem>;
    /// Deletes an item with its sub-items.
    async fn delete(&mut self, owner: Option<CompanyId>, id: MenuItemId) -> Result<MenuItem>;
}

/// Write operations on sub-items of the menu. The unit of work must have been begun for the target of their owner
/// ([`Target::of_menu`]).
#[async_trait]
pub trait SubMenuItemsMut: Send + Sync {
    /// Creates a sub-item in an item of this owner. Returns `Unknown` if the item, the view or the feature does not
    /// exist.
    async fn create(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<()>;
    /// Updates a sub-item. `created_at` stays unchanged. The sub-item may move to another item of the same owner.
    async fn update(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<SubMenuItem>;
    /// Deletes a sub-item.
    async fn delete(&mut self, owner: Option<CompanyId>, id: SubMenuItemId) -> Result<SubMenuItem>;
}

/// The write operation for audit records that are not derived from a mutation.
#[async_trait]
pub trait AuditLogsMut: Send + Sync {
    /// Appends a record, which is committed with the unit of work. A record of a company requires the company as the
    /// target, and a record of the platform requires the catalog.
    async fn append(&mut self, record: &AuditRecord) -> Result<()>;
}

/// The write operation on the provisioning of companies.
#[async_trait]
pub trait CompanyStatesMut: Send + Sync {
    /// Marks the company as provisioned. Returns `false` if it already is.
    async fn set_provisioned(&mut self, company: CompanyId) -> Result<bool>;
}

/// Write operations on users, who are the same in all companies.
#[async_trait]
pub trait UsersMut: Send + Sync {
    /// Stores the external id of a user, so that responses can contain it. Units of work for all targets allow this. It
    /// is committed only together with another change of the unit of work: on its own it does not count as a change.
    async fn remember(&mut self, external_id: &ExternalId) -> Result<()>;
    /// Sets the user's token cut-off: tokens issued (`iat`) before this time, and tokens without `iat`, are rejected.
    /// It replaces the previous cut-off, even a later one, and returns it. Requires [`Target::Credentials`].
    async fn cut_off(&mut self, user: UserId, not_before: Timestamp) -> Result<Option<Timestamp>>;
}

/// Write operations on API keys, which require [`Target::Credentials`].
#[async_trait]
pub trait ApiKeysMut: Send + Sync {
    /// Creates a key with its digest.
    async fn create(&mut self, key: &ApiKey, digest: &ApiKeyDigest) -> Result<()>;
    /// Revokes a key at the time of the unit of work. A key that is already revoked stays unchanged. Returns the
    /// previous value of the key.
    async fn revoke(&mut self, id: ApiKeyId) -> Result<ApiKey>;
}

macro_rules! unit_of_work {
    ($($(#[doc = $doc:literal])+ $accessor:ident: $name:ident),+ $(,)?) => {
        /// All write operations, with one accessor for each resource. A type that implements the traits of all
        /// resources is a `Writer`.
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
    /// Returns the write operations on views.
    views_mut: ViewsMut,
    /// Returns the write operations on modules.
    modules_mut: ModulesMut,
    /// Returns the write operations on features.
    features_mut: FeaturesMut,
    /// Returns the write operations on the mapping of features to views.
    feature_views_mut: FeatureViewsMut,
    /// Returns the write operations on the mapping of modules to the views that they gate.
    module_views_mut: ModuleViewsMut,
    /// Returns the write operations on the mapping of modules to the features that they gate.
    module_features_mut: ModuleFeaturesMut,
    /// Returns the write operations on the modules of companies.
    company_modules_mut: CompanyModulesMut,
    /// Returns the write operations on user levels.
    user_levels_mut: UserLevelsMut,
    /// Returns the write operations on view matrices.
    view_permissions_mut: ViewPermissionsMut,
    /// Returns the write operations on feature matrices.
    feature_permissions_mut: FeaturePermissionsMut,
    /// Returns the write operations on the assignments of levels to users.
    assignments_mut: AssignmentsMut,
    /// Returns the write operations on menu items.
    menu_items_mut: MenuItemsMut,
    /// Returns the write operations on sub-items of the menu.
    sub_menu_items_mut: SubMenuItemsMut,
    /// Returns the write operation for audit records that are not derived from a mutation.
    audit_logs_mut: AuditLogsMut,
    /// Returns the write operations on the provisioning of companies.
    company_states_mut: CompanyStatesMut,
    /// Returns the write operations on users.
    users_mut: UsersMut,
    /// Returns the write operations on the API keys of services.
    api_keys_mut: ApiKeysMut,
}

/// A unit of work: one change that has begun and is not yet committed. It holds the locks of its [`Target`] from the
/// beginning. Dropping it without a commit rolls it back.
///
/// Its reads see its own writes. A mutation outside its target returns [`Misuse`](crate::StorageError::Misuse). After a
/// failed mutation, all further mutations and the commit return `Misuse` too.
#[async_trait]
pub trait UnitOfWork: Reader + Writer {
    /// Returns the time of the storage's clock when the unit of work acquired its locks. The derived audit records have
    /// this time, and callers use it as the time of the entities that they write.
    fn now(&self) -> Timestamp;

    /// Returns `true` if nothing was changed, so that a commit has no effect.
    fn is_unchanged(&self) -> bool;

    /// Commits all changes with their audit records, and returns the version of the target that includes them. The
    /// raised version outdates the effective rows of the target, which stay stored until they expire. A unit of work
    /// that changed nothing commits nothing: it raises no version, writes no record and sends no wake-up.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the storage fails. If the error is `retryable`, nothing was committed. Otherwise the
    /// outcome is unknown, and the caller must treat everything that it knows about the target as outdated.
    async fn commit(self: Box<Self>) -> Result<CommitStamp>;
}
