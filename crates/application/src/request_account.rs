//! What the server that receives a request does for pages that are mounted in it, besides the operations of the API.

use std::sync::Arc;
use std::time::Duration;

use iam_domain::{Caller, CompanyId};

use crate::{Exhausted, Reserve};

/// The reason why the server refuses a request for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A budget is exhausted. The client may send the request again after this time.
    RateLimited(Duration),
    /// Too many requests wait for the storage. The client may send the request again after this time.
    Busy(Duration),
}

impl From<Exhausted> for Refusal {
    fn from(exhausted: Exhausted) -> Self {
        Self::RateLimited(exhausted.retry_after)
    }
}

/// A request in the accounts of the server that received it. The server inserts it into the extensions of each request for
/// a page, so that pages obey the same limits, and appear in the same logs, metrics and audit records, as operations of
/// the API.
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

    /// Charges the client address for a new session without a signed-in person, as for a failed authentication.
    ///
    /// # Errors
    ///
    /// Returns [`Refusal::RateLimited`] if the address has begun too many sessions, or presented too many invalid credentials.
    fn begin_anonymous_session(&self) -> Result<(), Refusal>;

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

    /// Records that a part of the body, or all of it, has been read. The server receives further parts only then.
    fn body_read(&self, is_complete: bool);

    /// Counts the request as waiting from now on, so that it is not refused after it has had an effect.
    ///
    /// # Errors
    ///
    /// Returns [`Refusal::Busy`] if too many requests wait.
    fn begin_change(&self) -> Result<(), Refusal>;
}
