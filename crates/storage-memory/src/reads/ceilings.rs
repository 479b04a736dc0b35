//! The read operation on the ceilings of companies.

use async_trait::async_trait;
use iam_domain::{Ceilings, CompanyId};
use iam_storage::{CompanyCeilings, Result};

use crate::repository::{Repository, StateSource};

#[async_trait]
impl<S: StateSource> CompanyCeilings for Repository<S> {
    async fn ceilings(&self, company: CompanyId) -> Result<Ceilings> {
        Ok(Ceilings::clone(&self.0.state().company(company).ceilings))
    }
}
