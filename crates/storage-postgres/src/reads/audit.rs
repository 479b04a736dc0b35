//! Reads of the audit log, with keyset pagination (a cursor).

use async_trait::async_trait;
use iam_domain::{AuditRecord, CompanyId, EntityType, UserId};
use iam_storage::{AuditCursor, AuditFilter, AuditLogs, AuditRecords, PageBounds, Result, StorageError};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select, Statement,
};
use uuid::Uuid;

use super::is_unstorable;
use crate::connections::shares::Class;
use crate::entities::columns;
use crate::entities::iam_audit_logs::{self as logs, Column};
use crate::operation::operation;
use crate::repository::{Executor, Repository};
use crate::statement::{column, convert, limit};

/// Returns the query for the records of a company that match a filter, or `None` if no record can match.
fn matching(company: Option<CompanyId>, filter: &AuditFilter) -> Option<Select<logs::Entity>> {
    let of_company = company.map_or_else(|| Column::CompanyId.is_null(), |id| Column::CompanyId.eq(id.as_uuid()));
    let mut select = logs::Entity::find().filter(of_company);
    if let Some(entity_type) = filter.entity_type {
        select = select.filter(Column::EntityType.eq(entity_type.as_str()));
    }
    if let Some(id) = filter.entity_id {
        select = select.filter(Column::EntityId.eq(id));
    }
    if let Some(action) = &filter.action {
        if is_unstorable(action) {
            return None;
        }
        select = select.filter(Column::Action.eq(action.as_str()));
    }
    if let Some(id) = filter.actor_id {
        select = select.filter(Column::UserId.eq(id));
    }
    if let Some(from) = filter.from {
        select = select.filter(Column::Timestamp.gte(from.as_datetime()));
    }
    if let Some(to) = filter.to {
        select = select.filter(Column::Timestamp.lt(to.as_datetime()));
    }
    Some(select)
}

