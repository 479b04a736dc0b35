//! The reads: lists, individual entities, and the audit log. These methods do not check permissions, so the caller must
//! already have been authorized.

use std::collections::BTreeMap;

use iam_domain::{
    ApiKey, ApiKeyId, AssignedUserLevel, AuditRecord, CompanyId, EntityType, ExternalId, Feature, FeatureId,
    FeaturePermission, GrantedModule, MenuItem, MenuItemId, Module, ModuleId, SubMenuItem, SubMenuItemId, User, UserId,
    UserLevel, UserLevelId, View, ViewId, ViewPermission,
};
use iam_storage::{AuditCursor, AuditFilter, AuditRecords, CompanyMatrix, LevelAssignment, PageBounds, Stamped};

use crate::blocking::{compute, give_way};
use crate::changes::credentials::API_KEY;
use crate::changes::features::FEATURE;
use crate::changes::menu::{MENU_ITEM, SUB_MENU_ITEM};
use crate::changes::modules::MODULE;
use crate::changes::user_levels::USER_LEVEL;
use crate::changes::views::VIEW;
use crate::external_ids::external_ids;
use crate::names::{References, names_of_record};
use crate::profiles::USER;
use crate::{Application, Failure, Names};

/// Maximum number of elements that are counted for the total of a list.
pub(crate) const COUNT_LIMIT: u64 = 10_000;

/// Maximum size of the records on a page of the audit log, in bytes of JSON.
const AUDIT_PAGE_BYTES: u64 = 1024 * 1024;

/// Maximum size of the names on a page of the audit log, in bytes.
const AUDIT_PAGE_NAME_BYTES: usize = 1024 * 1024;

/// The total number of elements of a list: exact, or a lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// The exact number of elements.
    Exactly(u64),
    /// A lower bound: there are more elements than this number.
    MoreThan(u64),
}

impl Total {
    /// Returns the total for a count that stopped after [`COUNT_LIMIT`] + 1 elements.
    pub(crate) const fn counted(count: u64) -> Self {
        if count > COUNT_LIMIT { Self::MoreThan(COUNT_LIMIT) } else { Self::Exactly(count) }
    }
}

/// A page of the audit log.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The records, sorted from newest to oldest.
    pub records: Vec<NamedRecord>,
    /// The cursor of the next page. `None` on the last page.
    pub next: Option<AuditCursor>,
    /// The total number of matching records, if it was requested.
    pub total: Option<Total>,
    /// The stored external ids of the users that the records refer to.
    pub external_ids: BTreeMap<UserId, ExternalId>,
}

/// An audit record with the names of the entities that it refers to.
#[derive(Debug, Clone)]
pub struct NamedRecord {
    /// The record.
    pub record: AuditRecord,
    /// The names of the entities that the record refers to, by id. A deleted entity has the name that the record
    /// contains.
    pub names: Names,
}

/// Returns the users that a record refers to: the actor if it is a user, and the user to whom the change applies, if
/// any.
fn named_users(record: &AuditRecord) -> impl Iterator<Item = UserId> {
    let is_about_user = matches!(record.entity_type, EntityType::Assignment | EntityType::User);
    let about = is_about_user.then(|| UserId::from_uuid(record.entity_id));
    record.actor.user_id().into_iter().chain(about)
}

