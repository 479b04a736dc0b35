//! Edits of the levels of several users, with one statement.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{CompanyId, EntityType, UserId, UserLevelId};
use iam_storage::{EditedLevels, EditedUser, LevelsEdit, Result, SetDiff, StorageError};
use uuid::Uuid;

use super::Unit;
use crate::repository::Repository;
use crate::statement::{json_column, statement};

/// The statement that applies edits. $2 and $3 are the pairs of user and level to assign, $4 and $5 the pairs to remove.
///
/// All CTEs of the statement read the same snapshot, so `held` contains the levels before the statement. `OFFSET 0` (an
/// optimization fence) makes the plan look up each user and each level by key. The comparison with `IS TRUE` prevents
/// the planner from converting the condition into a join, which could read all assignments of the company.
const EDIT: &str = "
    WITH added AS MATERIALIZED (SELECT user_id, level_id FROM unnest($2::uuid[], $3::uuid[]) AS pair (user_id, level_id)),
    removed AS MATERIALIZED (SELECT user_id, level_id FROM unnest($4::uuid[], $5::uuid[]) AS pair (user_id, level_id)),
    level AS MATERIALIZED (
        SELECT level.id FROM (SELECT level_id AS id FROM added UNION SELECT level_id FROM removed) AS sent, LATERAL (
            SELECT id FROM user_levels WHERE company_id = $1 AND id = sent.id OFFSET 0
        ) AS level
    ),
    held AS MATERIALIZED (
        SELECT asked.user_id, ARRAY(
            SELECT user_level_id FROM user_user_levels WHERE company_id = $1 AND user_id = asked.user_id
        ) AS levels
        FROM (SELECT user_id FROM added UNION SELECT user_id FROM removed) AS asked
    ),
    taken AS (
        DELETE FROM user_user_levels WHERE company_id = $1 AND user_id = ANY($4)
            AND ((user_id, user_level_id) IN (SELECT user_id, level_id FROM removed)) IS TRUE
    ),
    given AS (
        INSERT INTO user_user_levels (user_id, user_level_id, company_id, assigned_by, created_at)
        SELECT added.user_id, level.id, $1, $6, $7 FROM added JOIN level ON level.id = added.level_id
        ON CONFLICT DO NOTHING
    )
    SELECT (SELECT coalesce(json_agg(json_build_array(id, EXISTS (
            SELECT FROM user_level_view_permissions AS cell
            WHERE cell.company_id = $1 AND cell.user_level_id = level.id AND cell.state = 'deny' OFFSET 0
        ) OR EXISTS (
            SELECT FROM user_level_feature_permissions AS cell
            WHERE cell.company_id = $1 AND cell.user_level_id = level.id AND NOT cell.value OFFSET 0
        ))), '[]') FROM level)::text AS levels,
        (SELECT coalesce(json_agg(json_build_array(user_id, levels)), '[]') FROM held)::text AS held";

/// Returns the users and the levels of the pairs in `levels_of` an edit.
fn pairs(edits: &[LevelsEdit], levels_of: fn(&LevelsEdit) -> &BTreeSet<UserLevelId>) -> (Vec<Uuid>, Vec<Uuid>) {
    let of = |edit| levels_of(edit).iter().map(move |level| (edit, level));
    edits.iter().flat_map(of).map(|(edit, level)| (edit.user.as_uuid(), level.as_uuid())).unzip()
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
        let (users_added, levels_added) = pairs(edits, |edit| &edit.add);
        let (users_removed, levels_removed) = pairs(edits, |edit| &edit.remove);
        let added: BTreeSet<_> = levels_added.iter().copied().collect();
        let sent: BTreeSet<_> = added.iter().chain(&levels_removed).copied().collect();
        let values = [
            company.as_uuid().into(),
            users_added.into(),
            levels_added.into(),
            users_removed.into(),
            levels_removed.into(),
            assigned_by.into(),
            self.at(),
        ];
        let row = self.single(statement(EDIT, values)).await?;
        let levels: BTreeMap<Uuid, bool> = json_column::<Vec<_>>(&row, "levels")?.into_iter().collect();
        let unknown: Vec<_> = sent.into_iter().filter(|level| !levels.contains_key(level)).collect();
        if !unknown.is_empty() {
            return Err(StorageError::Unknown { entity: EntityType::UserLevel, ids: unknown });
        }
        let mut held: BTreeMap<UserId, BTreeSet<UserLevelId>> = BTreeMap::new();
        for (user, levels) in json_column::<Vec<(Uuid, Vec<Uuid>)>>(&row, "held")? {
            held.insert(UserId::from_uuid(user), levels.into_iter().map(UserLevelId::from_uuid).collect());
        }
        let mut users = Vec::with_capacity(edits.len());
        for edit in edits {
            let before = held.remove(&edit.user).unwrap_or_default();
            let after = edit.applied_to(&before);
            let there: Vec<_> = before.iter().copied().collect();
            let diff = SetDiff::new(before.iter().copied(), after.iter().copied());
            self.0.recorder.assignments_updated(edit.user, &there, &diff);
            users.push(EditedUser { user: edit.user, before, after });
        }
        let denying = levels.into_iter().filter(|(level, denies)| *denies && added.contains(level));
        Ok(EditedLevels { users, denying: denying.map(|(level, _)| UserLevelId::from_uuid(level)).collect() })
    }
}
