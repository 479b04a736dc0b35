//! Data with the versions and stamps of the snapshot from which it was read.

use iam_domain::{Timestamp, Versions};

use crate::StateId;

/// The stamps of the catalog and of a company: random numbers that are written together with the [`Versions`]. See
/// [`StateId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamps {
    /// The stamp of the catalog's version.
    pub catalog: i64,
    /// The stamp of the company's version; 0 before the company's first change.
    pub company: i64,
}

/// Data that was read in one consistent snapshot, together with the versions and stamps of this snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped<T> {
    /// The versions at which the data was read.
    pub versions: Versions,
    /// The stamps of these versions.
    pub stamps: Stamps,
    /// The next start or end of an assignment of the company, after the time at which the data was read. Decisions
    /// change at this time. `None` if there is none, or if the data does not depend on assignments.
    pub next_boundary: Option<Timestamp>,
    /// The data.
    pub value: T,
}

impl<T> Stamped<T> {
    /// Returns the version and stamp of the catalog that was read.
    #[must_use]
    pub const fn catalog_state(&self) -> StateId {
        StateId { version: self.versions.catalog, stamp: self.stamps.catalog }
    }

    /// Returns the version and stamp of the company that was read.
    #[must_use]
    pub const fn company_state(&self) -> StateId {
        StateId { version: self.versions.company, stamp: self.stamps.company }
    }
}
