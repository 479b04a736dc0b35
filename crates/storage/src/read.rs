//! Reads. They see the latest committed state, or what their unit of work sees.
//!
//! Lists have a stable order: text by its bytes (`COLLATE "C"`), ties by id. Every read of tenant data names the
//! company; what belongs to another company is not found. Reads across companies are marked.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{
    Action, ApiKey, ApiKeyDigest, ApiKeyId, AuditRecord, AuditRecordId, Catalog, CompanyId, CompanySnapshot,
    EntityType, Feature, FeatureId, FeatureKey, FeaturePermission, GrantedModule, Label, Menu, MenuItem, MenuItemId,
    Module, ModuleId, Snapshot, SubMenuItem, SubMenuItemId, Timestamp, User, UserId, UserLevel, UserLevelId, Versions,
    View, ViewId, ViewPermission,
};
use uuid::Uuid;

use crate::{Result, StateId};

/// Views.
#[async_trait]
pub trait Views: Send + Sync {
    /// All views, by url.
    async fn find_all(&self) -> Result<Vec<View>>;
    /// The view with this id.
    async fn find_by_id(&self, id: ViewId) -> Result<Option<View>>;
    /// The view at exactly this url.
    async fn find_by_url(&self, url: &str) -> Result<Option<View>>;
}

/// Modules.
#[async_trait]
pub trait Modules: Send + Sync {
    /// All modules, by name.
    async fn find_all(&self) -> Result<Vec<Module>>;
    /// The module with this id.
    async fn find_by_id(&self, id: ModuleId) -> Result<Option<Module>>;
    /// The module with exactly this code.
    async fn find_by_code(&self, code: &str) -> Result<Option<Module>>;
}

/// Features.
#[async_trait]
pub trait Features: Send + Sync {
    /// All features, by key, those without one last.
    async fn find_all(&self) -> Result<Vec<Feature>>;
    /// The feature with this id.
    async fn find_by_id(&self, id: FeatureId) -> Result<Option<Feature>>;
    /// The feature with exactly this key.
    async fn find_by_key(&self, key: &str) -> Result<Option<Feature>>;
}

/// Which features stand on which view.
#[async_trait]
pub trait FeatureViews: Send + Sync {
    /// The views of a feature, by url.
    async fn get_views_by_feature(&self, feature: FeatureId) -> Result<Vec<View>>;
    /// The features of a view, by key, those without one last.
    async fn get_features_by_view(&self, view: ViewId) -> Result<Vec<Feature>>;
}

/// Which views a module gates.
#[async_trait]
pub trait ModuleViews: Send + Sync {
    /// The views of a module, by url.
    async fn get_views_by_module(&self, module: ModuleId) -> Result<Vec<View>>;
    /// The modules of a view, by name.
    async fn get_modules_by_view(&self, view: ViewId) -> Result<Vec<Module>>;
}

/// Which features a module gates.
#[async_trait]
pub trait ModuleFeatures: Send + Sync {
    /// The features of a module, by key, those without one last.
    async fn get_features_by_module(&self, module: ModuleId) -> Result<Vec<Feature>>;
    /// The modules of a feature, by name.
    async fn get_modules_by_feature(&self, feature: FeatureId) -> Result<Vec<Module>>;
}

/// Which modules a company has.
#[async_trait]
pub trait CompanyModules: Send + Sync {
    /// The modules of a company, switched on or off, by the module's name.
    async fn get_modules_by_company(&self, company: CompanyId) -> Result<Vec<GrantedModule>>;
    /// The companies that have a module, by id. **Across companies**: for the platform's own questions.
    async fn get_companies_by_module(&self, module: ModuleId) -> Result<Vec<CompanyId>>;
}

