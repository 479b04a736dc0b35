//! Read operations on quotas: the overrides of a company, and the counts of what the company has created.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iam_domain::{CompanyId, Quota, QuotaOverrides, UserId, UserLevelId};
use iam_storage::{CompanyQuotas, Result};
use sea_orm::Value;
use uuid::Uuid;

use crate::operation::operation;
use crate::repository::{Executor, Repository};
use crate::statement::{column, from_json, statement};

/// Returns the SQL expression that counts the use of a quota by the company $1. Counting stops after as many rows as
/// the element `place` of $2 states.
fn count(quota: Quota, place: usize) -> String {
    let rows =
        |from: &str| format!("(SELECT count(*) FROM (SELECT FROM {from} LIMIT ($2::bigint[])[{place}]) AS counted)");
    const SUB_ITEMS: &str = "menu_items AS item JOIN sub_menu_items AS sub ON sub.menu_item_id = item.id
        WHERE item.company_id = $1";
    match quota {
        Quota::Levels => rows("user_levels WHERE company_id = $1"),
        Quota::LevelSets => "(SELECT count(DISTINCT levels) FROM (
            SELECT array_agg(user_level_id ORDER BY user_level_id) AS levels FROM user_user_levels
            WHERE company_id = $1 GROUP BY user_id HAVING count(*) > 1
        ) AS held)"
            .to_owned(),
        Quota::MenuItems => format!("{} + {}", rows("menu_items WHERE company_id = $1"), rows(SUB_ITEMS)),
        Quota::PermissionCells => format!(
            "{} + {}",
            rows("user_level_view_permissions WHERE company_id = $1"),
            rows("user_level_feature_permissions WHERE company_id = $1")
        ),
        Quota::ApiKeys => rows("api_keys WHERE company_id = $1 AND revoked_at IS NULL"),
        Quota::TextBytes => format!(
            "(SELECT coalesce(sum(octet_length(name) + coalesce(octet_length(description), 0)), 0)::bigint
            FROM user_levels WHERE company_id = $1)
            + (SELECT coalesce(sum(octet_length(label)), 0)::bigint FROM menu_items WHERE company_id = $1)
            + (SELECT coalesce(sum(octet_length(sub.label)), 0)::bigint FROM {SUB_ITEMS})"
        ),
        Quota::LevelsPerUser => "(SELECT coalesce(max(levels), 0) FROM (
            SELECT count(*) AS levels FROM user_user_levels WHERE company_id = $1 GROUP BY user_id
        ) AS held)"
            .to_owned(),
    }
}

