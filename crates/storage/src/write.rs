//! Write operations. They run in a unit of work, which is committed or rolled back as a whole.
//!
//! A failed mutation poisons the unit of work, and the caller must drop it. Adapters report each mutation to the
//! [`Recorder`](crate::Recorder), from which [`UnitOfWork::commit`] derives the audit records. Updates and deletions
//! return the previous value of the entity.

use std::fmt;

use async_trait::async_trait;
use iam_domain::{
    Action, ApiKey, ApiKeyDigest, ApiKeyId, Assignment, AuditRecord, Ceilings, CommitStamp, CompanyDetails, CompanyId,
    CompanyStatus, ExternalId, Feature, FeatureId, FeaturePermission, MenuItem, MenuItemId, Module, ModuleId, Period,
    QuotaOverrides, SubMenuItem, SubMenuItemId, Timestamp, UserId, UserLevel, UserLevelId, View, ViewId,
    ViewPermission,
};
use uuid::Uuid;

use crate::profiles::UserProfilesMut;
use crate::{
    Assigned, CompanyContent, EditedLevels, ErasedRows, Growth, IdempotencyKeysMut, LevelsEdit, Reader, Recorded,
    Result,
};

/// The data that a unit of work locks and may change: the catalog (with the common menu), one company, or the
/// credentials.
///
/// One global lock, a fair read-write lock, protects all targets: changes to companies acquire it in shared mode, and
/// changes to the catalog and to the credentials in exclusive mode. A change to a company then acquires the company's
/// own lock. Therefore, changes to one company are serialized, and changes to different companies run concurrently. The
/// fixed lock order prevents deadlocks. Because the global lock is fair, continuous changes to companies do not starve
/// a change that needs exclusive mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The catalog: all views, modules, features and their mappings. This target also includes the common menu.
    Catalog,
    /// One company: its levels, matrices, assignments, modules and own menu items.
    Company(CompanyId),
    /// The credentials: the API keys, and the token cut-offs of users.
    Credentials,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Company(company) => write!(f, "company {company}"),
            Self::Catalog => f.write_str("catalog"),
            Self::Credentials => f.write_str("credentials"),
        }
    }
}

impl Target {
    /// Returns the id of the company, or `None` if the target is not a company.
    #[must_use]
    pub const fn company(self) -> Option<CompanyId> {
        match self {
            Self::Catalog | Self::Credentials => None,
            Self::Company(company) => Some(company),
        }
    }

    /// Returns the target that contains the menu of this owner: the company or, for `None`, the catalog.
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
    /// Updates a view. `created_at` is preserved.
    async fn update(&mut self, view: &View) -> Result<View>;
    /// Deletes a view with its permissions and mappings. Returns `Conflict` if a menu uses the view.
    async fn delete(&mut self, id: ViewId) -> Result<View>;
}

/// Write operations on modules.
#[async_trait]
pub trait ModulesMut: Send + Sync {
    /// Creates a module.
    async fn create(&mut self, module: &Module) -> Result<()>;
    /// Updates a module. `created_at` is preserved.
    async fn update(&mut self, module: &Module) -> Result<Module>;
    /// Deletes a module with its mappings, and removes it from all companies.
    async fn delete(&mut self, id: ModuleId) -> Result<Module>;
}

/// Write operations on features.
#[async_trait]
pub trait FeaturesMut: Send + Sync {
    /// Creates a feature.
    async fn create(&mut self, feature: &Feature) -> Result<()>;
    /// Updates a feature. `created_at` is preserved. Permissions for actions that the feature no longer has are
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
    /// Adds a module to a company and enables it for the company. If the company already has the module, enabled or
    /// disabled, changes nothing and returns `false`.
    async fn add(&mut self, company: CompanyId, module: ModuleId) -> Result<bool>;
    /// Removes a module. Returns `false` if the company does not have it.
    async fn remove(&mut self, company: CompanyId, module: ModuleId) -> Result<bool>;
    /// Replaces the modules of the company. The `enabled` flag of a module that the company already has is preserved.
    /// Returns `Unknown` if an id does not exist.
    async fn replace_for_company(&mut self, company: CompanyId, modules: &[ModuleId]) -> Result<()>;
    /// Enables or disables a module of the company. Returns `NotFound` if the company does not have the module.
    async fn set_enabled(&mut self, company: CompanyId, module: ModuleId, enabled: bool) -> Result<()>;
}

