//! Reads of assignments that have an end.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{CompanyId, Name, Period, Timestamp, UserId, UserLevelId};
use iam_storage::{EndPosition, EndingAssignment, EndingAssignments, HeldLevel, Result};
use sea_orm::QueryResult;
use sea_orm::entity::prelude::DateTimeUtc;
use uuid::Uuid;

use super::members::{corrupt, external_id};
use crate::operation::operation;
use crate::repository::{Executor, Repository};
use crate::statement::{column, limit, statement};

/// The longest duration for which expired assignments are kept: 100 years. An `f64` represents its microseconds exactly.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

fn ending(row: &QueryResult) -> Result<EndingAssignment> {
    let time = |name| Ok(column::<Option<DateTimeUtc>>(row, name)?.map(Timestamp::new));
    let display_name = column::<Option<String>>(row, "display_name")?.map(Name::stored).transpose();
    let expires_at = Timestamp::new(column(row, "expires_at")?);
    let period = Period { starts_at: time("starts_at")?, expires_at: Some(expires_at) };
    let name = Name::stored(column::<String>(row, "name")?).map_err(|error| corrupt("user_levels.name", error))?;
    Ok(EndingAssignment {
        user: UserId::from_uuid(column(row, "user_id")?),
        external_id: external_id(column(row, "issuer")?, column(row, "subject")?)?,
        display_name: display_name.map_err(|error| corrupt("user_profiles.display_name", error))?,
        level: HeldLevel {
            id: UserLevelId::from_uuid(column(row, "user_level_id")?),
            name,
            period,
            state: period.state(Timestamp::new(column(row, "now")?)),
        },
        expires_at,
    })
}

#[async_trait]
impl<T: Executor> EndingAssignments for Repository<T> {
    async fn list_ending(
        &self,
        company: CompanyId,
        before: Timestamp,
        after: Option<EndPosition>,
        most: u64,
    ) -> Result<Vec<EndingAssignment>> {
        operation("ending_assignments.list_ending", async {
            // `OFFSET 0` (an optimization fence) makes the plan look up the details of each assignment by key.
            let sql =
                "SELECT page.user_id, page.user_level_id, page.starts_at, page.expires_at, level.name::text AS name,
                identity.issuer::text AS issuer, identity.subject::text AS subject,
                profile.display_name::text AS display_name, statement_timestamp() AS now
            FROM (
                SELECT user_id, user_level_id, starts_at, expires_at FROM user_user_levels
                WHERE company_id = $1 AND expires_at < $2
                    AND (expires_at, user_id, user_level_id) > (coalesce($3::timestamptz, '-infinity'), $4, $5)
                ORDER BY expires_at, user_id, user_level_id LIMIT $6
            ) AS page CROSS JOIN LATERAL (
                SELECT name FROM user_levels WHERE company_id = $1 AND id = page.user_level_id OFFSET 0
            ) AS level LEFT JOIN LATERAL (
                SELECT issuer, subject FROM user_identities WHERE user_id = page.user_id OFFSET 0
            ) AS identity ON true LEFT JOIN LATERAL (
                SELECT display_name FROM user_profiles WHERE company_id = $1 AND user_id = page.user_id OFFSET 0
            ) AS profile ON true
            ORDER BY page.expires_at, page.user_id, page.user_level_id";
            let values = [
                company.as_uuid().into(),
                before.as_datetime().into(),
                after.map(|after| after.expires_at.as_datetime()).into(),
                after.map_or_else(Uuid::nil, |after| after.user.as_uuid()).into(),
                after.map_or_else(Uuid::nil, |after| after.level.as_uuid()).into(),
                limit(most).cast_signed().into(),
            ];
            self.rows(self.for_company(company, statement(sql, values))).await?.iter().map(ending).collect()
        })
        .await
    }

    async fn find_expired(&self, expired_for: Duration, most: u64) -> Result<Vec<CompanyId>> {
        operation("ending_assignments.find_expired", async {
            let sql = "SELECT DISTINCT company_id FROM (
                SELECT company_id FROM user_user_levels
                WHERE expires_at <= statement_timestamp() - $1 * interval '1 microsecond' ORDER BY expires_at LIMIT $2
            ) AS expired ORDER BY company_id";
            #[expect(clippy::cast_precision_loss, reason = "an f64 represents the microseconds exactly")]
            let expired_for = expired_for.min(LONGEST).as_micros() as f64;
            let values = [expired_for.into(), limit(most).cast_signed().into()];
            let ids: Vec<Uuid> = self.column(self.for_company(None, statement(sql, values)), "company_id").await?;
            Ok(ids.into_iter().map(CompanyId::from_uuid).collect())
        })
        .await
    }
}
