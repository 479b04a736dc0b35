//! Conversion of the limits of reads and sweeps.

/// Returns the limit as a `usize`, or `usize::MAX` if it does not fit.
pub(crate) fn to_usize(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