/// Write operations on user levels.
#[async_trait]
pub trait UserLevelsMut: Send + Sync {
    /// Creates a level.
    async fn create(&mut self, level: &UserLevel) -> Result<()>;
    /// Updates a level. `created_at` is preserved.
    async fn update(&mut self, level: &UserLevel) -> Result<UserLevel>;
    /// Deletes a level with its permissions. Returns `Conflict` if a user holds the level.
    async fn delete(&mut self, company: CompanyId, id: UserLevelId) -> Result<UserLevel>;
}

/// Write operations on view matrices.
#[async_trait]
pub trait ViewPermissionsMut: Send + Sync {
    /// Creates or updates a cell. The id and `created_at` of an existing cell are preserved (upsert).
    async fn upsert(&mut self, permission: &ViewPermission) -> Result<()>;
    /// Deletes a cell. Returns `false` if it does not exist.
    async fn delete(&mut self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<bool>;
    /// Replaces the cells of the level. A cell that already exists keeps its id and `created_at`. If its content does
    /// not change, it also keeps `updated_at`. Returns `Unknown` if the level or a view does not exist, and `Conflict`
    /// if two cells are for the same view.
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
    /// Creates or updates a cell. The id and `created_at` of an existing cell are preserved (upsert).
    async fn upsert(&mut self, permission: &FeaturePermission) -> Result<()>;
    /// Deletes a cell. Returns `false` if it does not exist.
    async fn delete(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<bool>;
    /// Replaces the cells of the level. A cell that already exists keeps its id and `created_at`. If its content does
    /// not change, it also keeps `updated_at`. Returns `Unknown` if the level or a feature does not exist, and
    /// `Conflict` if two cells are for the same action of a feature.
    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[FeaturePermission],
    ) -> Result<()>;
}

/// A level that a user holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedLevel {
    /// The level.
    pub level: UserLevel,
    /// `true` if the level denies a view or an action.
    pub has_denies: bool,
    /// The period in which the assignment is in effect.
    pub period: Period,
}

/// The levels of a user in one company, before and after they are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedLevels {
    /// The assignments before.
    pub before: Assigned,
    /// The levels that the user holds now, ordered by name.
    pub after: Vec<AssignedLevel>,
}

/// Write operations on the assignments of levels to users.
#[async_trait]
pub trait AssignmentsMut: Send + Sync {
    /// Assigns a level to a user for a period. Returns `false` if the user already holds it for this period. The
    /// assignment replaces an assignment for another period.
    async fn add(&mut self, assignment: &Assignment) -> Result<bool>;
    /// Removes a level from a user. Returns `false` if the user does not hold it.
    async fn remove(&mut self, company: CompanyId, user: UserId, level: UserLevelId) -> Result<bool>;
    /// Replaces the user's levels in this company. Assignments in other companies, and existing assignments of levels
    /// that are also in `levels`, are preserved with their periods. Expired assignments are replaced. Returns `Unknown` if
    /// a level does not exist in this company.
    async fn replace_for_user(
        &mut self,
        company: CompanyId,
        user: UserId,
        levels: &[UserLevelId],
        assigned_by: Option<Uuid>,
    ) -> Result<ReplacedLevels>;
    /// Assigns and removes levels of several users. Assignments of other levels are preserved. Returns `Unknown` if a
    /// level of an edit does not exist in this company, even if it is to be removed, and `Misuse` if the edits
    /// contradict each other ([`LevelsEdit::check`]).
    async fn edit(
        &mut self,
        company: CompanyId,
        edits: &[LevelsEdit],
        assigned_by: Option<Uuid>,
    ) -> Result<EditedLevels>;
    /// Removes assignments of a company that expired at this time or earlier: at most `limit` assignments, beginning with
    /// the one that expired first. Returns the number of removed assignments.
    async fn remove_expired(&mut self, company: CompanyId, by: Timestamp, limit: u64) -> Result<u64>;
}

