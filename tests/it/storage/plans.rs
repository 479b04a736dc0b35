//! Tests of query plans: no statement scans a whole tenant table. The statements are those that the adapter sends while
//! the contract suite runs. The tests check PostgreSQL's plans for these statements, on a database with 1,000 companies
//! and 100,000 permissions.

pub mod postgres {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Display;
    use std::rc::Rc;
    use std::sync::Arc;

    use iam_http::HttpOptions;
    use iam_storage::Storage;
    use iam_storage_postgres::PostgresStorage;
    use sea_orm::sqlx::{self, AssertSqlSafe, Executor, PgConnection, Row};
    use serde_json::{Value, json};
    use tokio::sync::OnceCell;

    use crate::support::api::{TestApi, new_user};
    use crate::support::database::{APPLICATION, Content, TestDatabase, run};
    use crate::support::proxy::Proxy;

    /// The tables that grow with the number of companies, users or changes.
    pub const TENANT_TABLES: [&str; 15] = [
        "company2modules",
        "company_states",
        "console_sessions",
        "effective_feature_permissions",
        "effective_view_permissions",
        "iam_audit_logs",
        "idempotency_keys",
        "menu_items",
        "nav_trail",
        "sub_menu_items",
        "user_level_feature_permissions",
        "user_level_view_permissions",
        "user_levels",
        "user_profiles",
        "user_user_levels",
    ];

    /// The SQL that loads the test data: a catalog of a few hundred entries, and 1,000 companies. Each company has a
    /// menu, assignments, audit records and five levels. All audit records are in one partition. Every level has permissions for ten views and ten features, so
    /// there are 100,000 permissions in total.
    pub const LOAD: &str = "
        CREATE TEMP TABLE company AS SELECT c AS n, md5('company' || c)::uuid AS id FROM generate_series(1, 1000) c;
        INSERT INTO company_states (company_id, version) SELECT id, 1 FROM company;

        INSERT INTO views (id, name, url)
            SELECT md5('view' || n)::uuid, 'View', '/loaded/' || n FROM generate_series(1, 186) n;
        INSERT INTO features (id, key, name)
            SELECT md5('feature' || n)::uuid, 'loaded.' || n, 'Feature' FROM generate_series(1, 181) n;
        INSERT INTO modules (id, code, name)
            SELECT md5('module' || n)::uuid, 'loaded-' || n, 'Module' FROM generate_series(1, 36) n;
        CREATE TEMP TABLE view AS SELECT row_number() OVER (ORDER BY id) - 1 AS n, id FROM views;
        CREATE TEMP TABLE feature AS SELECT row_number() OVER (ORDER BY id) - 1 AS n, id FROM features;
        CREATE TEMP TABLE module AS SELECT row_number() OVER (ORDER BY id) - 1 AS n, id FROM modules;
        INSERT INTO module2views (module_id, view_id)
            SELECT module.id, view.id FROM view JOIN module ON module.n = view.n % 40 ON CONFLICT DO NOTHING;
        INSERT INTO module2features (module_id, feature_id)
            SELECT module.id, feature.id FROM feature JOIN module ON module.n = feature.n % 40 ON CONFLICT DO NOTHING;
        INSERT INTO feature2views (feature_id, view_id)
            SELECT feature.id, view.id FROM feature JOIN view ON view.n = feature.n ON CONFLICT DO NOTHING;

        INSERT INTO company2modules (company_id, module_id)
            SELECT company.id, module.id FROM company, generate_series(0, 3) k
            JOIN module ON true WHERE module.n = (company.n + 11 * k) % 40;
        INSERT INTO user_levels (id, company_id, name)
            SELECT md5('level' || company.n || '/' || l)::uuid, company.id, 'Level ' || l
            FROM company, generate_series(1, 5) l;
        CREATE TEMP TABLE level AS
            SELECT row_number() OVER (ORDER BY id) AS n, id, company_id FROM user_levels;
        INSERT INTO user_level_view_permissions (id, company_id, user_level_id, view_id, state)
            SELECT gen_random_uuid(), level.company_id, level.id, view.id, 'allow'
            FROM level, generate_series(0, 9) k JOIN view ON true WHERE view.n = (level.n + 19 * k) % 200;
        INSERT INTO user_level_feature_permissions (id, company_id, user_level_id, feature_id, action, value, scope)
            SELECT gen_random_uuid(), level.company_id, level.id, feature.id, 'Read', true, 'company'
            FROM level, generate_series(0, 9) k JOIN feature ON true WHERE feature.n = (level.n + 19 * k) % 200;
        INSERT INTO user_user_levels (user_id, user_level_id, company_id)
            SELECT md5('user' || company.n || '/' || u)::uuid,
                md5('level' || company.n || '/' || 1 + (u + k) % 5)::uuid,
                company.id
            FROM company, generate_series(1, 15) u, generate_series(1, 2) k;

