//! How recent the state of an answer must be.

use iam_domain::{Freshness, Versions};
use iam_storage::Result;

use crate::Subject;
use crate::engine::access::is_non_member;
use crate::engine::compiled::CompiledSet;
use crate::loading::error::unavailable;

/// How recent the state of an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// What is kept is enough, while it is known to be current within the lease.
    #[default]
    Cached,
    /// A state not older than this one, which an earlier answer or a write returned.
    AtLeast(Versions),
    /// What the store has after the question was asked.
    Fresh,
}

impl Consistency {
    /// Whether a set that is kept is recent enough. `AtLeast` is never satisfied for non-members, who would otherwise
    /// learn the company's version.
    pub(crate) fn is_satisfied_by(self, set: &CompiledSet, subject: Subject) -> bool {
        match self {
            Self::Cached => true,
            Self::AtLeast(least) => !is_non_member(set, subject) && set.versions.against(least) == Freshness::Satisfied,
            Self::Fresh => false,
        }
    }

    /// Refuses a set that was loaded after the request arrived, and so is as recent as possible, if the client has seen
    /// a newer state of the same database: then the database that answered is not the primary.
    pub(crate) fn refuse_older(self, set: &CompiledSet, subject: Subject) -> Result<()> {
        match self {
            Self::AtLeast(least) if !is_non_member(set, subject) && set.versions.against(least) == Freshness::Older => {
                Err(unavailable("the state that was asked for is not here"))
            }
            _ => Ok(()),
        }
    }
}
