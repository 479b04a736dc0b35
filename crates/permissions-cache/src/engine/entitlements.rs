//! What the platform makes available to a company, as an input to compiled sets.

use std::collections::BTreeSet;

use iam_domain::{Ceilings, CompanyStatus, ModuleId, Snapshot};

/// The status, the modules and the ceilings of a company. The compiled sets of the company share them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entitlements {
    /// The status of the company.
    pub(crate) status: CompanyStatus,
    /// The modules that the company has and that are enabled for it.
    pub(crate) modules: BTreeSet<ModuleId>,
    /// The ceilings of the company.
    pub(crate) ceilings: Ceilings,
}

impl Entitlements {
    /// Returns `true` if they are the entitlements in the snapshot.
    pub(crate) fn are_of(&self, snapshot: &Snapshot) -> bool {
        self.status == snapshot.status && self.modules == snapshot.modules && self.ceilings == snapshot.ceilings
    }
}

impl From<&Snapshot> for Entitlements {
    fn from(snapshot: &Snapshot) -> Self {
        let (modules, ceilings) = (snapshot.modules.clone(), snapshot.ceilings.clone());
        Self { status: snapshot.status, modules, ceilings }
    }
}
