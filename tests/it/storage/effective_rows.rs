//! Tests of the effective-permission rows, which other programs read. After any sequence of events, these rows equal a
//! fresh resolution.

mod postgres {
    mod histories;

    use std::collections::BTreeMap;
    use std::time::Duration;

    use iam_domain::{Action, CompanyId, FeatureId, Snapshot, UserId, ViewId};
    use iam_identity::system_clock;
    use iam_permissions_cache::{Consistency, FillOptions, Filled, Subject};
    use iam_storage::{ChangeContext, Target};
    use sea_orm::sqlx::{self, AssertSqlSafe, PgConnection, Row};
    use serde_json::json;
    use uuid::Uuid;

    use crate::support::api::{Company, TestApi};
    use crate::support::database::run;
    use crate::support::replica::{Line, Replica, until};

    /// A replica that writes effective-permission rows, and its record of the users whose rows it has written.
    struct Filler {
        replica: Replica,
        filled: Filled,
    }

    impl Filler {
        async fn new(api: &TestApi) -> Self {
            Self { replica: Replica::of(api).await, filled: Filled::default() }
        }

        async fn fill(&mut self) -> usize {
            self.replica.permissions.fill(&mut self.filled, &FillOptions::default()).await
        }

        async fn read(&self, company: CompanyId, user: UserId) {
            self.replica.permissions.access(company, Subject::User(user), Consistency::Cached).await.unwrap();
        }
    }

    /// A row of one of the two SQL views. It contains a view, or an action of a feature. It also contains the decision
    /// for this view or action, and the versions on which the decision is based.
    struct Decided {
        thing: String,
        action: String,
        decision: (bool, String),
        /// The version of the catalog and the version of the company, in this order.
        state: (i64, i64),
    }

    /// Returns the rows of both SQL views, keyed by company and user, as another program reads them.
    async fn rows(connection: &mut PgConnection) -> BTreeMap<(CompanyId, UserId), Vec<Decided>> {
        let sql = "SELECT company_id, user_id, view_id AS thing, '' AS action, has_access AS allowed, '' AS scope,
                catalog_version, company_version
            FROM current_effective_view_permissions
            UNION ALL SELECT company_id, user_id, feature_id, action, allowed, scope, catalog_version, company_version
            FROM current_effective_feature_permissions";
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in sqlx::query(sql).fetch_all(connection).await.unwrap() {
            let id = |column: &str| row.get::<Uuid, _>(column);
            let key = (CompanyId::from_uuid(id("company_id")), UserId::from_uuid(id("user_id")));
            found.entry(key).or_default().push(Decided {
                thing: id("thing").to_string(),
                action: row.get("action"),
                decision: (row.get("allowed"), row.get("scope")),
                state: (row.get("catalog_version"), row.get("company_version")),
            });
        }
        found
    }

    /// Asserts that every row equals a fresh resolution of the data in the database. The data must not change during
    /// the comparison. Returns the number of rows.
    async fn all_rows_match_the_resolution(api: &TestApi, connection: &mut PgConnection, after: &str) -> usize {
        let (rows, compared) = compare(api, connection, after).await;
        assert_eq!(
            compared, rows,
            "{after}: the data does not change, so every row must have the versions of the loaded state"
        );
        compared
    }

    /// Asserts that every row equals a fresh resolution. Rows are skipped if their versions differ from the versions of
    /// the loaded data. Returns the number of all rows and the number of compared rows.
    async fn compare(api: &TestApi, connection: &mut PgConnection, after: &str) -> (usize, usize) {
        let (mut count, mut compared) = (0, 0);
        for ((company, user), rows) in rows(connection).await {
            let loaded = api.storage.reader().snapshots().load_user(company, user).await.unwrap();
            let state = (loaded.versions.catalog, loaded.versions.company);
            count += rows.len();
            for Decided { thing, action, decision, .. } in rows.into_iter().filter(|row| row.state == state) {
                let expected = resolved(&loaded.value, &thing, &action);
                assert_eq!(decision, expected, "{after}: {user} in {company}, {thing} {action}");
                compared += 1;
            }
        }
        (count, compared)
    }

