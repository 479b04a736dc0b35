//! The content of a company: the data that an export contains and that an import installs.

use std::collections::BTreeMap;
use std::sync::Arc;

use iam_domain::{
    Ceilings, CompanyDetails, CompanyId, CompanyModule, Menu, QuotaOverrides, Timestamp, UserId, UserProfile,
};

use crate::{Assigned, CompanyCopy, CopiedLevel};

/// The data of a company, without its audit log and its API keys, and without data that the service derives or
/// discards on its own, such as versions, effective-permission rows and navigation trails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyContent {
    /// The company.
    pub company: CompanyId,
    /// The time when the company was provisioned, or `None` if it has not been provisioned.
    pub provisioned_at: Option<Timestamp>,
    /// The name and the status of the company.
    pub details: CompanyDetails,
    /// The modules of the company, both enabled and disabled, ordered by module id.
    pub modules: Vec<CompanyModule>,
    /// The ceilings of the company.
    pub ceilings: Ceilings,
    /// The overrides of the company's quotas.
    pub quotas: QuotaOverrides,
    /// The levels of the company, ordered by id.
    pub levels: Vec<CopiedLevel>,
    /// The levels that are assigned to each user, with the period of each assignment.
    pub holders: BTreeMap<UserId, Arc<Assigned>>,
    /// The company's own menu, in its order.
    pub menu: Menu,
    /// The profiles of users, ordered by user id.
    pub profiles: Vec<UserProfile>,
}

impl CompanyContent {
    /// Returns the content of a company without data, as before its first change.
    #[must_use]
    pub fn empty(company: CompanyId) -> Self {
        Self {
            company,
            provisioned_at: None,
            details: CompanyDetails::default(),
            modules: Vec::new(),
            ceilings: Ceilings::default(),
            quotas: QuotaOverrides::default(),
            levels: Vec::new(),
            holders: BTreeMap::new(),
            menu: Menu::default(),
            profiles: Vec::new(),
        }
    }

    /// Returns the content of a company from its copy and the profiles of its users.
    #[must_use]
    pub fn new(copy: CompanyCopy, profiles: Vec<UserProfile>) -> Self {
        Self {
            company: copy.company,
            provisioned_at: copy.state.provisioned_at,
            details: copy.state.details,
            modules: copy.modules,
            ceilings: copy.ceilings,
            quotas: copy.quotas,
            levels: copy.levels,
            holders: copy.holders,
            menu: copy.menu,
            profiles,
        }
    }

    /// Returns the number of assignments.
    #[must_use]
    pub fn assignments(&self) -> usize {
        self.holders.values().map(|held| held.len()).sum()
    }
}
