//! The SQL that lists members by name.

/// The parameters of a page of members that is sorted by name. Members without a display name follow those with one.
pub(super) struct ByName {
    /// The folded name after which the page begins. Null if it begins among the members without a name.
    pub(super) name: String,
    /// The user after whom the page begins, among the members with this name.
    pub(super) among_named: String,
    /// The user after whom the page begins, among the members without a name.
    pub(super) among_unnamed: String,
    /// The maximum number of members.
    pub(super) limit: String,
}

impl ByName {
    /// Returns a query of a page of all members of the company $1, with the columns `part`, `name` and `user_id`. The
    /// members with a name are read from the index, in the order of the list. The others are read only if the page
    /// contains the end of the former.
    pub(super) fn all(&self) -> String {
        let Self { name, among_named, among_unnamed, limit } = self;
        format!(
            "WITH named AS MATERIALIZED (
                SELECT 1 AS part, name_folded AS name, user_id FROM user_profiles AS profile
                WHERE company_id = $1 AND {name}::text IS NOT NULL AND (name_folded, user_id) > ({name}, {among_named})
                    AND EXISTS (
                        SELECT FROM user_user_levels WHERE company_id = $1 AND user_id = profile.user_id OFFSET 0
                    )
                ORDER BY name_folded, user_id LIMIT {limit}
            )
            SELECT part, name, user_id FROM named UNION ALL (
                SELECT DISTINCT ON (user_id) 2, NULL::text, user_id FROM user_user_levels AS held
                WHERE (SELECT count(*) FROM named) < {limit} AND company_id = $1 AND user_id > {among_unnamed}
                    AND NOT EXISTS (
                        SELECT FROM user_profiles
                        WHERE company_id = $1 AND user_id = held.user_id AND name_folded IS NOT NULL OFFSET 0
                    )
                ORDER BY user_id LIMIT {limit}
            ) ORDER BY part, name, user_id LIMIT {limit}"
        )
    }

    /// Returns a query of a page of the members that the query `selected` selects, with the same columns.
    pub(super) fn selected(&self, selected: &str) -> String {
        let Self { name, among_named, among_unnamed, limit } = self;
        format!(
            "SELECT CASE WHEN profile.name IS NULL THEN 2 ELSE 1 END AS part, profile.name, selected.user_id
            FROM ({selected}) AS selected LEFT JOIN LATERAL (
                SELECT name_folded AS name FROM user_profiles WHERE company_id = $1 AND user_id = selected.user_id OFFSET 0
            ) AS profile ON true
            WHERE (profile.name IS NULL AND selected.user_id > {among_unnamed})
                OR ({name}::text IS NOT NULL AND (profile.name, selected.user_id) > ({name}, {among_named}))
            ORDER BY part, profile.name, selected.user_id LIMIT {limit}"
        )
    }
}
