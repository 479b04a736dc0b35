//! The simulation of changes: copies of companies, and units of work on such copies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{
    Catalog, Ceilings, CompanyId, CompanyModule, FeaturePermission, Menu, QuotaOverrides, UserId, UserLevel,
    UserLevelId, ViewPermission,
};

use crate::stamped::Stamped;
use crate::{ChangeContext, CompanyState, Result, Target, UnitOfWork};

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
    /// The levels that each member of the company holds.
    pub holders: BTreeMap<UserId, BTreeSet<UserLevelId>>,
    /// The company's own menu.
    pub menu: Menu,
    /// The common menu, whose items may use views and features.
    pub common_menu: Menu,
}

/// Begins units of work on copies of companies. They apply the rules of a storage, and nothing that they do is stored.
#[async_trait]
pub trait Simulator: Send + Sync + 'static {
    /// Begins a unit of work for `target` on the copy of a company. The unit of work waits for no lock. Its reads return
    /// the data of the copy. Other companies, credentials, profiles, audit records and external ids of users are absent.
    ///
    /// # Errors
    ///
    /// Returns `Conflict` if the target is a company that was erased.
    async fn begin(
        &self,
        copy: &Stamped<CompanyCopy>,
        target: Target,
        context: ChangeContext,
    ) -> Result<Box<dyn UnitOfWork>>;
}