    /// Resolves a view, or an action of a feature, from the snapshot.
    fn resolved(snapshot: &Snapshot, thing: &str, action: &str) -> (bool, String) {
        let is_non_member = snapshot.levels.is_empty();
        if action.is_empty() {
            let decision = snapshot.view(ViewId::parse(thing).unwrap());
            return (decision.allowed && !is_non_member, String::new());
        }
        let decision = snapshot.feature(FeatureId::parse(thing).unwrap(), &Action::parse(action).unwrap());
        let scope = json!(decision.scope.unwrap()).as_str().unwrap().to_owned();
        (decision.allowed, scope)
    }

    /// Creates a company and caches its administrator on two replicas. After that, the second replica no longer detects
    /// changes.
    async fn admin_known_to_two(api: &TestApi) -> (Filler, Filler, Company) {
        let (a, b) = (Filler::new(api).await, Filler::new(api).await);
        let company = api.company().await;
        // If a replica detects a change during a load, it does not cache the loaded data, which may be outdated. Both
        // replicas therefore apply all changes before the load.
        a.replica.catch_up().await;
        b.replica.catch_up().await;
        b.replica.channel.set(Line::Stalled);
        a.read(company.id, company.admin).await;
        b.read(company.id, company.admin).await;
        (a, b, company)
    }

    async fn revoke(api: &TestApi, company: Company) {
        api.assign(company, company.admin, &[]).await;
    }

    /// A fill writes all rows of a user: one row for every view, and one row for every action of every feature.
    #[actix_web::test]
    async fn all_rows_of_a_user_are_written_together() {
        let api = TestApi::postgres().await;
        let (mut a, _, company) = admin_known_to_two(&api).await;
        assert_eq!(a.fill().await, 1);
        assert_eq!(a.fill().await, 0, "if no user was loaded since the last fill, a fill must write no rows");
        let mut connection = api.database.as_ref().unwrap().connect().await;
        let written = rows(&mut connection).await;
        // The fill has written rows only for the administrator.
        assert_eq!(written.keys().collect::<Vec<_>>(), [&(company.id, company.admin)]);
        let (views, actions): (Vec<_>, Vec<_>) = written.values().flatten().partition(|row| row.action.is_empty());
        let effective = a.replica.permissions.access(company.id, Subject::User(company.admin), Consistency::Fresh);
        let effective = effective.await.unwrap().effective();
        assert_eq!((views.len(), actions.len()), (14, effective.features.values().map(BTreeMap::len).sum()));
        all_rows_match_the_resolution(&api, &mut connection, "a fill").await;
    }

    /// Rows that were computed before a change to the company or to the catalog are not written after the change
    /// (optimistic concurrency by version).
    #[actix_web::test]
    async fn rows_computed_before_a_change_are_not_written_after_it() {
        let api = TestApi::postgres().await;
        for of_catalog in [false, true] {
            let (_a, mut b, company) = admin_known_to_two(&api).await;
            let mut connection = api.database.as_ref().unwrap().connect().await;
            if of_catalog {
                let path = format!("/api/iam/modules/{}", api.module_id("core").await);
                api.patch(&path).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
            } else {
                revoke(&api, company).await;
            }
            assert_eq!(b.fill().await, 0);
            assert!(!rows(&mut connection).await.contains_key(&(company.id, company.admin)));
        }
    }

    /// A fill does not wait for a change in progress, and does not write the rows that this change would invalidate.
    #[actix_web::test]
    async fn no_rows_are_written_during_a_change() {
        let api = TestApi::postgres().await;
        let (mut a, mut b, company) = admin_known_to_two(&api).await;
        let mut connection = api.database.as_ref().unwrap().connect().await;
        for target in [Target::Company(company.id), Target::Catalog] {
            let tx = api.storage.begin(target, ChangeContext::command_line()).await.unwrap();
            assert_eq!((a.fill().await, b.fill().await), (0, 0), "{target:?}");
            assert!(rows(&mut connection).await.is_empty());
            drop(tx);
        }
        // The dropped transaction is rolled back asynchronously, so the fill is repeated.
        until(async || b.fill().await == 1).await;
        assert!(all_rows_match_the_resolution(&api, &mut connection, "the end of a change").await > 100);
    }