        INSERT INTO user_profiles (company_id, user_id, display_name, name_folded, source)
            SELECT company.id, md5('user' || company.n || '/' || u)::uuid, 'User ' || u, 'user ' || u, 'api'
            FROM company, generate_series(1, 15) u;

        INSERT INTO idempotency_keys (actor_kind, actor_id, key, company_id, method, path, digest, entity_id, expires_at)
            SELECT 'user', md5('user' || company.n || '/' || u)::uuid, 'key', company.id, 'POST', '/', sha256(''),
                gen_random_uuid(), now() + (company.n - 100) * interval '1 minute'
            FROM company, generate_series(1, 15) u;

        INSERT INTO console_sessions (digest, content, ends_at, expires_at)
            SELECT sha256(convert_to('session' || n, 'UTF8')), '{}', 'infinity', now() + (n - 100) * interval '1 minute'
            FROM generate_series(1, 5000) n;

        INSERT INTO menu_items (id, company_id, label, view_id, feature_id, required_permissions)
            SELECT md5('item' || company.n || '/' || i)::uuid, company.id, 'Item ' || i, view.id, feature.id,
                CASE WHEN i % 4 = 0 THEN jsonb_build_array('loaded.' || view.n, 'loaded.' || i) END
            FROM company, generate_series(1, 20) i
            JOIN view ON true JOIN feature ON feature.n = view.n WHERE view.n = (company.n + 31 * i) % 200;
        INSERT INTO sub_menu_items (id, menu_item_id, label, view_id, feature_id)
            SELECT gen_random_uuid(), id, 'Item ' || n, view_id, feature_id
            FROM menu_items, generate_series(1, 2) n WHERE company_id IS NOT NULL;
        INSERT INTO nav_trail (id, user_id, company_id, session_id, url, label, depth, view_id, created_at)
            SELECT gen_random_uuid(), md5('user' || company.n || '/' || u)::uuid, company.id, 'session ' || s % 2,
                '/' || s, 'Step', s, view.id, now() - s * interval '1 minute'
            FROM company, generate_series(1, 10) u, generate_series(1, 6) s
            JOIN view ON view.n = s;
        INSERT INTO effective_view_permissions
                (company_id, user_id, view_id, has_access, expires_at, company_version, catalog_version)
            SELECT company.id, md5('user' || company.n || '/' || u)::uuid, view.id, true,
                now() + (company.n - 100) * interval '1 minute', 1, 0
            FROM company, generate_series(1, 5) u, view WHERE view.n % 20 = company.n % 20;
        INSERT INTO effective_feature_permissions
                (company_id, user_id, feature_id, action, allowed, scope, expires_at, company_version, catalog_version)
            SELECT company.id, md5('user' || company.n || '/' || u)::uuid, feature.id, 'Read', true, 'any',
                now() + (company.n - 100) * interval '1 minute', 1, 0
            FROM company, generate_series(1, 5) u, feature WHERE feature.n % 20 = company.n % 20;
        INSERT INTO iam_audit_logs (id, company_id, user_id, actor_kind, action, entity_type, entity_id, \"timestamp\")
            SELECT gen_random_uuid(), company.id, md5('user' || company.n || '/' || r % 10)::uuid, 'user',
                'test.done_' || r % 20, 'user-level', md5('level' || company.n || '/' || r % 5)::uuid,
                date_trunc('month', now()) - r * interval '1 hour'
            FROM company, generate_series(1, 50) r;
        INSERT INTO iam_audit_logs (id, user_id, actor_kind, action, entity_type, entity_id, \"timestamp\")
            SELECT gen_random_uuid(), md5('admin' || r % 5)::uuid, 'user', 'view.updated', 'view', view.id,
                date_trunc('month', now()) - r * interval '1 hour'
            FROM generate_series(1, 1000) r JOIN view ON view.n = r % 200;
        ANALYZE;";

    async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
        connection.fetch_one(AssertSqlSafe(sql.to_owned())).await.unwrap().get(0)
    }

    /// Returns the distinct SQL statements that the adapter sends in the contract suite. The suite runs once for all tests.
    async fn statements_of_the_suite() -> &'static BTreeSet<String> {
        static STATEMENTS: OnceCell<BTreeSet<String>> = OnceCell::const_new();
        STATEMENTS.get_or_init(run_suite).await
    }

