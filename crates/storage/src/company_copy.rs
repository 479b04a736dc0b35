//! The copy of a company, from which changes are simulated.

use std::collections::BTreeMap;
use std::sync::Arc;

use iam_domain::{
    Catalog, Ceilings, CompanyId, CompanyModule, FeaturePermission, Menu, QuotaOverrides, Timestamp, UserId, UserLevel,
    ViewPermission,
};

use crate::{Assigned, CompanyState};

/// A level with the stored cells of its two matrices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedLevel {
    /// The level.
    pub level: UserLevel,
    /// The cells of the view matrix, ordered by view id.
    pub views: Vec<ViewPermission>,
    /// The cells of the feature matrix, ordered by feature id, then action.
    pub features: Vec<FeaturePermission>,
}

/// A copy of the data of a company that determines decisions and the outcome of changes, read in one consistent
/// snapshot. It contains no profiles, no audit records and no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyCopy {
    /// The company.
    pub company: CompanyId,
    /// The time at which the copy was read, by the clock of the storage.
    pub read_at: Timestamp,
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The state of the company.
    pub state: CompanyState,
    /// The modules of the company, both enabled and disabled, ordered by module id.
    pub modules: Vec<CompanyModule>,
    /// The ceilings of the company.
    pub ceilings: Ceilings,
    /// The overrides of the company's quotas.
    pub quotas: QuotaOverrides,
    /// The levels of the company, ordered by id.
    pub levels: Vec<CopiedLevel>,
    /// The levels that are assigned to each member of the company, with the period of each assignment. Members with the
    /// same levels and periods may share one map.
    pub holders: BTreeMap<UserId, Arc<Assigned>>,
    /// The company's own menu.
    pub menu: Menu,
    /// The common menu, whose items may use views and features.
    pub common_menu: Menu,
}
