//! Read operations. They return the latest committed data. Inside a unit of work, they also return the uncommitted
//! writes of this unit of work.
//!
//! Lists have a stable order: strings are compared by their bytes (`COLLATE "C"`), and ties are ordered by id. Every
//! read of tenant data takes the company as an argument and returns no data of other companies. Reads that are not
//! scoped to one company are marked **Across companies**.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::escalation::{Cell, OtherRules};
use iam_domain::{
    Action, ApiKey, ApiKeyDigest, ApiKeyId, AssignedUserLevel, AssignmentState, Catalog, Ceilings, CompanyDetails,
    CompanyId, CompanySnapshot, Feature, FeatureId, FeatureKey, FeaturePermission, GrantedModule, Label,
    LevelPermissions, Menu, MenuItem, MenuItemId, Module, ModuleId, Period, Quota, QuotaOverrides, Snapshot,
    SubMenuItem, SubMenuItemId, Timestamp, User, UserId, UserLevel, UserLevelId, Versions, View, ViewId,
    ViewPermission,
};
use uuid::Uuid;

use crate::audit_log::AuditLogs;
use crate::directory::CompanyDirectory;
use crate::expiry::EndingAssignments;
use crate::members::{CursorKeys, Members};
use crate::profiles::UserProfiles;
use crate::stamped::Stamped;
use crate::{CompanyCopy, CompanyMatrix, CompanyState, Result, StateId};

/// Read operations on views.
#[async_trait]
pub trait Views: Send + Sync {
    /// Returns all views, ordered by URL.
    async fn find_all(&self) -> Result<Vec<View>>;
    /// Returns the view with this id.
    async fn find_by_id(&self, id: ViewId) -> Result<Option<View>>;
    /// Returns the view with exactly this URL.
    async fn find_by_url(&self, url: &str) -> Result<Option<View>>;
}

/// Read operations on modules.
#[async_trait]
pub trait Modules: Send + Sync {
    /// Returns all modules, ordered by name.
    async fn find_all(&self) -> Result<Vec<Module>>;
    /// Returns the module with this id.
    async fn find_by_id(&self, id: ModuleId) -> Result<Option<Module>>;
    /// Returns the module with exactly this code.
    async fn find_by_code(&self, code: &str) -> Result<Option<Module>>;
}

/// Read operations on features.
#[async_trait]
pub trait Features: Send + Sync {
    /// Returns all features, ordered by key. Features without a key are sorted last.
    async fn find_all(&self) -> Result<Vec<Feature>>;
    /// Returns the feature with this id.
    async fn find_by_id(&self, id: FeatureId) -> Result<Option<Feature>>;
    /// Returns the feature with exactly this key.
    async fn find_by_key(&self, key: &str) -> Result<Option<Feature>>;
}

/// Read operations on the mapping of features to views.
#[async_trait]
pub trait FeatureViews: Send + Sync {
    /// Returns the views of a feature, ordered by URL.
    async fn get_views_by_feature(&self, feature: FeatureId) -> Result<Vec<View>>;
    /// Returns the features of a view, ordered by key. Features without a key are sorted last.
    async fn get_features_by_view(&self, view: ViewId) -> Result<Vec<Feature>>;
}

/// Read operations on the mapping of modules to the views that they gate.
#[async_trait]
pub trait ModuleViews: Send + Sync {
    /// Returns the views of a module, ordered by URL.
    async fn get_views_by_module(&self, module: ModuleId) -> Result<Vec<View>>;
    /// Returns the modules of a view, ordered by name.
    async fn get_modules_by_view(&self, view: ViewId) -> Result<Vec<Module>>;
}

/// Read operations on the mapping of modules to the features that they gate.
#[async_trait]
pub trait ModuleFeatures: Send + Sync {
    /// Returns the features of a module, ordered by key. Features without a key are sorted last.
    async fn get_features_by_module(&self, module: ModuleId) -> Result<Vec<Feature>>;
    /// Returns the modules of a feature, ordered by name.
    async fn get_modules_by_feature(&self, feature: FeatureId) -> Result<Vec<Module>>;
}

/// Read operations on entitlements: the modules that a company may use.
#[async_trait]
pub trait CompanyModules: Send + Sync {
    /// Returns the modules of a company, both enabled and disabled, ordered by module name.
    async fn get_modules_by_company(&self, company: CompanyId) -> Result<Vec<GrantedModule>>;
    /// Returns the companies that have a module, ordered by id. **Across companies**: for platform administration.
    async fn get_companies_by_module(&self, module: ModuleId) -> Result<Vec<CompanyId>>;
}