/// Returns the statement that reads a page of the records that `select` finds. The statement walks the index from
/// record to record and adds up their sizes, so that it reads at most one record that does not fit the page. This record
/// is not returned; the column `has_more` states whether there is one.
fn page(select: Select<logs::Entity>, cursor: Option<AuditCursor>, bounds: PageBounds) -> Statement {
    let size = "(coalesce(octet_length(changes::text), 0) + coalesce(octet_length(metadata::text), 0))::bigint";
    let next = select
        .select_only()
        .column(Column::Timestamp)
        .column(Column::Id)
        .expr_as(Expr::cust(size), "bytes")
        .filter(Expr::cust(r#"("timestamp", id) < (page."timestamp", page.id)"#))
        // PostgreSQL skips the partitions of later times because of this condition, and not because of the previous one.
        .filter(Expr::cust(r#""timestamp" <= page."timestamp""#))
        .order_by_desc(Column::Timestamp)
        .order_by_desc(Column::Id)
        .limit(1);
    let Statement { sql: next, values, .. } = next.build(DbBackend::Postgres);
    let mut values = values.map_or_else(Vec::new, |values| values.0);
    let mut bind = |value: sea_orm::Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let start = match cursor {
        None => "'infinity'::timestamptz, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid".to_owned(),
        Some(AuditCursor { timestamp, id }) => {
            format!("{}::timestamptz, {}::uuid", bind(timestamp.as_datetime().into()), bind(id.as_uuid().into()))
        }
    };
    let [records, bytes] = [bounds.records, bounds.bytes].map(|bound| bind(limit(bound).cast_signed().into()));
    let sql = format!(
        r#"WITH RECURSIVE page ("timestamp", id, bytes, number, fits) AS (
            SELECT {start}, 0::bigint, 0::bigint, true
            UNION ALL
            SELECT next."timestamp", next.id, page.bytes + next.bytes, page.number + 1,
                page.number < {records} AND (page.number = 0 OR page.bytes + next.bytes <= {bytes})
            FROM page, LATERAL ({next}) AS next WHERE page.fits
        )
        SELECT {columns}, (SELECT NOT bool_and(fits) FROM page) AS has_more
        FROM page, LATERAL (
            SELECT {columns} FROM iam_audit_logs AS record
            WHERE record.id = page.id AND record."timestamp" = page."timestamp" OFFSET 0
        ) AS record
        WHERE page.fits AND page.number > 0 ORDER BY page.number"#,
        columns = columns::<logs::Entity>("record"),
    );
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

#[async_trait]
impl<T: Executor> AuditLogs for Repository<T> {
    async fn list_for_company(
        &self,
        company: Option<CompanyId>,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        bounds: PageBounds,
    ) -> Result<AuditRecords> {
        operation("audit_logs.list_for_company", async {
            let Some(select) = matching(company, filter) else {
                return Ok(AuditRecords { records: Vec::new(), has_more: false });
            };
            let page = self.for_company(company, page(select, cursor, bounds)).of(Class::Audit);
            let rows = self.rows(page).await?;
            // A page can be large. Its rows are converted on a thread for blocking work, so that they delay no other
            // request.
            let converted = tokio::task::spawn_blocking(move || {
                let has_more = rows.first().map(|row| column(row, "has_more")).transpose()?.unwrap_or_default();
                let convert_row = |row| {
                    // A worker thread that waits for a processor runs first.
                    std::thread::yield_now();
                    convert::<logs::Model, AuditRecord>(row)
                };
                let records = rows.iter().map(convert_row).collect::<Result<_>>()?;
                Ok(AuditRecords { records, has_more })
            });
            converted.await.map_err(|error| StorageError::corrupt(format_args!("the audit records: {error}")))?
        })
        .await
    }

    async fn count_for_company(&self, company: Option<CompanyId>, filter: &AuditFilter, at_most: u64) -> Result<u64> {
        operation("audit_logs.count_for_company", async {
            let Some(select) = matching(company, filter) else {
                return Ok(0);
            };
            let mut counted = select.select_only().column(Column::Id).build(DbBackend::Postgres);
            // The limit is a literal in the SQL and not a parameter. With a parameter, the planner would assume that
            // one tenth of the rows is read.
            let at_most = limit(at_most);
            counted.sql = format!("SELECT count(*) AS count FROM ({} LIMIT {at_most}) AS counted", counted.sql);
            let row = self.row(self.for_company(company, counted).of(Class::Audit)).await?;
            Ok(row.map(|row| column::<i64>(&row, "count")).transpose()?.unwrap_or_default().unsigned_abs())
        })
        .await
    }

    async fn list_for_entity(
        &self,
        company: Option<CompanyId>,
        entity_type: EntityType,
        entity_id: Uuid,
        limit: u64,
    ) -> Result<Vec<AuditRecord>> {
        operation("audit_logs.list_for_entity", async {
            let filter =
                AuditFilter { entity_type: Some(entity_type), entity_id: Some(entity_id), ..AuditFilter::default() };
            Ok(self.list_for_company(company, &filter, None, PageBounds::records(limit)).await?.records)
        })
        .await
    }

    async fn list_for_user(&self, company: Option<CompanyId>, user: UserId, limit: u64) -> Result<Vec<AuditRecord>> {
        operation("audit_logs.list_for_user", async {
            let filter = AuditFilter { actor_id: Some(user.as_uuid()), ..AuditFilter::default() };
            Ok(self.list_for_company(company, &filter, None, PageBounds::records(limit)).await?.records)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use iam_domain::Actor;
    use sea_orm::entity::prelude::DateTimeUtc;

    use super::*;

    fn read(user_id: Option<Uuid>, actor_kind: &str) -> Result<Actor> {
        let row = logs::Model {
            id: Uuid::from_u128(1),
            company_id: None,
            user_id,
            actor_kind: actor_kind.to_owned(),
            action: "view.updated".to_owned(),
            entity_type: "view".to_owned(),
            entity_id: Uuid::from_u128(2),
            changes: None,
            metadata: None,
            timestamp: DateTimeUtc::UNIX_EPOCH,
        };
        AuditRecord::try_from(row).map(|record| record.actor)
    }

    #[test]
    fn a_row_without_a_valid_actor_is_corrupt() {
        let id = Some(Uuid::from_u128(3));
        for (user_id, kind) in [(id, "user"), (id, "service"), (None, "command_line"), (None, "system")] {
            let actor = read(user_id, kind).unwrap();
            assert_eq!((actor.id(), actor.kind().as_str()), (user_id, kind));
        }
        for (user_id, kind) in [(id, "robot"), (None, "user"), (None, "service"), (id, "command_line"), (id, "system")]
        {
            let outcome = read(user_id, kind);
            assert!(matches!(outcome, Err(StorageError::Corrupt { .. })), "{kind}: {outcome:?}");
        }
    }
}