/// User levels.
#[async_trait]
pub trait UserLevels: Send + Sync {
    /// The levels of a company, by name.
    async fn find_all(&self, company: CompanyId) -> Result<Vec<UserLevel>>;
    /// A level of a company.
    async fn find_by_id(&self, company: CompanyId, id: UserLevelId) -> Result<Option<UserLevel>>;
    /// The level of a company with exactly this name.
    async fn find_by_name(&self, company: CompanyId, name: &str) -> Result<Option<UserLevel>>;
    /// How many cells of a level's matrices are pinned.
    async fn count_pinned(&self, company: CompanyId, id: UserLevelId) -> Result<u64>;
}

/// View matrices.
#[async_trait]
pub trait ViewPermissions: Send + Sync {
    /// The cells of a level, by view id.
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<ViewPermission>>;
    /// The cells of a company about a view, by level id.
    async fn find_by_view(&self, company: CompanyId, view: ViewId) -> Result<Vec<ViewPermission>>;
    /// One cell.
    async fn find(&self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<Option<ViewPermission>>;
}

/// Feature matrices.
#[async_trait]
pub trait FeaturePermissions: Send + Sync {
    /// The cells of a level, by feature id, then action.
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<FeaturePermission>>;
    /// The cells of a company about a feature, by level id, then action.
    async fn find_by_feature(&self, company: CompanyId, feature: FeatureId) -> Result<Vec<FeaturePermission>>;
    /// One cell.
    async fn find(
        &self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<Option<FeaturePermission>>;
}

/// Who holds which level.
#[async_trait]
pub trait Assignments: Send + Sync {
    /// The levels that a user holds in a company, by name.
    async fn get_user_levels(&self, company: CompanyId, user: UserId) -> Result<Vec<UserLevel>>;
    /// The users who hold a level of a company, by id.
    async fn get_users(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<UserId>>;
    /// Returns any one user whose levels allow each of these actions of features, named by their keys, for the whole
    /// company and deny none of them. Holders of the level `without` are not considered. Modules and switches are
    /// ignored, so resolve the user's permissions before you rely on the result.
    async fn find_holder(
        &self,
        company: CompanyId,
        actions: &[(&str, Action)],
        without: Option<UserLevelId>,
    ) -> Result<Option<UserId>>;
    /// Whether [`Self::find_holder`] could find this user.
    async fn is_holder(&self, company: CompanyId, user: UserId, actions: &[(&str, Action)]) -> Result<bool>;
    /// At most `limit` users who hold a level of a company and whose ids come after `after`, by id.
    async fn list_users(
        &self,
        company: CompanyId,
        level: UserLevelId,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<UserId>>;
}

/// A menu entry that uses a view or feature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MenuUse {
    /// The text that people read.
    pub label: Label,
    /// The item, or the sub-item.
    pub id: Uuid,
}

/// Menu items. The owner is a company, or `None` for the items that every company has.
#[async_trait]
pub trait MenuItems: Send + Sync {
    /// The items that every company has and, if one is named, the company's own; by sort order, label, id.
    async fn find_all(&self, company: Option<CompanyId>) -> Result<Vec<MenuItem>>;
    /// An item of exactly this owner.
    async fn find_by_id(&self, owner: Option<CompanyId>, id: MenuItemId) -> Result<Option<MenuItem>>;
    /// The items and sub-items that use a view, by label, then id. **Across companies**: for the platform's own
    /// questions.
    async fn find_using_view(&self, view: ViewId) -> Result<Vec<MenuUse>>;
    /// The items and sub-items that use a feature, by label, then id. **Across companies**: for the platform's own
    /// questions.
    async fn find_using_feature(&self, feature: FeatureId) -> Result<Vec<MenuUse>>;
    /// The items that require a feature's key, by label, then id. **Across companies**: for the platform's own
    /// questions.
    async fn find_requiring(&self, key: &FeatureKey) -> Result<Vec<MenuUse>>;
}

/// Sub-items of the menu. Their owner is that of their item.
#[async_trait]
pub trait SubMenuItems: Send + Sync {
    /// The sub-items of all items that [`MenuItems::find_all`] lists; by sort order, label, id.
    async fn find_all(&self, company: Option<CompanyId>) -> Result<Vec<SubMenuItem>>;
    /// The sub-items of an item of exactly this owner; by sort order, label, id.
    async fn find_by_menu_id(&self, owner: Option<CompanyId>, item: MenuItemId) -> Result<Vec<SubMenuItem>>;
    /// A sub-item of exactly this owner.
    async fn find_by_id(&self, owner: Option<CompanyId>, id: SubMenuItemId) -> Result<Option<SubMenuItem>>;
}

/// A filter of audit records. `None` does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this kind of entity.
    pub entity_type: Option<EntityType>,
    /// About this entity.
    pub entity_id: Option<Uuid>,
    /// Of exactly this action.
    pub action: Option<String>,
    /// By the user or the API key with this id.
    pub actor_id: Option<Uuid>,
    /// Not before this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether the filter admits a record.
    #[must_use]
    pub fn matches(&self, record: &AuditRecord) -> bool {
        self.entity_type.is_none_or(|entity_type| entity_type == record.entity_type)
            && self.entity_id.is_none_or(|id| id == record.entity_id)
            && self.action.as_ref().is_none_or(|action| *action == record.action)
            && self.actor_id.is_none_or(|id| Some(id) == record.actor.id())
            && self.from.is_none_or(|from| record.timestamp >= from)
            && self.to.is_none_or(|to| record.timestamp < to)
    }
}

/// A position in the audit trail: the last record of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditCursor {
    /// The record's time.
    pub timestamp: Timestamp,
    /// The record's id.
    pub id: AuditRecordId,
}

/// The audit trail, newest first, ties by id descending. The company `None` is the platform.
#[async_trait]
pub trait AuditLogs: Send + Sync {
    /// At most `limit` records of a company that come after `cursor` in the list.
    async fn list_for_company(
        &self,
        company: Option<CompanyId>,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        limit: u64,
    ) -> Result<Vec<AuditRecord>>;
    /// How many records of a company there are, counted up to `at_most`.
    async fn count_for_company(&self, company: Option<CompanyId>, filter: &AuditFilter, at_most: u64) -> Result<u64>;
    /// The newest records about an entity.
    async fn list_for_entity(
        &self,
        company: Option<CompanyId>,
        entity_type: EntityType,
        entity_id: Uuid,
        limit: u64,
    ) -> Result<Vec<AuditRecord>>;
    /// The newest records by a user.
    async fn list_for_user(&self, company: Option<CompanyId>, user: UserId, limit: u64) -> Result<Vec<AuditRecord>>;
}

/// The state of a company as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompanyState {
    /// Its version: grows with each committed change, in commit order.
    pub version: i64,
    /// When it was provisioned.
    pub provisioned_at: Option<Timestamp>,
}

