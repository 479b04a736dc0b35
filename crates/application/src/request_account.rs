//! What the server that receives a request does for pages that are mounted in it, besides the operations of the API.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{Caller, CompanyId};

use crate::{Exhausted, Reserve};

/// The reason why the server refuses a request for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A budget is exhausted. The client may send the request again after this time.
    RateLimited(Duration),
    /// Too many requests wait for the storage, or too many bytes are in memory. The client may send the request again after
    /// this time.
    Busy(Duration),
    /// The client sends the body too slowly.
    TooSlow,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RateLimited(_) => "a budget is exhausted",
            Self::Busy(_) => "the server is busy",
            Self::TooSlow => "the body is sent too slowly",
        })
    }
}

impl Error for Refusal {}

impl From<Exhausted> for Refusal {
    fn from(exhausted: Exhausted) -> Self {
        Self::RateLimited(exhausted.retry_after)
    }
}

/// A request in the accounts of the server that received it. The server inserts it into the extensions of each request for
/// a page, so that pages obey the same limits, and appear in the same logs, metrics and audit records, as operations of
/// the API. If the server refuses the body of such a request, reading the body fails with an I/O error that contains a
/// [`Refusal`].
pub trait RequestAccount {
    /// Returns the id of the request, which log lines and audit records contain.
    fn request_id(&self) -> Arc<str>;

    /// Checks that the client address may present a credential that must be verified.
    ///
    /// # Errors
    ///
    /// Returns [`Refusal::RateLimited`] if the address has presented too many invalid credentials.
    fn may_authenticate(&self) -> Result<(), Refusal>;

    /// Records that the client presented an invalid credential. `reason` is its label in the metrics.
    fn record_failed_authentication(&self, reason: &'static str);

    /// Charges the client address for work that needs no signed-in person, as for a failed authentication.
    ///
    /// # Errors
    ///
    /// Returns [`Refusal::RateLimited`] if the address has caused too much of this work, or presented too many invalid
    /// credentials.
    fn charge_address(&self) -> Result<(), Refusal>;

    /// Records the authenticated caller, and charges the request to its budget.
    ///
    /// # Errors
    ///
    /// Returns [`Refusal`] if the budget is exhausted, or if the caller has used up its share of the server.
    fn admit(&self, caller: Caller, reserve: Reserve) -> Result<(), Refusal>;

    /// Records that the caller is authorized in the company (`None`: on the platform), and charges the request to the
    /// company.
    ///
    /// # Errors
    ///
    /// Returns [`Refusal`] if the budget of the company is exhausted.
    fn authorize(&self, company: Option<CompanyId>, reserve: Reserve) -> Result<(), Refusal>;

    /// Counts the request as waiting from now on, so that it is not refused after it has had an effect.
    ///
    /// # Errors
    ///
    /// Returns [`Refusal::Busy`] if too many requests wait.
    fn begin_change(&self) -> Result<(), Refusal>;
}