/// Read operations on user levels.
#[async_trait]
pub trait UserLevels: Send + Sync {
    /// Returns the levels of a company, ordered by name.
    async fn find_all(&self, company: CompanyId) -> Result<Vec<UserLevel>>;
    /// Returns the level with this id if it belongs to the company.
    async fn find_by_id(&self, company: CompanyId, id: UserLevelId) -> Result<Option<UserLevel>>;
    /// Returns the level of a company with exactly this name.
    async fn find_by_name(&self, company: CompanyId, name: &str) -> Result<Option<UserLevel>>;
    /// Returns the number of pinned cells in both matrices of a level.
    async fn count_pinned(&self, company: CompanyId, id: UserLevelId) -> Result<u64>;
}

/// Read operations on view matrices.
#[async_trait]
pub trait ViewPermissions: Send + Sync {
    /// Returns the view permissions of a level, ordered by view id.
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<ViewPermission>>;
    /// Returns the cells for a view in all levels of a company, ordered by level id.
    async fn find_by_view(&self, company: CompanyId, view: ViewId) -> Result<Vec<ViewPermission>>;
    /// Returns the cell of a level for a view, or `None` if no cell is stored.
    async fn find(&self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<Option<ViewPermission>>;
}

/// Read operations on feature matrices.
#[async_trait]
pub trait FeaturePermissions: Send + Sync {
    /// Returns the feature permissions of a level, ordered by feature id, then action.
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<FeaturePermission>>;
    /// Returns the cells for a feature in all levels of a company, ordered by level id, then action.
    async fn find_by_feature(&self, company: CompanyId, feature: FeatureId) -> Result<Vec<FeaturePermission>>;
    /// Returns the cell of a level for an action of a feature, or `None` if no cell is stored.
    async fn find(
        &self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<Option<FeaturePermission>>;
}

/// The levels that a user holds in one company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The company.
    pub company: CompanyId,
    /// The name and the status of the company.
    pub details: CompanyDetails,
    /// The levels, ordered by name.
    pub levels: Vec<UserLevel>,
}

/// A level that is assigned to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelAssignment {
    /// The level.
    pub level: UserLevel,
    /// The period in which the assignment is in effect.
    pub period: Period,
    /// The state of the assignment at the time of the read.
    pub state: AssignmentState,
}

impl LevelAssignment {
    /// Returns the assigned level as responses contain it.
    #[must_use]
    pub fn into_assigned(self) -> AssignedUserLevel {
        AssignedUserLevel::new(self.level, self.period, self.state)
    }
}

