//! The SQL that determines what the other levels of the users who hold a level say about some cells.

use std::collections::BTreeSet;

use iam_domain::escalation::{Cell, OtherReaches, Reach};
use iam_domain::{Scope, UserId, UserLevelId};
use iam_storage::{Result, StorageError};
use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use crate::periods::{LASTING, UNEXPIRED};
use crate::statement::json_column;

/// Returns the SQL of the column `reaches` of a snapshot of a company ($3). The level is $4, and the user who is not
/// considered is $5. The cells are the views in $6, and the actions ($8) of features ($7).
///
/// The statement first collects the other levels of the holders, then reads the cells of each of these levels once, by
/// the full key. `OFFSET 0` (an optimization fence) fixes this order, and `ORDER BY user_id` makes the planner read the
/// holders from the index. A cell that a user's other levels do not mention yields an empty reach.
///
/// Holders are the users to whom the level is assigned, now or later. Each holder has two reaches: of all other levels,
/// and of those that are in effect and whose assignment has no end. A deny counts only if its assignment has no end.
pub(crate) fn other_rules() -> String {
    format!(", (
    WITH holder AS MATERIALIZED (
        SELECT user_id FROM user_user_levels
        WHERE user_level_id = $4 AND company_id = $3 AND user_id IS DISTINCT FROM $5::uuid AND {UNEXPIRED}
        ORDER BY user_id
    ),
    other AS MATERIALIZED (
        SELECT holder.user_id, held.user_level_id, held.is_lasting FROM holder, LATERAL (
            SELECT user_level_id, {LASTING} AS is_lasting FROM user_user_levels
            WHERE company_id = $3 AND user_id = holder.user_id AND user_level_id <> $4 AND {UNEXPIRED} OFFSET 0
        ) AS held
    ),
    level AS MATERIALIZED (SELECT DISTINCT user_level_id AS id FROM other),
    rule AS MATERIALIZED (
        SELECT level.id, asked.place, said.width, said.is_denied
        FROM level, unnest($6::uuid[]) WITH ORDINALITY AS asked (view_id, place), LATERAL (
            SELECT CASE state WHEN 'allow' THEN 4 END AS width, state = 'deny' AS is_denied
            FROM user_level_view_permissions
            WHERE company_id = $3 AND user_level_id = level.id AND view_id = asked.view_id AND state <> 'inherit' OFFSET 0
        ) AS said
        UNION ALL
        SELECT level.id, cardinality($6) + asked.place, said.width, said.is_denied
        FROM level, unnest($7::uuid[], $8::text[]) WITH ORDINALITY AS asked (feature_id, action, place), LATERAL (
            SELECT CASE WHEN value THEN array_position(ARRAY['own', 'team', 'company', 'any'], scope::text) END AS width,
                NOT value AS is_denied
            FROM user_level_feature_permissions
            WHERE company_id = $3 AND user_level_id = level.id AND feature_id = asked.feature_id
                AND action = asked.action OFFSET 0
        ) AS said
    ),
    reach AS MATERIALIZED (
        SELECT rule.place, other.user_id, max(rule.width) AS width,
            max(rule.width) FILTER (WHERE other.is_lasting) AS lasting_width,
            bool_or(rule.is_denied AND other.is_lasting) AS is_denied
        FROM other JOIN rule ON rule.id = other.user_level_id GROUP BY rule.place, other.user_id
    ),
    found AS (
        SELECT place, width, is_denied FROM reach
        UNION
        SELECT place, lasting_width, is_denied FROM reach
        UNION
        SELECT asked.place, NULL, false
        FROM generate_series(1, cardinality($6) + cardinality($7)) AS asked (place)
        LEFT JOIN (SELECT place, count(*) AS users FROM reach GROUP BY place) AS known USING (place)
        WHERE coalesce(known.users, 0) < (SELECT count(*) FROM holder)
    )
    SELECT coalesce(json_agg(json_build_array(
        place - 1, (ARRAY['own', 'team', 'company', 'any'])[width], is_denied
    )), '[]') FROM found
)::text AS reaches")
}

/// Returns the values of the parameters $4 and later.
pub(crate) fn parameters(level: UserLevelId, cells: &BTreeSet<Cell>, without: Option<UserId>) -> [Value; 5] {
    let (mut views, mut features, mut actions) = (Vec::<Uuid>::new(), Vec::<Uuid>::new(), Vec::<String>::new());
    for cell in cells {
        match cell {
            Cell::View(view) => views.push(view.as_uuid()),
            Cell::Action(feature, action) => {
                features.push(feature.as_uuid());
                actions.push(action.to_string());
            }
        }
    }
    [level.as_uuid().into(), without.map(|user| user.as_uuid()).into(), views.into(), features.into(), actions.into()]
}

/// Returns the reaches in the column `reaches`.
pub(crate) fn reaches(row: &QueryResult, cells: &BTreeSet<Cell>) -> Result<OtherReaches> {
    // Views sort before actions, so the order of the set is the order of the places.
    let cells: Vec<_> = cells.iter().collect();
    let mut reaches = OtherReaches::new();
    for (place, granted, is_denied) in json_column::<Vec<(usize, Option<Scope>, bool)>>(row, "reaches")? {
        let cell = cells.get(place).ok_or_else(|| StorageError::corrupt("a reach refers to no cell"))?;
        reaches.entry((*cell).clone()).or_default().insert(Reach { granted, is_denied });
    }
    Ok(reaches)
}
