//! The required freshness of a result.

use iam_domain::{Freshness, Versions};
use iam_storage::Result;

use crate::Subject;
use crate::engine::access::is_non_member;
use crate::engine::compiled::CompiledSet;
use crate::loading::error::unavailable;

/// The required freshness of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Cached data may be returned while the lease runs, so its staleness is bounded by the lease. During an outage of
    /// the database, it may be returned within the outage grace.
    #[default]
    Cached,
    /// The result is at least as new as these versions, which an earlier response returned. If the epoch has changed
    /// since, versions are not comparable, and the result is read from the database.
    AtLeast(Versions),
    /// The result is read from the database after the request arrived.
    Fresh,
}

impl Consistency {
    /// Returns `true` if a cached set is recent enough. For non-members, a cached set never satisfies `AtLeast`, since
    /// the comparison would disclose the company's version.
    pub(crate) fn is_satisfied_by(self, set: &CompiledSet, subject: Subject) -> bool {
        match self {
            Self::Cached => true,
            Self::AtLeast(least) => !is_non_member(set, subject) && set.versions.against(least) == Freshness::Satisfied,
            Self::Fresh => false,
        }
    }

    /// Returns an error if the loaded set is older than `AtLeast` requires, within the same epoch. The load began after
    /// the request arrived, so a database that returns an older version is not the primary.
    pub(crate) fn refuse_older(self, set: &CompiledSet, subject: Subject) -> Result<()> {
        match self {
            Self::AtLeast(least) if !is_non_member(set, subject) && set.versions.against(least) == Freshness::Older => {
                Err(unavailable("the database does not have the required state"))
            }
            _ => Ok(()),
        }
    }
}