/// The companies' versions.
#[async_trait]
pub trait CompanyStates: Send + Sync {
    /// A company's state; `None` before its first change.
    async fn read(&self, company: CompanyId) -> Result<Option<CompanyState>>;
    /// The current versions; without a company, or before its first change, the company's is 0.
    async fn versions(&self, company: Option<CompanyId>) -> Result<Versions>;
}

/// The stamps that belong to [`Versions`]: see [`StateId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamps {
    /// The stamp of the catalog's version.
    pub catalog: i64,
    /// The stamp of the company's version; 0 before its first change.
    pub company: i64,
}

/// The data that decides, read at one moment, with the versions that it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped<T> {
    /// The versions that the read saw.
    pub versions: Versions,
    /// The stamps of these versions.
    pub stamps: Stamps,
    /// The data.
    pub value: T,
}

impl<T> Stamped<T> {
    /// The catalog's state that was read.
    #[must_use]
    pub const fn catalog_state(&self) -> StateId {
        StateId { version: self.versions.catalog, stamp: self.stamps.catalog }
    }

    /// The company's state that was read.
    #[must_use]
    pub const fn company_state(&self) -> StateId {
        StateId { version: self.versions.company, stamp: self.stamps.company }
    }
}

/// Everything that a decision needs, from **one** state of the storage: never levels of one moment and rows of another.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// The data for one user in one company. Levels ascend by id. Unknown users and companies have no levels.
    async fn load_user(&self, company: CompanyId, user: UserId) -> Result<Stamped<Snapshot>>;
    /// The data for all users of one company.
    async fn load_company(&self, company: CompanyId) -> Result<Stamped<CompanySnapshot>>;
    /// The data for some users of one company: only they are holders, and only the levels that they hold are included.
    async fn load_users(&self, company: CompanyId, users: &[UserId]) -> Result<Stamped<CompanySnapshot>>;
    /// The catalog alone; the company's version is 0.
    async fn load_catalog(&self) -> Result<Stamped<Arc<Catalog>>>;
    /// The menu of exactly this owner: a company's own, or with `None` the menu of all companies, where the company's
    /// version is 0.
    async fn load_menu(&self, owner: Option<CompanyId>) -> Result<Stamped<Menu>>;
}

