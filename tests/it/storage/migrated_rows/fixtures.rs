//! The rows that a database contains before the next migration, and the changes to rows that migrations make on purpose.

use serde_json::Value;

/// A column whose values a migration changes.
pub(super) struct ChangedColumn {
    pub(super) migration: &'static str,
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    /// Returns the value after the migration for the value before it.
    pub(super) expected: fn(&Value) -> Value,
}

impl ChangedColumn {
    pub(super) fn is(&self, migration: &str, table: &str, column: &str) -> bool {
        (self.migration, self.table, self.column) == (migration, table, column)
    }
}

/// The columns whose values migrations change.
pub(super) const CHANGED_COLUMNS: [ChangedColumn; 0] = [];

/// The numbers of rows that migrations insert into tables of earlier migrations.
pub(super) const ADDED_ROWS: [(&str, &str, usize); 1] = [("m20261122_000002_add_credentials", "company_states", 1)];

/// The tables whose rows a migration discards, because the rows are a cache.
pub(super) const DISCARDED: [(&str, &str); 2] = [
    ("m20261128_000018_partitions", "effective_feature_permissions"),
    ("m20261128_000018_partitions", "effective_view_permissions"),
];

/// The statements that are executed after each migration. They insert rows into its tables, and set its columns. The
/// companies are `a`, `b`, and one whose id has the largest value. Texts are empty, of maximum length, and contain
/// characters that need an escape. Times have microseconds, and are before and after the range of other programs.
pub(super) const FIXTURES: [(&str, &str); 19] = [
    (
        "m20261122_000001_create_iam_schema",
        r#"
        CREATE TEMP TABLE company AS SELECT * FROM (VALUES
            ('a', md5('a')::uuid), ('b', md5('b')::uuid), ('z', 'ffffffff-ffff-ffff-ffff-fffffffffffe'::uuid)
        ) AS company (name, id);
        CREATE TEMP TABLE sample AS SELECT * FROM (VALUES
            ('a', E'\'"\\ \t\n ${} %s é e\u0301 \U0001F600 \u202E'), ('b', ''), ('z', repeat('ÿ', 255))
        ) AS sample (name, value);

        INSERT INTO company_states (company_id, version, provisioned_at, created_at, updated_at)
            SELECT id, CASE name WHEN 'z' THEN 9223372036854775806 ELSE 7 END,
                CASE name WHEN 'a' THEN '2026-11-22 01:02:03.000001+00'::timestamptz END,
                '0001-01-01 00:00:00+00', '9999-12-31 23:59:59.999999+00' FROM company;
        INSERT INTO views (id, name, url, category, description, icon, requires_auth)
            SELECT md5('view' || name)::uuid, value, '/' || name, left(value, 100), value, left(value, 100), name <> 'a'
            FROM sample;
        INSERT INTO modules (id, code, name, description, icon, enabled, priority)
            SELECT md5('module' || name)::uuid, name, value, value, left(value, 100), name <> 'a', 'premium' FROM sample;
        INSERT INTO features (id, key, name, description, resource_type, actions, category, enabled)
            SELECT md5('feature' || name)::uuid, nullif(name, 'b'), value, value, left(value, 100),
                jsonb_build_array('Read', value, NULL, 1e300), left(value, 100), name <> 'a' FROM sample;
        INSERT INTO feature2views (feature_id, view_id)
            SELECT md5('feature' || name)::uuid, md5('view' || name)::uuid FROM sample;
        INSERT INTO module2views (module_id, view_id)
            SELECT md5('module' || name)::uuid, md5('view' || name)::uuid FROM sample;
        INSERT INTO module2features (module_id, feature_id)
            SELECT md5('module' || name)::uuid, md5('feature' || name)::uuid FROM sample;
        INSERT INTO company2modules (company_id, module_id, enabled)
            SELECT id, md5('module' || name)::uuid, name <> 'a' FROM company;
        INSERT INTO user_levels (id, company_id, name, description, is_default)
            SELECT md5('level' || name)::uuid, id, value, value, name = 'a' FROM company JOIN sample USING (name);
        INSERT INTO user_level_view_permissions (id, company_id, user_level_id, view_id, state, modifiable)
            SELECT md5('cell' || name)::uuid, id, md5('level' || name)::uuid, md5('view' || name)::uuid,
                CASE name WHEN 'a' THEN 'allow' WHEN 'b' THEN 'deny' ELSE 'inherit' END, name <> 'a' FROM company;
        INSERT INTO user_level_feature_permissions
                (id, company_id, user_level_id, feature_id, action, value, scope, modifiable)
            SELECT md5('cell' || name)::uuid, id, md5('level' || name)::uuid, md5('feature' || name)::uuid, 'Read',
                name <> 'a', CASE name WHEN 'a' THEN 'own' WHEN 'b' THEN 'team' ELSE 'any' END, name <> 'a'
            FROM company;
        INSERT INTO user_user_levels (user_id, user_level_id, company_id, assigned_by)
            SELECT md5('user' || user_name)::uuid, md5('level' || name)::uuid, id, nullif(id, md5('b')::uuid)
            FROM company, unnest(ARRAY['a', 'b']) AS user_name;
        INSERT INTO menu_items (id, company_id, label, icon, priority, required_permissions, sort_order, view_id,
                feature_id, is_entrypoint)
            SELECT md5('item' || name)::uuid, nullif(id, md5('b')::uuid), value, left(value, 100), 'optional',
                '[{"feature": "a", "action": "Read"}]', CASE name WHEN 'a' THEN -2147483648 ELSE 2147483647 END,
                md5('view' || name)::uuid, md5('feature' || name)::uuid, name <> 'a'
            FROM company JOIN sample USING (name);
        INSERT INTO sub_menu_items (id, menu_item_id, label, view_id, feature_id, icon, sort_order, enabled)
            SELECT md5('sub' || name)::uuid, md5('item' || name)::uuid, value, md5('view' || name)::uuid,
                md5('feature' || name)::uuid, left(value, 100), -1, name <> 'a' FROM sample;
        INSERT INTO nav_trail (id, user_id, company_id, session_id, view_id, url, label, depth)
            SELECT md5('trail' || name)::uuid, md5('user' || name)::uuid, id, value, md5('view' || name)::uuid,
                '/' || name, value, 2147483647 FROM company JOIN sample USING (name);
        INSERT INTO effective_view_permissions (company_id, user_id, view_id, has_access, expires_at, company_version,
                catalog_version)
            SELECT id, md5('user' || name)::uuid, md5('view' || name)::uuid, name <> 'a', 'infinity', 7, 0 FROM company;
        INSERT INTO effective_feature_permissions (company_id, user_id, feature_id, action, allowed, scope, expires_at,
                company_version, catalog_version)
            SELECT id, md5('user' || name)::uuid, md5('feature' || name)::uuid, 'Read', name <> 'a', 'company',
                '-infinity', 7, 0 FROM company;
        INSERT INTO iam_audit_logs (id, company_id, user_id, actor_kind, action, entity_type, entity_id, changes,
                metadata, "timestamp")
            SELECT md5('log' || name)::uuid, nullif(id, md5('b')::uuid), nullif(id, md5('z')::uuid),
                CASE name WHEN 'a' THEN 'user' WHEN 'b' THEN 'service' ELSE 'command_line' END, 'view.created', 'view',
                md5('view' || name)::uuid, jsonb_build_object('before', NULL, 'after', value),
                jsonb_build_object('request', value), '1969-12-31 23:59:59.999999+00'
            FROM company JOIN sample USING (name);
        "#,
    ),
    (
        "m20261122_000002_add_credentials",
        r#"
        INSERT INTO user_identities (user_id, issuer, subject)
            SELECT md5('user' || name)::uuid, value, value FROM sample;
        INSERT INTO user_cutoffs (user_id, not_before, version) VALUES
            (md5('usera')::uuid, '1969-12-31 23:59:59.999999+00', 1),
            (md5('userb')::uuid, '9999-12-31 23:59:59.999999+00', 9223372036854775807);
        INSERT INTO api_keys (id, prefix, digest, name, role, company_id, created_by, expires_at, revoked_at,
                last_used_at, version)
            SELECT md5('key' || name)::uuid, repeat(name, 12), decode(repeat('00ff', 16), 'hex'), value,
                CASE name WHEN 'a' THEN 'check' WHEN 'b' THEN 'read' ELSE 'administer' END, nullif(id, md5('b')::uuid),
                nullif(id, md5('a')::uuid), '2026-11-22 01:02:03.000001+00', '2026-11-23', '2026-11-24', 1
            FROM company JOIN sample USING (name);
        "#,
    ),
    ("m20261122_000003_row_level_security", ""),
    ("m20261125_000004_states_and_histories", "INSERT INTO iam_heartbeats (replica) VALUES (md5('replica')::uuid)"),
    ("m20261125_000005_indexes_without_rivals", ""),
    (
        "m20261126_000006_seeded_rows",
        "INSERT INTO iam_seeded_rows (id) VALUES ('00000000-0000-0000-0000-000000000000'), (md5('seeded')::uuid)",
    ),
    (
        "m20261126_000007_company_quotas",
        r#"UPDATE company_states SET quotas = '{"levels": 9007199254740993, "apiKeys": 0}' WHERE version = 7"#,
    ),
    ("m20261126_000008_change_lock", ""),
    ("m20261127_000009_api_key_rates", "UPDATE api_keys SET requests_per_second = 1000000 WHERE role <> 'read'"),
    (
        "m20261127_000010_company_ceilings",
        r#"UPDATE company_states SET ceilings = '{"views": ["/a"], "actions": []}' WHERE version = 7"#,
    ),
    (
        "m20261127_000011_company_directory",
        r#"
        UPDATE company_states AS state SET name = value, name_folded = lower(value), status = 'suspended',
            erased_at = '2026-11-27 01:02:03.000001+00'
        FROM company JOIN sample ON sample.name = company.name
        WHERE state.company_id = company.id AND company.name <> 'b';
        INSERT INTO user_profiles (company_id, user_id, display_name, email, name_folded, email_folded, source)
            SELECT id, md5('user' || name)::uuid, value, left(value, 254), lower(value), lower(value),
                CASE name WHEN 'a' THEN 'api' ELSE 'token' END FROM company JOIN sample USING (name);
        "#,
    ),
    ("m20261127_000012_cursor_key", ""),
    (
        "m20261127_000013_idempotency_keys",
        "INSERT INTO idempotency_keys (actor_kind, actor_id, key, company_id, method, path, digest, entity_id, expires_at)
            SELECT CASE name WHEN 'a' THEN 'user' ELSE 'service' END, md5('user' || name)::uuid, value,
                nullif(id, md5('b')::uuid), 'POST', value, decode(repeat('ff00', 16), 'hex'), md5('entity' || name)::uuid,
                '9999-12-31 23:59:59.999999+00' FROM company JOIN sample USING (name)",
    ),
    (
        "m20261127_000014_assignment_periods",
        "UPDATE user_user_levels SET starts_at = '2026-01-01 00:00:00.000001+00', expires_at = '9999-12-31'
            WHERE user_id = md5('usera')::uuid;
        UPDATE iam_audit_logs SET actor_kind = 'system' WHERE company_id IS NULL",
    ),
    ("m20261127_000015_member_names", ""),
    (
        "m20261127_000016_last_backup",
        "UPDATE iam_installation SET last_backup_at = '2026-01-01 00:00:00.000001+00'",
    ),
    (
        "m20261128_000017_engine",
        "INSERT INTO iam_gate_marks VALUES (gen_random_uuid(), now(), now())",
    ),
    (
        "m20261128_000018_partitions",
        "INSERT INTO effective_view_permissions (company_id, user_id, view_id, has_access, expires_at, company_version,
                catalog_version)
            SELECT id, md5('user' || name)::uuid, md5('view' || name)::uuid, name <> 'a', 'infinity', 7, 0 FROM company;
        INSERT INTO effective_feature_permissions (company_id, user_id, feature_id, action, allowed, scope, expires_at,
                company_version, catalog_version)
            SELECT id, md5('user' || name)::uuid, md5('feature' || name)::uuid, 'Read', name <> 'a', 'company',
                '-infinity', 7, 0 FROM company",
    ),
    (
        "m20261128_000019_console_sessions",
        "INSERT INTO console_sessions (digest, content, ends_at, expires_at)
            SELECT sha256(convert_to(value, 'UTF8')), value, '9999-12-31 23:59:59.999999+00', '9999-12-31' FROM sample",
    ),
];
