//! Tests of the adoption of databases of the original system with `iam migrate adopt`.

mod postgres {
    use std::collections::{BTreeMap, BTreeSet};
    use std::process::Output;

    use iam_domain::{CompanyId, UserId};
    use sea_orm::sqlx::{AssertSqlSafe, query_as, query_scalar};
    use serde_json::Value;
    use uuid::Uuid;

    use crate::process::persistence::{start, super_admin};
    use crate::support::database::{Content, TestDatabase, run as execute};
    use crate::support::process::{run, text_of};

    const TABLES: &str = include_str!("original.sql");
    const ROWS: &str = include_str!("original_rows.sql");

    /// Creates a database of the original system, and executes `sql` in it.
    async fn original(sql: &str) -> TestDatabase {
        let database = TestDatabase::new(Content::Nothing).await;
        execute(&mut database.connect().await, format!("{TABLES}{sql}")).await.unwrap();
        database
    }

    fn adopt(database: &TestDatabase, arguments: &[&str]) -> Output {
        let arguments = [&["migrate", "adopt"][..], arguments].concat();
        run("iam", &arguments, &[("DATABASE_URL", database.url())])
    }

    /// Returns the first column of a query, as text.
    async fn texts(database: &TestDatabase, sql: &str) -> Vec<String> {
        query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut database.connect().await).await.unwrap()
    }

    /// Returns a digest of all rows and all tables of the database, outside the system catalogs.
    async fn contents(database: &TestDatabase) -> BTreeMap<String, String> {
        let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
        let mut contents = BTreeMap::new();
        for table in texts(database, tables).await {
            let digest = format!(
                "SELECT count(*) || md5(coalesce(string_agg(rows::text, ',' ORDER BY rows::text), '')) FROM {table} AS rows"
            );
            contents.insert(table, texts(database, &digest).await.remove(0));
        }
        contents
    }

    /// The decisions of the original system about a user of a company, computed by SQL from the archived tables: the
    /// visible views, and the allowed actions with their scopes.
    const DECISIONS: &str = "
        WITH held AS (
            SELECT l.id FROM iam_original.user_user_levels AS a JOIN iam_original.user_levels AS l ON l.id = a.user_level_id
            WHERE l.company_id = '{company}' AND a.user_id = '{user}'
        ), open_modules AS (
            SELECT module_id AS id FROM iam_original.company2modules AS c JOIN iam_original.modules AS m ON m.id = c.module_id
            WHERE c.company_id = '{company}' AND c.enabled AND m.enabled
        )
        SELECT v.url FROM iam_original.views AS v WHERE NOT v.requires_auth OR (
            (NOT EXISTS (SELECT FROM iam_original.module2views AS g WHERE g.view_id = v.id)
                OR EXISTS (SELECT FROM iam_original.module2views AS g WHERE g.view_id = v.id
                    AND g.module_id IN (SELECT id FROM open_modules)))
            AND (SELECT bool_or(state = 'allow') AND NOT bool_or(state = 'deny')
                FROM iam_original.user_level_view_permissions AS p
                WHERE p.company_id = '{company}' AND p.view_id = v.id AND p.user_level_id IN (SELECT id FROM held)))
        UNION
        SELECT f.key || ' ' || p.action || ' ' || (ARRAY['own', 'team', 'company', 'any'])[
            max(array_position(ARRAY['own', 'team', 'company', 'any'], p.scope::text)) FILTER (WHERE p.value)]
        FROM iam_original.features AS f JOIN iam_original.user_level_feature_permissions AS p ON p.feature_id = f.id
        WHERE f.enabled AND p.company_id = '{company}' AND p.user_level_id IN (SELECT id FROM held)
            AND (NOT EXISTS (SELECT FROM iam_original.module2features AS g WHERE g.feature_id = f.id)
                OR EXISTS (SELECT FROM iam_original.module2features AS g WHERE g.feature_id = f.id
                    AND g.module_id IN (SELECT id FROM open_modules)))
        GROUP BY f.key, p.action HAVING bool_and(p.value)";

    /// Returns the same decisions in the response of `GET /users/{userId}/permissions?keys=true`.
    fn decisions_in(permissions: &Value) -> BTreeSet<String> {
        let views = permissions["views"].as_object().unwrap().iter().filter(|(_, allowed)| **allowed == true);
        let mut decisions: BTreeSet<_> = views.map(|(url, _)| url.clone()).collect();
        for (feature, actions) in permissions["features"].as_object().unwrap() {
            for (action, decision) in actions.as_object().unwrap().iter().filter(|(_, of)| of["allowed"] == true) {
                decisions.insert(format!("{feature} {action} {}", decision["scope"].as_str().unwrap()));
            }
        }
        decisions
    }

    #[actix_web::test]
    async fn a_database_with_100_000_rows_is_adopted_and_nothing_is_lost() {
        let database = original(ROWS).await;
        let before = contents(&database).await;
        let output = adopt(&database, &["--dry-run"]);
        assert!(output.status.success() && text_of(&output).contains("nothing was changed"), "{}", text_of(&output));
        assert_eq!(contents(&database).await, before);

        let began = std::time::Instant::now();
        let output = adopt(&database, &[]);
        println!("adopted in {:.1?}: {}", began.elapsed(), text_of(&output));
        assert!(output.status.success(), "{}", text_of(&output));
        assert!(text_of(&output).contains("table iam_audit_logs: 60000 of 60000 rows\ncompanies: 40\n"));
        // The original tables are in another schema, with all their rows. Tables of other programs remain where they are.
        let after = contents(&database).await;
        for (table, rows) in &before {
            let (_, name) = table.split_once('.').unwrap();
            let kept = if name == "companies" { table.clone() } else { format!("iam_original.{name}") };
            assert_eq!(after.get(&kept), Some(rows), "{table}");
        }

        // Times were UTC, also in hours that a time zone skips or repeats. Text that is not JSON remains as a JSON string.
        let views = "SELECT DISTINCT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') FROM views";
        assert_eq!(texts(&database, views).await, ["2025-03-30 02:30:00.123456"]);
        let changes = "SELECT DISTINCT coalesce(changes::text, 'null') FROM iam_audit_logs ORDER BY 1";
        assert_eq!(texts(&database, changes).await, [r#""renamed: {""#, "null", r#"{"name": "Größe"}"#]);
        let actions = "SELECT DISTINCT coalesce(actions::text, 'null') FROM features ORDER BY 1";
        assert_eq!(texts(&database, actions).await, [r#"["Sign", "Print"]"#, "null"]);
        let orders =
            "SELECT string_agg(sort_order::text, ' ' ORDER BY sort_order) FROM menu_items WHERE company_id IS NULL";
        assert_eq!(texts(&database, orders).await, ["0 1 2 3 5"]);

        // The other commands find a complete schema, and the decisions are those of the original system.
        for command in ["up", "seed", "status"] {
            let output = run("iam", &["migrate", command], &[("DATABASE_URL", database.url())]);
            assert!(output.status.success() && !text_of(&output).contains("pending"), "{}", text_of(&output));
        }
        let server = start(&[("DATABASE_URL", database.url())]);
        let people = "SELECT DISTINCT l.company_id, a.user_id FROM iam_original.user_user_levels AS a
            JOIN iam_original.user_levels AS l ON l.id = a.user_level_id ORDER BY 2 LIMIT 60";
        let people: Vec<(Uuid, Uuid)> = query_as(people).fetch_all(&mut database.connect().await).await.unwrap();
        let (root, mut compared) = (super_admin(), 0);
        for (company, user) in people {
            let (company, user) = (CompanyId::from_uuid(company).to_string(), UserId::from_uuid(user).to_string());
            let headers = [("authorization", root.as_str()), ("x-company-id", company.as_str())];
            let answer = server.request("GET", &format!("/api/iam/users/{user}/permissions?keys=true"), &headers, None);
            let sql = DECISIONS.replace("{company}", &company).replace("{user}", &user);
            let expected: BTreeSet<_> = texts(&database, &sql).await.into_iter().collect();
            let mut decided = decisions_in(&answer.expect(200).data());
            // The seed has added views and features.
            decided.retain(|decision| decision.starts_with("/views/") || decision.starts_with("feature."));
            assert_eq!(decided, expected, "{company} {user}");
            compared += expected.len();
        }
        assert!(compared > 500, "{compared}");
    }

    /// Rows of each kind that violates a constraint. The keys of the original tables are disabled, as after a restore
    /// without constraints.
    const VIOLATIONS: &str = "
        SET session_replication_role = replica;
        ALTER TABLE user_level_feature_permissions ALTER value DROP NOT NULL;
        INSERT INTO views (id, name, url) VALUES ('00000000-0000-4000-8000-000000000001', ' ', '/a');
        INSERT INTO modules (id, code, name, priority) VALUES ('00000000-0000-4000-8000-000000000002', 'm', 'M', 'urgent');
        INSERT INTO features (id, key, name, actions) VALUES
            ('00000000-0000-4000-8000-000000000003', 'f', 'F', '[\"Sign\", 3]'),
            ('00000000-0000-4000-8000-000000000004', 'g', 'G', 'Sign'),
            ('00000000-0000-4000-8000-000000000005', ' ', 'H', '');
        INSERT INTO views (id, name, url, created_at) VALUES ('00000000-0000-4000-8000-000000000006', 'V', '', 'infinity');
        INSERT INTO iam_audit_logs (action, entity_type, entity_id, \"timestamp\") VALUES
            ('view.created', 'view', '00000000-0000-4000-8000-000000000006', '0044-03-15 BC');
        INSERT INTO user_levels (id, company_id, name, created_at) VALUES
            ('00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-0000000000c1', 'Admin', '2025-01-01'),
            ('00000000-0000-4000-8000-000000000012', '00000000-0000-4000-8000-0000000000c1', 'Admin', '2025-01-02'),
            ('00000000-0000-4000-8000-000000000013', '00000000-0000-4000-8000-0000000000c1', 'Admin', '2025-01-03'),
            ('00000000-0000-4000-8000-000000000014', '00000000-0000-4000-8000-0000000000c1', 'Admin (2)', '2025-01-04'),
            ('00000000-0000-4000-8000-000000000021', '00000000-0000-4000-8000-0000000000c2', 'Admin', '2025-01-01');
        INSERT INTO user_level_view_permissions (company_id, user_level_id, view_id, state) VALUES
            ('00000000-0000-4000-8000-0000000000c1', '00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-000000000001', 'banana'),
            ('00000000-0000-4000-8000-0000000000c1', '00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-0000000000ff', 'allow'),
            ('00000000-0000-4000-8000-0000000000c2', '00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-000000000001', 'deny');
        INSERT INTO user_level_feature_permissions (company_id, user_level_id, feature_id, action, value, scope) VALUES
            ('00000000-0000-4000-8000-0000000000c1', '00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-000000000003', 'Read', true, 'galaxy'),
            ('00000000-0000-4000-8000-0000000000c1', '00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-000000000003', ' ', true, 'own'),
            ('00000000-0000-4000-8000-0000000000c1', '00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-000000000004', 'Read', NULL, 'own');
        INSERT INTO user_user_levels (user_id, user_level_id) VALUES
            ('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-000000000011'),
            ('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-000000000021'),
            ('00000000-0000-4000-8000-0000000000a2', '00000000-0000-4000-8000-0000000000ff');
        INSERT INTO menu_items (id, label, sort_order, view_id, required_permissions) VALUES
            ('00000000-0000-4000-8000-000000000031', 'Home', 'first', '00000000-0000-4000-8000-0000000000ff', '{}');
        INSERT INTO sub_menu_items (menu_item_id, label) VALUES ('00000000-0000-4000-8000-0000000000ff', 'Lost');
        INSERT INTO nav_trail (user_id, session_id, url, label, depth) VALUES
            ('00000000-0000-4000-8000-0000000000a1', 's', '/a', 'A', '1');
        SET session_replication_role = origin;";

    /// The number of violating rows of each kind.
    const KINDS: [(&str, usize, &str); 15] = [
        ("duplicate-names", 2, "rename"),
        ("blank-names", 1, "rename"),
        ("blank-keys", 2, "rename"),
        ("invalid-times", 2, "now"),
        ("unknown-states", 1, "inherit"),
        ("missing-values", 1, "drop"),
        ("unknown-scopes", 1, "own"),
        ("unknown-priorities", 1, "standard"),
        ("blank-actions", 1, "drop"),
        ("invalid-lists", 3, "clear"),
        ("invalid-numbers", 1, "zero"),
        ("orphans", 3, "drop"),
        ("dangling-references", 1, "clear"),
        ("cross-company-cells", 1, "drop"),
        ("ambiguous-trails", 1, "drop"),
    ];

    #[test]
    fn the_documentation_lists_every_kind_and_every_repair() {
        let rows: Vec<_> =
            include_str!("../../../docs/adoption.md").lines().filter(|line| line.starts_with("| `")).collect();
        for kind in migration::adoption::ProblemKind::ALL {
            let row = rows
                .iter()
                .find(|row| row.starts_with(&format!("| `{kind}` |")))
                .unwrap_or_else(|| panic!("{kind} is not documented"));
            let repairs = KINDS.iter().filter(|(name, ..)| *name == kind.name());
            assert!(repairs.into_iter().all(|(_, _, repair)| row.contains(&format!("`{kind}={repair}`"))), "{row}");
        }
    }

    #[actix_web::test]
    async fn rows_that_violate_constraints_are_listed_and_stop_the_adoption() {
        let database = original(VIOLATIONS).await;
        let before = contents(&database).await;
        for arguments in [&["--dry-run"][..], &[], &["--repair", "orphans=drop"]] {
            let output = adopt(&database, arguments);
            let text = text_of(&output);
            assert_eq!(output.status.code(), Some(1), "{text}");
            for (kind, rows, repair) in KINDS {
                let chosen = arguments.contains(&format!("{kind}={repair}").as_str());
                let state = if chosen { format!(", repair: {repair}") } else { " without a repair".to_owned() };
                assert!(text.contains(&format!("{kind}: {rows} rows{state}")), "{kind}: {text}");
                assert_eq!(text.contains(&format!("--repair {kind}={repair}: ")), !chosen, "{kind}: {text}");
            }
            assert!(text.contains(r#""state": "banana""#) && text.contains("nothing was changed"), "{text}");
            assert_eq!(contents(&database).await, before, "{arguments:?}");
        }
    }

    #[actix_web::test]
    async fn chosen_repairs_are_shown_as_a_plan_and_then_made() {
        let database = original(VIOLATIONS).await;
        let repairs: Vec<_> = KINDS.iter().map(|(kind, _, repair)| format!("--repair={kind}={repair}")).collect();
        let mut arguments: Vec<_> = repairs.iter().map(String::as_str).collect();
        arguments.push("--dry-run");
        let before = contents(&database).await;
        let plan = adopt(&database, &arguments);
        assert!(plan.status.success(), "{}", text_of(&plan));
        assert_eq!(contents(&database).await, before);
        arguments.pop();
        let done = adopt(&database, &arguments);
        assert!(done.status.success(), "{}", text_of(&done));
        let planned =
            text_of(&plan).replace("nothing was changed", "the database was adopted; next, run the command seed");
        assert_eq!(text_of(&done), planned);

        let names = "SELECT name FROM user_levels WHERE company_id::text LIKE '%c1' ORDER BY created_at";
        let names = texts(&database, names).await;
        let second = "Admin (00000000-0000-4000-8000-000000000012)";
        assert_eq!(
            names,
            ["Admin", second, "Admin (3)", "Admin (2)"],
            "a name that a level already has is not given again"
        );
        let views = "SELECT concat_ws(' ', name, url) FROM views ORDER BY id";
        let unnamed = "V unnamed-00000000-0000-4000-8000-000000000006";
        assert_eq!(texts(&database, views).await, ["00000000-0000-4000-8000-000000000001 /a", unnamed]);
        let times = "SELECT min(created_at)::date::text FROM views WHERE created_at > now() - interval '1 hour' AND isfinite(created_at)
            UNION ALL SELECT min(\"timestamp\")::date::text FROM iam_audit_logs WHERE \"timestamp\" > now() - interval '1 hour'";
        assert_eq!(texts(&database, times).await.len(), 2);
        let cells = "SELECT concat_ws(' ', state, company_id) FROM user_level_view_permissions
            UNION ALL SELECT concat_ws(' ', action, scope) FROM user_level_feature_permissions";
        assert_eq!(texts(&database, cells).await, ["inherit 00000000-0000-4000-8000-0000000000c1", "Read own"]);
        let held = "SELECT concat_ws(' ', right(user_id::text, 2), right(company_id::text, 2)) FROM user_user_levels ORDER BY 1";
        assert_eq!(texts(&database, held).await, ["a1 c1", "a1 c2"]);
        let menu = "SELECT concat_ws(' ', label, sort_order, view_id, required_permissions) FROM menu_items";
        assert_eq!(texts(&database, menu).await, ["Home 0"]);
        for (sql, rows) in
            [("SELECT label FROM sub_menu_items", 0), ("SELECT url FROM nav_trail", 0), ("SELECT code FROM modules", 1)]
        {
            assert_eq!(texts(&database, sql).await.len(), rows, "{sql}");
        }
        // The service reads every row.
        let mut server = start(&[("DATABASE_URL", database.url())]);
        let root = super_admin();
        let headers = [("authorization", root.as_str()), ("x-company-id", "00000000-0000-4000-8000-0000000000c1")];
        for path in ["user-levels", "views", "features", "modules", "menu-items", "matrix", "users", "audit-logs"] {
            server.request("GET", &format!("/api/iam/{path}"), &headers, None).expect(200);
        }
        let log = server.rest_of_the_log();
        assert!(!log.contains("cannot be parsed"), "{log}");
    }

    #[actix_web::test]
    async fn other_databases_are_not_adopted() {
        let refused = async |database: &TestDatabase, reason: &str| {
            let before = contents(database).await;
            let output = adopt(database, &[]);
            let text = text_of(&output);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(reason) && text.contains("nothing was changed"), "{reason}: {text}");
            assert_eq!(contents(database).await, before, "{reason}");
        };
        refused(&TestDatabase::new(Content::Seeded).await, "already has the schema of this service").await;
        refused(&TestDatabase::new(Content::Nothing).await, "the table user_levels is missing").await;
        for (sql, reason) in [
            (
                "ALTER TABLE views ALTER created_at TYPE timestamptz",
                "views.created_at has the type timestamp with time zone instead of timestamp without time zone",
            ),
            ("DROP TABLE nav_trail", "the table nav_trail is missing"),
            ("ALTER TABLE nav_trail DROP COLUMN depth", "nav_trail.depth is missing"),
            ("CREATE SCHEMA iam_original", "the schema iam_original already exists"),
            (
                "CREATE TABLE plans (view_id uuid CONSTRAINT plans_view REFERENCES views (id))",
                "constraint plans_view on table plans",
            ),
            ("CREATE VIEW pages AS SELECT url FROM views", "view pages"),
            (
                "CREATE TABLE documents (id uuid); CREATE POLICY mine ON documents USING (EXISTS (SELECT FROM user_user_levels))",
                "policy mine on table documents",
            ),
            ("CREATE TABLE more_views () INHERITS (views)", "table more_views"),
            ("CREATE TABLE picked (level user_levels)", "table picked"),
            (
                "CREATE TRIGGER noted AFTER INSERT ON user_levels FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
                "trigger noted on table user_levels",
            ),
            ("ALTER TABLE user_levels ENABLE ROW LEVEL SECURITY", "row-level security of table user_levels"),
            ("CREATE TABLE api_keys (id uuid)", "use a separate schema"),
        ] {
            refused(&original(sql).await, reason).await;
        }
        // A session of the original system is in the middle of a change.
        let used = original("").await;
        let mut session = used.connect().await;
        execute(&mut session, "BEGIN; INSERT INTO companies (name) VALUES ('C'); DELETE FROM views".to_owned())
            .await
            .unwrap();
        let output = adopt(&used, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text_of(&output).contains("stop the original system"), "{}", text_of(&output));
        drop(session);
        // After an adoption, the database is ours.
        let adopted = original("").await;
        assert!(adopt(&adopted, &[]).status.success());
        refused(&adopted, "already has the schema of this service").await;
        // The other commands refuse the original tables, and name the command.
        let output = run("iam", &["migrate", "up"], &[("DATABASE_URL", original("").await.url())]);
        assert!(text_of(&output).contains("run the command adopt"), "{}", text_of(&output));
    }
}
