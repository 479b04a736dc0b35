//! Converts `u64` limits to `usize`.

/// Converts a limit to `usize`, or returns `usize::MAX` if the limit is larger.
pub(crate) fn to_usize(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
