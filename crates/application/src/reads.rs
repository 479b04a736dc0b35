//! Reads: lists, single entities, the audit trail. Callers are authorized before they get here.

use std::collections::BTreeMap;

use iam_domain::{
    ApiKey, ApiKeyId, AuditRecord, CompanyId, EntityType, ExternalId, Feature, FeatureId, FeaturePermission,
    GrantedModule, MenuItem, MenuItemId, Module, ModuleId, SubMenuItem, SubMenuItemId, User, UserId, UserLevel,
    UserLevelId, View, ViewId, ViewPermission,
};
use iam_storage::{AuditCursor, AuditFilter};

use crate::changes::credentials::API_KEY;
use crate::changes::features::FEATURE;
use crate::changes::menu::{MENU_ITEM, SUB_MENU_ITEM};
use crate::changes::modules::MODULE;
use crate::changes::user_levels::USER_LEVEL;
use crate::changes::views::VIEW;
use crate::external_ids::external_ids;
use crate::{Application, Failure};

/// The most records of the audit trail that are counted.
pub const COUNTED: u64 = 10_000;

/// The total number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// The exact number.
    Exactly(u64),
    /// More than this number, at which counting stopped.
    MoreThan(u64),
}

/// A page of the audit trail.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The records, newest first.
    pub records: Vec<AuditRecord>,
    /// The cursor of the next page, if there is one.
    pub next: Option<AuditCursor>,
    /// The total number of records, if requested.
    pub total: Option<Total>,
    /// The external ids of the users that the records name.
    pub external_ids: BTreeMap<UserId, ExternalId>,
}

/// A page of the users who hold a level.
#[derive(Debug, Clone)]
pub struct HoldersPage {
    /// The users, by id.
    pub users: Vec<UserId>,
    /// Whether there are more after the last one.
    pub has_next: bool,
    /// Their external ids, as far as they are stored.
    pub external_ids: BTreeMap<UserId, ExternalId>,
}

/// The users that a record names: the actor and the affected user.
fn named_users(record: &AuditRecord) -> impl Iterator<Item = UserId> {
    let is_about_user = matches!(record.entity_type, EntityType::Assignment | EntityType::User);
    let about = is_about_user.then(|| UserId::from_uuid(record.entity_id));
    record.user_id.into_iter().chain(about)
}

