//! Read operations that list all companies page by page.

use async_trait::async_trait;
use iam_domain::{CompanyDetails, CompanyId, CompanyStatus, Timestamp};

use crate::Result;

/// A company in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCompany {
    /// The id of the company.
    pub id: CompanyId,
    /// The name and the status of the company.
    pub details: CompanyDetails,
    /// The time when the company was provisioned, or `None` if it has not been provisioned.
    pub provisioned_at: Option<Timestamp>,
}

/// The companies that a list contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompanyFilter {
    /// The status of the companies. `None` for every status.
    pub status: Option<CompanyStatus>,
    /// A text in its [folded](iam_domain::folded) form, which the name contains or with which the id begins. `None` for
    /// all companies.
    pub text: Option<String>,
}

/// The order of a list of companies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanyOrder {
    /// By id.
    Id,
    /// By folded name, then id. Companies without a name are last, ordered by id.
    Name,
}

/// The position of a company in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyPosition {
    /// The folded name of the company.
    pub name: Option<String>,
    /// The id of the company.
    pub id: CompanyId,
}

/// Read operations on the directory of companies. **Across companies**: for platform administration.
#[async_trait]
pub trait CompanyDirectory: Send + Sync {
    /// Returns a page of the companies that were ever changed and that are not erased: at most `limit` companies after
    /// the position `after` (keyset pagination).
    async fn list(
        &self,
        filter: &CompanyFilter,
        order: CompanyOrder,
        after: Option<&CompanyPosition>,
        limit: u64,
    ) -> Result<Vec<ListedCompany>>;
    /// Returns the number of companies that the filter selects. Counting stops at `limit`.
    async fn count(&self, filter: &CompanyFilter, limit: u64) -> Result<u64>;
}
