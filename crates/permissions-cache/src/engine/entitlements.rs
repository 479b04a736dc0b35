//! What the platform makes available to a company, as an input to compiled sets.

use std::collections::BTreeSet;
use std::sync::Arc;

use iam_domain::{
    Action, Catalog, Ceilings, CompanySnapshot, CompanyStatus, FeatureId, ModuleId, Scope, Snapshot, ViewId,
};

use crate::engine::memory_usage::{MemoryUsage, Reservation};

/// The parts of a snapshot that are equal for all users of the company.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommonParts<'a> {
    pub(crate) catalog: &'a Arc<Catalog>,
    status: CompanyStatus,
    modules: &'a BTreeSet<ModuleId>,
    ceilings: &'a Arc<Ceilings>,
}

impl<'a> From<&'a Snapshot> for CommonParts<'a> {
    fn from(Snapshot { catalog, status, modules, ceilings, levels: _ }: &'a Snapshot) -> Self {
        Self { catalog, status: *status, modules, ceilings }
    }
}

impl<'a> From<&'a CompanySnapshot> for CommonParts<'a> {
    fn from(CompanySnapshot { catalog, status, modules, ceilings, .. }: &'a CompanySnapshot) -> Self {
        Self { catalog, status: *status, modules, ceilings }
    }
}

/// The status, the modules and the ceilings of a company. The compiled sets of the company share them.
#[derive(Debug, Default)]
pub(crate) struct Entitlements {
    /// The status of the company.
    pub(crate) status: CompanyStatus,
    /// The modules that the company has and that are enabled for it.
    pub(crate) modules: BTreeSet<ModuleId>,
    /// The ceilings of the company.
    pub(crate) ceilings: Arc<Ceilings>,
    _reservation: Option<Reservation>,
}

impl Entitlements {
    /// Returns the entitlements in a snapshot.
    pub(crate) fn new(snapshot: CommonParts<'_>, memory: &MemoryUsage) -> Self {
        let CommonParts { modules, ceilings, .. } = snapshot;
        let actions: usize = ceilings.actions.values().map(|actions| actions.len()).sum();
        // Trees have free space in their nodes, about half of the space of their elements.
        let bytes = modules.len() * size_of::<ModuleId>()
            + ceilings.hidden_views.len() * size_of::<ViewId>()
            + ceilings.actions.len() * size_of::<FeatureId>()
            + actions * size_of::<(Action, Option<Scope>)>();
        Self {
            status: snapshot.status,
            modules: modules.clone(),
            ceilings: Arc::clone(ceilings),
            _reservation: Some(memory.reserve(size_of::<Self>() + bytes * 3 / 2)),
        }
    }

    /// Returns `true` if they are the entitlements in a snapshot.
    pub(crate) fn are_of(&self, snapshot: CommonParts<'_>) -> bool {
        self.status == snapshot.status && self.modules == *snapshot.modules && self.ceilings == *snapshot.ceilings
    }
}
