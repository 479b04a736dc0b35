//! The details of a company itself: its name, and whether it is active or suspended.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::permission::words;

words! {
    /// The status of a company.
    CompanyStatus ("active, suspended"):
        /// The permissions of the company's users apply.
        Active = "active",
        /// Every decision about the company's users is a denial. Only super admins can administer the company.
        Suspended = "suspended",
}

impl Default for CompanyStatus {
    /// Returns the status of a company whose status was never changed.
    fn default() -> Self {
        Self::Active
    }
}

/// The details of a company that super admins can change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompanyDetails {
    /// The display name of the company. `None` until a super admin sets it. Names need not be unique.
    pub name: Option<Name>,
    /// The status of the company.
    pub status: CompanyStatus,
}
