//! Changes to the levels of one user, each with one statement.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use iam_domain::{Assignment, CompanyId, EntityType, Period, Timestamp, UserId, UserLevel, UserLevelId};
use iam_storage::{
    Assigned, AssignedLevel, AssignmentsMut, EditedLevels, LevelsEdit, ReplacedLevels, Result, StorageError, Target,
};
use sea_orm::Value;
use uuid::Uuid;

use super::Unit;
use crate::entities::{columns, user_levels};
use crate::operation::operation;
use crate::periods::{PERIOD, micros, period, time};
use crate::repository::Repository;
use crate::statement::{column, convert, json_column, statement};

/// The JSON of an assignment: the level, and the start and the end of its period.
pub(super) type AssignedRow = (Uuid, Option<i64>, Option<i64>);

/// Returns the assignments in these rows.
pub(super) fn assigned(rows: Vec<AssignedRow>) -> Result<Assigned> {
    let assigned = |(level, starts_at, expires_at)| Ok((UserLevelId::from_uuid(level), period(starts_at, expires_at)?));
    rows.into_iter().map(assigned).collect()
}

impl Repository<Unit> {
    /// Assigns the levels `given` to a user, and removes the levels `taken` from the user. If `taken` is `None`, all
    /// levels except the given ones are removed. Reports the change to the recorder. Returns the assignments after the
    /// change, and the assignments before it with the given levels.
    async fn reassign(
        &mut self,
        (company, user): (CompanyId, UserId),
        given: BTreeMap<UserLevelId, Option<Period>>,
        taken: Option<&[UserLevelId]>,
        (assigned_by, at): (Option<Uuid>, Value),
    ) -> Result<(Assigned, ReplacedLevels)> {
        // All CTEs of the statement read the same snapshot. So `held` contains the assignments before the statement
        // modified them. `OFFSET 0` (an optimization fence) makes the plan look up each level and its matrices by key.
        // Without it, the plan may read all levels or matrices of the company. An assignment keeps its period if the
        // change states none and the assignment has not expired.
        let (level, wanted) = (columns::<user_levels::Entity>("level"), columns::<user_levels::Entity>("wanted"));
        let (starts_at, expires_at) = (time("sent.starts_at"), time("sent.expires_at"));
        let sql = format!(
            "WITH held AS MATERIALIZED (
                SELECT user_level_id AS id, starts_at, expires_at FROM user_user_levels
                WHERE company_id = $1 AND user_id = $2
            ),
            wanted AS MATERIALIZED (
                SELECT {level}, sent.is_stated, {starts_at} AS starts_at, {expires_at} AS expires_at
                FROM unnest($3::uuid[], $7::boolean[], $8::bigint[], $9::bigint[])
                    AS sent (id, is_stated, starts_at, expires_at), LATERAL (
                    SELECT {level} FROM user_levels AS level WHERE company_id = $1 AND id = sent.id OFFSET 0
                ) AS level
            ),
            taken AS (
                DELETE FROM user_user_levels WHERE company_id = $1 AND user_id = $2
                    AND user_level_id <> ALL($3) AND ($4::uuid[] IS NULL OR user_level_id = ANY($4))
            ),
            given AS (
                INSERT INTO user_user_levels AS stored
                    (user_id, user_level_id, company_id, assigned_by, created_at, starts_at, expires_at)
                SELECT $2, id, company_id, $5, $6, starts_at, expires_at FROM wanted
                WHERE is_stated OR NOT EXISTS (
                    SELECT FROM held WHERE held.id = wanted.id AND (held.expires_at IS NULL OR held.expires_at > $10)
                )
                ON CONFLICT (user_id, user_level_id) DO UPDATE SET assigned_by = excluded.assigned_by,
                    created_at = excluded.created_at, starts_at = excluded.starts_at, expires_at = excluded.expires_at
                WHERE (stored.starts_at, stored.expires_at) IS DISTINCT FROM (excluded.starts_at, excluded.expires_at)
            )
            SELECT before.held, {wanted}, EXISTS (
                SELECT FROM user_level_view_permissions AS cell
                WHERE cell.company_id = $1 AND cell.user_level_id = wanted.id AND cell.state = 'deny' OFFSET 0
            ) OR EXISTS (
                SELECT FROM user_level_feature_permissions AS cell
                WHERE cell.company_id = $1 AND cell.user_level_id = wanted.id AND NOT cell.value OFFSET 0
            ) AS has_denies
            FROM (
                SELECT (SELECT coalesce(json_agg(json_build_array(id, {PERIOD})), '[]') FROM held)::text AS held
            ) AS before
            LEFT JOIN wanted ON true"
        );
        let now = self.0.recorder.now();
        let period = |period: &Option<Period>| period.unwrap_or_default();
        let values = [
            company.as_uuid().into(),
            user.as_uuid().into(),
            given.keys().map(UserLevelId::as_uuid).collect::<Vec<_>>().into(),
            taken.map(|taken| taken.iter().map(UserLevelId::as_uuid).collect::<Vec<_>>()).into(),
            assigned_by.into(),
            at,
            given.values().map(Option::is_some).collect::<Vec<_>>().into(),
            given.values().map(|stated| micros(period(stated).starts_at)).collect::<Vec<_>>().into(),
            given.values().map(|stated| micros(period(stated).expires_at)).collect::<Vec<_>>().into(),
            now.as_datetime().into(),
        ];
        let (mut before, mut after) = (Assigned::new(), Vec::new());
        for (place, row) in self.rows(statement(sql, values)).await?.iter().enumerate() {
            if place == 0 {
                before = assigned(json_column(row, "held")?)?;
            }
            if column::<Option<Uuid>>(row, "id")?.is_some() {
                let level = convert::<user_levels::Model, UserLevel>(row)?;
                after.push((level, column(row, "has_denies")?));
            }
        }
        let known: BTreeSet<_> = after.iter().map(|(level, _)| level.id).collect();
        let unknown: Vec<_> = given.keys().filter(|level| !known.contains(level)).map(UserLevelId::as_uuid).collect();
        if !unknown.is_empty() {
            return Err(StorageError::Unknown { entity: EntityType::UserLevel, ids: unknown });
        }
        let remove = match taken {
            Some(taken) => taken.iter().copied().collect(),
            None => before.keys().filter(|level| !given.contains_key(level)).copied().collect(),
        };
        let edited = LevelsEdit { user, add: given, remove }.applied_to(&before, now);
        self.0.recorder.assignments_updated(user, &before, &edited);
        let with_period = |(level, has_denies): (UserLevel, bool)| {
            let period = edited.get(&level.id).copied().unwrap_or_default();
            AssignedLevel { level, has_denies, period }
        };
        let mut after: Vec<_> = after.into_iter().map(with_period).collect();
        after.sort_unstable_by(|a, b| (&a.level.name, a.level.id).cmp(&(&b.level.name, b.level.id)));
        Ok((edited, ReplacedLevels { before, after }))
    }
}

