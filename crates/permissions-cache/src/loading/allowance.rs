//! The loads that a request may cause, and those that it has caused.

use iam_storage::Result;

use crate::loading::error::unavailable;

/// The loads that a request may cause, and the number of users that it has loaded from the database. By default, loads are
/// allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadAllowance {
    /// Whether the request may not load anything.
    pub is_exhausted: bool,
    /// The number of users that the request has loaded.
    pub loads: u32,
    /// Whether the request failed because it required a load that is not allowed.
    pub is_refused: bool,
}

impl LoadAllowance {
    /// Counts the load of this number of users, if it is allowed.
    pub(crate) fn take(&mut self, users: usize) -> Result<()> {
        if self.is_exhausted {
            self.is_refused = true;
            return Err(unavailable("the request may not load permissions"));
        }
        self.loads = self.loads.saturating_add(u32::try_from(users).unwrap_or(u32::MAX));
        Ok(())
    }
}
