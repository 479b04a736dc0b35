//! The consistency levels of requests.

use iam_domain::{Freshness, Versions};
use iam_storage::Result;

use crate::Subject;
use crate::engine::access::is_non_member;
use crate::engine::compiled::CompiledSet;
use crate::loading::error::unavailable;

/// The consistency level of a request: how recent its result must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Bounded staleness: cached data may be returned while the lease is valid. The duration of the lease is therefore
    /// the upper bound on the staleness. During an outage of the database, the upper bound is the outage grace.
    #[default]
    Cached,
    /// Read-your-writes and monotonic reads: the result is at least as new as these versions, which an earlier response
    /// returned. If the epoch has changed since that response, the versions are not comparable, and the result is read
    /// from the database.
    AtLeast(Versions),
    /// The cache is bypassed: the result is read from the database by a load that begins after the arrival of the
    /// request.
    Fresh,
}

impl Consistency {
    /// Returns `true` if a cached set satisfies this consistency level. For a non-member, a cached set never satisfies
    /// `AtLeast`, because the comparison would disclose the company's version.
    pub(crate) fn is_satisfied_by(self, set: &CompiledSet, subject: Subject) -> bool {
        match self {
            Self::Cached => true,
            Self::AtLeast(least) => !is_non_member(set, subject) && set.versions.against(least) == Freshness::Satisfied,
            Self::Fresh => false,
        }
    }

    /// Returns an error if a loaded set is older than the versions that `AtLeast` requires. Versions of another epoch
    /// are not compared. The load began after the request arrived. An older set therefore means that the database is
    /// not the primary, or that no response ever returned the required versions.
    pub(crate) fn refuse_older(self, set: &CompiledSet, subject: Subject) -> Result<()> {
        match self {
            Self::AtLeast(least) if !is_non_member(set, subject) && set.versions.against(least) == Freshness::Older => {
                Err(unavailable("the database does not have the required versions"))
            }
            _ => Ok(()),
        }
    }
}
