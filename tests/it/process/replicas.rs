//! Tests of several server processes on one database. A change in one process takes effect in the others, even if
//! connections break or processes freeze.

use iam_domain::{CompanyId, UserId};
use serde_json::json;

use super::persistence::{authorization, start, super_admin};
use crate::support::api::{Answer, new_company, new_user};
use crate::support::client::Connection;
use crate::support::engines::every_database_has_other_forms;
use crate::support::process::{ServerProcess, wait_until};

/// Returns a lease that is too long to expire during a test. Processes can therefore detect changes only through a wake-up
/// or a request that requires up-to-date data. Without wake-ups, the lease is short, because it determines how often
/// processes poll.
fn long_lease() -> (&'static str, &'static str) {
    ("IAM__CACHE__LEASE", if every_database_has_other_forms() { "1s" } else { "10m" })
}

/// A company with one administrator, whose permissions the tests check.
pub(crate) struct Case {
    company: CompanyId,
    user: UserId,
    level: String,
    /// The value of the `Authorization` header with the administrator's token.
    user_token: String,
    super_admin: String,
}

impl Case {
    /// Provisions a new company with a new administrator through this server.
    pub(crate) fn new(server: &ServerProcess) -> Self {
        let (company, user) = (new_company(), new_user());
        let (user_token, super_admin) = (authorization(user, false), super_admin());
        let mut case = Self { company, user, level: String::new(), user_token, super_admin };
        let path = format!("/api/iam/companies/{company}/provision");
        let body = json!({ "adminUserId": user });
        let headers = [("authorization", case.super_admin.as_str())];
        // After a 503 the request is repeated. The repeated request returns 200 if the first one was committed after
        // all, because provisioning is idempotent.
        let status = known(|| server.request("POST", &path, &headers, Some(&body))).status.as_u16();
        assert!(matches!(status, 200 | 201), "{status}");
        let path = format!("/api/iam/user-levels?companyId={company}");
        let levels = known(|| server.request("GET", &path, &headers, None)).json();
        let levels = levels["data"]["userLevels"].as_array().unwrap();
        case.level = levels.iter().find(|level| level["name"] == "Admin").unwrap()["id"].as_str().unwrap().to_owned();
        case
    }

    /// Sends a request that checks whether the administrator may access the dashboard. Does not wait for the response.
    fn open(&self, server: &ServerProcess) -> Connection {
        self.open_with(server, &[])
    }

    fn open_with(&self, server: &ServerProcess, more: &[(&str, &str)]) -> Connection {
        let company = self.company.to_string();
        let mut headers = vec![("authorization", self.user_token.as_str()), ("x-company-id", company.as_str())];
        headers.extend_from_slice(more);
        server.open("POST", "/api/iam/check", &headers, Some(&json!({ "view": "/dashboard" })))
    }

    /// Checks whether the administrator may access the dashboard, with `Cache-Control: no-cache`, which requires
    /// up-to-date data.
    pub(crate) fn request_without_cache(&self, server: &ServerProcess) -> Answer {
        self.open_with(server, &[("cache-control", "no-cache")]).answer().unwrap()
    }

    /// Requests an explanation of the decision on the administrator's access to the dashboard.
    fn explain(&self, server: &ServerProcess) -> Answer {
        let company = self.company.to_string();
        let headers = [("authorization", self.user_token.as_str()), ("x-company-id", company.as_str())];
        server.request("POST", "/api/iam/explain", &headers, Some(&json!({ "view": "/dashboard" })))
    }

    pub(crate) fn ask(&self, server: &ServerProcess) -> Answer {
        self.open(server).answer().unwrap()
    }

    /// Assigns the Admin level to the user, or revokes it if `is_admin` is `false`. Returns the status of the response.
    pub(crate) fn set(&self, server: &ServerProcess, is_admin: bool) -> u16 {
        let levels = if is_admin { vec![self.level.as_str()] } else { Vec::new() };
        let path = format!("/api/iam/users/{}/user-levels?force=true&companyId={}", self.user, self.company);
        let headers = [("authorization", self.super_admin.as_str())];
        known(|| server.request("PUT", &path, &headers, Some(&json!({ "userLevelIds": levels })))).status.as_u16()
    }

    pub(crate) fn wait_for(&self, server: &ServerProcess, is_allowed: bool) {
        wait_until(|| (allowed(&self.ask(server)) == Some(is_allowed)).then_some(()));
    }
}

/// Repeats a request until the status of the response is not 503. Returns the last response.
fn known(ask: impl Fn() -> Answer) -> Answer {
    wait_until(|| Some(ask()).filter(|answer| answer.status != 503))
}

