//! The log of changed companies, which the change feed reads.

use std::ops::Bound;

use iam_domain::CompanyId;
use imbl::OrdMap;

/// The companies that changed, in the order of their latest commits. Each company is listed once, so the number of
/// companies limits the size of the log.
#[derive(Clone, Default)]
pub(crate) struct ChangeLog {
    /// The position of the latest change to any company.
    pub(crate) latest: u64,
    in_order: OrdMap<u64, CompanyId>,
    positions: OrdMap<CompanyId, u64>,
}

impl ChangeLog {
    /// Records that a company changed.
    pub(crate) fn record(&mut self, company: CompanyId) {
        self.latest += 1;
        if let Some(before) = self.positions.insert(company, self.latest) {
            self.in_order.remove(&before);
        }
        self.in_order.insert(self.latest, company);
    }

    /// Returns the companies that changed after `position`, in the order of their latest commits.
    pub(crate) fn since(&self, position: u64) -> impl Iterator<Item = CompanyId> {
        self.in_order.range((Bound::Excluded(position), Bound::Unbounded)).map(|(_, company)| *company)
    }
}