/// Converts a number of rows into the value of a `LIMIT` clause.
fn most(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Number of users who are compared with each new set before all sets of levels of a company are counted.
const COMPARED_USERS: u32 = 100;

#[async_trait]
impl<T: Executor> CompanyQuotas for Repository<T> {
    async fn overrides(&self, company: CompanyId) -> Result<QuotaOverrides> {
        operation("company_quotas.overrides", async {
            let sql = "SELECT quotas::text AS quotas FROM company_states WHERE company_id = $1";
            let row = self.row(self.for_company(company, statement(sql, [company.as_uuid().into()]))).await?;
            let text = row.map(|row| column::<Option<String>>(&row, "quotas")).transpose()?.flatten();
            text.map_or_else(|| Ok(QuotaOverrides::default()), |text| from_json(&text))
        })
        .await
    }

    async fn usage(&self, company: CompanyId, quotas: &[(Quota, u64)]) -> Result<BTreeMap<Quota, u64>> {
        operation("company_quotas.usage", async {
            if quotas.is_empty() {
                return Ok(BTreeMap::new());
            }
            let named = |(place, (quota, _)): (usize, &(Quota, u64))| {
                format!("{} AS \"{}\"", count(*quota, place + 1), quota.key())
            };
            let counts: Vec<_> = quotas.iter().enumerate().map(named).collect();
            // The array is used even if no count is bounded, so that the statement always has the same parameters.
            let sql = format!("SELECT cardinality($2::bigint[]) AS counts, {}", counts.join(", "));
            let rows: Vec<i64> = quotas.iter().map(|(_, rows)| most(*rows)).collect();
            let values = [company.as_uuid().into(), rows.into()];
            let row = self.single(self.for_company(company, statement(sql, values))).await?;
            let used = |quota: Quota| Ok((quota, u64::try_from(column::<i64>(&row, quota.key())?).unwrap_or_default()));
            quotas.iter().map(|(quota, _)| used(*quota)).collect()
        })
        .await
    }

    async fn exceeds_level_sets(
        &self,
        company: CompanyId,
        changed: &[(UserId, Vec<UserLevelId>)],
        limit: u64,
    ) -> Result<bool> {
        operation("company_quotas.exceeds_level_sets", async {
            let (mut users, mut before) = (Vec::<Uuid>::new(), Vec::<String>::new());
            for (user, levels) in changed {
                let levels: Vec<_> = levels.iter().map(ToString::to_string).collect();
                users.push(user.as_uuid());
                before.push(format!("{{{}}}", levels.join(",")));
            }
            let values: [Value; 4] =
                [company.as_uuid().into(), users.into(), before.into(), most(limit.min(u64::from(u32::MAX))).into()];
            column(&self.single(self.for_company(company, statement(exceeds_level_sets(), values))).await?, "exceeds")
        })
        .await
    }
}

/// Returns the statement that compares the sets of levels of a company with a limit ($4), and with the sets before the
/// users $2 changed. $3 contains the levels of these users before the change.
///
/// The subqueries of `CASE` are evaluated only if they are reached, so most companies never count all their sets.
/// `OFFSET 0` (an optimization fence) makes the plan look up the set of each user by key.
fn exceeds_level_sets() -> String {
    let set = |user: &str| {
        format!(
            "SELECT array_agg(user_level_id ORDER BY user_level_id) AS levels FROM user_user_levels
            WHERE company_id = $1 AND user_id = {user} OFFSET 0"
        )
    };
    format!(
        "WITH changed AS MATERIALIZED (
            SELECT user_id, before::uuid[] AS before FROM unnest($2::uuid[], $3::text[]) AS changed (user_id, before)
        ),
        own AS MATERIALIZED (
            SELECT DISTINCT held.levels FROM changed, LATERAL ({}) AS held WHERE cardinality(held.levels) > 1
        )
        SELECT CASE
            WHEN (SELECT count(*) FROM (
                SELECT DISTINCT user_id FROM user_user_levels WHERE company_id = $1 LIMIT $4 + 1
            ) AS users) <= $4 THEN false
            WHEN NOT EXISTS (SELECT FROM own WHERE NOT EXISTS (
                SELECT FROM (
                    SELECT user_id FROM user_user_levels
                    WHERE user_level_id = own.levels[1] AND company_id = $1 AND user_id <> ALL($2)
                    LIMIT {COMPARED_USERS}
                ) AS other, LATERAL ({}) AS held
                WHERE held.levels = own.levels
            )) THEN false
            ELSE (
                SELECT count(DISTINCT now) FILTER (WHERE cardinality(now) > 1) > $4
                    AND count(DISTINCT now) FILTER (WHERE cardinality(now) > 1)
                        > count(DISTINCT earlier) FILTER (WHERE cardinality(earlier) > 1)
                FROM (
                    SELECT held.levels AS now, coalesce(changed.before, held.levels) AS earlier
                    FROM (
                        SELECT user_id, array_agg(user_level_id ORDER BY user_level_id) AS levels
                        FROM user_user_levels WHERE company_id = $1 GROUP BY user_id
                    ) AS held FULL JOIN changed USING (user_id)
                ) AS sets
            )
        END AS exceeds",
        set("changed.user_id"),
        set("other.user_id"),
    )
}