/// Returns the decision in the response, or `None` if the response is 503.
pub(crate) fn allowed(answer: &Answer) -> Option<bool> {
    match answer.status.as_u16() {
        200 => Some(answer.json()["data"]["allowed"].as_bool().unwrap()),
        503 => None,
        status => panic!("{status}: {}", String::from_utf8_lossy(&answer.body)),
    }
}

mod postgres {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use futures_util::future::join_all;
    use iam_permissions_cache::{CacheOptions, Consistency, Subject};
    use iam_storage::Target;
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use sea_orm::sqlx::query_scalar;

    use super::*;
    use crate::support::api::{TestApi, patient};
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::proxy::Proxy;
    use crate::support::replica::{Replica, until};
    use crate::support::server::PostgresServer;

    #[actix_web::test]
    async fn a_revocation_reaches_the_other_replica() {
        let database = TestDatabase::new(Content::Seeded).await;
        let environment = [("DATABASE_URL", database.url()), long_lease()];
        let (a, b) = (start(&environment), start(&environment));
        let case = Case::new(&a);
        for is_admin in [true, false, true, false] {
            assert_eq!(case.set(&a, is_admin), 200);
            assert_eq!(
                allowed(&case.ask(&a)),
                Some(is_admin),
                "a change must be visible at once in the process that made it"
            );
            case.wait_for(&b, is_admin);
        }
    }

    #[test]
    fn a_revocation_reaches_a_replica_whose_connections_were_terminated() {
        let runtime = runtime();
        let database = runtime.block_on(TestDatabase::new(Content::Seeded));
        let proxy = runtime.block_on(Proxy::to(&database));
        let a = start(&[("DATABASE_URL", database.url()), long_lease()]);
        let b = start(&[("DATABASE_URL", proxy.url()), long_lease()]);
        let case = Case::new(&a);
        for is_admin in [false, true, false] {
            case.wait_for(&b, !is_admin);
            assert!(proxy.connections() > 0, "there must be open connections to close");
            proxy.cut();
            assert_eq!(case.set(&a, is_admin), 200);
            case.wait_for(&b, is_admin);
        }
    }

    #[actix_web::test]
    async fn a_revocation_during_a_restart_of_the_database_reaches_the_other_replica() {
        let mut postgres = PostgresServer::start().await;
        let url = postgres.url();
        let environment = [("DATABASE_URL", url.as_str()), long_lease()];
        let (a, b) = (start(&environment), start(&environment));
        let case = Case::new(&a);
        for is_admin in [false, true, false] {
            case.wait_for(&b, !is_admin);
            std::thread::scope(|scope| {
                scope.spawn(|| wait_until(|| (case.set(&a, is_admin) == 200).then_some(())));
                postgres.stop();
                postgres.start_again();
            });
            case.wait_for(&b, is_admin);
        }
    }

    /// A resumed process never returns a decision from an expired lease, even for a check that was sent while the
    /// process was frozen.
    #[actix_web::test]
    async fn a_process_stopped_for_longer_than_the_lease_serves_nothing_stale() {
        const LEASE: Duration = Duration::from_secs(1);
        let database = TestDatabase::new(Content::Seeded).await;
        let environment = [("DATABASE_URL", database.url()), ("IAM__CACHE__LEASE", "1s")];
        let (a, b) = (start(&environment), start(&environment));
        let case = Case::new(&a);
        for is_admin in [false, true, false] {
            case.wait_for(&b, !is_admin);
            b.signal("STOP");
            assert_eq!(case.set(&a, is_admin), 200);
            std::thread::sleep(LEASE + Duration::from_millis(100));
            let mut asked: Vec<_> = (0..10).map(|_| case.open(&b)).collect();
            b.signal("CONT");
            for request in &mut asked {
                assert_eq!(allowed(&request.answer().unwrap()), Some(is_admin));
            }
        }
    }

    /// Returns a runtime with its own thread. The test's thread cannot run futures while it waits for processes.
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn without_the_database_the_cache_serves_until_the_lease_expires() {
        const LEASE: Duration = Duration::from_secs(1);
        let runtime = runtime();
        let database = runtime.block_on(TestDatabase::new(Content::Seeded));
        for is_silent in [false, true] {
            let proxy = runtime.block_on(Proxy::to(&database));
            let environment =
                [("DATABASE_URL", proxy.url()), ("IAM__CACHE__LEASE", "1s"), ("IAM__CACHE__LOAD_TIMEOUT", "1s")];
            let server = start(&environment);
            let case = Case::new(&server);
            case.wait_for(&server, true);
            if is_silent {
                proxy.fall_silent();
            } else {
                runtime.block_on(proxy.refuse());
                proxy.cut();
            }
            let gone = Instant::now();
            loop {
                let is_within_lease = gone.elapsed() < LEASE + Duration::from_millis(100);
                let answer = case.ask(&server);
                if is_within_lease {
                    assert_ne!(allowed(&answer), Some(false), "an outage must not cause a denial");
                } else {
                    assert_eq!(answer.status, 503);
                    assert!(answer.header("retry-after").is_some());
                    break;
                }
            }
            if !is_silent {
                runtime.block_on(proxy.admit());
                case.wait_for(&server, true);
            }
        }
    }