#[async_trait]
impl AssignmentsMut for Repository<Unit> {
    async fn add(&mut self, assignment: &Assignment) -> Result<bool> {
        operation("assignments.add", async {
            let Assignment { user_id, user_level_id, company_id, assigned_by, created_at, period } = *assignment;
            self.change(Target::Company(company_id), async |unit| {
                let by = (assigned_by, created_at.as_datetime().into());
                let given = BTreeMap::from([(user_level_id, Some(period))]);
                let (after, replaced) = unit.reassign((company_id, user_id), given, Some(&[]), by).await?;
                Ok(after != replaced.before)
            })
            .await
        })
        .await
    }

    async fn remove(&mut self, company: CompanyId, user: UserId, level: UserLevelId) -> Result<bool> {
        operation("assignments.remove", async {
            self.change(Target::Company(company), async |unit| {
                let by = (None, unit.at());
                let (after, replaced) = unit.reassign((company, user), BTreeMap::new(), Some(&[level]), by).await?;
                Ok(after != replaced.before)
            })
            .await
        })
        .await
    }

    async fn replace_for_user(
        &mut self,
        company: CompanyId,
        user: UserId,
        levels: &[UserLevelId],
        assigned_by: Option<Uuid>,
    ) -> Result<ReplacedLevels> {
        operation("assignments.replace_for_user", async {
            self.change(Target::Company(company), async |unit| {
                let given = levels.iter().map(|level| (*level, None)).collect();
                let by = (assigned_by, unit.at());
                Ok(unit.reassign((company, user), given, None, by).await?.1)
            })
            .await
        })
        .await
    }

    async fn edit(
        &mut self,
        company: CompanyId,
        edits: &[LevelsEdit],
        assigned_by: Option<Uuid>,
    ) -> Result<EditedLevels> {
        operation("assignments.edit", async {
            self.change(Target::Company(company), async |unit| unit.edit_levels(company, edits, assigned_by).await)
                .await
        })
        .await
    }

    async fn remove_expired(&mut self, company: CompanyId, by: Timestamp, limit: u64) -> Result<u64> {
        operation("assignments.remove_expired", async {
            self.change(Target::Company(company), async |unit| unit.remove_expired(company, by, limit).await).await
        })
        .await
    }
}
