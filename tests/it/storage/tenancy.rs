//! Tests of tenant isolation in the database, in raw SQL. Foreign keys and row-level security prevent access across
//! companies.

mod postgres {
    use iam_domain::{CompanyId, UserId, UserLevelId};
    use iam_storage::{ChangeContext, Storage, Target};
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, query_scalar};

    use crate::support::database::{APPLICATION, Content, TestDatabase, run};

    const OURS: &str = "'00000000-0000-0000-0000-000000000001'::uuid";
    const THEIRS: &str = "'00000000-0000-0000-0000-000000000002'::uuid";

    /// The tables that refer to a user level, each with its other required columns, the values of these columns, and
    /// its composite foreign key on company and level.
    const BESIDE_LEVELS: [(&str, &str, &str, &str); 3] = [
        (
            "user_level_view_permissions",
            "id, view_id, state",
            "gen_random_uuid(), (SELECT id FROM views WHERE url = '/home'), 'allow'",
            "ulvp_company_id_user_level_id_fkey",
        ),
        (
            "user_level_feature_permissions",
            "id, feature_id, action, value, scope",
            "gen_random_uuid(), (SELECT id FROM features WHERE key = 'general.read'), 'Read', true, 'any'",
            "ulfp_company_id_user_level_id_fkey",
        ),
        ("user_user_levels", "user_id", "gen_random_uuid()", "user_user_levels_company_id_user_level_id_fkey"),
    ];

    /// Creates a database with two companies. Each company has one user level without permissions. The id of this level
    /// equals the company's id.
    async fn two_companies() -> (TestDatabase, PgConnection) {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        let levels = format!(
            "INSERT INTO user_levels (id, company_id, name)
            VALUES ({OURS}, {OURS}, 'Level'), ({THEIRS}, {THEIRS}, 'Level')"
        );
        run(&mut connection, levels).await.unwrap();
        (database, connection)
    }

    /// Returns the name of the constraint that rejects a statement.
    async fn refused(connection: &mut PgConnection, sql: String) -> String {
        let error = run(connection, sql.clone()).await.expect_err(&sql);
        let constraint = error.as_database_error().and_then(|error| error.constraint());
        constraint.unwrap_or_else(|| panic!("{sql}: {error}")).to_owned()
    }

    async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
        query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap()
    }

    // --- Foreign keys ---

    #[tokio::test]
    async fn every_table_that_references_a_level_references_its_company() {
        let database = TestDatabase::new(Content::Schema).await;
        let keys = "SELECT conname::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
            WHERE contype = 'f' AND confrelid = 'user_levels'::regclass ORDER BY 1";
        let keys: Vec<String> = query_scalar(keys).fetch_all(&mut database.connect().await).await.unwrap();
        let together = "FOREIGN KEY (company_id, user_level_id) REFERENCES user_levels(company_id, id)";
        assert!(keys.iter().all(|key| key.contains(together)), "{keys:#?}");
        // The tests below cover all of these foreign keys.
        let mut tried = BESIDE_LEVELS.map(|(.., constraint)| constraint);
        tried.sort_unstable();
        assert_eq!(keys.iter().map(|key| key.split(' ').next().unwrap()).collect::<Vec<_>>(), tried);
    }

    #[tokio::test]
    async fn no_row_of_one_company_references_a_level_of_another() {
        let (_database, mut connection) = two_companies().await;
        for (table, columns, values, constraint) in BESIDE_LEVELS {
            for (company, level) in [(OURS, THEIRS), (THEIRS, OURS)] {
                let mixed = format!(
                    "INSERT INTO {table} (company_id, user_level_id, {columns}) VALUES ({company}, {level}, {values})"
                );
                assert_eq!(refused(&mut connection, mixed).await, constraint);
            }
            let own =
                format!("INSERT INTO {table} (company_id, user_level_id, {columns}) VALUES ({OURS}, {OURS}, {values})");
            run(&mut connection, own).await.unwrap();
        }
    }

    #[tokio::test]
    async fn no_row_moves_to_another_company_or_to_its_level_alone() {
        let (_database, mut connection) = two_companies().await;
        for (table, columns, values, constraint) in BESIDE_LEVELS {
            let own =
                format!("INSERT INTO {table} (company_id, user_level_id, {columns}) VALUES ({OURS}, {OURS}, {values})");
            run(&mut connection, own).await.unwrap();
            for column in ["company_id", "user_level_id"] {
                let moved = format!("UPDATE {table} SET {column} = {THEIRS}");
                assert_eq!(refused(&mut connection, moved).await, constraint);
            }
        }
    }

    #[tokio::test]
    async fn no_referenced_level_moves_to_another_company() {
        for (table, columns, values, constraint) in BESIDE_LEVELS {
            let (_database, mut connection) = two_companies().await;
            let moved = format!("UPDATE user_levels SET company_id = {THEIRS}, name = 'Moved' WHERE id = {OURS}");
            // A level to which no row refers can be moved to the other company.
            run(&mut connection, format!("BEGIN; {moved}; ROLLBACK")).await.unwrap();
            let own =
                format!("INSERT INTO {table} (company_id, user_level_id, {columns}) VALUES ({OURS}, {OURS}, {values})");
            run(&mut connection, own).await.unwrap();
            assert_eq!(refused(&mut connection, moved).await, constraint);
            let swapped = format!(
                "UPDATE user_levels SET id = md5(id::text)::uuid, company_id = {THEIRS}, name = 'Moved'
                    WHERE id = {OURS}"
            );
            assert_eq!(refused(&mut connection, swapped).await, constraint);
        }
    }

    #[tokio::test]
    async fn neither_company_nor_id_of_an_assigned_level_can_change() {
        let (_database, mut connection) = two_companies().await;
        let held = format!(
            "INSERT INTO user_user_levels (company_id, user_level_id, user_id)
                VALUES ({OURS}, {OURS}, gen_random_uuid())"
        );
        run(&mut connection, held).await.unwrap();
        let deleted = refused(&mut connection, format!("DELETE FROM user_levels WHERE id = {OURS}")).await;
        assert_eq!(deleted, "user_user_levels_company_id_user_level_id_fkey");
        // The level of the other company has no holders, so it can be deleted.
        run(&mut connection, format!("DELETE FROM user_levels WHERE id = {THEIRS}")).await.unwrap();
        assert_eq!(number(&mut connection, "SELECT count(*) FROM user_levels").await, 1);
    }

    // --- Row-level security ---

    /// The tables with rows of companies, each with the column that identifies the company of a row, either directly or
    /// through the row's menu item.
    const OF_TENANTS: [(&str, &str); 14] = [
        ("company2modules", "company_id"),
        ("company_states", "company_id"),
        ("effective_feature_permissions", "company_id"),
        ("effective_view_permissions", "company_id"),
        ("iam_audit_logs", "company_id"),
        ("idempotency_keys", "company_id"),
        ("menu_items", "company_id"),
        ("nav_trail", "company_id"),
        ("sub_menu_items", "menu_item_id"),
        ("user_level_feature_permissions", "company_id"),
        ("user_level_view_permissions", "company_id"),
        ("user_levels", "company_id"),
        ("user_profiles", "company_id"),
        ("user_user_levels", "company_id"),
    ];

    /// The tables with rows of the platform that no statement of a company may see.
    const OF_PLATFORM: [&str; 1] = ["console_sessions"];

    /// Returns the SQL that inserts a row of this company into each table. The ids of these rows equal the company's
    /// id.
    fn rows_of(company: &str) -> String {
        format!(
            "INSERT INTO company_states (company_id, version) VALUES ({company}, 1);
            INSERT INTO company2modules (company_id, module_id) SELECT {company}, id FROM modules WHERE code = 'core';
            INSERT INTO user_levels (id, company_id, name) VALUES ({company}, {company}, 'Level');
            INSERT INTO user_level_view_permissions (id, company_id, user_level_id, view_id, state)
                SELECT {company}, {company}, {company}, id, 'allow' FROM views WHERE url = '/home';
            INSERT INTO user_level_feature_permissions (id, company_id, user_level_id, feature_id, action, value, scope)
                SELECT {company}, {company}, {company}, id, 'Read', true, 'any' FROM features
                    WHERE key = 'general.read';
            INSERT INTO user_user_levels (user_id, user_level_id, company_id) VALUES ({company}, {company}, {company});
            INSERT INTO user_profiles (user_id, company_id, source) VALUES ({company}, {company}, 'api');
            INSERT INTO menu_items (id, company_id, label) VALUES ({company}, {company}, 'Item');
            INSERT INTO sub_menu_items (id, menu_item_id, label) VALUES ({company}, {company}, 'Item');
            INSERT INTO nav_trail (id, user_id, company_id, session_id, url, label, depth)
                VALUES ({company}, {company}, {company}, 'session', '/home', 'Home', 0);
            INSERT INTO effective_view_permissions
                    (company_id, user_id, view_id, has_access, expires_at, company_version, catalog_version)
                SELECT {company}, {company}, id, true, now() + interval '1 hour', 1, 1 FROM views WHERE url = '/home';
            INSERT INTO effective_feature_permissions
                    (company_id, user_id, feature_id, action, allowed, scope, expires_at,
                        company_version, catalog_version)
                SELECT {company}, {company}, id, 'Read', true, 'any', now() + interval '1 hour', 1, 1
                FROM features WHERE key = 'general.read';
            INSERT INTO iam_audit_logs (id, company_id, actor_kind, action, entity_type, entity_id, \"timestamp\")
                VALUES ({company}, {company}, 'user', 'test.done', 'user-level', {company}, now());
            INSERT INTO idempotency_keys
                    (actor_kind, actor_id, key, company_id, method, path, digest, entity_id, expires_at)
                VALUES ('user', {company}, 'key', {company}, 'POST', '/', sha256(''), {company}, now());"
        )
    }

    /// Creates a database in which every table has one row for each of two companies. Returns the database, a superuser
    /// connection, and a connection with the application's role.
    async fn two_full_companies() -> (TestDatabase, PgConnection, PgConnection) {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        for company in [OURS, THEIRS] {
            run(&mut connection, rows_of(company)).await.unwrap();
        }
        let application = database.connect_as_application().await;
        (database, connection, application)
    }

    /// Returns a condition on the alias `t` that matches only this company's row. The condition compares the content of
    /// the row.
    async fn row_of(connection: &mut PgConnection, table: &str, column: &str, company: &str) -> String {
        let row = format!("SELECT t::text FROM {table} AS t WHERE {column} = {company}");
        let row: String = query_scalar(AssertSqlSafe(row)).fetch_one(connection).await.unwrap();
        format!("t::text = '{}'", row.replace('\'', "''"))
    }

    /// Sets `iam.company` for the rest of the session. The adapter sets it only for a transaction.
    async fn say(connection: &mut PgConnection, setting: &str) {
        run(connection, format!("SELECT set_config('iam.company', {setting}, false)")).await.unwrap();
    }

    /// Runs a statement and returns the number of rows that it affected.
    async fn changes(connection: &mut PgConnection, sql: String) -> u64 {
        connection.execute(AssertSqlSafe(sql)).await.unwrap().rows_affected()
    }

    /// Runs a statement that must be rejected, and returns the SQLSTATE of its error.
    async fn sqlstate(connection: &mut PgConnection, sql: &str) -> String {
        let error = run(connection, sql.to_owned()).await.expect_err(sql);
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        code.unwrap_or_else(|| panic!("{sql}: {error}"))
    }

    /// The SQLSTATE of a violated row-level policy or a missing privilege.
    const FORBIDDEN: &str = "42501";
    /// The SQLSTATEs for a missing setting and for a setting that is not a UUID.
    const INVALID_COMPANY_SETTING: [&str; 2] = ["42704", "22P02"];

    #[tokio::test]
    async fn every_tenant_table_has_policies_that_bind_its_owner() {
        let database = TestDatabase::new(Content::Schema).await;
        let mut connection = database.connect().await;
        let of_companies = "SELECT DISTINCT relname::text COLLATE \"C\" FROM pg_class AS c
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname IN ('company_id', 'menu_item_id')
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
                -- The platform's: what a key is good for is no company's to see.
                AND relname <> 'api_keys' ORDER BY 1";
        let tables: Vec<String> = query_scalar(of_companies).fetch_all(&mut connection).await.unwrap();
        assert_eq!(tables, OF_TENANTS.map(|(table, _)| table));
        let forced = "SELECT relname::text COLLATE \"C\" FROM pg_class
            WHERE relrowsecurity AND relforcerowsecurity AND NOT relispartition ORDER BY 1";
        let mut expected = tables;
        expected.extend(OF_PLATFORM.map(str::to_owned));
        expected.sort();
        assert_eq!(query_scalar::<_, String>(forced).fetch_all(&mut connection).await.unwrap(), expected);
        // Each partition has the policy of its table, because roles can specify it by its name.
        let unlike = "SELECT part.relname::text FROM pg_class AS part WHERE relispartition AND relkind = 'r' AND NOT (
                relrowsecurity AND relforcerowsecurity AND ARRAY(
                    SELECT (polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid))::text
                    FROM pg_policy WHERE polrelid = part.oid ORDER BY 1
                ) = ARRAY(
                    SELECT (polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid))::text
                    FROM pg_policy WHERE polrelid = pg_partition_root(part.oid) ORDER BY 1
                ) AND relacl IS NOT DISTINCT FROM (SELECT relacl FROM pg_class WHERE oid = pg_partition_root(part.oid))
            )";
        assert_eq!(query_scalar::<_, String>(unlike).fetch_all(&mut connection).await.unwrap(), [""; 0]);
        assert!(number(&mut connection, "SELECT count(*) FROM pg_class WHERE relispartition").await > 100);
        // The application's role owns no tables. Neither this role nor the owner bypasses the row-level policies.
        let exempt = format!(
            "SELECT count(*) FROM pg_roles AS role WHERE rolname = '{APPLICATION}' AND (rolsuper OR rolbypassrls
                OR EXISTS (SELECT FROM pg_class WHERE relowner = role.oid))"
        );
        assert_eq!(number(&mut connection, &exempt).await, 0);
        let owners = "SELECT count(*) FROM pg_class JOIN pg_roles AS owner ON owner.oid = relowner
            WHERE relnamespace = 'public'::regnamespace AND (rolsuper OR rolbypassrls)";
        assert_eq!(number(&mut connection, owners).await, 0);
    }

    #[tokio::test]
    async fn without_a_company_every_statement_is_an_error() {
        let (_database, mut connection, mut application) = two_full_companies().await;
        for (table, column) in OF_TENANTS {
            let theirs = row_of(&mut connection, table, column, THEIRS).await;
            let statements = [
                format!("SELECT FROM {table} WHERE {column} = {THEIRS}"),
                format!("SELECT count(*) FROM {table}"),
                format!("INSERT INTO {table} SELECT t.* FROM {table} AS t"),
                format!("UPDATE {table} AS t SET {column} = {column} WHERE {theirs}"),
                format!("DELETE FROM {table} AS t WHERE {theirs}"),
            ];
            for sql in &statements {
                assert!(INVALID_COMPANY_SETTING.contains(&sqlstate(&mut application, sql).await.as_str()), "{sql}");
            }
        }
        // A transaction-local setting is reset to the empty string at the end of the transaction. With an empty or
        // invalid setting, every statement that reads a row fails.
        run(&mut application, format!("SELECT set_config('iam.company', {OURS}::text, true)")).await.unwrap();
        for setting in [None, Some("''"), Some("'ALL'"), Some("'*'"), Some("'all '")] {
            if let Some(setting) = setting {
                say(&mut application, setting).await;
            }
            for (table, _) in OF_TENANTS {
                assert_eq!(
                    sqlstate(&mut application, &format!("SELECT count(*) FROM {table}")).await,
                    INVALID_COMPANY_SETTING[1]
                );
            }
        }
    }

    #[tokio::test]
    async fn rows_of_another_company_are_neither_read_nor_written() {
        let (_database, mut connection, mut application) = two_full_companies().await;
        for (table, column) in OF_TENANTS {
            let ours = row_of(&mut connection, table, column, OURS).await;
            let theirs = row_of(&mut connection, table, column, THEIRS).await;
            let seen = |row: &str| format!("SELECT count(*) FROM {table} AS t WHERE {row}");
            let as_json = format!("SELECT to_jsonb(t)::text FROM {table} AS t WHERE {theirs}");
            let as_json: String = query_scalar(AssertSqlSafe(as_json)).fetch_one(&mut connection).await.unwrap();

            say(&mut application, &format!("{OURS}::text")).await;
            assert_eq!(number(&mut application, &seen(&ours)).await, 1, "{table}");
            assert_eq!(number(&mut application, &seen(&theirs)).await, 0, "{table}");
            let touched = format!("UPDATE {table} AS t SET {column} = {column} WHERE");
            assert_eq!(changes(&mut application, format!("{touched} {ours}")).await, 1, "{table}");
            assert_eq!(changes(&mut application, format!("{touched} {theirs}")).await, 0, "{table}");
            assert_eq!(
                changes(&mut application, format!("DELETE FROM {table} AS t WHERE {theirs}")).await,
                0,
                "{table}"
            );
            // The row-level policy rejects an insert before foreign keys and unique keys are checked. The error
            // therefore does not reveal which keys exist.
            let added = format!("INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, '{as_json}')");
            assert_eq!(sqlstate(&mut application, &added).await, FORBIDDEN, "{table}");
            // An update of a row in `company_states` also changes the row's stamp. The row is therefore read again.
            let ours = row_of(&mut connection, table, column, OURS).await;
            let moved = format!("UPDATE {table} AS t SET {column} = {THEIRS} WHERE {ours}");
            assert_eq!(sqlstate(&mut application, &moved).await, FORBIDDEN, "{table}");

            assert_eq!(number(&mut connection, &seen(&theirs)).await, 1, "{table}");
            for setting in [format!("{THEIRS}::text"), "'all'".to_owned()] {
                say(&mut application, &setting).await;
                assert_eq!(number(&mut application, &seen(&theirs)).await, 1, "{table}");
            }
        }
    }

    #[tokio::test]
    async fn common_rows_can_be_read_by_all_companies_and_written_by_none() {
        let (_database, mut connection, mut application) = two_full_companies().await;
        let record = "INSERT INTO iam_audit_logs (id, actor_kind, action, entity_type, entity_id, \"timestamp\")
            VALUES (gen_random_uuid(), 'user', 'view.updated', 'view', gen_random_uuid(), now())";
        run(&mut connection, record.to_owned()).await.unwrap();
        say(&mut application, &format!("{OURS}::text")).await;
        let shared = "SELECT count(*) FROM menu_items WHERE company_id IS NULL";
        assert_eq!(number(&mut application, shared).await, 6);
        let shared = "SELECT count(*) FROM sub_menu_items AS s JOIN menu_items AS m ON m.id = menu_item_id
            WHERE company_id IS NULL";
        assert_eq!(number(&mut application, shared).await, 6);
        for table in ["sub_menu_items", "menu_items"] {
            assert_eq!(changes(&mut application, format!("UPDATE {table} SET label = 'Ours'")).await, 1, "{table}");
            assert_eq!(changes(&mut application, format!("DELETE FROM {table}")).await, 1, "{table}");
        }
        let item = "INSERT INTO menu_items (id, label) VALUES (gen_random_uuid(), 'For all')";
        assert_eq!(sqlstate(&mut application, item).await, FORBIDDEN);
        // Changes to companies can lock the catalog's row. They cannot update or delete it.
        let catalog = "company_id = '00000000-0000-0000-0000-000000000000'";
        let lock = format!("SELECT FROM company_states WHERE {catalog} FOR SHARE");
        assert_eq!(changes(&mut application, lock).await, 1);
        let raise = format!("UPDATE company_states SET version = version + 1 WHERE {catalog}");
        assert_eq!(sqlstate(&mut application, &raise).await, FORBIDDEN);
        assert_eq!(changes(&mut application, format!("DELETE FROM company_states WHERE {catalog}")).await, 0);
        // The audit records of the catalog are not visible within a company.
        let records = "SELECT count(*) FROM iam_audit_logs WHERE company_id IS NULL";
        assert_eq!(number(&mut application, records).await, 0);
        assert_eq!(sqlstate(&mut application, record).await, FORBIDDEN);
    }

    /// Row-level security fails closed. A statement that reads rows before it sets `iam.company` fails with any query
    /// plan. It never returns rows of another company.
    #[tokio::test]
    async fn a_statement_that_reads_before_a_company_is_set_is_an_error() {
        let (database, _connection, _application) = two_full_companies().await;
        let set = format!("set_config('iam.company', {THEIRS}::text, true)");
        for sql in [
            format!("SELECT read.*, {set} FROM (SELECT count(*) FROM user_levels) AS read"),
            format!("WITH read AS MATERIALIZED (SELECT id FROM user_levels) SELECT {set} FROM read"),
            format!("SELECT id FROM user_levels WHERE {set} <> ''"),
        ] {
            let mut application = database.connect_as_application().await;
            assert!(INVALID_COMPANY_SETTING.contains(&sqlstate(&mut application, &sql).await.as_str()), "{sql}");
        }
    }

    /// A unit of work of one company may read other companies. Afterwards it can still write only to its own company.
    #[tokio::test]
    async fn a_change_that_reads_other_companies_writes_only_its_own() {
        let (database, mut connection, _) = two_full_companies().await;
        // The trigger verifies that `iam.company` is the change's own company when the change writes.
        let spy = "CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF current_setting('iam.company') <> OLD.company_id::text THEN RAISE 'about another company'; END IF;
                RETURN OLD;
            END $$;
            CREATE TRIGGER spy BEFORE DELETE ON user_levels FOR EACH ROW EXECUTE FUNCTION spy()";
        run(&mut connection, spy.to_owned()).await.unwrap();
        let storage = database.storage();
        let [ours, theirs] = [1, 2].map(|n| CompanyId::from_uuid(uuid::Uuid::from_u128(n)));
        let unit = storage.begin(Target::Company(ours), ChangeContext::command_line()).await.unwrap();
        let state = unit.company_states().read(theirs).await.unwrap();
        assert_eq!(state.map(|state| state.version), Some(1));
        let levels = unit.user_levels().find_all(theirs).await.unwrap();
        assert_eq!(levels.iter().map(|level| level.company_id).collect::<Vec<_>>(), [theirs]);
        let module = unit.modules().find_by_code("core").await.unwrap().unwrap();
        assert_eq!(unit.company_modules().get_companies_by_module(module.id).await.unwrap(), [ours, theirs]);
        // The unit of work can still write to its own company.
        let mut unit = unit;
        let level = UserLevelId::from_uuid(uuid::Uuid::from_u128(1));
        unit.assignments_mut()
            .replace_for_user(ours, UserId::from_uuid(uuid::Uuid::from_u128(1)), &[], None)
            .await
            .unwrap();
        unit.user_levels_mut().delete(ours, level).await.unwrap();
        unit.commit().await.unwrap();
        let left: Vec<String> =
            query_scalar("SELECT company_id::text FROM user_levels").fetch_all(&mut connection).await.unwrap();
        assert_eq!(left, [theirs.to_string()]);
    }

    /// The operators' guide, which contains the SQL that creates the roles.
    const DEPLOYMENT: &str = include_str!("../../../docs/deployment.md");

    #[tokio::test]
    async fn the_roles_of_the_documentation_work() {
        let (_, section) = DEPLOYMENT.split_once("### Database roles").unwrap();
        let (_, sql) = section.split_once("```sql\n").unwrap();
        let (sql, _) = sql.split_once("```").unwrap();
        let (roles, grants) = sql.split_once("\\connect iam\n").unwrap();
        // Roles are shared by all databases of a server. The test therefore uses unique role names.
        let tag = uuid::Uuid::new_v4().simple().to_string();
        let [owner, application] = ["owner", "application"].map(|role| format!("iam_{role}_{tag}"));
        let renamed = |sql: &str| {
            sql.replace("iam_owner", "THE OWNER")
                .replace("ROLE iam ", &format!("ROLE {application} "))
                .replace("TO iam;", &format!("TO {application};"))
                .replace("THE OWNER", &owner)
        };

        let database = TestDatabase::new(Content::Nothing).await;
        let mut connection = database.connect().await;
        let roles = renamed(roles)
            .replace("CREATE DATABASE iam OWNER", &format!("ALTER DATABASE {} OWNER TO", database.name()));
        for statement in roles.split_inclusive(";\n").chain(renamed(grants).split_inclusive(";\n")) {
            run(&mut connection, statement.to_owned()).await.unwrap();
        }
        let as_owner = database.url_as(&owner);
        let db = sea_orm::Database::connect(&as_owner).await.unwrap();
        migration::up(&db).await.unwrap();
        migration::seed(&db).await.unwrap();
        db.close().await.unwrap();
        let all_powerful = PostgresStorage::connect(&PostgresOptions::new(database.url())).unwrap();
        assert!(!all_powerful.is_row_security_active().await.unwrap());
        all_powerful.close().await;

        // The adapter works with the application's role and with the owner's role. The same policies apply to both.
        for (n, role) in [(1, &application), (2, &owner)] {
            let storage = PostgresStorage::connect(&PostgresOptions::new(database.url_as(role))).unwrap();
            storage.check_schema().await.unwrap();
            assert!(storage.is_row_security_active().await.unwrap());
            let company = CompanyId::from_uuid(uuid::Uuid::from_u128(n));
            let mut unit = storage.begin(Target::Company(company), ChangeContext::command_line()).await.unwrap();
            let core = unit.modules().find_by_code("core").await.unwrap().unwrap().id;
            unit.company_modules_mut().add(company, core).await.unwrap();
            unit.commit().await.unwrap();
            assert_eq!(storage.reader().snapshots().load_company(company).await.unwrap().value.modules, [core].into());
            storage.close().await;
            let mut raw = PgConnection::connect(&database.url_as(role)).await.unwrap();
            assert_eq!(sqlstate(&mut raw, "SELECT count(*) FROM company2modules").await, INVALID_COMPANY_SETTING[0]);
            raw.close().await.unwrap();
        }
        let mut application_connection = PgConnection::connect(&database.url_as(&application)).await.unwrap();
        for forbidden in [
            "ALTER TABLE user_levels DISABLE ROW LEVEL SECURITY",
            "DROP POLICY own ON user_levels",
            "CREATE TABLE theirs ()",
        ] {
            assert_eq!(sqlstate(&mut application_connection, forbidden).await, FORBIDDEN, "{forbidden}");
        }
        application_connection.close().await.unwrap();

        let kept = format!("ALTER DATABASE {} OWNER TO CURRENT_USER", database.name());
        run(&mut connection, kept).await.unwrap();
        for gone in ["DROP OWNED BY", "DROP ROLE"] {
            for role in [&application, &owner] {
                run(&mut connection, format!("{gone} {role}")).await.unwrap();
            }
        }
    }
}