    async fn run_suite() -> BTreeSet<String> {
        let database = TestDatabase::new(Content::Schema).await;
        let proxy = Proxy::to(&database).await;
        let storage = PostgresStorage::connect(&TestDatabase::options_for(proxy.url())).unwrap();
        let storage: Arc<dyn Storage> = Arc::new(storage);
        for (_, case) in iam_storage::contract::cases() {
            case(Arc::clone(&storage)).await;
        }
        let planned = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
        let begins = |text: &String| planned.iter().any(|word| text.trim_start().starts_with(word));
        proxy.texts().into_iter().filter(begins).collect()
    }

    /// Returns the generic plan of a statement, which does not depend on its parameters.
    async fn plan(connection: &mut PgConnection, text: &str) -> Value {
        run(connection, format!("PREPARE planned AS {text}")).await.unwrap_or_else(|error| panic!("{error}: {text}"));
        let count = "SELECT cardinality(parameter_types)::bigint FROM pg_prepared_statements WHERE name = 'planned'";
        let nulls = vec!["NULL"; usize::try_from(number(connection, count).await).unwrap()];
        let values = if nulls.is_empty() { String::new() } else { format!("({})", nulls.join(", ")) };
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE planned{values}");
        let plan = connection.fetch_one(AssertSqlSafe(explain)).await.unwrap().get(0);
        run(connection, "DEALLOCATE planned".to_owned()).await.unwrap();
        plan
    }

    /// The indexes of the assignments and of both matrices, each with the condition that an index scan must contain.
    /// The condition restricts the scan to one user, level, view or feature. A scan that is restricted only to a
    /// company is not allowed.
    const ENTRIES: [(&str, &str); 10] = [
        ("user_user_levels_pkey", "(user_id = "),
        ("user_user_levels_company_id_user_id_user_level_id_idx", "(user_id = "),
        ("user_user_levels_user_level_id_company_id_user_id_idx", "(user_level_id = "),
        ("user_user_levels_company_id_starts_at_idx", "(starts_at "),
        ("user_user_levels_company_id_expires_at_idx", "(expires_at "),
        ("user_user_levels_expires_at_idx", "(expires_at "),
        ("ulvp_company_id_user_level_id_view_id_key", "(user_level_id = "),
        ("ulvp_view_id_company_id_idx", "(view_id = "),
        ("ulfp_company_id_user_level_id_feature_id_action_key", "(user_level_id = "),
        ("ulfp_feature_id_company_id_idx", "(feature_id = "),
    ];

    /// The tables of [`ENTRIES`].
    const TABLES: [&str; 3] = ["user_user_levels", "user_level_view_permissions", "user_level_feature_permissions"];