    /// While a change is in progress, the SQL views show the rows from before the change. When the change commits,
    /// these rows disappear.
    #[actix_web::test]
    async fn rows_become_outdated_at_the_commit() {
        let api = TestApi::postgres().await;
        let (mut a, _b, company) = admin_known_to_two(&api).await;
        assert_eq!(a.fill().await, 1);
        let mut connection = api.database.as_ref().unwrap().connect().await;
        let mut tx = api.storage.begin(Target::Company(company.id), ChangeContext::command_line()).await.unwrap();
        tx.assignments_mut().replace_for_user(company.id, company.admin, &[], None).await.unwrap();
        assert!(all_rows_match_the_resolution(&api, &mut connection, "before the commit").await > 100);
        tx.commit().await.unwrap();
        assert!(rows(&mut connection).await.is_empty());
    }

    /// At the end of an assignment, all rows of the company disappear, even from a transaction that began before it. The
    /// next fill writes rows with the new permissions.
    #[actix_web::test]
    async fn rows_become_outdated_at_the_end_of_an_assignment() {
        let api = TestApi::postgres().await;
        let (mut a, _b, company) = admin_known_to_two(&api).await;
        let visitor = api.level_id(company, "Visitor").await;
        let path = format!("/api/iam/users/{}/user-levels/{visitor}", company.member);
        let mut connection = api.database.as_ref().unwrap().connect().await;
        // On a busy machine, the first assignment may end before its rows are written.
        let mut written = 0;
        for milliseconds in [700, 3000, 9000] {
            let end = system_clock().now().plus(Duration::from_millis(milliseconds));
            let ends = json!({ "expiresAt": end });
            api.put(&path).by(company.admin).within(company.id).json(&ends).send().await.expect(200);
            a.replica.catch_up().await;
            a.read(company.id, company.member).await;
            a.fill().await;
            run(&mut connection, "BEGIN".to_owned()).await.unwrap();
            written = all_rows_match_the_resolution(&api, &mut connection, "before the end").await;
            if written > 0 {
                break;
            }
            run(&mut connection, "COMMIT".to_owned()).await.unwrap();
        }
        assert!(written > 100);
        until(async || rows(&mut connection).await.is_empty()).await;
        run(&mut connection, "COMMIT".to_owned()).await.unwrap();
        until(async || {
            a.read(company.id, company.member).await;
            a.fill().await == 1
        })
        .await;
        assert!(all_rows_match_the_resolution(&api, &mut connection, "after the end").await > 100);
    }

    /// A change invalidates rows even if no replica detects the change. The next fill writes these rows again.
    #[actix_web::test]
    async fn rows_are_rewritten_after_a_change_without_a_wake_up() {
        let api = TestApi::postgres().await;
        let (mut a, _b, company) = admin_known_to_two(&api).await;
        assert_eq!(a.fill().await, 1);
        let mut connection = api.database.as_ref().unwrap().connect().await;
        let level = api.level_id(company, "Visitor").await;
        let path = format!("/api/iam/user-levels/{level}");
        let name = json!({ "name": "Guest" });
        api.patch(&path).by_super_admin().within(company.id).json(&name).send().await.expect(200);
        assert!(rows(&mut connection).await.is_empty());
        a.filled = Filled::default();
        a.read(company.id, company.admin).await;
        until(async || a.fill().await == 1).await;
        assert!(all_rows_match_the_resolution(&api, &mut connection, "a rename").await > 100);
    }

