//! Lists all companies, for super admins.

use iam_domain::{Caller, CompanyId, CompanyStatus, folded};
use iam_storage::{CompanyFilter, CompanyOrder, CompanyPosition, ListedCompany};
use serde::{Deserialize, Serialize};

use crate::lists::cursor::Binding;
use crate::lists::page::{Page, PageRequest};
use crate::reads::{COUNT_LIMIT, Total};
use crate::{Application, Failure};

/// A request for a page of the list of companies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListCompanies {
    /// The status of the companies. `None` for every status.
    pub status: Option<CompanyStatus>,
    /// The search text, which is part of the name or the beginning of the id.
    pub search: Option<String>,
    /// The order of the list.
    pub order: CompanyOrder,
    /// The requested page.
    pub page: PageRequest,
}

/// The position of a company in the list, as a cursor contains it.
#[derive(Serialize, Deserialize)]
struct Position {
    name: Option<String>,
    id: CompanyId,
}

impl Application {
    /// Returns a page of the companies that were ever changed and that are not erased.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Invalid`] if the cursor was not issued for this request, and [`Failure::Unavailable`] if the
    /// storage cannot be read.
    pub async fn list_companies(
        &self,
        caller: Caller,
        request: &ListCompanies,
    ) -> Result<Page<ListedCompany>, Failure> {
        let ListCompanies { status, search, order, page } = request;
        let parameters = format!("{status:?} {search:?} {order:?}");
        let binding = Binding { list: "companies", caller, company: None, parameters: &parameters };
        let filter = CompanyFilter { status: *status, text: search.as_deref().map(folded) };
        let directory = self.reader().company_directory();
        let read = async |after: Option<Position>, limit| {
            let after = after.map(|Position { name, id }| CompanyPosition { name, id });
            directory.list(&filter, *order, after.as_ref(), limit).await
        };
        let position = |company: &ListedCompany| {
            let name = company.details.name.as_ref().filter(|_| *order == CompanyOrder::Name);
            Position { name: name.map(|name| folded(name.as_str())), id: company.id }
        };
        let found = self.page(&binding, page, position, read).await?;
        let total = match page.include_total {
            false => None,
            true => Some(Total::counted(directory.count(&filter, COUNT_LIMIT + 1).await?)),
        };
        Ok(Page { total, ..found })
    }
}
