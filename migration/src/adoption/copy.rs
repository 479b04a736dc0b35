//! The statements that copy the rows of the original tables, with their conversions and repairs.
//!
//! The original tables are in the schema `iam_original`. Rows of kinds that an operator drops are in the temporary table
//! `iam_dropped`; `{kept}` excludes them. The replacements of other repairs are part of the statements: without the
//! repair, the adoption stops before it copies such rows.

/// The statement that copies the rows of a table. `None` if the rows are computed from others, and not copied.
pub(crate) struct Copy {
    pub(crate) table: &'static str,
    pub(crate) sql: Option<&'static str>,
}

const fn copied(table: &'static str, sql: &'static str) -> Copy {
    Copy { table, sql: Some(sql) }
}

/// The functions that the statements use. They exist until the session ends.
pub(crate) const FUNCTIONS: &str = r"
CREATE FUNCTION pg_temp.iam_json(value text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN nullif(btrim(value), '')::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION pg_temp.iam_is_list(value text, longest integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(parsed)
        WHEN 'null' THEN true
        WHEN 'array' THEN NOT EXISTS (
            SELECT FROM jsonb_array_elements(parsed) AS item
            WHERE jsonb_typeof(item) <> 'string' OR btrim(item #>> '{}') = '' OR length(item #>> '{}') > longest
        )
        ELSE false
    END
    FROM (SELECT coalesce(pg_temp.iam_json(value), 'false') AS parsed) AS whole
$$;

CREATE FUNCTION pg_temp.iam_list(value text, longest integer) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN pg_temp.iam_is_list(value, longest) THEN nullif(pg_temp.iam_json(value), 'null') END
$$;

CREATE FUNCTION pg_temp.iam_record(value text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN btrim(value) <> '' THEN coalesce(pg_temp.iam_json(value), to_jsonb(value)) END
$$;

CREATE FUNCTION pg_temp.iam_integer(value text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN value ~ '^\s*[+-]?[0-9]{1,9}\s*$' THEN btrim(value)::integer ELSE 0 END
$$;

CREATE FUNCTION pg_temp.iam_is_time(value timestamp) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(value BETWEEN '0001-01-01' AND '9999-12-31', true)
$$;

CREATE FUNCTION pg_temp.iam_time(value timestamp) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN pg_temp.iam_is_time(value) THEN coalesce(value AT TIME ZONE 'UTC', now()) ELSE now() END
$$;

CREATE FUNCTION pg_temp.iam_name(name text, id uuid) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN btrim(name) = '' THEN id::text ELSE name END
$$;
";

/// The statements, in an order in which a row is copied after the rows that it refers to.
pub(crate) const COPIES: [Copy; 17] = [
    copied(
        "views",
        "INSERT INTO views (id, name, url, category, description, icon, requires_auth, created_at, updated_at)
        SELECT id, pg_temp.iam_name(name, id), CASE WHEN btrim(url) = '' THEN 'unnamed-' || id ELSE url END, category, description, icon, coalesce(requires_auth, true),
            pg_temp.iam_time(created_at), pg_temp.iam_time(updated_at)
        FROM iam_original.views AS o WHERE {kept}",
    ),
    copied(
        "modules",
        "INSERT INTO modules (id, code, name, description, icon, enabled, priority, created_at, updated_at)
        SELECT id, CASE WHEN btrim(code) = '' THEN 'unnamed-' || id ELSE code END, pg_temp.iam_name(name, id), description,
            icon, coalesce(enabled, true),
            CASE WHEN priority IN ('standard', 'optional', 'premium') THEN priority ELSE 'standard' END,
            pg_temp.iam_time(created_at), pg_temp.iam_time(updated_at)
        FROM iam_original.modules AS o WHERE {kept}",
    ),
    copied(
        "features",
        "INSERT INTO features
            (id, key, name, description, resource_type, actions, category, enabled, created_at, updated_at)
        SELECT id, CASE WHEN btrim(key) <> '' THEN key END, pg_temp.iam_name(name, id), description, resource_type, pg_temp.iam_list(actions, 50), category,
            coalesce(enabled, true), pg_temp.iam_time(created_at), pg_temp.iam_time(updated_at)
        FROM iam_original.features AS o WHERE {kept}",
    ),
    copied(
        "feature2views",
        "INSERT INTO feature2views (feature_id, view_id, created_at)
        SELECT feature_id, view_id, pg_temp.iam_time(created_at) FROM iam_original.feature2views AS o WHERE {kept}",
    ),
    copied(
        "module2views",
        "INSERT INTO module2views (module_id, view_id, created_at)
        SELECT module_id, view_id, pg_temp.iam_time(created_at) FROM iam_original.module2views AS o WHERE {kept}",
    ),
    copied(
        "module2features",
        "INSERT INTO module2features (module_id, feature_id, created_at)
        SELECT module_id, feature_id, pg_temp.iam_time(created_at)
        FROM iam_original.module2features AS o WHERE {kept}",
    ),
    copied(
        "company2modules",
        "INSERT INTO company2modules (company_id, module_id, enabled, created_at, updated_at)
        SELECT company_id, module_id, coalesce(enabled, true), pg_temp.iam_time(created_at),
            pg_temp.iam_time(updated_at)
        FROM iam_original.company2modules AS o WHERE {kept}",
    ),
    // The oldest level keeps its name. The numbers of the others are skipped if the company has a level of that name.
    copied(
        "user_levels",
        "WITH named AS (
            SELECT o.*, pg_temp.iam_name(name, id) AS given, row_number() OVER same_name AS number
            FROM iam_original.user_levels AS o WHERE {kept}
            WINDOW same_name AS (PARTITION BY company_id, pg_temp.iam_name(name, id) ORDER BY created_at, id)
        ), numbered AS (
            SELECT named.*, CASE number WHEN 1 THEN given ELSE left(given, 240) || ' (' || number || ')' END AS proposed
            FROM named
        )
        INSERT INTO user_levels (id, company_id, name, description, is_default, created_at, updated_at)
        SELECT id, company_id,
            CASE WHEN number > 1 AND EXISTS (
                SELECT FROM iam_original.user_levels AS l WHERE l.company_id = numbered.company_id AND l.name = proposed
            ) THEN left(given, 210) || ' (' || id || ')' ELSE proposed END,
            description, coalesce(is_default, false), pg_temp.iam_time(created_at), pg_temp.iam_time(updated_at)
        FROM numbered",
    ),
    copied(
        "user_level_view_permissions",
        "INSERT INTO user_level_view_permissions
            (id, company_id, user_level_id, view_id, state, modifiable, created_at, updated_at)
        SELECT id, company_id, user_level_id, view_id,
            CASE WHEN state IN ('allow', 'deny') THEN state ELSE 'inherit' END, coalesce(modifiable, true),
            pg_temp.iam_time(created_at), pg_temp.iam_time(updated_at)
        FROM iam_original.user_level_view_permissions AS o WHERE {kept}",
    ),
    copied(
        "user_level_feature_permissions",
        "INSERT INTO user_level_feature_permissions
            (id, company_id, user_level_id, feature_id, action, value, scope, modifiable, created_at, updated_at)
        SELECT id, company_id, user_level_id, feature_id, action, value,
            CASE WHEN scope IN ('team', 'company', 'any') THEN scope ELSE 'own' END, coalesce(modifiable, true),
            pg_temp.iam_time(created_at), pg_temp.iam_time(updated_at)
        FROM iam_original.user_level_feature_permissions AS o WHERE {kept}",
    ),
    copied(
        "user_user_levels",
        "INSERT INTO user_user_levels (user_id, user_level_id, company_id, assigned_by, created_at)
        SELECT o.user_id, o.user_level_id, level.company_id, o.assigned_by, pg_temp.iam_time(o.created_at)
        FROM iam_original.user_user_levels AS o JOIN iam_original.user_levels AS level ON level.id = o.user_level_id
        WHERE {kept}",
    ),
    copied(
        "menu_items",
        "INSERT INTO menu_items (id, company_id, label, icon, priority, required_permissions, sort_order, view_id,
            feature_id, is_entrypoint, created_at, updated_at)
        SELECT o.id, o.company_id, pg_temp.iam_name(o.label, o.id), o.icon,
            CASE WHEN o.priority IN ('standard', 'optional', 'premium') THEN o.priority ELSE 'standard' END,
            pg_temp.iam_list(o.required_permissions, 255), pg_temp.iam_integer(o.sort_order), view.id, feature.id,
            coalesce(o.is_entrypoint, true), pg_temp.iam_time(o.created_at), pg_temp.iam_time(o.updated_at)
        FROM iam_original.menu_items AS o
        LEFT JOIN iam_original.views AS view ON view.id = o.view_id
        LEFT JOIN iam_original.features AS feature ON feature.id = o.feature_id
        WHERE {kept}",
    ),
    copied(
        "sub_menu_items",
        "INSERT INTO sub_menu_items
            (id, menu_item_id, label, view_id, feature_id, icon, sort_order, enabled, created_at, updated_at)
        SELECT o.id, o.menu_item_id, pg_temp.iam_name(o.label, o.id), view.id, feature.id, o.icon,
            pg_temp.iam_integer(o.sort_order), coalesce(o.enabled, true), pg_temp.iam_time(o.created_at),
            pg_temp.iam_time(o.updated_at)
        FROM iam_original.sub_menu_items AS o
        LEFT JOIN iam_original.views AS view ON view.id = o.view_id
        LEFT JOIN iam_original.features AS feature ON feature.id = o.feature_id
        WHERE {kept}",
    ),
    copied(
        "nav_trail",
        "INSERT INTO nav_trail (id, user_id, company_id, session_id, view_id, url, label, depth, created_at)
        SELECT o.id, o.user_id, company.id, o.session_id, view.id, o.url, o.label, pg_temp.iam_integer(o.depth),
            pg_temp.iam_time(o.created_at)
        FROM iam_original.nav_trail AS o
        JOIN (
            SELECT held.user_id, min(level.company_id::text)::uuid AS id FROM iam_original.user_user_levels AS held
            JOIN iam_original.user_levels AS level ON level.id = held.user_level_id GROUP BY held.user_id
        ) AS company ON company.user_id = o.user_id
        LEFT JOIN iam_original.views AS view ON view.id = o.view_id
        WHERE {kept}",
    ),
    Copy { table: "effective_view_permissions", sql: None },
    Copy { table: "effective_feature_permissions", sql: None },
    copied(
        "iam_audit_logs",
        r#"INSERT INTO iam_audit_logs
            (id, company_id, user_id, actor_kind, action, entity_type, entity_id, changes, metadata, "timestamp")
        SELECT id, company_id, user_id, CASE WHEN user_id IS NULL THEN 'system' ELSE 'user' END, action, entity_type,
            entity_id, pg_temp.iam_record(changes), pg_temp.iam_record(metadata), pg_temp.iam_time("timestamp")
        FROM iam_original.iam_audit_logs AS o WHERE {kept}"#,
    ),
];

/// The statements that create the states of the companies, after all rows are copied. A company with levels counts as
/// provisioned, so that its levels are not created a second time.
pub(crate) const STATES: [&str; 2] = [
    "INSERT INTO company_states (company_id, version, provisioned_at, created_at)
    SELECT company_id, 1, min(created_at) FILTER (WHERE is_level), min(created_at)
    FROM (
        SELECT company_id, created_at, true AS is_level FROM user_levels
        UNION ALL SELECT company_id, created_at, false FROM company2modules
        UNION ALL SELECT company_id, created_at, false FROM menu_items WHERE company_id IS NOT NULL
    ) AS known
    GROUP BY company_id",
    "UPDATE company_states SET version = version + 1 WHERE company_id = '00000000-0000-0000-0000-000000000000'",
];