/// Read operations on the assignments of levels to users.
#[async_trait]
pub trait Assignments: Send + Sync {
    /// Returns the levels that are assigned to a user in a company, ordered by name, with the periods of the assignments.
    /// Assignments that have not started, and those that have expired but were not swept yet, are included.
    async fn get_assigned(&self, company: CompanyId, user: UserId) -> Result<Vec<LevelAssignment>>;
    /// Returns the levels that a user holds in a company, now or later, ordered by name. Assignments that have expired are
    /// not included.
    async fn get_user_levels(&self, company: CompanyId, user: UserId) -> Result<Vec<UserLevel>>;
    /// Returns a page of the companies in which assignments of a user are in effect, with the levels of these assignments,
    /// ordered by id: at most `limit` companies with ids greater than `after` (keyset pagination). **Across companies**: for users who list their own companies.
    async fn get_memberships(&self, user: UserId, after: Option<CompanyId>, limit: u64) -> Result<Vec<Membership>>;
    /// Returns the users who hold a level of a company, ordered by id.
    async fn get_users(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<UserId>>;
    /// Returns the id of a user whose levels together allow each of these actions for the whole company (scope
    /// `company` or `any`) and deny none of them. If several users satisfy this condition, returns one of them. Each
    /// element of `actions` is the key of a feature and an action of this feature. The level of `assumed` is evaluated
    /// with these rules instead of its stored rules. Module gates and the `enabled` flags of features are ignored.
    async fn find_holder(
        &self,
        company: CompanyId,
        actions: &[(&str, Action)],
        assumed: Option<&LevelPermissions>,
    ) -> Result<Option<UserId>>;
    /// Returns `true` if the user satisfies the condition of [`Self::find_holder`] with the stored rules.
    async fn is_holder(&self, company: CompanyId, user: UserId, actions: &[(&str, Action)]) -> Result<bool>;
    /// Returns a page of the users who hold a level of a company, ordered by id: at most `limit` users with ids greater
    /// than `after` (keyset pagination).
    async fn list_users(
        &self,
        company: CompanyId,
        level: UserLevelId,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<UserId>>;
}

/// A menu item or sub-item that refers to a view or a feature, or that requires a permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MenuUse {
    /// The displayed label of the item or sub-item.
    pub label: Label,
    /// The id of the item or sub-item.
    pub id: Uuid,
}

/// Read operations on menu items. The owner of an item is a company, or `None` for a common item, which appears in
/// every company's menu.
#[async_trait]
pub trait MenuItems: Send + Sync {
    /// Returns the common items, ordered by sort order, label and id. If a company is given, the company's own items
    /// are included.
    async fn find_all(&self, company: Option<CompanyId>) -> Result<Vec<MenuItem>>;
    /// Returns the item with this id, if it has exactly this owner.
    async fn find_by_id(&self, owner: Option<CompanyId>, id: MenuItemId) -> Result<Option<MenuItem>>;
    /// Returns the items and sub-items that refer to a view, ordered by label, then id. **Across companies**: for
    /// platform administration.
    async fn find_using_view(&self, view: ViewId) -> Result<Vec<MenuUse>>;
    /// Returns the items and sub-items that refer to a feature, ordered by label, then id. **Across companies**: for
    /// platform administration.
    async fn find_using_feature(&self, feature: FeatureId) -> Result<Vec<MenuUse>>;
    /// Returns the items whose required permissions contain a feature's key, ordered by label, then id. **Across
    /// companies**: for platform administration.
    async fn find_requiring(&self, key: &FeatureKey) -> Result<Vec<MenuUse>>;
}

/// Read operations on sub-items of the menu. The owner of a sub-item is the owner of its item.
#[async_trait]
pub trait SubMenuItems: Send + Sync {
    /// Returns the sub-items of all items that [`MenuItems::find_all`] returns, ordered by sort order, label and id.
    async fn find_all(&self, company: Option<CompanyId>) -> Result<Vec<SubMenuItem>>;
    /// Returns the sub-items of a menu item if the item has exactly this owner, ordered by sort order, label and id.
    async fn find_by_menu_id(&self, owner: Option<CompanyId>, item: MenuItemId) -> Result<Vec<SubMenuItem>>;
    /// Returns the sub-item with this id, if it has exactly this owner.
    async fn find_by_id(&self, owner: Option<CompanyId>, id: SubMenuItemId) -> Result<Option<SubMenuItem>>;
}

/// Read operations on the versions, the details and the provisioning state of companies.
#[async_trait]
pub trait CompanyStates: Send + Sync {
    /// Returns the state of a company, or `None` before the first change to the company.
    async fn read(&self, company: CompanyId) -> Result<Option<CompanyState>>;
    /// Returns the epoch and the current versions of the catalog and of a company. The company version is 0 if no
    /// company is given, and before the first change to the company.
    async fn versions(&self, company: Option<CompanyId>) -> Result<Versions>;
}

/// Read operations on the quotas of companies.
#[async_trait]
pub trait CompanyQuotas: Send + Sync {
    /// Returns the overrides of a company's quotas.
    async fn overrides(&self, company: CompanyId) -> Result<QuotaOverrides>;
    /// Returns the current use of each of these quotas in a company. Each quota is given with the number of rows after
    /// which counting stops (`u64::MAX`: no limit). Bytes are always summed completely. The use of
    /// [`Quota::LevelsPerUser`] is the largest number of levels that one user holds. The counts of
    /// [`Quota::LevelSets`] and [`Quota::LevelsPerUser`] read all assignments of the company.
    async fn usage(&self, company: CompanyId, quotas: &[(Quota, u64)]) -> Result<BTreeMap<Quota, u64>>;
    /// Returns `true` if the company's users hold more than `limit` distinct sets of two or more levels, and the number
    /// of these sets has grown since each user in `changed` held exactly these levels, in ascending order. The other
    /// users must not have changed since then. The operation avoids counting all sets if users who have not changed
    /// obviously hold the same sets, or if the company has at most `limit` users.
    async fn exceeds_level_sets(
        &self,
        company: CompanyId,
        changed: &[(UserId, Vec<UserLevelId>)],
        limit: u64,
    ) -> Result<bool>;
}

/// Read operations on the ceilings of companies.
#[async_trait]
pub trait CompanyCeilings: Send + Sync {
    /// Returns the ceilings of a company. A company without ceilings has empty ceilings.
    async fn ceilings(&self, company: CompanyId) -> Result<Ceilings>;
}

/// A cell of the matrices, identified as in a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellName {
    /// A view, identified by its id or its exact URL.
    View(IdOrText<ViewId>),
    /// An action of a feature, which is identified by its id or its exact key.
    Action(IdOrText<FeatureId>, Action),
}