impl Application {
    /// Returns the levels of a company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn user_levels(&self, company: CompanyId) -> Result<Vec<UserLevel>, Failure> {
        Ok(self.reader().user_levels().find_all(company).await?)
    }

    /// Returns a level of a company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the level does not exist, and [`Failure::Unavailable`] if the storage cannot be
    /// read.
    pub async fn user_level(&self, company: CompanyId, id: UserLevelId) -> Result<UserLevel, Failure> {
        self.reader().user_levels().find_by_id(company, id).await?.ok_or(Failure::NotFound(USER_LEVEL))
    }

    /// Returns the levels that are assigned to a user in a company, with the periods of the assignments.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn levels_of_user(&self, company: CompanyId, user: UserId) -> Result<Vec<AssignedUserLevel>, Failure> {
        let assigned = self.reader().assignments().get_assigned(company, user).await?;
        Ok(assigned.into_iter().map(LevelAssignment::into_assigned).collect())
    }

    /// Returns the matrices of all levels of a company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn matrix(&self, company: CompanyId) -> Result<Stamped<CompanyMatrix>, Failure> {
        Ok(self.reader().snapshots().load_matrix(company).await?)
    }

    /// Returns the view matrix of a level.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the level does not exist, and [`Failure::Unavailable`] if the storage cannot be
    /// read.
    pub async fn view_permissions(
        &self,
        company: CompanyId,
        level: UserLevelId,
    ) -> Result<Vec<ViewPermission>, Failure> {
        let permissions = self.reader().view_permissions().find_by_user_level(company, level).await?;
        if permissions.is_empty() {
            self.user_level(company, level).await?;
        }
        Ok(permissions)
    }

    /// Returns the feature matrix of a level.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the level does not exist, and [`Failure::Unavailable`] if the storage cannot be
    /// read.
    pub async fn feature_permissions(
        &self,
        company: CompanyId,
        level: UserLevelId,
    ) -> Result<Vec<FeaturePermission>, Failure> {
        let permissions = self.reader().feature_permissions().find_by_user_level(company, level).await?;
        if permissions.is_empty() {
            self.user_level(company, level).await?;
        }
        Ok(permissions)
    }

    /// Returns all views.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn views(&self) -> Result<Vec<View>, Failure> {
        Ok(self.reader().views().find_all().await?)
    }

    /// Returns a view.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the view does not exist, and [`Failure::Unavailable`] if the storage cannot be
    /// read.
    pub async fn view(&self, id: ViewId) -> Result<View, Failure> {
        self.reader().views().find_by_id(id).await?.ok_or(Failure::NotFound(VIEW))
    }

    /// Returns all features.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn features(&self) -> Result<Vec<Feature>, Failure> {
        Ok(self.reader().features().find_all().await?)
    }

    /// Returns a feature.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the feature does not exist, and [`Failure::Unavailable`] if the storage cannot
    /// be read.
    pub async fn feature(&self, id: FeatureId) -> Result<Feature, Failure> {
        self.reader().features().find_by_id(id).await?.ok_or(Failure::NotFound(FEATURE))
    }

    /// Returns the views that a feature is shown on.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the feature does not exist, and [`Failure::Unavailable`] if the storage cannot
    /// be read.
    pub async fn feature_views(&self, id: FeatureId) -> Result<Vec<View>, Failure> {
        let views = self.reader().feature_views().get_views_by_feature(id).await?;
        if views.is_empty() {
            self.feature(id).await?;
        }
        Ok(views)
    }

    /// Returns all modules.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn modules(&self) -> Result<Vec<Module>, Failure> {
        Ok(self.reader().modules().find_all().await?)
    }

    /// Returns a module.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the module does not exist, and [`Failure::Unavailable`] if the storage cannot
    /// be read.
    pub async fn module(&self, id: ModuleId) -> Result<Module, Failure> {
        self.reader().modules().find_by_id(id).await?.ok_or(Failure::NotFound(MODULE))
    }

    /// Returns the views that a module gates.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the module does not exist, and [`Failure::Unavailable`] if the storage cannot
    /// be read.
    pub async fn module_views(&self, id: ModuleId) -> Result<Vec<View>, Failure> {
        let views = self.reader().module_views().get_views_by_module(id).await?;
        if views.is_empty() {
            self.module(id).await?;
        }
        Ok(views)
    }

    /// Returns the features that a module gates.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the module does not exist, and [`Failure::Unavailable`] if the storage cannot
    /// be read.
    pub async fn module_features(&self, id: ModuleId) -> Result<Vec<Feature>, Failure> {
        let features = self.reader().module_features().get_features_by_module(id).await?;
        if features.is_empty() {
            self.module(id).await?;
        }
        Ok(features)
    }

    /// Returns the modules that are granted to a company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn company_modules(&self, company: CompanyId) -> Result<Vec<GrantedModule>, Failure> {
        Ok(self.reader().company_modules().get_modules_by_company(company).await?)
    }

    /// Returns all API keys, including revoked and expired keys.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, Failure> {
        Ok(self.reader().api_keys().find_all().await?)
    }

    /// Returns an API key.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the API key does not exist, and [`Failure::Unavailable`] if the storage cannot
    /// be read.
    pub async fn api_key(&self, id: ApiKeyId) -> Result<ApiKey, Failure> {
        self.reader().api_keys().find_by_id(id).await?.ok_or(Failure::NotFound(API_KEY))
    }

    /// Returns the menu items that are common to all companies. If a company is given, the menu items of this company
    /// are included.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn menu_items(&self, company: Option<CompanyId>) -> Result<Vec<MenuItem>, Failure> {
        Ok(self.reader().menu_items().find_all(company).await?)
    }

    /// Returns a menu item that is common to all companies or belongs to the given company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the item does not exist, and [`Failure::Unavailable`] if the storage cannot be
    /// read.
    pub async fn menu_item(&self, company: Option<CompanyId>, id: MenuItemId) -> Result<MenuItem, Failure> {
        let items = self.reader().menu_items();
        let mut found = items.find_by_id(company, id).await?;
        if found.is_none() && company.is_some() {
            found = items.find_by_id(None, id).await?;
        }
        found.ok_or(Failure::NotFound(MENU_ITEM))
    }

    /// Returns the menu sub-items that are common to all companies. If a company is given, the sub-items of this
    /// company are included.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn sub_menu_items(&self, company: Option<CompanyId>) -> Result<Vec<SubMenuItem>, Failure> {
        Ok(self.reader().sub_menu_items().find_all(company).await?)
    }

    /// Returns a menu sub-item that is common to all companies or belongs to the given company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if the sub-item does not exist, and [`Failure::Unavailable`] if the storage cannot
    /// be read.
    pub async fn sub_menu_item(&self, company: Option<CompanyId>, id: SubMenuItemId) -> Result<SubMenuItem, Failure> {
        let items = self.reader().sub_menu_items();
        let mut found = items.find_by_id(company, id).await?;
        if found.is_none() && company.is_some() {
            found = items.find_by_id(None, id).await?;
        }
        found.ok_or(Failure::NotFound(SUB_MENU_ITEM))
    }

    /// Returns a page of the audit log of a company, or of the platform if `company` is `None` (keyset pagination). A
    /// page contains at most `limit` records. A page whose records or names are large contains fewer records.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn audit_logs(
        &self,
        company: Option<CompanyId>,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        limit: u64,
        include_total: bool,
    ) -> Result<AuditPage, Failure> {
        let logs = self.reader().audit_logs();
        let bounds = PageBounds { records: limit, bytes: AUDIT_PAGE_BYTES };
        let AuditRecords { records, has_more } = logs.list_for_company(company, filter, cursor, bounds).await?;
        let (records, references) = compute(move || {
            let references = References::of(&records);
            (records, references)
        })
        .await?;
        let known = self.names_in(company, references).await?;
        let (page, is_complete) = compute(move || named(records, &known)).await?;
        let has_more = has_more || !is_complete;
        let last = page.last().map(|NamedRecord { record, .. }| record);
        let next = last.filter(|_| has_more).map(|last| AuditCursor { timestamp: last.timestamp, id: last.id });
        let total = match include_total {
            false => None,
            true => Some(Total::counted(logs.count_for_company(company, filter, COUNT_LIMIT + 1).await?)),
        };
        let users = page.iter().flat_map(|NamedRecord { record, .. }| named_users(record));
        let external_ids = external_ids(self.reader().users(), users).await?;
        Ok(AuditPage { records: page, next, total, external_ids })
    }

    /// Returns the stored data of a user. If a company is given, the user must hold a level in this company. The
    /// user's token cut-off is then omitted, because it is visible only in platform-wide requests.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if a company is given and the user holds no level in it, and
    /// [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn user(&self, company: Option<CompanyId>, id: UserId) -> Result<User, Failure> {
        if let Some(company) = company
            && self.levels_of_user(company, id).await?.is_empty()
        {
            return Err(Failure::NotFound(USER));
        }
        let stored = self.reader().users().find(&[id]).await?.pop();
        let user = stored.unwrap_or(User { id, external_id: None, not_before: None });
        Ok(User { not_before: user.not_before.filter(|_| company.is_none()), ..user })
    }
}

/// Adds the names to the records of a page, up to the maximum size of the names. Returns `false` if the result does not
/// contain all records.
fn named(records: Vec<AuditRecord>, known: &Names) -> (Vec<NamedRecord>, bool) {
    let (mut page, mut bytes) = (Vec::with_capacity(records.len()), 0);
    for record in records {
        give_way();
        let names = names_of_record(&record, known);
        bytes += names.values().map(String::len).sum::<usize>();
        if bytes > AUDIT_PAGE_NAME_BYTES && !page.is_empty() {
            return (page, false);
        }
        page.push(NamedRecord { record, names });
    }
    (page, true)
}
