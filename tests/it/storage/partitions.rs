//! Tests of the partitions of the audit log and of the tables of effective permissions.

mod postgres {
    use iam_domain::CompanyId;
    use iam_storage::{AuditFilter, PageBounds, Storage};
    use migration::{LockWait, MigrationError, Migrator, Undivided};
    use sea_orm::DatabaseConnection;
    use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_scalar};
    use sea_orm_migration::MigratorTrait;
    use uuid::Uuid;

    use crate::support::database::{APPLICATION, Content, TestDatabase, run};

    /// The number of migrations before the one that adds partitions.
    fn migrations_before() -> u32 {
        let names: Vec<_> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
        u32::try_from(names.iter().position(|name| name.ends_with("_partitions")).unwrap()).unwrap()
    }

    /// Returns a database in which the audit log is one table with records of a company: an old one, a current one, and
    /// one for each of these additional times.
    async fn with_records(times: &[&str]) -> (TestDatabase, DatabaseConnection, PgConnection) {
        let database = TestDatabase::new(Content::Nothing).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        Migrator::up(&db, Some(migrations_before())).await.unwrap();
        run(&mut connection, format!("GRANT SELECT ON iam_audit_logs TO {APPLICATION}")).await.unwrap();
        for time in ["'1999-12-31 23:59:59.999999+00'", "now()"].iter().chain(times) {
            record(&mut connection, time).await;
        }
        (database, db, connection)
    }

    /// Inserts an audit record of the company `a` with this time.
    async fn record(connection: &mut PgConnection, time: &str) {
        let sql = format!(
            "INSERT INTO iam_audit_logs (id, company_id, actor_kind, action, entity_type, entity_id, \"timestamp\")
            VALUES (gen_random_uuid(), md5('a')::uuid, 'command_line', 'view.updated', 'view', md5('b')::uuid, {time})"
        );
        run(connection, sql).await.unwrap();
    }

    async fn texts(connection: &mut PgConnection, sql: &str) -> Vec<String> {
        query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await.unwrap()
    }

    /// The query for the partitions that contain records, each with the number of its records.
    const FILLED: &str = "SELECT format('%s %s', tableoid::regclass, count(*)) FROM iam_audit_logs
        GROUP BY tableoid ORDER BY tableoid::regclass::text";

    /// The query for the constraints that limit the times of records.
    const LIMITS: &str = "SELECT conname::text FROM pg_constraint WHERE conname LIKE 'iam_audit_logs_before%'";

    /// The query for the months from the current one that have a partition.
    const MONTHS: &str =
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relname ~ '^iam_audit_logs_2\\d+_\\d+$'
        AND relname >= to_char(now() AT TIME ZONE 'UTC', '\"iam_audit_logs_\"YYYY_MM') ORDER BY 1";

    /// Returns the times of the company's records, newest first, in pages of two records.
    async fn listed(database: &TestDatabase) -> Vec<i64> {
        let storage = database.storage();
        let company = "0cc175b9-c0f1-b6a8-31c3-99e269772661".parse::<Uuid>().unwrap();
        let logs = storage.reader().audit_logs();
        let (mut times, mut cursor) = (Vec::new(), None);
        loop {
            let (filter, bounds) = (AuditFilter::default(), PageBounds::records(2));
            let company = Some(CompanyId::from_uuid(company));
            let page = logs.list_for_company(company, &filter, cursor, bounds).await.unwrap();
            times.extend(page.records.iter().map(|record| record.timestamp.as_datetime().timestamp_micros()));
            let Some(last) = page.records.last().filter(|_| page.has_more) else { return times };
            cursor = Some(iam_storage::AuditCursor { timestamp: last.timestamp, id: last.id });
        }
    }

    #[tokio::test]
    async fn an_audit_log_with_records_becomes_the_first_partition() {
        let (database, db, mut connection) = with_records(&["now() - interval '1 day'"]).await;
        let before = listed(&database).await;
        assert_eq!(before.len(), 3);
        migration::up_with::<Migrator>(&db).await.unwrap();
        assert_eq!(migration::undivided(&db).await.unwrap(), Some(Undivided::Unfinished));
        migration::up(&db).await.unwrap();
        assert_eq!(migration::undivided(&db).await.unwrap(), None);
        assert_eq!(texts(&mut connection, FILLED).await, ["iam_audit_logs_initial 3"]);
        assert_eq!(listed(&database).await, before);
        assert_eq!(texts(&mut connection, LIMITS).await, [""; 0]);
        // The next month may belong to the first partition. All later months of a year have partitions.
        assert!(matches!(texts(&mut connection, MONTHS).await.len(), 11..=12));
        record(&mut connection, "now() + interval '100 days'").await;
        record(&mut connection, "now() + interval '10 years'").await;
        let filled = texts(&mut connection, FILLED).await;
        assert_eq!(filled.len(), 3, "{filled:?}");
        assert_eq!((filled[1].as_str(), filled[2].as_str()), ("iam_audit_logs_default 1", "iam_audit_logs_initial 3"));
        assert_eq!(listed(&database).await.len(), 5);
        assert!(listed(&database).await.is_sorted_by(|a, b| a > b));
    }

    #[tokio::test]
    async fn a_new_audit_log_has_a_partition_for_the_current_month() {
        let database = TestDatabase::new(Content::Schema).await;
        let mut connection = database.connect().await;
        assert_eq!(texts(&mut connection, MONTHS).await.len(), 13);
        record(&mut connection, "now()").await;
        record(&mut connection, "now() - interval '1 year'").await;
        let current = texts(&mut connection, MONTHS).await.remove(0);
        assert_eq!(
            texts(&mut connection, FILLED).await,
            [format!("{current} 1"), "iam_audit_logs_initial 1".to_owned()]
        );
    }

    #[tokio::test]
    async fn an_interrupted_division_is_continued() {
        for steps in ["", "; ALTER TABLE iam_audit_logs VALIDATE CONSTRAINT iam_audit_logs_before_2099_01_check"] {
            let (database, db, mut connection) = with_records(&[]).await;
            let limit = "ALTER TABLE iam_audit_logs ADD CONSTRAINT iam_audit_logs_before_2099_01_check
                CHECK (\"timestamp\" < '2099-01-01 00:00:00+00') NOT VALID";
            run(&mut connection, format!("{limit}{steps}")).await.unwrap();
            migration::up(&db).await.unwrap();
            assert_eq!(texts(&mut connection, FILLED).await, ["iam_audit_logs_initial 2"]);
            assert_eq!(texts(&mut connection, LIMITS).await, [""; 0]);
            assert_eq!(listed(&database).await.len(), 2);
        }
    }

    #[tokio::test]
    async fn a_division_that_waits_too_long_leaves_a_usable_table_and_is_continued() {
        let (_database, db, mut connection) = with_records(&[]).await;
        migration::up_with::<Migrator>(&db).await.unwrap();
        run(&mut connection, "BEGIN; LOCK TABLE iam_audit_logs IN ROW EXCLUSIVE MODE".to_owned()).await.unwrap();
        let wait = LockWait { limit: std::time::Duration::ZERO, ..LockWait::default() };
        let error = migration::up_within(&db, wait).await.unwrap_err();
        assert!(matches!(error, MigrationError::Partitions(_)), "{error}");
        assert!(error.to_string().contains("iam_audit_logs is locked by session"), "{error}");
        run(&mut connection, "COMMIT".to_owned()).await.unwrap();
        record(&mut connection, "now() + interval '1 year'").await;
        migration::up(&db).await.unwrap();
        assert_eq!(texts(&mut connection, FILLED).await, ["iam_audit_logs_initial 3"]);
    }

    #[tokio::test]
    async fn an_audit_log_on_which_other_objects_depend_is_not_divided() {
        let (database, db, mut connection) = with_records(&[]).await;
        run(&mut connection, "CREATE VIEW theirs AS SELECT id FROM iam_audit_logs".to_owned()).await.unwrap();
        migration::up(&db).await.unwrap();
        assert_eq!(migration::undivided(&db).await.unwrap(), Some(Undivided::Used));
        assert_eq!(texts(&mut connection, FILLED).await, ["iam_audit_logs 2"]);
        assert_eq!(listed(&database).await.len(), 2);
    }

    #[tokio::test]
    async fn up_creates_the_partitions_of_the_coming_months_unless_their_records_are_elsewhere() {
        let database = TestDatabase::new(Content::Schema).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        let months = texts(&mut connection, MONTHS).await;
        let [.., third, second, last] = months.as_slice() else { panic!("{months:?}") };
        run(&mut connection, format!("DROP TABLE {third}, {second}, {last}")).await.unwrap();
        let time = format!("to_timestamp('{second} 15', '\"iam_audit_logs_\"YYYY_MM DD')");
        record(&mut connection, &time).await;
        assert_eq!(texts(&mut connection, FILLED).await, ["iam_audit_logs_default 1"]);
        migration::up(&db).await.unwrap();
        let expected: Vec<_> = months.iter().filter(|month| *month != second).cloned().collect();
        assert_eq!(texts(&mut connection, MONTHS).await, expected);
        assert_eq!(listed(&database).await.len(), 1);
    }

    #[tokio::test]
    async fn the_reversal_keeps_the_records_of_all_partitions() {
        let database = TestDatabase::new(Content::Schema).await;
        let (db, mut connection) = (database.sea_orm().await, database.connect().await);
        for time in ["now()", "now() - interval '1 year'", "now() + interval '40 days'", "now() + interval '10 years'"]
        {
            record(&mut connection, time).await;
        }
        assert_eq!(texts(&mut connection, FILLED).await.len(), 4);
        while !migration::down(&db, 1).await.unwrap()[0].ends_with("_partitions") {}
        assert_eq!(texts(&mut connection, FILLED).await, ["iam_audit_logs 4"]);
        assert_eq!(listed(&database).await.len(), 4);
    }

    /// Rows of different partitions can have the same place (`ctid`).
    #[tokio::test]
    async fn only_expired_rows_are_deleted_from_the_partitions() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        for (table, columns, values) in [
            ("effective_view_permissions", "view_id, has_access", "(SELECT min(id::text)::uuid FROM views), true"),
            (
                "effective_feature_permissions",
                "feature_id, action, allowed, scope",
                "(SELECT min(id::text)::uuid FROM features), 'Read', true, 'any'",
            ),
        ] {
            let fill = format!(
                "INSERT INTO {table} (company_id, user_id, expires_at, company_version, catalog_version, {columns})
                SELECT md5('company' || n)::uuid, md5('user' || n)::uuid,
                    now() + CASE n % 2 WHEN 0 THEN interval '1 hour' ELSE interval '-1 hour' END, 1, 1, {values}
                FROM generate_series(1, 100) n"
            );
            run(&mut connection, fill).await.unwrap();
            let parts = texts(&mut connection, &format!("SELECT DISTINCT tableoid::regclass::text FROM {table}")).await;
            assert_eq!(parts.len(), 16);
        }
        let storage = database.storage();
        let (views, features) = (storage.effective_view_permissions(), storage.effective_feature_permissions());
        for (limit, expected) in [(30, 30), (30, 20), (30, 0)] {
            assert_eq!(views.delete_expired(limit).await.unwrap(), expected);
            assert_eq!(features.delete_expired(limit).await.unwrap(), expected);
        }
        let left = "SELECT count(*)::text FROM effective_view_permissions WHERE expires_at > now()
            UNION ALL SELECT count(*)::text FROM effective_feature_permissions WHERE expires_at > now()";
        assert_eq!(texts(&mut connection, left).await, ["50", "50"]);
    }
}
