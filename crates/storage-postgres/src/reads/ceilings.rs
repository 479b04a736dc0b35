//! The read operation on the ceilings of companies, and the ceilings in snapshots.

use async_trait::async_trait;
use iam_domain::{Ceilings, CompanyId};
use iam_storage::{CompanyCeilings, Result};
use sea_orm::QueryResult;

use crate::operation::operation;
use crate::repository::{Executor, Repository};
use crate::statement::{column, from_json, statement};

/// Returns the ceilings in the column `ceilings` of a row. `NULL` means that the company has no ceilings.
pub(crate) fn ceilings_in(row: &QueryResult) -> Result<Ceilings> {
    let text = column::<Option<String>>(row, "ceilings")?;
    text.map_or_else(|| Ok(Ceilings::default()), |text| from_json(&text))
}

#[async_trait]
impl<T: Executor> CompanyCeilings for Repository<T> {
    async fn ceilings(&self, company: CompanyId) -> Result<Ceilings> {
        operation("company_ceilings.ceilings", async {
            let sql = "SELECT ceilings::text AS ceilings FROM company_states WHERE company_id = $1";
            let row = self.row(self.for_company(company, statement(sql, [company.as_uuid().into()]))).await?;
            row.map_or_else(|| Ok(Ceilings::default()), |row| ceilings_in(&row))
        })
        .await
    }
}