/// Write operations on menu items. They require a unit of work for the target of the item's owner
/// ([`Target::of_menu`]).
#[async_trait]
pub trait MenuItemsMut: Send + Sync {
    /// Creates an item. Returns `Unknown` if its view or feature does not exist.
    async fn create(&mut self, item: &MenuItem) -> Result<()>;
    /// Updates an item. The owner and `created_at` are preserved.
    async fn update(&mut self, item: &MenuItem) -> Result<MenuItem>;
    /// Deletes an item with its sub-items.
    async fn delete(&mut self, owner: Option<CompanyId>, id: MenuItemId) -> Result<MenuItem>;
}

/// Write operations on sub-items of the menu. They require a unit of work for the target of the sub-item's owner
/// ([`Target::of_menu`]).
#[async_trait]
pub trait SubMenuItemsMut: Send + Sync {
    /// Creates a sub-item in an item of this owner. Returns `Unknown` if the item, the view or the feature does not
    /// exist.
    async fn create(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<()>;
    /// Updates a sub-item. `created_at` is preserved. The sub-item may be moved to another item of the same owner.
    async fn update(&mut self, owner: Option<CompanyId>, item: &SubMenuItem) -> Result<SubMenuItem>;
    /// Deletes a sub-item.
    async fn delete(&mut self, owner: Option<CompanyId>, id: SubMenuItemId) -> Result<SubMenuItem>;
}

/// The write operation for audit records that are not derived from a mutation.
#[async_trait]
pub trait AuditLogsMut: Send + Sync {
    /// Appends an audit record, which is committed together with the unit of work. A record of a company requires a
    /// unit of work for this company. A record of the platform requires a unit of work for the catalog.
    async fn append(&mut self, record: &AuditRecord) -> Result<()>;
    /// Adds audit records of another storage, with their ids and times. Records whose ids exist are omitted. Returns the
    /// number of added records. The records must belong to `owner`, and the unit of work to the company or, for the
    /// platform (`None`), to the catalog.
    async fn restore(&mut self, owner: Option<CompanyId>, records: &[AuditRecord]) -> Result<u64>;
}

/// Write operations on the provisioning state and the details of a company, and its erasure.
#[async_trait]
pub trait CompanyStatesMut: Send + Sync {
    /// Marks the company as provisioned. The provisioning time is the time of the unit of work. Returns `false` if it
    /// was already provisioned.
    async fn set_provisioned(&mut self, company: CompanyId) -> Result<bool>;
    /// Replaces the name and the status of the company, and returns the previous details. A new status changes decisions
    /// like any other change to the company.
    async fn replace_details(&mut self, company: CompanyId, details: &CompanyDetails) -> Result<CompanyDetails>;
    /// Deletes all data of the company: its rows in all [`ERASED_TABLES`](crate::ERASED_TABLES), its name and its other
    /// settings. Returns the numbers of deleted rows. The commit writes one audit record, which belongs to the platform.
    /// The state of the company remains as a tombstone: [`Storage::begin`](crate::Storage::begin) rejects every later
    /// unit of work for the company. The API keys of the company must already be revoked. The unit of work must contain
    /// no other mutation.
    async fn erase(&mut self, company: CompanyId) -> Result<ErasedRows>;
}

/// The write operation on the whole content of a company.
#[async_trait]
pub trait CompanyContentsMut: Send + Sync {
    /// Replaces the content of the company. All rows keep the ids and times in `content`. Audit records, API keys and
    /// navigation trails are preserved. The commit writes one audit record, which states the number of rows. Returns
    /// `Conflict` if another company uses an id, and `Unknown` if a module, view or feature does not exist.
    async fn install(&mut self, content: &CompanyContent) -> Result<()>;
}

/// The write operation on the quotas of companies.
#[async_trait]
pub trait CompanyQuotasMut: Send + Sync {
    /// Replaces the overrides of a company's quotas, and returns the previous overrides.
    async fn replace_overrides(&mut self, company: CompanyId, overrides: &QuotaOverrides) -> Result<QuotaOverrides>;
}

/// The write operation on the ceilings of companies.
#[async_trait]
pub trait CompanyCeilingsMut: Send + Sync {
    /// Replaces the ceilings of a company, and returns the previous ceilings. The views and features need not exist.
    async fn replace_ceilings(&mut self, company: CompanyId, ceilings: &Ceilings) -> Result<Ceilings>;
}

/// Write operations on users. The data of a user is not scoped to a company.
#[async_trait]
pub trait UsersMut: Send + Sync {
    /// Stores the external ids of users, so that responses can contain them. Units of work for all targets allow this
    /// operation. The operation does not count as a change: if the unit of work changes nothing else, the commit does
    /// not store the external ids. To prevent deadlocks, the external ids must be in ascending order.
    async fn remember(&mut self, external_ids: &[&ExternalId]) -> Result<()>;
    /// Sets the user's token cut-off, even if the previous cut-off is later. Returns the previous cut-off. Tokens that
    /// were issued (`iat`) before the cut-off, and tokens without `iat`, are rejected. Requires
    /// [`Target::Credentials`].
    async fn cut_off(&mut self, user: UserId, not_before: Timestamp) -> Result<Option<Timestamp>>;
}

/// Write operations on API keys, which require [`Target::Credentials`].
#[async_trait]
pub trait ApiKeysMut: Send + Sync {
    /// Creates an API key with its digest.
    async fn create(&mut self, key: &ApiKey, digest: &ApiKeyDigest) -> Result<()>;
    /// Revokes a key. The time of revocation is the time of the unit of work. Returns the previous value of the key.
    /// The operation is idempotent: it does not change a key that is already revoked.
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
    /// Returns the write operations on the provisioning state and the details of companies.
    company_states_mut: CompanyStatesMut,
    /// Returns the write operation on the content of companies.
    company_contents_mut: CompanyContentsMut,
    /// Returns the write operation on the quotas of companies.
    company_quotas_mut: CompanyQuotasMut,
    /// Returns the write operation on the ceilings of companies.
    company_ceilings_mut: CompanyCeilingsMut,
    /// Returns the write operations on the profiles of users.
    user_profiles_mut: UserProfilesMut,
    /// Returns the write operations on users.
    users_mut: UsersMut,
    /// Returns the write operations on the API keys of services.
    api_keys_mut: ApiKeysMut,
    /// Returns the operations on the records of requests with idempotency keys.
    idempotency_keys_mut: IdempotencyKeysMut,
}

/// A unit of work: the open transaction of one change. It holds the locks of its [`Target`] until it is committed or
/// dropped. Dropping it without a commit rolls it back.
///
/// Reads in the unit of work see its own uncommitted writes. A mutation outside its target returns
/// [`Misuse`](crate::StorageError::Misuse). After a failed mutation, all further mutations and the commit return
/// `Misuse` too.
#[async_trait]
pub trait UnitOfWork: Reader + Writer {
    /// Returns the time at which the unit of work acquired its locks, according to the storage's clock. The derived
    /// audit records have this timestamp, and callers use it as the timestamp of the entities that they write.
    fn now(&self) -> Timestamp;

