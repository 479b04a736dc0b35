//! Effective rows: whatever happens, in any order, other programs read what a fresh resolution says.

mod postgres {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use futures_util::future::join_all;
    use iam_domain::{Action, CompanyId, FeatureId, Snapshot, UserId, ViewId};
    use iam_permissions_cache::{Consistency, FillOptions, Filled, Subject};
    use iam_storage::{ChangeContext, Target};
    use sea_orm::sqlx::{self, AssertSqlSafe, PgConnection, Row};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::support::api::{Company, TestApi, new_user};
    use crate::support::database::run;
    use crate::support::replica::{Line, Replica, until};

    /// Numbers that are the same at each run.
    struct Chance(u64);

    impl Chance {
        /// A number below the bound, by splitmix64.
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
        }

        fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
            &from[self.below(from.len())]
        }

        /// Some of them, also none or all.
        fn some_of<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
            from.iter().filter(|_| self.below(2) == 0).cloned().collect()
        }
    }

    /// A replica, and what it wrote.
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

    /// A row of either view: the view or the feature with the action, the decision, and of which state it is.
    struct Decided {
        thing: String,
        action: String,
        decision: (bool, String),
        /// The versions of the catalog and of the company.
        state: (i64, i64),
    }

    /// The rows of both views, as another program reads them.
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

    /// Compares every row with a resolution of what the database holds now; answers how many there are.
    async fn all_rows_are_right(api: &TestApi, connection: &mut PgConnection, after: &str) -> usize {
        let (rows, compared) = compare(api, connection, after).await;
        assert_eq!(compared, rows, "{after}: nothing changes meanwhile, so all are of the state that is resolved");
        compared
    }

    /// The same for rows of the resolved state only; returns how many rows there are, and how many of them were
    /// compared.
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

    /// What plain resolution says about a view, or about a feature's action.
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

    /// A company with levels and users that change all the time.
    struct Tenant {
        company: Company,
        levels: Vec<String>,
        users: Vec<UserId>,
    }

    impl Tenant {
        async fn new(api: &TestApi) -> Self {
            let company = api.company().await;
            let levels = vec![api.new_level(company, "One").await, api.new_level(company, "Two").await];
            Self { company, levels, users: vec![company.admin, company.member, new_user()] }
        }
    }

    /// Everything that a history is about.
    struct World {
        api: TestApi,
        tenants: Vec<Tenant>,
        views: Vec<String>,
        features: Vec<String>,
        modules: Vec<String>,
    }

    impl World {
        async fn new() -> Self {
            let api = TestApi::postgres().await;
            let tenants = vec![Tenant::new(&api).await, Tenant::new(&api).await];
            let (mut views, mut features, mut modules) = (Vec::new(), Vec::new(), Vec::new());
            for url in ["/dashboard", "/users", "/modules/risks", "/modules/audit"] {
                views.push(api.view_id(url).await);
            }
            for key in ["general.read", "risks.create", "risks.edit"] {
                features.push(api.feature_id(key).await);
            }
            for code in ["core", "risks", "audit"] {
                modules.push(api.module_id(code).await);
            }
            Self { api, tenants, views, features, modules }
        }

        /// A change: some without effect, some refused. Method, path, company, body.
        fn change(&self, chance: &mut Chance) -> (&'static str, String, Option<CompanyId>, Value) {
            let tenant = chance.one_of(&self.tenants);
            let company = Some(tenant.company.id);
            let (level, user) = (chance.one_of(&tenant.levels), chance.one_of(&tenant.users));
            let (view, feature) = (chance.one_of(&self.views), chance.one_of(&self.features));
            let module = chance.one_of(&self.modules);
            let yes = chance.below(2) == 0;
            match chance.below(15) {
                0 | 1 => {
                    let mut cells = Vec::new();
                    for view in chance.some_of(&self.views) {
                        let state = chance.one_of(&["allow", "allow", "deny", "inherit"]);
                        cells.push(json!({ "viewId": view, "state": state }));
                    }
                    ("PUT", format!("/user-levels/{level}/permissions/views"), company, json!({ "views": cells }))
                }
                2 | 3 => {
                    let mut cells = Vec::new();
                    for feature in chance.some_of(&self.features) {
                        for action in ["Read", "Publish", "Seal"] {
                            let (value, scope) = (chance.below(4) > 0, chance.one_of(&["own", "team", "any"]));
                            cells.push(
                                json!({ "featureId": feature, "action": action, "value": value, "scope": scope }),
                            );
                        }
                    }
                    (
                        "PUT",
                        format!("/user-levels/{level}/permissions/features?force=true"),
                        company,
                        json!({ "features": cells }),
                    )
                }
                4..=6 => {
                    let levels = chance.some_of(&tenant.levels);
                    ("PUT", format!("/users/{user}/user-levels?force=true"), company, json!({ "userLevelIds": levels }))
                }
                7 => {
                    let modules = chance.some_of(&self.modules);
                    let path = format!("/companies/{}/modules", tenant.company.id);
                    ("PUT", path, None, json!({ "moduleIds": modules }))
                }
                8 => {
                    let path = format!("/companies/{}/modules/{module}", tenant.company.id);
                    ("PATCH", path, None, json!({ "enabled": yes }))
                }
                9 => (
                    "PATCH",
                    format!("/user-levels/{level}"),
                    company,
                    json!({ "name": format!("Level {}", new_user()) }),
                ),
                10 => ("PATCH", format!("/modules/{module}"), None, json!({ "enabled": yes })),
                11 => ("PATCH", format!("/features/{feature}"), None, json!({ "enabled": yes })),
                12 => {
                    let actions: &[&str] = if yes { &["Seal"] } else { &[] };
                    ("PATCH", format!("/features/{feature}"), None, json!({ "actions": actions }))
                }
                13 => ("PATCH", format!("/views/{view}"), None, json!({ "requiresAuth": yes })),
                _ => ("PUT", format!("/modules/{module}/views"), None, json!({ "viewIds": [view], "ungate": true })),
            }
        }

        async fn send(&self, api: &TestApi, change: (&'static str, String, Option<CompanyId>, Value)) -> String {
            let (method, path, company, body) = change;
            let method = method.parse().unwrap();
            let mut request = api.request(method, &format!("/api/iam{path}")).by_super_admin().json(&body);
            if let Some(company) = company {
                request = request.within(company);
            }
            let answer = request.send().await;
            // A cell may name an action that its feature does not have at this moment, a switch a module that is not
            // there.
            assert!(matches!(answer.status.as_u16(), 200 | 400 | 404), "{}", String::from_utf8_lossy(&answer.body));
            format!("{path} {body} {}", answer.status)
        }

        /// One history of reads, changes, fills, expiry and sweeps, by two replicas one after the other and at once.
        async fn live(&self, seed: u64) -> usize {
            let mut chance = Chance(seed);
            let (mut a, mut b) = (Filler::new(&self.api).await, Filler::new(&self.api).await);
            let mut connection = self.api.database.as_ref().unwrap().connect().await;
            let mut rows = 0;
            for step in 0..60 {
                let (tenant, change) = (chance.one_of(&self.tenants), self.change(&mut chance));
                let (company, user) = (tenant.company.id, *chance.one_of(&tenant.users));
                let done = match chance.below(8) {
                    0 | 1 => self.send(&a.replica.api, change).await,
                    2 | 3 => {
                        let all = tenant
                            .users
                            .iter()
                            .map(|user| async { tokio::join!(a.read(company, *user), b.read(company, *user)) });
                        join_all(all).await;
                        "reads".to_owned()
                    }
                    4 => format!("written {:?}", tokio::join!(a.fill(), b.fill())),
                    5 => {
                        a.read(company, user).await;
                        b.read(company, user).await;
                        let router = b.replica.api.clone();
                        format!("at once {:?}", tokio::join!(self.send(&router, change), a.fill(), b.fill()))
                    }
                    6 => {
                        let expire = format!(
                            "UPDATE effective_view_permissions SET expires_at = now() WHERE user_id = '{user}'"
                        );
                        run(&mut connection, expire).await.unwrap();
                        "expiry".to_owned()
                    }
                    _ => format!(
                        "swept {:?}",
                        tokio::join!(a.replica.permissions.sweep(50), b.replica.permissions.sweep(50))
                    ),
                };
                rows +=
                    all_rows_are_right(&self.api, &mut connection, &format!("seed {seed}, step {step}, {done}")).await;
            }
            rows
        }
    }

    /// Random histories, the same ones each time.
    #[actix_web::test]
    async fn no_row_ever_differs_from_a_fresh_resolution() {
        let world = World::new().await;
        let mut compared = 0;
        for seed in 1..=4 {
            compared += world.live(seed).await;
        }
        assert!(compared > 1000, "only {compared} rows were compared");
    }

    /// Everything concurrently: readers, two replicas that fill and sweep, changes, and another program that reads the
    /// rows.
    #[actix_web::test]
    async fn no_row_differs_while_everything_changes() {
        let world = World::new().await;
        let (mut a, mut b) = (Filler::new(&world.api).await, Filler::new(&world.api).await);
        let (router_a, router_b) = (a.replica.api.clone(), b.replica.api.clone());
        let all_users: Vec<_> = world
            .tenants
            .iter()
            .flat_map(|tenant| tenant.users.iter().map(|user| (tenant.company.id, *user)))
            .collect();
        let (is_over, compared) = (Cell::new(false), Cell::new(0));
        let changes = async {
            let mut chance = Chance(5);
            for round in 0..60 {
                let (one, other) = (world.change(&mut chance), world.change(&mut chance));
                tokio::join!(world.send(&router_a, one), world.send(&router_b, other));
                // Now and then there is time for rows to be written and read, however long that takes.
                if round % 4 == 3 {
                    let before = compared.get();
                    until(async || compared.get() >= before + 100).await;
                }
            }
            is_over.set(true);
        };
        let fills = async |filler: &mut Filler| {
            while !is_over.get() {
                join_all(all_users.iter().map(|(company, user)| filler.read(*company, *user))).await;
                filler.fill().await;
                filler.replica.permissions.sweep(100).await.unwrap();
            }
        };
        let compares = async {
            let mut connection = world.api.database.as_ref().unwrap().connect().await;
            while !is_over.get() {
                let equal = compare(&world.api, &mut connection, "while everything changes").await.1;
                compared.set(compared.get() + equal);
            }
        };
        tokio::join!(changes, fills(&mut a), fills(&mut b), compares);
        assert!(compared.get() > 1000, "only {} rows were compared", compared.get());
    }

    /// A company whose admin is cached by two replicas; the second receives no more changes.
    async fn admin_known_to_two(api: &TestApi) -> (Filler, Filler, Company) {
        let (a, b) = (Filler::new(api).await, Filler::new(api).await);
        let company = api.company().await;
        // A change that arrives during a load may be newer than what was read: then the user is not cached.
        a.replica.hears_everything().await;
        b.replica.hears_everything().await;
        b.replica.channel.set(Line::Deaf);
        a.read(company.id, company.admin).await;
        b.read(company.id, company.admin).await;
        (a, b, company)
    }

    async fn revoke(api: &TestApi, company: Company) {
        api.assign(company, company.admin, &[]).await;
    }

    /// What is filled is all of it: every view, and every action of every feature.
    #[actix_web::test]
    async fn a_user_is_filled_as_a_whole() {
        let api = TestApi::postgres().await;
        let (mut a, _, company) = admin_known_to_two(&api).await;
        assert_eq!(a.fill().await, 1);
        assert_eq!(a.fill().await, 0, "no user has asked since");
        let mut connection = api.database.as_ref().unwrap().connect().await;
        let written = rows(&mut connection).await;
        // Seven actions of each, the own ones of the seed's features aside.
        assert_eq!(written.keys().collect::<Vec<_>>(), [&(company.id, company.admin)]);
        let (views, actions): (Vec<_>, Vec<_>) = written.values().flatten().partition(|row| row.action.is_empty());
        let effective = a.replica.permissions.access(company.id, Subject::User(company.admin), Consistency::Fresh);
        let effective = effective.await.unwrap().effective();
        assert_eq!((views.len(), actions.len()), (14, effective.features.values().map(BTreeMap::len).sum()));
        all_rows_are_right(&api, &mut connection, "a fill").await;
    }

    /// Computed before a change, written after it: it is refused, by whichever change.
    #[actix_web::test]
    async fn what_was_computed_before_a_change_is_not_written_after_it() {
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

    /// While a change is under way no row is written that it would outdate; the write does not wait for it, either.
    #[actix_web::test]
    async fn nothing_is_written_while_a_change_is_under_way() {
        let api = TestApi::postgres().await;
        let (mut a, mut b, company) = admin_known_to_two(&api).await;
        let mut connection = api.database.as_ref().unwrap().connect().await;
        for target in [Target::Company(company.id), Target::Catalog] {
            let tx = api.storage.begin(target, ChangeContext::command_line()).await.unwrap();
            assert_eq!((a.fill().await, b.fill().await), (0, 0), "{target:?}");
            assert!(rows(&mut connection).await.is_empty());
            drop(tx);
        }
        // The rollback may take a moment.
        until(async || b.fill().await == 1).await;
        assert!(all_rows_are_right(&api, &mut connection, "the end of a change").await > 100);
    }

    /// While a change is under way rows are of the state before it; they are gone once it commits.
    #[actix_web::test]
    async fn rows_end_in_the_moment_of_the_commit() {
        let api = TestApi::postgres().await;
        let (mut a, _b, company) = admin_known_to_two(&api).await;
        assert_eq!(a.fill().await, 1);
        let mut connection = api.database.as_ref().unwrap().connect().await;
        let mut tx = api.storage.begin(Target::Company(company.id), ChangeContext::command_line()).await.unwrap();
        tx.assignments_mut().replace_for_user(company.id, company.admin, &[], None).await.unwrap();
        assert!(all_rows_are_right(&api, &mut connection, "before the commit").await > 100);
        tx.commit().await.unwrap();
        assert!(rows(&mut connection).await.is_empty());
    }

    /// A change outdates rows even if no replica learns of it. They come back all the same.
    #[actix_web::test]
    async fn rows_come_back_after_a_change_without_a_notice() {
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
        assert!(all_rows_are_right(&api, &mut connection, "a rename").await > 100);
    }

    /// Expired rows are not current, and are swept, a bounded number at a time.
    #[actix_web::test]
    async fn expired_rows_are_swept() {
        let api = TestApi::postgres().await;
        let (mut a, _b, _) = admin_known_to_two(&api).await;
        assert_eq!(a.fill().await, 1);
        let mut connection = api.database.as_ref().unwrap().connect().await;
        for table in ["effective_view_permissions", "effective_feature_permissions"] {
            run(&mut connection, format!("UPDATE {table} SET expires_at = now()")).await.unwrap();
        }
        assert!(rows(&mut connection).await.is_empty());
        assert_eq!(a.replica.permissions.sweep(10).await.unwrap(), 20, "ten of each");
        assert!(a.replica.permissions.sweep(10_000).await.unwrap() > 100);
        assert_eq!(a.replica.permissions.sweep(10_000).await.unwrap(), 0);
    }

    /// After a restart active users are loaded ahead, from the users with rows: their first request costs no load.
    #[actix_web::test]
    async fn a_restarted_replica_knows_the_active_users() {
        let api = TestApi::postgres().await;
        let (mut a, _b, company) = admin_known_to_two(&api).await;
        assert_eq!(a.fill().await, 1);
        let member = api.level_id(company, "Member").await;
        api.assign(company, company.admin, &[&member]).await;
        a.replica.hears_everything().await;
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

    /// The SQL of the documentation, as it is written there.
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