/// The id of an entity, or the text that identifies the entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdOrText<I> {
    /// The id.
    Id(I),
    /// The URL of a view, or the key of a feature.
    Text(String),
}

/// Read operations that return the data from which decisions are computed. Each operation reads **one** consistent
/// snapshot of the database, so its result never combines the levels of one version with the cells of another version.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// Returns the data for one user in one company. Levels are ordered by id. For an unknown user or company, the
    /// result contains no levels.
    async fn load_user(&self, company: CompanyId, user: UserId) -> Result<Stamped<Snapshot>>;
    /// Returns the data for all users of one company.
    async fn load_company(&self, company: CompanyId) -> Result<Stamped<CompanySnapshot>>;
    /// Returns the data for some users of one company. The result contains no other users, and only the levels that
    /// these users hold.
    async fn load_users(&self, company: CompanyId, users: &[UserId]) -> Result<Stamped<CompanySnapshot>>;
    /// Returns the data for a user who holds exactly these levels of one company. Levels are ordered by id. Unknown
    /// levels are omitted.
    async fn load_levels(&self, company: CompanyId, levels: &[UserLevelId]) -> Result<Stamped<Snapshot>>;
    /// Returns what the other levels of the users who hold a level say about these cells. For each cell, the result
    /// contains each distinct reach once. The user `without` is not considered. Reads only the levels of these users.
    async fn load_other_rules(
        &self,
        company: CompanyId,
        level: UserLevelId,
        cells: &BTreeSet<Cell>,
        without: Option<UserId>,
    ) -> Result<Stamped<OtherRules>>;
    /// Returns all levels of one company, each with only its rule for one cell. Levels are ordered by id. If the view or
    /// the feature does not exist, the levels have no rules.
    async fn load_cell(&self, company: CompanyId, cell: &CellName) -> Result<Stamped<Snapshot>>;
    /// Returns the matrices of all levels of one company.
    async fn load_matrix(&self, company: CompanyId) -> Result<Stamped<CompanyMatrix>>;
    /// Returns a copy of one company, for the simulation of changes.
    async fn load_copy(&self, company: CompanyId) -> Result<Stamped<CompanyCopy>>;
    /// Returns only the catalog. The company version of the result is 0.
    async fn load_catalog(&self) -> Result<Stamped<Arc<Catalog>>>;
    /// Returns the menu of exactly this owner: a company's own menu or, for `None`, the common menu. For the common
    /// menu, the company version of the result is 0.
    async fn load_menu(&self, owner: Option<CompanyId>) -> Result<Stamped<Menu>>;
}

/// Read operations on users: their external ids and their token cut-offs (tokens that were issued before the cut-off
/// are rejected). **Across companies**: this data is not scoped to a company.
#[async_trait]
pub trait Users: Send + Sync {
    /// Returns the stored data of these users, ordered by id. Users without stored data are omitted.
    async fn find(&self, users: &[UserId]) -> Result<Vec<User>>;
}

/// Read operations on the API keys of services. All keys belong to the platform, even keys that are valid for one
/// company only.
#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// Returns all keys, including revoked and expired ones, ordered by name, then id.
    async fn find_all(&self) -> Result<Vec<ApiKey>>;
    /// Returns the key with this id.
    async fn find_by_id(&self, id: ApiKeyId) -> Result<Option<ApiKey>>;
    /// Returns the keys that are restricted to this company, including revoked and expired ones, ordered by id.
    async fn find_by_company(&self, company: CompanyId) -> Result<Vec<ApiKey>>;
}

