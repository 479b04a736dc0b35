//! The SQL that selects and counts members by the levels that they hold.

use crate::engine::Feed;
use crate::entities::company_states::CATALOG;
use crate::feed::epoch::current_epoch;
use crate::periods::{ACTIVE, boundaries};

/// The number of assignments that are walked for each requested member.
const WALKED_PER_MEMBER: u64 = 8;

/// Returns the number of assignments that are walked for a page of `limit` members ($6).
pub(super) fn walked(limit: u64) -> u64 {
    limit.saturating_mul(WALKED_PER_MEMBER)
}

/// Returns the SQL of the common table expressions `allowed`, the users on the page, and `bound`, the largest user up to
/// whom all users were examined. $1 is the company, $2 are the allowing and $3 the denying levels, $4 is the user after
/// whom the page begins, $5 the maximum number of users, and $6 the maximum number of assignments that are walked.
///
/// The statement first walks the members in ascending order. That is enough if many members are allowed, or if the
/// company has few members. Otherwise, `held` contains the next holders of each allowing level. If a level has more
/// holders than that, its last holder in `held` is a bound: larger ids may be incomplete. Users up to the smallest of
/// these bounds are examined in ascending order, until enough users hold no denying level.
pub(super) fn selection() -> String {
    format!(
        "walked AS MATERIALIZED (
            SELECT user_id, user_level_id, {ACTIVE} AS is_active FROM user_user_levels
            WHERE company_id = $1 AND user_id > $4 ORDER BY user_id, user_level_id LIMIT $6
        ),
        near AS MATERIALIZED (
            SELECT user_id FROM walked
            -- The assignments of the last user may be incomplete.
            WHERE user_id <> coalesce(
                (SELECT user_id FROM walked ORDER BY user_id OFFSET $6 - 1), '00000000-0000-0000-0000-000000000000'
            )
            GROUP BY user_id
            HAVING bool_or(is_active AND user_level_id = ANY($2::uuid[]))
                AND NOT bool_or(is_active AND user_level_id = ANY($3::uuid[]))
            ORDER BY user_id LIMIT $5
        ),
        walk AS MATERIALIZED (
            SELECT (SELECT count(*) FROM walked) < $6 OR (SELECT count(*) FROM near) >= $5 AS is_enough
        ),
        held AS MATERIALIZED (
            SELECT holder.user_id, holder.place FROM unnest($2::uuid[]) AS allowing (level), LATERAL (
                SELECT user_id, row_number() OVER (ORDER BY user_id) AS place FROM user_user_levels
                WHERE company_id = $1 AND user_level_id = allowing.level AND user_id > $4 AND {ACTIVE}
                ORDER BY user_id LIMIT $5
            ) AS holder
            WHERE NOT (SELECT is_enough FROM walk)
        ),
        bound AS MATERIALIZED (SELECT user_id FROM held WHERE place = $5 ORDER BY user_id LIMIT 1),
        allowed AS MATERIALIZED (
            SELECT user_id FROM near WHERE (SELECT is_enough FROM walk)
            UNION ALL (
                SELECT user_id FROM (
                    SELECT DISTINCT user_id FROM held
                    WHERE user_id <= coalesce((SELECT user_id FROM bound), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                    ORDER BY user_id
                ) AS examined
                WHERE NOT EXISTS (
                    SELECT FROM user_user_levels
                    WHERE company_id = $1 AND user_id = examined.user_id AND user_level_id = ANY($3::uuid[])
                        AND {ACTIVE} OFFSET 0
                )
                ORDER BY user_id LIMIT $5
            )
        )"
    )
}

/// Returns the SQL of the number of selected members of the company $1. $2 are the allowing and $3 the denying levels.
/// Counting stops at $4.
pub(super) fn count() -> String {
    format!(
        "SELECT count(*) FROM (
            SELECT user_id FROM user_user_levels WHERE company_id = $1 AND {ACTIVE}
            GROUP BY user_id
            HAVING bool_or(user_level_id = ANY($2::uuid[])) AND NOT bool_or(user_level_id = ANY($3::uuid[]))
            LIMIT $4
        ) AS counted"
    )
}

/// Returns the SQL of the columns with the versions and the stamps of the company $1 and of the catalog.
pub(super) fn state(feed: Feed) -> String {
    format!(
        "{epoch} AS epoch, catalog.version AS catalog_version, catalog.stamp AS catalog_stamp,
        coalesce(company.version, 0) AS company_version, coalesce(company.stamp, 0) AS company_stamp, {boundaries}",
        epoch = current_epoch(feed),
        boundaries = boundaries("$1"),
    )
}

/// Returns the `FROM` clause of a statement with the columns of [`state`].
pub(super) fn states() -> String {
    format!(
        "company_states AS catalog LEFT JOIN company_states AS company ON company.company_id = $1
        WHERE catalog.company_id = {CATALOG}"
    )
}