    /// Collects the plan nodes that scan more of [`TABLES`] than the rows of one user, level, view or feature.
    fn of_whole_companies(plan: &Value, found: &mut Vec<Value>) {
        match plan {
            Value::Object(node) => {
                let text = |name: &str| node.get(name).and_then(Value::as_str).unwrap_or_default();
                let entry = ENTRIES.into_iter().find(|(index, _)| *index == text("Index Name"));
                let is_read_whole = match entry {
                    Some((_, by)) => !text("Index Cond").contains(by),
                    None => TABLES.contains(&text("Relation Name")) && text("Node Type") == "Seq Scan",
                };
                if is_read_whole {
                    found.push(plan.clone());
                }
                node.values().for_each(|value| of_whole_companies(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| of_whole_companies(value, found)),
            _ => {}
        }
    }

    /// No statement for one user or one level scans all assignments or matrices of a company. The plans are checked in
    /// each state of the planner's statistics: missing for a new table, outdated after growth, and up to date. A
    /// connection can cache a generic plan in any of these states.
    #[actix_web::test]
    async fn changes_to_one_user_or_level_do_not_read_the_whole_company() {
        let database = Rc::new(TestDatabase::new(Content::Seeded).await);
        let proxy = Proxy::to(&database).await;
        let storage = PostgresStorage::connect(&TestDatabase::options_for(proxy.url())).unwrap();
        let api = TestApi::over(Arc::new(storage), Some(Rc::clone(&database)), HttpOptions::default()).await;
        let company = api.company().await;
        let member = api.level_id(company, "Member").await;
        let feature = api.feature_id("iam.manage_levels").await;
        for levels in [json!([member]), json!([])] {
            let path = format!("/api/iam/users/{}/user-levels", new_user());
            let body = json!({ "userLevelIds": levels });
            api.put(&path).by(company.admin).within(company.id).json(&body).send().await.expect(200);
            api.put(&path).by_super_admin().within(company.id).json(&body).send().await.expect(200);
        }
        let path = format!("/api/iam/user-levels/{member}/permissions/features");
        let body = json!({ "features": [{ "featureId": feature, "action": "Read", "value": true, "scope": "own" }] });
        api.put(&path).by_super_admin().within(company.id).json(&body).send().await.expect(200);
        let key = api.api_key("administer", Some(company.id)).await;
        let body = json!({ "features": [] });
        api.put(&path).by_key(&key).within(company.id).json(&body).send().await.expect(200);
        // A caller without Approve denies an action of a level and removes the deny again.
        let cells: Vec<_> = [(&feature, true), (&api.feature_id("iam.assign_permissions").await, true)]
            .map(|(feature, value)| json!({ "featureId": feature, "action": "Update", "value": value, "scope": "any" }))
            .into();
        let (delegate, own) = api.holder_of(company, json!([]), json!(cells)).await;
        for value in [false, true] {
            let cell = json!({ "featureId": feature, "action": "Update", "value": value, "scope": "any" });
            let body = json!({ "features": [cell] });
            api.put(&path).by(delegate).within(company.id).json(&body).send().await.expect(200);
        }
        let levels = json!({ "userLevelIds": [own] });
        let to = format!("/api/iam/users/{}/user-levels", new_user());
        api.put(&to).by(delegate).within(company.id).json(&levels).send().await.expect(200);
        // The last administrator cannot be removed: the guard searches for another one.
        let admin = api.level_id(company, "Admin").await;
        let path = format!("/api/iam/user-levels/{admin}/permissions/features");
        let body = json!({ "features": [] });
        api.put(&path).by_super_admin().within(company.id).json(&body).send().await.expect(409);
        let texts: BTreeSet<_> = proxy.texts().into_iter().filter(|text| text.contains("user_user_levels")).collect();
        assert!(texts.len() >= 5, "{texts:#?}");
        for part in ["AS reaches", "AS assumed"] {
            assert!(texts.iter().any(|text| text.contains(part)), "{part}");
        }

        let mut connection = database.connect().await;
        run(&mut connection, "ALTER TABLE user_user_levels SET (autovacuum_enabled = off)".to_owned()).await.unwrap();
        run(&mut connection, format!("SET ROLE {APPLICATION}; SET plan_cache_mode = force_generic_plan"))
            .await
            .unwrap();
        let grow = format!(
            "INSERT INTO user_user_levels (user_id, user_level_id, company_id)
            SELECT md5('user' || n)::uuid, '{member}', '{}' FROM generate_series(1, 20000) n",
            company.id
        );
        for step in ["SELECT 1".to_owned(), grow, "RESET ROLE; ANALYZE user_user_levels".to_owned()] {
            run(&mut connection, step.clone()).await.unwrap();
            for text in &texts {
                let plan = plan(&mut connection, text).await;
                let mut found = Vec::new();
                of_whole_companies(&plan, &mut found);
                assert!(found.is_empty(), "after {step}: {text}: {found:#?}");
            }
        }

        // Control: the check detects a scan of a whole company.
        let mut found = Vec::new();
        let all = "SELECT user_id FROM user_user_levels WHERE company_id = $1 ORDER BY user_id";
        of_whole_companies(&plan(&mut connection, all).await, &mut found);
        assert_eq!(found.len(), 1, "{found:#?}");
    }

    /// No statement selects all columns of a table (`SELECT *`). The test adds a column to every table, and this column
    /// must appear in no plan.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_statement_selects_all_columns() {
        let texts = statements_of_the_suite().await;
        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        for (number, text) in texts.iter().enumerate() {
            run(&mut connection, format!("PREPARE planned_{number} AS {text}")).await.unwrap();
            let plan = verbose(&mut connection, number).await.unwrap();
            assert!(!passes_whole_rows(&plan), "{text}");
        }
        for table in migration::TABLES {
            let grow = format!("ALTER TABLE {table} ADD COLUMN one_more text DEFAULT 'x'");
            run(&mut connection, grow).await.unwrap();
        }
        for (number, text) in texts.iter().enumerate() {
            let planned = verbose(&mut connection, number).await;
            assert!(planned.is_ok(), "{planned:?}: {text}");
            assert!(!planned.unwrap().contains("one_more"), "{text}");
        }

        // Control: the check detects statements that select all columns.
        for text in ["SELECT * FROM views", "SELECT json_agg(views) FROM views"] {
            run(&mut connection, format!("PREPARE planned_all AS {text}")).await.unwrap();
            let plan = verbose(&mut connection, "all").await.unwrap();
            assert!(plan.contains("one_more") || passes_whole_rows(&plan), "{plan}");
            run(&mut connection, "DEALLOCATE planned_all".to_owned()).await.unwrap();
        }
    }

    /// Returns `true` if a plan passes whole rows of a table to a function. The whole-row references of row locks do
    /// not count.
    fn passes_whole_rows(plan: &str) -> bool {
        migration::TABLES.iter().any(|table| plan.contains(&format!("({table}.*)")))
    }

    /// Returns the verbose plan of a prepared statement, which contains the output columns of each node.
    async fn verbose(connection: &mut PgConnection, number: impl Display) -> Result<String, sqlx::Error> {
        let count = format!(
            "SELECT cardinality(parameter_types)::bigint FROM pg_prepared_statements WHERE name = 'planned_{number}'"
        );
        let nulls = vec!["NULL"; usize::try_from(self::number(connection, &count).await).unwrap()];
        let values = if nulls.is_empty() { String::new() } else { format!("({})", nulls.join(", ")) };
        let explain = format!("EXPLAIN (VERBOSE) EXECUTE planned_{number}{values}");
        let lines = connection.fetch_all(AssertSqlSafe(explain)).await?;
        Ok(lines.iter().map(|line| line.get::<String, _>(0) + "\n").collect())
    }

    /// Query for the tables and indexes, each with the table or index of which it is a partition, or with itself. It omits
    /// partitions with few rows, which PostgreSQL may scan as a whole.
    const ROOTS: &str = "
        SELECT relname::text, coalesce(pg_partition_root(oid)::regclass::text, relname::text) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
            AND (relkind = 'i' OR NOT relispartition OR relpages > 20)";

    /// The tenant tables and their indexes that query plans scan. A scan of a partition counts as a scan of its table.
    #[derive(Default)]
    struct Scans {
        /// The result of [`ROOTS`].
        roots: BTreeMap<String, String>,
        /// The tables that are read.
        tables: BTreeSet<String>,
        /// The indexes that are used.
        indexes: BTreeSet<String>,
        /// The tables that are scanned as a whole, each with the type of the plan node that scans it.
        whole: BTreeSet<(String, String)>,
    }

    impl Scans {
        fn add(&mut self, plan: &Value) {
            match plan {
                Value::Object(node) => {
                    let text = |name: &str| node.get(name).and_then(Value::as_str).map(str::to_owned);
                    let root = |name: &str| text(name).and_then(|of| self.roots.get(&of).cloned());
                    let (index, table) = (root("Index Name"), root("Relation Name"));
                    self.indexes.extend(index);
                    if let (Some(kind), Some(table)) = (text("Node Type"), table)
                        && TENANT_TABLES.contains(&table.as_str())
                    {
                        self.tables.insert(table.clone());
                        // An index scan without an index condition reads the whole index.
                        let is_index = matches!(kind.as_str(), "Index Scan" | "Index Only Scan");
                        if kind == "Seq Scan" || is_index && !node.contains_key("Index Cond") {
                            self.whole.insert((table, kind));
                        }
                    }
                    node.values().for_each(|value| self.add(value));
                }
                Value::Array(values) => values.iter().for_each(|value| self.add(value)),
                _ => {}
            }
        }
    }

    /// The query for the non-unique indexes of the tenant tables. It omits indexes that support a foreign key.
    const FOR_STATEMENTS: &str = "
        SELECT index.relname::text FROM pg_index AS i
        JOIN pg_class AS index ON index.oid = i.indexrelid JOIN pg_class AS owner ON owner.oid = i.indrelid
        WHERE owner.relname = ANY($1) AND NOT i.indisunique AND NOT EXISTS (
            SELECT FROM pg_constraint AS key WHERE key.contype = 'f' AND key.conrelid = i.indrelid
                AND key.conkey = (string_to_array(i.indkey::text, ' ')::smallint[])[:cardinality(key.conkey)]
        )";

    /// A fragment of the statement that finds all menu items that require a feature, across companies. Only changes to
    /// the catalog send this statement. Under row-level security, no index can be used for its condition, because the
    /// `jsonb` operator `@>` is not leakproof.
    const REQUIRING: &str = "FROM menu_items WHERE required_permissions @> $1";

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_statement_scans_a_whole_tenant_table() {
        let texts = statements_of_the_suite().await;
        assert!(texts.len() > 100, "only {} statements were found", texts.len());

        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        run(&mut connection, LOAD.to_owned()).await.unwrap();
        for table in ["user_level_view_permissions", "user_level_feature_permissions"] {
            assert_eq!(number(&mut connection, &format!("SELECT count(*) FROM {table}")).await, 50_000);
        }
        run(&mut connection, "SET plan_cache_mode = force_generic_plan".to_owned()).await.unwrap();

        // The plans are checked for two roles: the adapter's role, to which row-level security applies, and a role that
        // bypasses row-level security.
        let roots: Vec<(String, String)> = sea_orm::sqlx::query_as(ROOTS).fetch_all(&mut connection).await.unwrap();
        let scans = || Scans { roots: roots.iter().cloned().collect(), ..Scans::default() };
        let mut all = scans();
        for (role, exception) in [(APPLICATION, Some(REQUIRING)), ("NONE", None)] {
            run(&mut connection, format!("SET ROLE {role}")).await.unwrap();
            let mut whole = BTreeMap::new();
            for text in texts {
                let plan = plan(&mut connection, text).await;
                let mut scans = scans();
                scans.add(&plan);
                if !scans.whole.is_empty() {
                    whole.insert(text, scans.whole);
                }
                all.add(&plan);
            }
            whole.retain(|text, _| exception.is_none_or(|exception| !text.contains(exception)));
            assert!(whole.is_empty(), "{role}: {whole:#?}");
        }

        // The list `TENANT_TABLES` is complete.
        assert_eq!(all.tables, TENANT_TABLES.into_iter().map(str::to_owned).collect());
        let indexes = sea_orm::sqlx::query_scalar(FOR_STATEMENTS).bind(TENANT_TABLES.map(str::to_owned).to_vec());
        let indexes: Vec<String> = indexes.fetch_all(&mut connection).await.unwrap();
        let unused: Vec<_> = indexes.iter().filter(|index| !all.indexes.contains(*index)).collect();
        assert!(unused.is_empty(), "each index must be used by a statement; unused indexes: {unused:?}");

        // Control: the check detects scans of whole tables.
        let mut scans = scans();
        scans.add(&plan(&mut connection, "SELECT * FROM user_levels WHERE description = $1").await);
        scans.add(&plan(&mut connection, "SELECT id FROM user_levels ORDER BY id").await);
        assert_eq!(scans.whole.len(), 2);
    }
}