    #[test]
    fn within_the_grace_period_the_cache_serves_and_states_its_age() {
        const GRACE: u64 = 30;
        let runtime = runtime();
        let database = runtime.block_on(TestDatabase::new(Content::Seeded));
        let proxy = runtime.block_on(Proxy::to(&database));
        let server = start(&[
            ("DATABASE_URL", proxy.url()),
            ("IAM__CACHE__LEASE", "1s"),
            ("IAM__CACHE__LOAD_TIMEOUT", "1s"),
            ("IAM__CACHE__OUTAGE_GRACE", "30s"),
        ]);
        let case = Case::new(&server);
        let wait_for_one_of_now = || {
            wait_until(|| {
                let answer = case.ask(&server);
                (answer.status == 200 && answer.header("age").is_none()).then_some(())
            });
        };
        wait_for_one_of_now();
        runtime.block_on(proxy.refuse());
        proxy.cut();
        let (mut aged, mut explained) = (0, 0);
        wait_until(|| {
            let answer = case.ask(&server);
            if let Some(age) = answer.header("age") {
                assert!(age.parse::<u64>().unwrap() <= GRACE);
                assert_eq!(answer.header("warning"), Some(r#"110 - "Response is Stale""#));
                assert_eq!(allowed(&answer), Some(true));
                aged += 1;
                // An explanation contains the names that are cached, which do not include those of levels.
                let explanation = case.explain(&server);
                if explanation.header("age").is_some() {
                    let data = explanation.data();
                    assert_eq!(data["names"][data["viewId"].as_str().unwrap()], "Dashboard");
                    assert_eq!(data["names"].get(&case.level), None);
                    explained += 1;
                }
            }
            // A second 503 shows that the outage grace has ended. A single 503 could have been caused by a slow
            // machine.
            (aged > 0 && explained > 0 && answer.status == 503 && case.ask(&server).status == 503).then_some(())
        });
        runtime.block_on(proxy.admit());
        wait_for_one_of_now();
    }

    /// After a restart, the cache is warmed with the recently active users. Their first requests therefore need no load
    /// from the database.
    #[test]
    fn a_restarted_process_warms_its_cache_with_active_users() {
        let runtime = runtime();
        let database = runtime.block_on(TestDatabase::new(Content::Seeded));
        let server = start(&[("DATABASE_URL", database.url())]);
        let case = Case::new(&server);
        case.wait_for(&server, true);
        let rows = "SELECT count(*) FROM current_effective_view_permissions";
        runtime.block_on(async {
            let mut connection = database.connect().await;
            until(async || query_scalar::<_, i64>(rows).fetch_one(&mut connection).await.unwrap() > 0).await;
        });
        server.stop();

        let proxy = runtime.block_on(Proxy::to(&database));
        let loads = || proxy.texts().into_iter().filter(|text| text.contains("user_id = $4 AND")).count();
        let mut server = start(&[("DATABASE_URL", proxy.url()), long_lease()]);
        server.wait_for_line("loaded recently active users into the cache users=1");
        assert_eq!(allowed(&case.ask(&server)), Some(true));
        assert_eq!(loads(), 0, "the request must not load the user from the database");
        let non_member = Case { user_token: authorization(new_user(), false), ..case };
        assert_eq!(allowed(&non_member.ask(&server)), Some(false));
        assert_eq!(loads(), 1, "the load of an uncached user must be counted");
    }

    /// When a lease expires with a thousand companies in the cache, the database receives only a few statements (no
    /// thundering herd).
    #[actix_web::test]
    async fn the_end_of_a_lease_causes_no_burst_of_loads() {
        let api = TestApi::postgres().await;
        let database = api.database.clone().unwrap();
        let user = new_user();
        let mut connection = database.connect().await;
        for sql in [
            "INSERT INTO company_states (company_id, version)
                SELECT gen_random_uuid(), 1 FROM generate_series(1, 1000)",
            "INSERT INTO user_levels (id, company_id, name) SELECT gen_random_uuid(), company_id, 'Held'
                FROM company_states
                WHERE company_id NOT IN ('00000000-0000-0000-0000-000000000000',
                    'ffffffff-ffff-ffff-ffff-ffffffffffff')",
            &format!(
                "INSERT INTO user_user_levels (user_id, user_level_id, company_id)
                    SELECT '{user}', id, company_id FROM user_levels"
            ),
        ] {
            run(&mut connection, sql.to_owned()).await.unwrap();
        }
        let ids: Vec<uuid::Uuid> =
            query_scalar("SELECT company_id FROM user_levels").fetch_all(&mut connection).await.unwrap();
        let companies: Vec<_> = ids.into_iter().map(CompanyId::from_uuid).collect();
        assert_eq!(companies.len(), 1000);

        let proxy = Proxy::to(&database).await;
        let options = PostgresOptions { max_connections: 10, ..TestDatabase::options_for(proxy.url()) };
        let storage = Arc::new(PostgresStorage::connect(&options).unwrap());
        let options = CacheOptions { lease: Duration::from_secs(600), ..patient() };
        let replica = Replica::over(&api, storage, options).await;
        let access = |company: CompanyId| replica.permissions.access(company, Subject::User(user), Consistency::Cached);
        // Reads the user's access in all companies concurrently. Returns the number of SQL statements that the
        // connection pool sends during these reads.
        let ask_all = async || {
            let before = proxy.statements();
            for access in join_all(companies.iter().map(|company| access(*company))).await {
                assert!(access.unwrap().is_member());
            }
            proxy.statements() - before
        };
        for some in companies.chunks(50) {
            join_all(some.iter().map(|company| access(*company))).await;
        }
        assert_eq!(ask_all().await, 0, "all companies must be cached");

        // Polls use connections outside the pool, so their statements are not counted.
        let polls = || replica.polls();
        let end_the_lease = || replica.permissions.distrust(Target::Credentials);
        end_the_lease();
        let before = polls();
        assert_eq!(ask_all().await, 0, "the expiry of the lease must cause no load from the database");
        assert!(polls() <= before + 3, "a few polls must confirm all entries, but there were {}", polls() - before);

        // After a change to the catalog, all entries are compiled again from cached rows. Only the catalog is read from
        // the database.
        let path = format!("/api/iam/modules/{}", api.module_id("audit").await);
        api.patch(&path).by_super_admin().json(&json!({ "enabled": false })).send().await.expect(200);
        end_the_lease();
        let before = polls();
        let statements = ask_all().await;
        assert!(statements <= 2, "a change to the catalog must cause at most 2 statements, not {statements}");
        assert!(polls() <= before + 6, "a change to the catalog must cause at most 6 polls, not {}", polls() - before);

        // After a change to one company, only that company is loaded again.
        let changed = json!({ "name": "New" });
        let request = api.post("/api/iam/user-levels").by_super_admin().within(companies[7]);
        request.json(&changed).send().await.expect(201);
        end_the_lease();
        let statements = ask_all().await;
        assert!(statements <= 2, "a change to one company must cause at most 2 statements, not {statements}");

        replica.catch_up().await;
        ask_all().await;
        let misses = replica.stats().misses;
        ask_all().await;
        assert_eq!(replica.stats().misses, misses, "the lease must be valid again");
    }

    /// Cache entries are valid only for the epoch of the database from which they were loaded. While another database
    /// responds, decisions are based on the data of that database. When the first database is back, decisions are based
    /// on its data again.
    #[actix_web::test]
    async fn another_database_invalidates_the_whole_cache() {
        let (api, empty) = (TestApi::postgres().await, TestDatabase::new(Content::Seeded).await);
        let database = api.database.clone().unwrap();
        let company = api.company().await;
        let proxy = Proxy::to(&database).await;
        let storage = Arc::new(PostgresStorage::connect(&TestDatabase::options_for(proxy.url())).unwrap());
        let lease = Duration::from_secs(if every_database_has_other_forms() { 1 } else { 600 });
        let options = CacheOptions { lease, ..patient() };
        let replica = Replica::over(&api, storage, options).await;
        let access = async || {
            let access = replica.permissions.access(company.id, Subject::User(company.admin), Consistency::Cached);
            access.await.ok().map(|access| (access.is_member(), access.versions().epoch))
        };
        let first = access().await;
        assert_eq!(first.map(|(is_member, _)| is_member), Some(true));
        for (now, is_member) in [(&empty, false), (database.as_ref(), true)] {
            proxy.switch_to(now);
            proxy.cut();
            until(async || access().await.is_some_and(|(member, _)| member == is_member)).await;
            assert_eq!(
                access().await == first,
                is_member,
                "the access must equal the initial access if and only if the first database responds"
            );
        }
    }
}
