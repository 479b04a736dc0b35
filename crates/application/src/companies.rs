//! Reads of companies: a company with its details, modules and counts.

use iam_domain::{CompanyDetails, CompanyId, GrantedModule, Quota, Timestamp, Versions};
use iam_storage::Reader;

use crate::{Application, Failure};

pub(crate) const COMPANY: &str = "Company";

/// A company with its details, modules and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    /// The id of the company.
    pub id: CompanyId,
    /// The name and the status of the company. The entity tag of the company identifies them.
    pub details: CompanyDetails,
    /// The time when the company was provisioned, or `None` if it was not.
    pub provisioned_at: Option<Timestamp>,
    /// The modules of the company, sorted by name.
    pub modules: Vec<GrantedModule>,
    /// Number of levels.
    pub levels: u64,
    /// Number of menu items and sub-items.
    pub menu_items: u64,
    /// Number of API keys that are restricted to the company and not revoked.
    pub api_keys: u64,
}

/// Returns a company that is not erased.
pub(crate) async fn read_company<R: Reader + ?Sized>(reader: &R, id: CompanyId) -> Result<Company, Failure> {
    let state = reader.company_states().read(id).await?.filter(|state| state.erased_at.is_none());
    let state = state.ok_or(Failure::NotFound(COMPANY))?;
    let modules = reader.company_modules().get_modules_by_company(id).await?;
    let counted = [Quota::Levels, Quota::MenuItems, Quota::ApiKeys].map(|quota| (quota, u64::MAX));
    let counts = reader.company_quotas().usage(id, &counted).await?;
    let count = |quota| counts.get(&quota).copied().unwrap_or_default();
    Ok(Company {
        id,
        details: state.details,
        provisioned_at: state.provisioned_at,
        modules,
        levels: count(Quota::Levels),
        menu_items: count(Quota::MenuItems),
        api_keys: count(Quota::ApiKeys),
    })
}

impl Application {
    /// Returns the name and the status of a company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if no change to the company was ever made, or if the company was erased. Returns
    /// [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn company_details(&self, id: CompanyId) -> Result<CompanyDetails, Failure> {
        let state = self.reader().company_states().read(id).await?.filter(|state| state.erased_at.is_none());
        state.map(|state| state.details).ok_or(Failure::NotFound(COMPANY))
    }

    /// Returns the current versions of the catalog and, if one is given, of a company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn versions(&self, company: Option<CompanyId>) -> Result<Versions, Failure> {
        Ok(self.reader().company_states().versions(company).await?)
    }

    /// Returns a company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if no change to the company was ever made, or if the company was erased. Returns
    /// [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn company(&self, id: CompanyId) -> Result<Company, Failure> {
        read_company(self.reader(), id).await
    }
}