/// The token cut-offs and API keys that changed after a given version of the credentials.
#[derive(Debug, Clone)]
pub struct CredentialChanges {
    /// The epoch of the database. Versions are comparable only within one epoch.
    pub epoch: u64,
    /// The version and stamp of the credentials after these changes.
    pub state: StateId,
    /// The users whose token cut-off changed, each with the current cut-off. Tokens that were issued (`iat`) before the
    /// cut-off, and tokens without `iat`, are rejected.
    pub cutoffs: Vec<(UserId, Timestamp)>,
    /// The API keys that changed, with their digests. Revoked and expired keys are included.
    pub api_keys: Vec<(ApiKey, ApiKeyDigest)>,
    /// The API keys that changed and whose rows cannot be parsed. They must be rejected.
    pub unreadable_api_keys: Vec<ApiKeyId>,
    /// The version of the latest of these changes; `None` if nothing changed.
    pub latest: Option<i64>,
    /// The total number of API keys in the storage, whether they changed or not, including unreadable keys. If the
    /// number of keys in a cache differs, rows were deleted or restored outside the service.
    pub api_key_count: usize,
}

impl CredentialChanges {
    /// Returns `true` if these changes account for the current version of the credentials: the version is still
    /// `since`, or the latest change has the current version. `false` means that the data was modified outside the
    /// service. Either the version was incremented although no row changed, or a row was changed without a new version.
    #[must_use]
    pub fn account_for_the_state(&self, since: i64) -> bool {
        self.state.version == since || self.latest == Some(self.state.version)
    }
}

/// Read operations on the data against which credentials are verified: token cut-offs and API keys.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Returns the changes after this version, read in one consistent snapshot. For version 0, returns all cut-offs and
    /// API keys.
    async fn changes_since(&self, version: i64) -> Result<CredentialChanges>;
}

macro_rules! reader {
    ($($(#[doc = $doc:literal])+ $accessor:ident: $name:ident),+ $(,)?) => {
        /// All read operations, with one accessor for each resource. Every type that implements the traits of all
        /// resources is a `Reader`.
        pub trait Reader: Send + Sync {
            $($(#[doc = $doc])+ fn $accessor(&self) -> &dyn $name;)+
        }

        impl<T: $($name +)+> Reader for T {
            $(fn $accessor(&self) -> &dyn $name {
                self
            })+
        }
    };
}

reader! {
    /// Returns the read operations on views.
    views: Views,
    /// Returns the read operations on modules.
    modules: Modules,
    /// Returns the read operations on features.
    features: Features,
    /// Returns the read operations on the mapping of features to views.
    feature_views: FeatureViews,
    /// Returns the read operations on the mapping of modules to the views that they gate.
    module_views: ModuleViews,
    /// Returns the read operations on the mapping of modules to the features that they gate.
    module_features: ModuleFeatures,
    /// Returns the read operations on the modules of companies.
    company_modules: CompanyModules,
    /// Returns the read operations on user levels.
    user_levels: UserLevels,
    /// Returns the read operations on view matrices.
    view_permissions: ViewPermissions,
    /// Returns the read operations on feature matrices.
    feature_permissions: FeaturePermissions,
    /// Returns the read operations on the assignments of levels to users.
    assignments: Assignments,
    /// Returns the read operations on the members of a company.
    members: Members,
    /// Returns the read operations on assignments that have an end.
    ending_assignments: EndingAssignments,
    /// Returns the read operations on the directory of companies.
    company_directory: CompanyDirectory,
    /// Returns the read operation on the key that signs cursors.
    cursor_keys: CursorKeys,
    /// Returns the read operations on menu items.
    menu_items: MenuItems,
    /// Returns the read operations on sub-items of the menu.
    sub_menu_items: SubMenuItems,
    /// Returns the read operations on the audit log.
    audit_logs: AuditLogs,
    /// Returns the read operations on the versions, the details and the provisioning state of companies.
    company_states: CompanyStates,
    /// Returns the read operations on the quotas of companies.
    company_quotas: CompanyQuotas,
    /// Returns the read operations on the ceilings of companies.
    company_ceilings: CompanyCeilings,
    /// Returns the read operations that load, in one consistent snapshot, the data from which decisions are computed.
    snapshots: Snapshots,
    /// Returns the read operations on the profiles of users.
    user_profiles: UserProfiles,
    /// Returns the read operations on users.
    users: Users,
    /// Returns the read operations on the API keys of services.
    api_keys: ApiKeys,
    /// Returns the read operations on the data against which credentials are verified.
    credentials: Credentials,
}
