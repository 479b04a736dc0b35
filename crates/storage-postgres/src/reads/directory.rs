//! Reads of the directory of companies, page by page.

use async_trait::async_trait;
use iam_domain::{CompanyDetails, CompanyId, Name, Timestamp};
use iam_storage::{
    CompanyDirectory, CompanyFilter, CompanyOrder, CompanyPosition, ListedCompany, Result, StorageError,
};
use sea_orm::QueryResult;
use sea_orm::Value;
use sea_orm::entity::prelude::DateTimeUtc;
use uuid::Uuid;

use crate::operation::operation;
use crate::repository::{Executor, Repository};
use crate::statement::{column, statement};

/// The condition on the companies of a list. $1 is the status and $2 the search text; each may be null. No company has
/// the nil UUID or the max UUID.
const LISTED: &str = "version > 0 AND erased_at IS NULL AND company_id < 'ffffffff-ffff-ffff-ffff-ffffffffffff'
    AND ($1::text IS NULL OR status = $1)
    AND ($2::text IS NULL OR strpos(name_folded, $2) > 0 OR starts_with(company_id::text, $2))";

/// The columns of a company in a list.
const COLUMNS: &str = "company_id, name::text AS name, status::text AS status, provisioned_at";

fn values(filter: &CompanyFilter) -> [Value; 2] {
    [filter.status.map(|status| status.to_string()).into(), filter.text.clone().into()]
}

/// Returns `true` if no company can match the filter: PostgreSQL cannot store NUL, so no stored text contains it.
fn is_empty(filter: &CompanyFilter) -> bool {
    filter.text.as_ref().is_some_and(|text| text.contains('\0'))
}

fn listed(row: &QueryResult) -> Result<ListedCompany> {
    let name = column::<Option<String>>(row, "name")?.map(Name::stored).transpose().map_err(StorageError::corrupt)?;
    let status = column::<String>(row, "status")?.parse().map_err(StorageError::corrupt)?;
    let provisioned_at = column::<Option<DateTimeUtc>>(row, "provisioned_at")?.map(Timestamp::new);
    let id = CompanyId::from_uuid(column(row, "company_id")?);
    Ok(ListedCompany { id, details: CompanyDetails { name, status }, provisioned_at })
}

/// Converts a number of rows into the value of a `LIMIT` clause.
fn most(rows: u64) -> Value {
    i64::try_from(rows).unwrap_or(i64::MAX).into()
}

#[async_trait]
impl<T: Executor> CompanyDirectory for Repository<T> {
    async fn list(
        &self,
        filter: &CompanyFilter,
        order: CompanyOrder,
        after: Option<&CompanyPosition>,
        limit: u64,
    ) -> Result<Vec<ListedCompany>> {
        operation("company_directory.list", async {
            if is_empty(filter) {
                return Ok(Vec::new());
            }
            let id = |position: Option<&CompanyPosition>| position.map_or_else(Uuid::nil, |after| after.id.as_uuid());
            let [status, text] = values(filter);
            let list = match order {
                CompanyOrder::Id => {
                    let sql = format!(
                        "SELECT {COLUMNS} FROM company_states WHERE company_id > $3 AND {LISTED}
                    ORDER BY company_id LIMIT $4"
                    );
                    statement(sql, [status, text, id(after).into(), most(limit)])
                }
                CompanyOrder::Name => {
                    // Companies without a name follow those with a name. Each part reads its own range of the index.
                    let sql = format!(
                        "SELECT {COLUMNS} FROM (
                        (SELECT 1 AS part, company_id, name, name_folded, status, provisioned_at FROM company_states
                        WHERE $3::text IS NOT NULL AND (name_folded, company_id) > ($3, $4) AND {LISTED}
                        ORDER BY name_folded, company_id LIMIT $6)
                        UNION ALL
                        (SELECT 2, company_id, name, name_folded, status, provisioned_at FROM company_states
                        WHERE name_folded IS NULL AND company_id > $5 AND {LISTED} ORDER BY company_id LIMIT $6)
                    ) AS page ORDER BY part, name_folded, company_id LIMIT $6"
                    );
                    // The empty string and the nil UUID are before all names.
                    let (name, among_named, among_unnamed) = match after {
                        None => (Some(String::new()), Uuid::nil(), Uuid::nil()),
                        Some(CompanyPosition { name: Some(name), id }) => {
                            (Some(name.clone()), id.as_uuid(), Uuid::nil())
                        }
                        Some(CompanyPosition { name: None, id }) => (None, Uuid::nil(), id.as_uuid()),
                    };
                    statement(sql, [status, text, name.into(), among_named.into(), among_unnamed.into(), most(limit)])
                }
            };
            self.rows(self.for_company(None, list)).await?.iter().map(listed).collect()
        })
        .await
    }

    async fn count(&self, filter: &CompanyFilter, limit: u64) -> Result<u64> {
        operation("company_directory.count", async {
            if is_empty(filter) {
                return Ok(0);
            }
            let sql = format!(
                "SELECT count(*) AS count FROM (
                SELECT FROM company_states WHERE company_id > '00000000-0000-0000-0000-000000000000' AND {LISTED}
                ORDER BY company_id LIMIT $3
            ) AS counted"
            );
            let [status, text] = values(filter);
            let row = self.single(self.for_company(None, statement(sql, [status, text, most(limit)]))).await?;
            Ok(column::<i64>(&row, "count")?.unsigned_abs())
        })
        .await
    }
}
