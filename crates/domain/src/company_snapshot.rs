//! The inputs to the decisions about all users of a company.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Catalog, Ceilings, CompanyStatus, LevelPermissions, ModuleId, Snapshot, UserId, UserLevelId};

/// A consistent snapshot of all inputs to the decisions about the users of one company.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompanySnapshot {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The status of the company.
    pub status: CompanyStatus,
    /// The modules that the company has and that are enabled for it.
    pub modules: BTreeSet<ModuleId>,
    /// The ceilings of the company.
    pub ceilings: Arc<Ceilings>,
    /// The permissions of each level of the company.
    pub levels: BTreeMap<UserLevelId, LevelPermissions>,
    /// The levels that each member of the company holds. Members with the same levels may share one set.
    pub holders: BTreeMap<UserId, Arc<BTreeSet<UserLevelId>>>,
}

impl CompanySnapshot {
    /// Returns the part of the snapshot that determines the decisions about one user.
    #[must_use]
    pub fn of_user(&self, user: UserId) -> Snapshot {
        Snapshot {
            catalog: Arc::clone(&self.catalog),
            status: self.status,
            modules: self.modules.clone(),
            ceilings: Arc::clone(&self.ceilings),
            levels: self.levels_of(user).cloned().collect(),
        }
    }

    /// Returns the permissions of the levels that one user holds, ordered by level id.
    pub fn levels_of(&self, user: UserId) -> impl Iterator<Item = &LevelPermissions> {
        let held = self.holders.get(&user).into_iter().flat_map(|held| held.iter());
        held.filter_map(|level| self.levels.get(level))
    }
}
