//! Tests of the rows that a change reads: their number does not depend on the levels that the change does not touch.

pub mod postgres {
    use std::rc::Rc;
    use std::sync::Arc;

    use iam_domain::QuotaLimits;
    use iam_http::HttpOptions;
    use iam_storage_postgres::PostgresStorage;
    use sea_orm::sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
    use serde_json::{Value, json};

    use crate::support::api::{Company, TestApi, new_user};
    use crate::support::database::{Content, TestDatabase, run};

    async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
        connection.fetch_one(AssertSqlSafe(sql.to_owned())).await.unwrap().get(0)
    }

    /// Returns the number of live rows of levels, cells and assignments that all sessions have read so far, by
    /// sequential scans and by index scans. A session reports its numbers at the latest when it ends, so
    /// this function first waits until all other sessions have ended.
    pub async fn rows_read(database: &TestDatabase) -> i64 {
        let mut connection = database.connect().await;
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        while number(&mut connection, others).await > 0 {
            tokio::task::yield_now().await;
        }
        number(
            &mut connection,
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables
            WHERE relname LIKE 'user\\_%'",
        )
        .await
    }

    /// The levels and users that a test changes, and the cells of a matrix.
    struct Fixture {
        company: Company,
        delegate: iam_domain::UserId,
        level: String,
        holder: iam_domain::UserId,
        feature: String,
        manage: String,
    }

    impl Fixture {
        fn cell(&self, feature: &str, action: &str, value: bool) -> Value {
            json!({ "featureId": feature, "action": action, "value": value, "scope": "company" })
        }

        async fn put(&self, api: &TestApi, cells: &[Value], by: Option<iam_domain::UserId>) {
            let path = format!("/api/iam/user-levels/{}/permissions/features", self.level);
            let request = api.put(&path).within(self.company.id).json(&json!({ "features": cells }));
            let request = if let Some(by) = by { request.by(by) } else { request.by_super_admin() };
            request.send().await.expect(200);
        }

        async fn assign(&self, api: &TestApi, levels: &[&str], by: Option<iam_domain::UserId>) {
            let path = format!("/api/iam/users/{}/user-levels", self.holder);
            let request = api.put(&path).within(self.company.id).json(&json!({ "userLevelIds": levels }));
            let request = if let Some(by) = by { request.by(by) } else { request.by_super_admin() };
            request.send().await.expect(200);
        }

        /// Makes changes of each kind as a caller without Approve, as an administrator and as a super admin.
        async fn change(&self, api: &TestApi, visitor: &str) {
            let read = |value| self.cell(&self.feature, "Read", value);
            for by in [Some(self.delegate), Some(self.company.admin), None] {
                // A deny is added, which nullifies an allow of another level, and removed again.
                for value in [true, false, true] {
                    self.put(api, &[read(value)], by).await;
                }
                // A permission on the service's own features is granted and reduced.
                self.assign(api, &[visitor], by).await;
                for cells in [vec![self.cell(&self.manage, "Update", true)], vec![]] {
                    self.put(api, &cells, by).await;
                }
                self.assign(api, &[visitor, &self.level], by).await;
            }
        }
    }

    /// Returns the number of rows that the changes read, and the number of rows that a list of all levels reads. The
    /// company has this many other levels, each with twenty cells and one holder.
    async fn rows_read_beside(others: usize) -> (i64, i64) {
        let database = Rc::new(TestDatabase::new(Content::Seeded).await);
        let mut connection = database.connect().await;
        // Small tables would otherwise be scanned whole.
        run(&mut connection, format!("ALTER DATABASE \"{}\" SET enable_seqscan = off", database.name())).await.unwrap();
        let connect = async || {
            let storage = Arc::new(PostgresStorage::connect(&database.options()).unwrap());
            let connected = Arc::<PostgresStorage>::clone(&storage);
            let api = TestApi::over(connected, Some(Rc::clone(&database)), HttpOptions::default()).await;
            // A change that adds cells or a set of levels counts them, up to the quota. This count is not measured.
            let quotas = QuotaLimits { permission_cells: 0, level_sets: 0, ..QuotaLimits::default() };
            (api.with_quotas(quotas).await, storage)
        };
        let (api, storage) = connect().await;
        let company = api.company().await;
        let (feature, manage) = (api.feature_id("general.read").await, api.feature_id("iam.manage_levels").await);
        let assign = api.feature_id("iam.assign_permissions").await;
        let cell = |feature: &str, action: &str| json!({ "featureId": feature, "action": action, "scope": "any" });
        let cells = json!([cell(&feature, "Read"), cell(&manage, "Update"), cell(&assign, "Update")]);
        let (delegate, _) = api.holder_of(company, json!([]), cells).await;
        let (level, visitor) = (api.new_level(company, "Changed").await, api.level_id(company, "Visitor").await);
        let holder = new_user();
        api.assign(company, holder, &[&visitor, &level]).await;
        run(
            &mut connection,
            format!(
                "CREATE TEMP TABLE other AS SELECT gen_random_uuid() AS id, n FROM generate_series(1, {others}) n;
                INSERT INTO user_levels (id, company_id, name) SELECT id, '{0}', 'Other ' || n FROM other;
                INSERT INTO user_user_levels (user_id, user_level_id, company_id)
                    SELECT gen_random_uuid(), id, '{0}' FROM other;
                INSERT INTO user_level_view_permissions (id, company_id, user_level_id, view_id, state)
                    SELECT gen_random_uuid(), '{0}', other.id, view.id, 'allow'
                    FROM other, (SELECT id FROM views ORDER BY id LIMIT 10) AS view;
                INSERT INTO user_level_feature_permissions (id, company_id, user_level_id, feature_id, action, value, scope)
                    SELECT gen_random_uuid(), '{0}', other.id, feature.id, 'Read', true, 'company'
                    FROM other, (SELECT id FROM features WHERE key NOT LIKE 'iam.%' ORDER BY id LIMIT 10) AS feature;
                ANALYZE",
                company.id
            ),
        )
        .await
        .unwrap();
        drop(connection);
        let fixture = Fixture { company, delegate, level, holder, feature, manage };
        storage.close().await;
        let mut read = rows_read(&database).await;
        let mut rows = Vec::new();
        for is_list in [false, true] {
            let (api, storage) = connect().await;
            if is_list {
                api.get("/api/iam/user-levels").by(company.admin).within(company.id).send().await.expect(200);
            } else {
                fixture.change(&api, &visitor).await;
            }
            storage.close().await;
            let now = rows_read(&database).await;
            rows.push(now - std::mem::replace(&mut read, now));
        }
        (rows[0], rows[1])
    }

    #[actix_web::test]
    async fn a_change_reads_as_many_rows_beside_thirty_levels_as_beside_three_hundred() {
        let (few, all_of_few) = rows_read_beside(30).await;
        let (many, all_of_many) = rows_read_beside(300).await;
        // Control: a list of all levels reads one row of each of them.
        assert!(all_of_many >= all_of_few + 270, "{all_of_few} {all_of_many}");
        // All changes together read less than one row of each other level. The remaining difference consists of rows
        // that PostgreSQL reads more than once.
        assert!(few > 0 && many < few + 135, "{few} {many}");
    }
}