    /// The SQL views omit expired rows. Sweeps delete expired rows in batches of limited size.
    #[actix_web::test]
    async fn expired_rows_are_deleted() {
        let api = TestApi::postgres().await;
        let (mut a, _b, _) = admin_known_to_two(&api).await;
        assert_eq!(a.fill().await, 1);
        let mut connection = api.database.as_ref().unwrap().connect().await;
        for table in ["effective_view_permissions", "effective_feature_permissions"] {
            run(&mut connection, format!("UPDATE {table} SET expires_at = now()")).await.unwrap();
        }
        assert!(rows(&mut connection).await.is_empty());
        assert_eq!(
            a.replica.permissions.sweep(10).await.unwrap(),
            20,
            "a sweep must delete at most ten rows of each table"
        );
        assert!(a.replica.permissions.sweep(10_000).await.unwrap() > 100);
        assert_eq!(a.replica.permissions.sweep(10_000).await.unwrap(), 0);
    }

    /// A restarted replica warms its cache with the active users, that is, the users with effective-permission rows.
    /// The first requests of these users therefore need no load from the database.
    #[actix_web::test]
    async fn a_restarted_replica_loads_the_active_users() {
        let api = TestApi::postgres().await;
        let (mut a, _b, company) = admin_known_to_two(&api).await;
        assert_eq!(a.fill().await, 1);
        let member = api.level_id(company, "Member").await;
        api.assign(company, company.admin, &[&member]).await;
        a.replica.catch_up().await;
        a.read(company.id, company.admin).await;
        assert_eq!(a.fill().await, 1);
        drop(a);
        let restarted = Filler::new(&api).await;
        assert_eq!(restarted.replica.permissions.warm(100).await.unwrap(), 1);
        let before = restarted.replica.stats();
        restarted.read(company.id, company.admin).await;
        let after = restarted.replica.stats();
        assert_eq!((after.loads, after.misses, after.hits), (before.loads, before.misses, before.hits + 1));
    }

    /// Returns the SQL examples from the documentation.
    fn examples() -> Vec<&'static str> {
        let text = include_str!("../../../docs/consistency.md");
        text.split("```sql\n").skip(1).map(|rest| rest.split_once("```").expect("the end of the SQL").0).collect()
    }

    #[actix_web::test]
    async fn the_examples_of_the_documentation_work() {
        let api = TestApi::postgres().await;
        let (mut a, _b, company) = admin_known_to_two(&api).await;
        let mut connection = api.database.as_ref().unwrap().connect().await;
        let reports = "CREATE TABLE reports (company_id uuid, view_id uuid, title text)";
        run(&mut connection, reports.to_owned()).await.unwrap();
        for (url, title) in [("/dashboard", "Overview"), ("/modules/risks", "Risks")] {
            let view = api.view_id(url).await;
            let insert = format!("INSERT INTO reports VALUES ('{}', '{view}', '{title}')", company.id);
            run(&mut connection, insert).await.unwrap();
        }
        let [view, action, join] = examples()[..] else { panic!("three examples") };
        let (of, by) = (company.id.as_uuid(), company.admin.as_uuid());
        let mut looked = Vec::new();
        for _ in 0..2 {
            let mut answers = Vec::new();
            for url in ["/dashboard", "/modules/risks"] {
                let query = sqlx::query_scalar(AssertSqlSafe(view)).bind(of).bind(by).bind(url);
                let seen: Option<bool> = query.fetch_optional(&mut connection).await.unwrap();
                answers.push(format!("{url} {seen:?}"));
            }
            let query = sqlx::query_as(AssertSqlSafe(action)).bind(of).bind(by).bind("general.read").bind("Read");
            let found: Option<(bool, String)> = query.fetch_optional(&mut connection).await.unwrap();
            answers.push(format!("{found:?}"));
            let query = sqlx::query_as(AssertSqlSafe(join)).bind(of).bind(by);
            let found: Vec<(String, String)> = query.fetch_all(&mut connection).await.unwrap();
            answers.push(format!("{found:?}"));
            looked.push(answers);
            a.fill().await;
        }
        let unknown = ["/dashboard None", "/modules/risks None", "None", r#"[("Overview", "ask"), ("Risks", "ask")]"#];
        let known = [
            "/dashboard Some(true)",
            "/modules/risks Some(false)",
            r#"Some((true, "any"))"#,
            r#"[("Overview", "show"), ("Risks", "hide")]"#,
        ];
        assert_eq!(looked, [unknown, known]);
    }
}
