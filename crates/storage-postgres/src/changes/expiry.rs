//! The removal of expired assignments.

use std::collections::BTreeMap;

use iam_domain::{CompanyId, Timestamp, UserId};
use iam_storage::{Assigned, Result};
use uuid::Uuid;

use super::Unit;
use super::assignments::{AssignedRow, assigned};
use crate::periods::PERIOD;
use crate::repository::Repository;
use crate::statement::{json_column, limit, statement};

impl Repository<Unit> {
    /// Removes assignments that expired at the time `by` or earlier, and reports them to the recorder. The statement finds
    /// the rows by the index on their ends. The lock on the company prevents other changes to these rows.
    pub(super) async fn remove_expired(&mut self, company: CompanyId, by: Timestamp, most: u64) -> Result<u64> {
        let sql = format!(
            "WITH expired AS (
                DELETE FROM user_user_levels WHERE company_id = $1 AND ctid = ANY(ARRAY(
                    SELECT ctid FROM user_user_levels WHERE company_id = $1 AND expires_at <= $2
                    ORDER BY expires_at, user_id, user_level_id LIMIT $3
                )) RETURNING user_id, user_level_id, starts_at, expires_at
            )
            SELECT coalesce(json_agg(json_build_array(user_id, levels) ORDER BY user_id), '[]')::text AS expired FROM (
                SELECT user_id, json_agg(json_build_array(user_level_id, {PERIOD})) AS levels FROM expired
                GROUP BY user_id
            ) AS of_users"
        );
        let values = [company.as_uuid().into(), by.as_datetime().into(), limit(most).cast_signed().into()];
        let row = self.single(statement(sql, values)).await?;
        let mut removed = 0;
        let expired: BTreeMap<Uuid, Vec<AssignedRow>> = json_column::<Vec<_>>(&row, "expired")?.into_iter().collect();
        for (user, levels) in expired {
            let levels: Assigned = assigned(levels)?;
            removed += u64::try_from(levels.len()).unwrap_or(u64::MAX);
            self.0.recorder.assignments_expired(UserId::from_uuid(user), &levels);
        }
        Ok(removed)
    }
}
