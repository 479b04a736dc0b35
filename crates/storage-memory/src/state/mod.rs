//! The state of a storage, in persistent maps. Each unit of work changes a copy of the state.

mod catalog;
mod change_log;
mod company;
mod credentials;
mod ids;
mod owned;

use std::sync::{Arc, LazyLock, OnceLock};

use iam_domain::{
    Actor, CommitStamp, CompanyId, ExternalId, FeatureId, FeatureKey, IdempotencyKey, Timestamp, UserId, Versions,
    ViewId,
};
use iam_storage::{IdempotencyRecord, MenuUse, Target};
use imbl::OrdMap;

use crate::state::change_log::ChangeLog;
use crate::state::credentials::CredentialsData;
use crate::state::ids::RowIds;
use crate::state::owned::AuditLog;

pub(crate) use catalog::CatalogData;
pub(crate) use company::{CompanyData, LevelData};
pub(crate) use credentials::with_last_use;
pub(crate) use ids::{IdChanges, RowId, RowKind};
pub(crate) use owned::MenuData;

/// All data from which decisions are computed, with the menus and the audit logs.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) catalog: Arc<CatalogData>,
    pub(crate) companies: OrdMap<CompanyId, Arc<CompanyData>>,
    pub(crate) credentials: Arc<CredentialsData>,
    /// The external ids of users from external issuers.
    pub(crate) external_ids: OrdMap<UserId, ExternalId>,
    /// The records of requests with idempotency keys, by caller and key, each with the company that the request changed.
    pub(crate) idempotency: OrdMap<(Actor, IdempotencyKey), (Option<CompanyId>, IdempotencyRecord)>,
    pub(crate) log: ChangeLog,
    pub(crate) ids: RowIds,
}

/// The data of a company that has never been changed.
static NO_COMPANY: LazyLock<CompanyData> = LazyLock::new(CompanyData::default);
static NO_MENU: LazyLock<MenuData> = LazyLock::new(MenuData::default);

impl State {
    pub(crate) fn company(&self, id: CompanyId) -> &CompanyData {
        self.companies.get(&id).map_or(&NO_COMPANY, Arc::as_ref)
    }

    pub(crate) fn company_mut(&mut self, id: CompanyId) -> &mut CompanyData {
        Arc::make_mut(self.companies.entry(id).or_default())
    }

    pub(crate) fn credentials_mut(&mut self) -> &mut CredentialsData {
        Arc::make_mut(&mut self.credentials)
    }

    /// Returns a mutable reference to the catalog and invalidates the compiled catalog.
    pub(crate) fn catalog_mut(&mut self) -> &mut CatalogData {
        let catalog = Arc::make_mut(&mut self.catalog);
        catalog.compiled = OnceLock::new();
        catalog
    }