    /// Returns the token cut-off of the user who makes the change, as of the time when the unit of work acquired its
    /// locks. Until the unit of work ends, these locks prevent other changes to the cut-off. Returns `None` if the user
    /// has no cut-off, or if the actor is not a user.
    fn actor_not_before(&self) -> Option<Timestamp>;

    /// Returns the overrides of the quotas of the target's company. They were read when the unit of work acquired its
    /// locks, or the unit of work has replaced them. Empty if the target is not a company.
    fn quota_overrides(&self) -> &QuotaOverrides;

    /// Returns the status of the target's company, as of the time when the unit of work acquired its locks. `Active` if
    /// the target is not a company.
    fn company_status(&self) -> CompanyStatus;

    /// Returns the growth of the quantities that quotas limit, since the unit of work began.
    fn growth(&self) -> &Growth;

    /// Returns what the unit of work has recorded so far. If it has recorded nothing, it has changed nothing, and a
    /// commit has no effect.
    fn recorded(&self) -> Recorded;

    /// Commits all changes together with their audit records, and returns the new version of the target. A new version
    /// of a company makes the earlier effective-permission rows of this company outdated. A new version of the catalog
    /// makes all earlier rows outdated. Outdated rows remain stored until they expire. If the unit of work changed
    /// nothing, the commit has no effect: it increments no version, writes no audit record, sends no wake-up, and
    /// returns the version before the unit of work.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable` if the storage fails. If the error is `retryable`, nothing was committed. Otherwise the
    /// outcome is unknown, and the caller must invalidate all cached data of the target.
    async fn commit(self: Box<Self>) -> Result<CommitStamp>;
}
