//! Read operations on the directory of companies.

use async_trait::async_trait;
use iam_domain::folded;
use iam_storage::{CompanyDirectory, CompanyFilter, CompanyOrder, CompanyPosition, ListedCompany, Result};

use crate::limit::to_usize;
use crate::reads::sorted;
use crate::repository::{Repository, StateSource};
use crate::state::State;

/// Returns the position of a company in a list. Positions with a name are before positions without one.
fn position(company: &ListedCompany, order: CompanyOrder) -> (bool, Option<String>, iam_domain::CompanyId) {
    let name = company.details.name.as_ref().map(|name| folded(name.as_str())).filter(|_| order == CompanyOrder::Name);
    (name.is_none(), name, company.id)
}

/// Returns the companies that a filter selects.
fn companies(state: &State, filter: &CompanyFilter) -> impl Iterator<Item = ListedCompany> {
    let listed = state.companies.iter().filter(|(_, company)| company.version > 0 && company.erased_at.is_none());
    let listed = listed.map(|(id, company)| ListedCompany {
        id: *id,
        details: company.details.clone(),
        provisioned_at: company.provisioned_at,
    });
    listed.filter(|company| {
        let is_found = filter.text.as_ref().is_none_or(|text| {
            let name = company.details.name.as_ref().map(|name| folded(name.as_str()));
            name.is_some_and(|name| name.contains(text)) || company.id.to_string().starts_with(text)
        });
        is_found && filter.status.is_none_or(|status| company.details.status == status)
    })
}

#[async_trait]
impl<S: StateSource> CompanyDirectory for Repository<S> {
    async fn list(
        &self,
        filter: &CompanyFilter,
        order: CompanyOrder,
        after: Option<&CompanyPosition>,
        limit: u64,
    ) -> Result<Vec<ListedCompany>> {
        let state = self.0.state();
        let all = sorted(companies(&state, filter), |a, b| position(a, order).cmp(&position(b, order)));
        let after = after.map(|CompanyPosition { name, id }| (name.is_none(), name.clone(), *id));
        let rest =
            all.into_iter().filter(|company| after.as_ref().is_none_or(|after| position(company, order) > *after));
        Ok(rest.take(to_usize(limit)).collect())
    }

    async fn count(&self, filter: &CompanyFilter, limit: u64) -> Result<u64> {
        let count = companies(&self.0.state(), filter).take(to_usize(limit)).count();
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }
}