    /// Returns the companies for which `concerned` returns `true`. If a change to the catalog modifies only these
    /// companies, the data of all other companies remains shared with older states.
    pub(crate) fn companies_where(&self, concerned: impl Fn(&CompanyData) -> bool) -> Vec<CompanyId> {
        self.companies.iter().filter(|(_, company)| concerned(company)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn menu(&self, owner: Option<CompanyId>) -> &MenuData {
        owner.map_or(&self.catalog.menu, |company| &self.company(company).menu)
    }

    pub(crate) fn menu_mut(&mut self, owner: Option<CompanyId>) -> &mut MenuData {
        match owner {
            None => &mut self.catalog_mut().menu,
            Some(company) => &mut self.company_mut(company).menu,
        }
    }

    /// Returns the company's own menu, without the common menu. For `None`, returns an empty menu.
    pub(crate) fn own_menu(&self, company: Option<CompanyId>) -> &MenuData {
        company.map_or(&NO_MENU, |company| &self.company(company).menu)
    }

    /// Returns the items and sub-items of all menus for which `uses` returns `true`, ordered by label, then id. The
    /// arguments of `uses` are the view and the feature of an item or sub-item.
    pub(crate) fn menu_uses(&self, uses: impl Fn(Option<ViewId>, Option<FeatureId>) -> bool) -> Vec<MenuUse> {
        let mut found: Vec<_> = self
            .menus()
            .flat_map(|menu| {
                let items = menu.items.values().filter(|item| uses(item.view_id, item.feature_id));
                let sub_items = menu.sub_items.values().filter(|item| uses(item.view_id, item.feature_id));
                items
                    .map(|item| MenuUse { label: item.label.clone(), id: item.id.as_uuid() })
                    .chain(sub_items.map(|item| MenuUse { label: item.label.clone(), id: item.id.as_uuid() }))
            })
            .collect();
        found.sort();
        found
    }

    /// Returns the items of all menus that require this feature key, ordered by label, then id.
    pub(crate) fn menu_items_requiring(&self, key: &FeatureKey) -> Vec<MenuUse> {
        let items = self.menus().flat_map(|menu| menu.items.values());
        let mut found: Vec<_> = items
            .filter(|item| item.required_permissions.as_ref().is_some_and(|keys| keys.contains(key)))
            .map(|item| MenuUse { label: item.label.clone(), id: item.id.as_uuid() })
            .collect();
        found.sort();
        found
    }

    /// Returns the common menu and the menus of all companies.
    fn menus(&self) -> impl Iterator<Item = &MenuData> {
        std::iter::once(&self.catalog.menu).chain(self.companies.values().map(|company| &company.menu))
    }

    pub(crate) fn audit(&self, owner: Option<CompanyId>) -> &AuditLog {
        owner.map_or(&self.catalog.audit, |company| &self.company(company).audit)
    }

    pub(crate) fn audit_mut(&mut self, owner: Option<CompanyId>) -> &mut AuditLog {
        match owner {
            None => &mut self.catalog_mut().audit,
            Some(company) => &mut self.company_mut(company).audit,
        }
    }

    /// Returns the versions of this state at the time `now`.
    pub(crate) fn versions(&self, epoch: u64, company: Option<CompanyId>, now: Timestamp) -> Versions {
        let passed = company.and_then(|company| self.company(company).passed_boundary(now));
        Versions { boundary: passed.map_or(0, |passed| passed.micros()), ..self.committed(epoch, company) }
    }

    /// Returns the versions that the latest changes produced.
    fn committed(&self, epoch: u64, company: Option<CompanyId>) -> Versions {
        let company = company.map_or(0, |company| self.company(company).version);
        Versions { epoch, catalog: self.catalog.version, company, boundary: 0 }
    }

    /// Returns the commit stamp of the target: the epoch, and the target's versions in this state.
    pub(crate) fn stamp(&self, epoch: u64, target: Target) -> CommitStamp {
        match target {
            Target::Catalog => CommitStamp::Catalog { epoch, version: self.catalog.version },
            Target::Company(company) => CommitStamp::Company(self.committed(epoch, Some(company))),
            Target::Credentials => CommitStamp::Credentials { epoch, version: self.credentials.version },
        }
    }

    /// Replaces the part of the state that a unit of work for `target` may change with the corresponding part of
    /// `work`.
    pub(crate) fn adopt(&mut self, target: Target, work: &Self) {
        match target {
            // A change to the catalog excludes all other changes, so no company has changed in the meantime.
            Target::Catalog => {
                self.catalog = Arc::clone(&work.catalog);
                self.companies = work.companies.clone();
            }
            // A change to the credentials excludes changes to the catalog, so no other change has written audit records
            // of the platform in the meantime.
            Target::Credentials => {
                self.credentials = Arc::clone(&work.credentials);
                self.catalog = Arc::clone(&work.catalog);
            }
            Target::Company(id) => {
                self.companies.extend(work.companies.get(&id).map(|own| (id, Arc::clone(own))));
                self.log.record(id);
            }
        }
    }
}
