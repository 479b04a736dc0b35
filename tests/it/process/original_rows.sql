-- About 100,000 rows in the tables of original.sql that violate no constraint: 40 companies with five levels each, and
-- 100 users each. The ids are computed from numbers.

CREATE FUNCTION id_of(kind text, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(kind || number)::uuid $$;

INSERT INTO companies (id, name) SELECT id_of('company', c), 'Company ' || c FROM generate_series(1, 40) AS c;
INSERT INTO views (id, name, url, requires_auth, created_at)
SELECT id_of('view', v), 'View ' || v, '/views/' || v, v <> 20, '2025-03-30 02:30:00.123456' FROM generate_series(1, 20) AS v;
INSERT INTO modules (id, code, name, enabled)
SELECT id_of('module', m), 'module-' || m, 'Module ' || m, m <> 4 FROM generate_series(1, 4) AS m;
INSERT INTO features (id, key, name, actions, enabled)
SELECT id_of('feature', f), 'feature.' || f, 'Feature ' || f,
    CASE f % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN '["Sign", "Print"]' ELSE 'null' END, f <> 10
FROM generate_series(1, 10) AS f;
INSERT INTO feature2views (feature_id, view_id) SELECT id_of('feature', f), id_of('view', f) FROM generate_series(1, 10) AS f;
INSERT INTO module2views (module_id, view_id)
SELECT id_of('module', 1 + v % 4), id_of('view', v) FROM generate_series(1, 12) AS v;
INSERT INTO module2features (module_id, feature_id)
SELECT id_of('module', 1 + f % 4), id_of('feature', f) FROM generate_series(1, 6) AS f;
INSERT INTO company2modules (company_id, module_id, enabled)
SELECT id_of('company', c), id_of('module', m), (c + m) % 5 <> 0
FROM generate_series(1, 40) AS c, generate_series(1, 4) AS m WHERE (c + m) % 3 <> 0;
INSERT INTO user_levels (id, company_id, name, description, is_default, created_at)
SELECT id_of('level', c * 5 + l), id_of('company', c), 'Level ' || l, 'Größe ' || chr(128512), l = 1, '2025-10-26 02:30:00'
FROM generate_series(1, 40) AS c, generate_series(0, 4) AS l;
INSERT INTO user_level_view_permissions (company_id, user_level_id, view_id, state, modifiable)
SELECT id_of('company', c), id_of('level', c * 5 + l), id_of('view', v),
    (ARRAY['allow', 'allow', 'inherit', 'deny', 'allow', 'inherit', 'allow'])[1 + (c + 3 * l + 5 * v) % 7], v % 9 <> 0
FROM generate_series(1, 40) AS c, generate_series(0, 4) AS l, generate_series(1, 20) AS v;
INSERT INTO user_level_feature_permissions (company_id, user_level_id, feature_id, action, value, scope)
SELECT id_of('company', c), id_of('level', c * 5 + l), id_of('feature', f), action, (c + l + f + n) % 6 <> 0,
    (ARRAY['own', 'team', 'company', 'any'])[1 + (c + l + f) % 4]
FROM generate_series(1, 40) AS c, generate_series(0, 4) AS l, generate_series(1, 10) AS f,
    unnest(ARRAY['Read', 'Create', 'Update', 'Delete', 'Export']) WITH ORDINALITY AS named (action, n);
INSERT INTO user_user_levels (user_id, user_level_id, assigned_by, created_at)
SELECT id_of('user', c * 100 + u), id_of('level', c * 5 + l), id_of('user', c * 100), '2025-11-16 12:00:00'
FROM generate_series(1, 40) AS c, generate_series(0, 99) AS u, generate_series(0, 4) AS l WHERE (1 << l) & (u + 1) <> 0;
INSERT INTO menu_items (id, company_id, label, required_permissions, sort_order, view_id)
SELECT id_of('item', i), CASE WHEN i > 5 THEN id_of('company', i) END, 'Item ' || i,
    CASE i % 3 WHEN 0 THEN '["feature.1"]' WHEN 1 THEN NULL ELSE '[]' END, CASE WHEN i % 4 > 0 THEN i::text END, id_of('view', 1 + i % 20)
FROM generate_series(1, 40) AS i;
INSERT INTO sub_menu_items (menu_item_id, label, feature_id, sort_order)
SELECT id_of('item', i), 'Sub-item ' || i, id_of('feature', 1 + i % 10), ' 07 ' FROM generate_series(1, 40) AS i;
INSERT INTO nav_trail (user_id, session_id, view_id, url, label, depth)
SELECT id_of('user', 100 + u % 4000), 'session', id_of('view', 1 + u % 20), '/x', 'X', '3'
FROM generate_series(1, 10000) AS u WHERE (u % 100 + 1) % 32 <> 0;
INSERT INTO effective_view_permissions (user_id, company_id, view_id, has_access, expires_at)
SELECT id_of('user', u), id_of('company', u / 100), id_of('view', 1), true, now() FROM generate_series(100, 4099) AS u;
INSERT INTO iam_audit_logs (company_id, user_id, action, entity_type, entity_id, changes, metadata, "timestamp")
SELECT CASE WHEN n % 10 > 0 THEN id_of('company', 1 + n % 40) END, CASE WHEN n % 7 > 0 THEN id_of('user', n) END,
    'user_level.updated', 'user-level', id_of('level', n % 200),
    CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN '{"name": "Größe"}' ELSE 'renamed: {' END, '{"ip": "::1"}',
    timestamp '2025-11-16 00:00:00' + n * interval '1 second'
FROM generate_series(1, 60000) AS n;
ANALYZE;
