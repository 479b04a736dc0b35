//! Edits of the levels of several users, with one statement.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{CompanyId, EntityType, Period, UserId, UserLevelId};
use iam_storage::{Assigned, EditedLevels, EditedUser, LevelsEdit, Result, StorageError};
use uuid::Uuid;

use super::Unit;
use super::assignments::{AssignedRow, assigned};
use crate::periods::{PERIOD, micros, time};
use crate::repository::Repository;
use crate::statement::{json_column, statement};

/// Returns the statement that applies edits. $2 and $3 are the pairs of user and level to assign, $8, $9 and $10 whether
/// the edit states a period for the pair, its start and its end, $4 and $5 the pairs to remove.
///
/// All CTEs of the statement read the same snapshot, so `held` contains the levels before the statement. `OFFSET 0` (an
/// optimization fence) makes the plan look up each user and each level by key. The comparison with `IS TRUE` prevents
/// the planner from converting the condition into a join, which could read all assignments of the company.
fn edit() -> String {
    let (starts_at, expires_at) = (time("starts_at"), time("expires_at"));
    format!(
        "
    WITH added AS MATERIALIZED (
        SELECT user_id, level_id, is_stated, {starts_at} AS starts_at, {expires_at} AS expires_at
        FROM unnest($2::uuid[], $3::uuid[], $8::boolean[], $9::bigint[], $10::bigint[])
            AS pair (user_id, level_id, is_stated, starts_at, expires_at)
    ),
    removed AS MATERIALIZED (SELECT user_id, level_id FROM unnest($4::uuid[], $5::uuid[]) AS pair (user_id, level_id)),
    level AS MATERIALIZED (
        SELECT level.id FROM (SELECT level_id AS id FROM added UNION SELECT level_id FROM removed) AS sent, LATERAL (
            SELECT id FROM user_levels WHERE company_id = $1 AND id = sent.id OFFSET 0
        ) AS level
    ),
    held AS MATERIALIZED (
        SELECT asked.user_id, (
            SELECT coalesce(json_agg(json_build_array(user_level_id, {PERIOD})), '[]')
            FROM user_user_levels WHERE company_id = $1 AND user_id = asked.user_id
        ) AS levels
        FROM (SELECT user_id FROM added UNION SELECT user_id FROM removed) AS asked
    ),
    taken AS (
        DELETE FROM user_user_levels WHERE company_id = $1 AND user_id = ANY($4)
            AND ((user_id, user_level_id) IN (SELECT user_id, level_id FROM removed)) IS TRUE
    ),
    given AS (
        INSERT INTO user_user_levels AS stored
            (user_id, user_level_id, company_id, assigned_by, created_at, starts_at, expires_at)
        SELECT added.user_id, level.id, $1, $6, $7, added.starts_at, added.expires_at
        FROM added JOIN level ON level.id = added.level_id
        WHERE added.is_stated OR NOT EXISTS (
            SELECT FROM user_user_levels AS kept
            WHERE kept.user_id = added.user_id AND kept.user_level_id = level.id AND kept.company_id = $1
                AND (kept.expires_at IS NULL OR kept.expires_at > $7) OFFSET 0
        )
        ON CONFLICT (user_id, user_level_id) DO UPDATE SET assigned_by = excluded.assigned_by,
            created_at = excluded.created_at, starts_at = excluded.starts_at, expires_at = excluded.expires_at
        WHERE (stored.starts_at, stored.expires_at) IS DISTINCT FROM (excluded.starts_at, excluded.expires_at)
    )
    SELECT (SELECT coalesce(json_agg(json_build_array(id, EXISTS (
            SELECT FROM user_level_view_permissions AS cell
            WHERE cell.company_id = $1 AND cell.user_level_id = level.id AND cell.state = 'deny' OFFSET 0
        ) OR EXISTS (
            SELECT FROM user_level_feature_permissions AS cell
            WHERE cell.company_id = $1 AND cell.user_level_id = level.id AND NOT cell.value OFFSET 0
        ))), '[]') FROM level)::text AS levels,
        (SELECT coalesce(json_agg(json_build_array(user_id, levels)), '[]') FROM held)::text AS held"
    )
}

/// The values of the pairs of user and level to assign, one array for each column.
#[derive(Default)]
struct Adding {
    users: Vec<Uuid>,
    levels: Vec<Uuid>,
    are_stated: Vec<bool>,
    starts: Vec<i64>,
    ends: Vec<i64>,
}

impl Adding {
    fn push(&mut self, user: UserId, level: UserLevelId, period: Option<Period>) {
        self.users.push(user.as_uuid());
        self.levels.push(level.as_uuid());
        self.are_stated.push(period.is_some());
        self.starts.push(micros(period.and_then(|period| period.starts_at)));
        self.ends.push(micros(period.and_then(|period| period.expires_at)));
    }
}

impl Repository<Unit> {
    /// Applies edits, and reports the changes of each user to the recorder.
    pub(super) async fn edit_levels(
        &mut self,
        company: CompanyId,
        edits: &[LevelsEdit],
        assigned_by: Option<Uuid>,
    ) -> Result<EditedLevels> {
        LevelsEdit::check(edits)?;
        let mut adding = Adding::default();
        let (mut users_removed, mut levels_removed) = (Vec::new(), Vec::new());
        for edit in edits {
            for (level, period) in &edit.add {
                adding.push(edit.user, *level, *period);
            }
            users_removed.extend(edit.remove.iter().map(|_| edit.user.as_uuid()));
            levels_removed.extend(edit.remove.iter().map(UserLevelId::as_uuid));
        }
        let Adding { users, levels: levels_added, are_stated, starts, ends } = adding;
        let added: BTreeSet<_> = levels_added.iter().copied().collect();
        let sent: BTreeSet<_> = added.iter().chain(&levels_removed).copied().collect();
        let values = [
            company.as_uuid().into(),
            users.into(),
            levels_added.into(),
            users_removed.into(),
            levels_removed.into(),
            assigned_by.into(),
            self.at(),
            are_stated.into(),
            starts.into(),
            ends.into(),
        ];
        let row = self.single(statement(edit(), values)).await?;
        let levels: BTreeMap<Uuid, bool> = json_column::<Vec<_>>(&row, "levels")?.into_iter().collect();
        let unknown: Vec<_> = sent.into_iter().filter(|level| !levels.contains_key(level)).collect();
        if !unknown.is_empty() {
            return Err(StorageError::Unknown { entity: EntityType::UserLevel, ids: unknown });
        }
        let mut held: BTreeMap<UserId, Assigned> = BTreeMap::new();
        for (user, levels) in json_column::<Vec<(Uuid, Vec<AssignedRow>)>>(&row, "held")? {
            held.insert(UserId::from_uuid(user), assigned(levels)?);
        }
        let now = self.0.recorder.now();
        let mut users = Vec::with_capacity(edits.len());
        for edit in edits {
            let before = held.remove(&edit.user).unwrap_or_default();
            let after = edit.applied_to(&before, now);
            self.0.recorder.assignments_updated(edit.user, &before, &after);
            users.push(EditedUser { user: edit.user, before, after });
        }
        let denying = levels.into_iter().filter(|(level, denies)| *denies && added.contains(level));
        Ok(EditedLevels { users, denying: denying.map(|(level, _)| UserLevelId::from_uuid(level)).collect() })
    }
}