/// Users across companies: the names that issuers give external ones, and their cut-offs. **Across companies**: a user
/// is the same in all of them.
#[async_trait]
pub trait Users: Send + Sync {
    /// What is stored about these users, by id. Users about whom nothing is stored are left out.
    async fn find(&self, users: &[UserId]) -> Result<Vec<User>>;
}

/// The API keys of services. They belong to the platform, also keys for one company only.
#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// All keys, also revoked and expired ones, by name, then id.
    async fn find_all(&self) -> Result<Vec<ApiKey>>;
    /// The key with this id.
    async fn find_by_id(&self, id: ApiKeyId) -> Result<Option<ApiKey>>;
}

/// The changes since a version to what credentials are checked against.
#[derive(Debug, Clone)]
pub struct CredentialChanges {
    /// The epoch of the database.
    pub epoch: u64,
    /// The state that these changes lead to.
    pub state: StateId,
    /// Users with the time before which their tokens are refused.
    pub cutoffs: Vec<(UserId, Timestamp)>,
    /// API keys, also revoked and expired ones, with their digests.
    pub api_keys: Vec<(ApiKey, ApiKeyDigest)>,
    /// The version of the latest of these changes; `None` if nothing changed.
    pub latest: Option<i64>,
    /// The total number of API keys.
    pub api_key_count: usize,
}

impl CredentialChanges {
    /// Whether these changes account for the state that they lead to. They do not when rows were changed outside the
    /// service: only the version of the state was raised, or only rows were changed.
    #[must_use]
    pub fn account_for_the_state(&self, since: i64) -> bool {
        self.state.version == since || self.latest == Some(self.state.version)
    }
}

/// What credentials are checked against.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The changes after this version, of one moment; everything after version 0.
    async fn changes_since(&self, version: i64) -> Result<CredentialChanges>;
}

macro_rules! reader {
    ($($(#[doc = $doc:literal])+ $accessor:ident: $name:ident),+ $(,)?) => {
        /// All reads, one accessor a resource. A type that implements the resources is a reader.
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
    /// Views.
    views: Views,
    /// Modules.
    modules: Modules,
    /// Features.
    features: Features,
    /// Which features stand on which view.
    feature_views: FeatureViews,
    /// Which views a module gates.
    module_views: ModuleViews,
    /// Which features a module gates.
    module_features: ModuleFeatures,
    /// Which modules a company has.
    company_modules: CompanyModules,
    /// User levels.
    user_levels: UserLevels,
    /// View matrices.
    view_permissions: ViewPermissions,
    /// Feature matrices.
    feature_permissions: FeaturePermissions,
    /// Who holds which level.
    assignments: Assignments,
    /// Menu items.
    menu_items: MenuItems,
    /// Sub-items of the menu.
    sub_menu_items: SubMenuItems,
    /// The audit trail.
    audit_logs: AuditLogs,
    /// The companies' versions.
    company_states: CompanyStates,
    /// The data that decides, read at one moment.
    snapshots: Snapshots,
    /// Users across companies.
    users: Users,
    /// The API keys of services.
    api_keys: ApiKeys,
    /// What credentials are checked against.
    credentials: Credentials,
}
