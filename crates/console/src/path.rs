//! The paths of the console.

use iam_domain::CompanyId;

/// The path under which the console is mounted.
pub const PATH: &str = "/console";

/// Returns the path of a page of a company. `page` is the rest of the path, and empty for the overview.
pub(crate) fn company_path(company: CompanyId, page: &str) -> String {
    if page.is_empty() { format!("{PATH}/companies/{company}") } else { format!("{PATH}/companies/{company}/{page}") }
}
