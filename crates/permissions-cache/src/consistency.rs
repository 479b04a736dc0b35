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
    /// Cached data suffices while it is known to be current within the lease.
    #[default]
    Cached,
    /// A state at least as new as these versions, which an earlier response returned.
    AtLeast(Versions),
    /// A state that is read from the store after the request arrived.
    Fresh,
}

impl Consistency {
    /// Returns `true` if a cached set is recent enough. For non-members, `AtLeast` is never satisfied, since it would
    /// disclose the company's version.
    pub(crate) fn is_satisfied_by(self, set: &CompiledSet, subject: Subject) -> bool {
        match self {
            Self::Cached => true,
            Self::AtLeast(least) => !is_non_member(set, subject) && set.versions.against(least) == Freshness::Satisfied,
            Self::Fresh => false,
        }
    }

    /// Rejects a loaded set if the client has already seen a newer state of the same database. The load began after the
    /// request arrived, so the database that it read is then not the primary.
    pub(crate) fn refuse_older(self, set: &CompiledSet, subject: Subject) -> Result<()> {
        match self {
            Self::AtLeast(least) if !is_non_member(set, subject) && set.versions.against(least) == Freshness::Older => {
                Err(unavailable("the database does not have the required state"))
            }
            _ => Ok(()),
        }
    }
}
