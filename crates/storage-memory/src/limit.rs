//! Converts the limits of reads and sweeps.

/// Returns the limit as a count of things in memory: `usize::MAX` if it is larger than that.
pub(crate) fn to_usize(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
