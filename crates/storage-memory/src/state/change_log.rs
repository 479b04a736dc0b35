//! The log of changes that polls read.

use std::ops::Bound;

use iam_domain::CompanyId;
use imbl::OrdMap;

/// The companies in the order of their latest commits. Each is listed once, so the list is bounded by their number.
#[derive(Clone, Default)]
pub(crate) struct ChangeLog {
    pub(crate) latest: u64,
    in_order: OrdMap<u64, CompanyId>,
    places: OrdMap<CompanyId, u64>,
}

impl ChangeLog {
    /// Records that a company changed.
    pub(crate) fn note(&mut self, company: CompanyId) {
        self.latest += 1;
        if let Some(before) = self.places.insert(company, self.latest) {
            self.in_order.remove(&before);
        }
        self.in_order.insert(self.latest, company);
    }

    /// The companies that changed after this place.
    pub(crate) fn since(&self, place: u64) -> impl Iterator<Item = CompanyId> {
        self.in_order.range((Bound::Excluded(place), Bound::Unbounded)).map(|(_, company)| *company)
    }
}