/// Every read returns `Unavailable` when the storage cannot be reached; a read of one entity may return `NotFound`.
macro_rules! reads {
    ($($(#[doc = $doc:literal])+ $name:ident($($arg:ident: $type:ty),*) -> $answer:ty = |$this:ident, $reader:ident| $body:expr;)+) => {
        impl Application {$(
            $(#[doc = $doc])+
            ///
            /// # Errors
            ///
            /// `Unavailable`; `NotFound` for a read of one entity.
            pub async fn $name(&self, $($arg: $type),*) -> Result<$answer, Failure> {
                let $this = self;
                let $reader = $this.reader();
                Ok($body)
            }
        )+}
    };
}

reads! {
    /// The levels of a company.
    user_levels(company: CompanyId) -> Vec<UserLevel> = |this, reader| reader.user_levels().find_all(company).await?;
    /// A level of a company.
    user_level(company: CompanyId, id: UserLevelId) -> UserLevel = |this, reader| {
        reader.user_levels().find_by_id(company, id).await?.ok_or(Failure::NotFound(USER_LEVEL))?
    };
    /// The levels that a user holds in a company.
    levels_of_user(company: CompanyId, user: UserId) -> Vec<UserLevel> = |this, reader| {
        reader.assignments().get_user_levels(company, user).await?
    };
    /// The view matrix of a level.
    view_permissions(company: CompanyId, level: UserLevelId) -> Vec<ViewPermission> = |this, reader| {
        let cells = reader.view_permissions().find_by_user_level(company, level).await?;
        if cells.is_empty() {
            this.user_level(company, level).await?;
        }
        cells
    };
    /// The feature matrix of a level.
    feature_permissions(company: CompanyId, level: UserLevelId) -> Vec<FeaturePermission> = |this, reader| {
        let cells = reader.feature_permissions().find_by_user_level(company, level).await?;
        if cells.is_empty() {
            this.user_level(company, level).await?;
        }
        cells
    };
    /// All views.
    views() -> Vec<View> = |this, reader| reader.views().find_all().await?;
    /// A view.
    view(id: ViewId) -> View = |this, reader| reader.views().find_by_id(id).await?.ok_or(Failure::NotFound(VIEW))?;
    /// All features.
    features() -> Vec<Feature> = |this, reader| reader.features().find_all().await?;
    /// A feature.
    feature(id: FeatureId) -> Feature = |this, reader| {
        reader.features().find_by_id(id).await?.ok_or(Failure::NotFound(FEATURE))?
    };
    /// The views on which a feature is shown.
    feature_views(id: FeatureId) -> Vec<View> = |this, reader| {
        let views = reader.feature_views().get_views_by_feature(id).await?;
        if views.is_empty() {
            this.feature(id).await?;
        }
        views
    };
    /// All modules.
    modules() -> Vec<Module> = |this, reader| reader.modules().find_all().await?;
    /// A module.
    module(id: ModuleId) -> Module = |this, reader| {
        reader.modules().find_by_id(id).await?.ok_or(Failure::NotFound(MODULE))?
    };
    /// The views of a module.
    module_views(id: ModuleId) -> Vec<View> = |this, reader| {
        let views = reader.module_views().get_views_by_module(id).await?;
        if views.is_empty() {
            this.module(id).await?;
        }
        views
    };
    /// The features of a module.
    module_features(id: ModuleId) -> Vec<Feature> = |this, reader| {
        let features = reader.module_features().get_features_by_module(id).await?;
        if features.is_empty() {
            this.module(id).await?;
        }
        features
    };
    /// The modules of a company.
    company_modules(company: CompanyId) -> Vec<GrantedModule> = |this, reader| {
        reader.company_modules().get_modules_by_company(company).await?
    };
    /// All API keys, including revoked and expired ones.
    api_keys() -> Vec<ApiKey> = |this, reader| reader.api_keys().find_all().await?;
    /// An API key.
    api_key(id: ApiKeyId) -> ApiKey = |this, reader| {
        reader.api_keys().find_by_id(id).await?.ok_or(Failure::NotFound(API_KEY))?
    };
    /// The menu items common to all companies and those of this one.
    menu_items(company: Option<CompanyId>) -> Vec<MenuItem> = |this, reader| reader.menu_items().find_all(company).await?;
    /// A menu item common to all companies, or of this one.
    menu_item(company: Option<CompanyId>, id: MenuItemId) -> MenuItem = |this, reader| {
        let items = reader.menu_items();
        match (items.find_by_id(company, id).await?, company) {
            (Some(item), _) => item,
            (None, Some(_)) => items.find_by_id(None, id).await?.ok_or(Failure::NotFound(MENU_ITEM))?,
            (None, None) => Err(Failure::NotFound(MENU_ITEM))?,
        }
    };
    /// The menu sub-items common to all companies and those of this one.
    sub_menu_items(company: Option<CompanyId>) -> Vec<SubMenuItem> = |this, reader| {
        reader.sub_menu_items().find_all(company).await?
    };
    /// A menu sub-item common to all companies, or of this one.
    sub_menu_item(company: Option<CompanyId>, id: SubMenuItemId) -> SubMenuItem = |this, reader| {
        let items = reader.sub_menu_items();
        match (items.find_by_id(company, id).await?, company) {
            (Some(item), _) => item,
            (None, Some(_)) => items.find_by_id(None, id).await?.ok_or(Failure::NotFound(SUB_MENU_ITEM))?,
            (None, None) => Err(Failure::NotFound(SUB_MENU_ITEM))?,
        }
    };
}

impl Application {
    /// A page of the audit trail of a company, or of the platform.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn audit_logs(
        &self,
        company: Option<CompanyId>,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        limit: u64,
        include_total: bool,
    ) -> Result<AuditPage, Failure> {
        let logs = self.reader().audit_logs();
        // One more than requested shows whether there is a next page.
        let mut records = logs.list_for_company(company, filter, cursor, limit + 1).await?;
        let page = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_next = records.len() > page;
        records.truncate(page);
        let next = records
            .last()
            .filter(|_| has_next)
            .map(|record| AuditCursor { timestamp: record.timestamp, id: record.id });
        let total = match include_total {
            false => None,
            true => Some(match logs.count_for_company(company, filter, COUNTED + 1).await? {
                count if count > COUNTED => Total::MoreThan(COUNTED),
                count => Total::Exactly(count),
            }),
        };
        let external_ids = external_ids(self.reader().users(), records.iter().flat_map(named_users)).await?;
        Ok(AuditPage { records, next, total, external_ids })
    }

    /// A page of the users who hold a level of a company: at most `limit` users with ids after `after`.
    ///
    /// # Errors
    ///
    /// `Unavailable`; `NotFound` for a level that the company does not have.
    pub async fn holders(
        &self,
        company: CompanyId,
        level: UserLevelId,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<HoldersPage, Failure> {
        // One more than requested shows whether there is a next page.
        let mut users = self.reader().assignments().list_users(company, level, after, limit + 1).await?;
        if users.is_empty() {
            self.user_level(company, level).await?;
        }
        let page = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_next = users.len() > page;
        users.truncate(page);
        let external_ids = external_ids(self.reader().users(), users.iter().copied()).await?;
        Ok(HoldersPage { users, has_next, external_ids })
    }

    /// A user, independent of levels. A company finds only users who hold one of its levels; the cut-off is visible to
    /// the platform only.
    ///
    /// # Errors
    ///
    /// `Unavailable`; `NotFound`.
    pub async fn user(&self, company: Option<CompanyId>, id: UserId) -> Result<User, Failure> {
        if let Some(company) = company
            && self.levels_of_user(company, id).await?.is_empty()
        {
            return Err(Failure::NotFound("User"));
        }
        let stored = self.reader().users().find(&[id]).await?.pop();
        let user = stored.unwrap_or(User { id, external_id: None, not_before: None });
        Ok(User { not_before: user.not_before.filter(|_| company.is_none()), ..user })
    }
}
