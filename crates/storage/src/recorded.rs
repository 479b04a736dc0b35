//! What a unit of work has recorded so far.

/// What a unit of work has recorded: the cost of its audit records, and the kind of its mutations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The approximate size of the audit records in bytes. 0 if there is no record.
    pub bytes: u64,
    /// `true` if every mutation only removed data (entities, cells, levels of a user, modules of a company, or keys),
    /// disabled a module, or lowered ceilings.
    pub only_removes: bool,
}
