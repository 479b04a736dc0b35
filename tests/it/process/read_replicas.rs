//! Tests of reads from read replicas: standbys that lag, fail, return, are promoted, or belong to another cluster.

use iam_domain::UserId;
use serde_json::json;

use super::metrics::metric;
use super::persistence::{authorization, start, super_admin};
use crate::support::api::{new_company, new_user};
use crate::support::process::ServerProcess;

/// A company that the tests read and change through servers with read replicas.
struct Company {
    id: String,
    token: String,
}

impl Company {
    fn new() -> Self {
        Self { id: new_company().to_string(), token: super_admin() }
    }

    fn request(
        &self,
        server: &ServerProcess,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: Option<&serde_json::Value>,
    ) -> crate::support::api::Answer {
        let mut headers = vec![("authorization", self.token.as_str()), ("x-company-id", self.id.as_str())];
        headers.extend_from_slice(more);
        server.request(method, path, &headers, body)
    }

    /// Creates a level, and returns its id and the version of the change.
    fn create_level(&self, server: &ServerProcess, name: &str) -> (String, String) {
        let answer = self.request(server, "POST", "/api/iam/user-levels", &[], Some(&json!({ "name": name })));
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let id = answer.json()["data"]["userLevel"]["id"].as_str().unwrap().to_owned();
        (id, answer.header("x-iam-version").unwrap().to_owned())
    }

    /// Creates the default levels, and returns the id of the level Admin.
    fn provision(&self, server: &ServerProcess) -> String {
        let path = format!("/api/iam/companies/{}/provision", self.id);
        let answer = self.request(server, "POST", &path, &[], Some(&json!({ "adminUserId": new_user() })));
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let levels = self.request(server, "GET", "/api/iam/user-levels", &[], None).json();
        let levels = levels["data"]["userLevels"].as_array().unwrap();
        levels.iter().find(|level| level["name"] == "Admin").unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Returns whether the user may access the dashboard.
    fn decision(&self, server: &ServerProcess, user: UserId, more: &[(&str, &str)]) -> bool {
        let token = authorization(user, false);
        let mut headers = vec![("authorization", token.as_str()), ("x-company-id", self.id.as_str())];
        headers.extend_from_slice(more);
        let answer = server.request("POST", "/api/iam/check", &headers, Some(&json!({ "view": "/dashboard" })));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["data"]["allowed"].as_bool().unwrap()
    }

    /// Returns the names of the levels, sorted.
    fn levels(&self, server: &ServerProcess, more: &[(&str, &str)]) -> Vec<String> {
        let answer = self.request(server, "GET", "/api/iam/user-levels", more, None);
        assert_eq!(answer.status, 200, "{}\n{}", String::from_utf8_lossy(&answer.body), server.log());
        let answer = answer.json();
        let levels = answer["data"]["userLevels"].as_array().unwrap().iter();
        let mut names: Vec<_> = levels.map(|level| level["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

/// Returns the number of reads with this result.
fn reads(server: &mut ServerProcess, result: &str) -> u64 {
    metric(server, &format!("iam_replica_reads_total{{result=\"{result}\"}}"))
}

fn in_use(server: &mut ServerProcess) -> u64 {
    metric(server, "iam_replicas_in_use")
}

mod postgres {
    use super::*;
    use crate::support::process::{run as run_program, wait_until};
    use crate::support::proxy::Proxy;
    use crate::support::server::PostgresServer;

    /// A role to which row-level security applies, with the privileges that docs/deployment.md lists.
    const ROLE: &str = "CREATE ROLE iam_app LOGIN;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO iam_app;
        GRANT EXECUTE ON FUNCTION iam_lock_changes(boolean), iam_try_lock_changes(boolean) TO iam_app";

    /// Returns a runtime with its own thread for proxies. The test's thread runs no other futures while it waits for
    /// processes.
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    /// Starts a server of the service that reads from these replicas.
    fn start_with(primary: &str, replicas: &[String]) -> ServerProcess {
        start(&[("DATABASE_URL", primary), ("IAM__DATABASE__REPLICA_URLS", &replicas.join(","))])
    }

    fn url(server: &PostgresServer) -> String {
        server.url_as("iam_app", "postgres")
    }

    async fn primary() -> PostgresServer {
        let server = PostgresServer::start().await;
        server.run(ROLE).await;
        server
    }

    fn wait_for_use(server: &mut ServerProcess, count: u64) {
        wait_until(|| (in_use(server) == count).then_some(()));
    }

    /// Reads until a replica has answered a read.
    fn wait_for_read(server: &mut ServerProcess, company: &Company) {
        let before = reads(server, "replica");
        wait_until(|| {
            company.levels(server, &[]);
            (reads(server, "replica") > before).then_some(())
        });
    }

    #[test]
    fn a_read_never_misses_a_change_that_its_process_knows_however_far_the_replica_lags() {
        runtime().block_on(async {
            let mut primary = primary().await;
            let standby = primary.standby().await;
            let (mut a, mut b) =
                (start_with(&url(&primary), &[url(&standby)]), start_with(&url(&primary), &[url(&standby)]));
            let company = Company::new();
            wait_for_use(&mut a, 1);
            wait_for_use(&mut b, 1);
            let members = Company::new();
            let admin = members.provision(&a);
            let mut names = Vec::new();
            for round in 0..12 {
                // In every second round, the standby replays nothing.
                let pause =
                    if round % 2 == 0 { "SELECT pg_wal_replay_resume()" } else { "SELECT pg_wal_replay_pause()" };
                standby.run(pause).await;
                names.push(format!("level {round:02}"));
                let (_, version) = company.create_level(&a, &names[round]);
                assert_eq!(company.levels(&a, &[]), names, "the process that made the change");
                let required = [("x-iam-min-version", version.as_str())];
                assert_eq!(company.levels(&b, &required), names, "a read that requires the version");
                assert_eq!(
                    company.levels(&b, &[("cache-control", "no-cache")]),
                    names,
                    "a read that requires the latest data"
                );
                // The first decision about a user is loaded, from a replica if it is recent enough.
                let user = new_user();
                let path = format!("/api/iam/users/{user}/user-levels?companyId={}", members.id);
                let answer = members.request(&a, "PUT", &path, &[], Some(&json!({ "userLevelIds": [admin] })));
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                let version = answer.header("x-iam-version").unwrap();
                assert!(members.decision(&a, user, &[]), "the process that made the change");
                let required = [("x-iam-min-version", version)];
                assert!(members.decision(&b, user, &required), "a decision that requires the version");
                assert!(!members.decision(&b, new_user(), &[]), "a non-member");
            }
            standby.run("SELECT pg_wal_replay_resume()").await;
            for server in [&mut a, &mut b] {
                wait_for_use(server, 1);
                wait_for_read(server, &company);
            }
            assert!(
                reads(&mut a, "outdated") + reads(&mut a, "none_in_use") > 0,
                "some reads must have used the primary"
            );
        });
    }

    #[test]
    fn lists_the_catalog_the_audit_log_and_first_decisions_are_read_from_the_replica() {
        runtime().block_on(async {
            let mut primary = primary().await;
            let standby = primary.standby().await;
            let mut server = start_with(&url(&primary), &[url(&standby)]);
            let company = Company::new();
            let (level, _) = company.create_level(&server, "Staff");
            let user = new_user();
            let path = format!("/api/iam/users/{user}/user-levels?companyId={}", company.id);
            let answer = company.request(&server, "PUT", &path, &[], Some(&json!({ "userLevelIds": [level] })));
            assert_eq!(answer.status, 200);
            wait_for_use(&mut server, 1);
            wait_for_read(&mut server, &company);
            for path in [
                "/api/iam/user-levels",
                "/api/iam/views",
                "/api/iam/features",
                "/api/iam/modules",
                "/api/iam/audit-logs",
                "/api/iam/users",
                "/api/iam/matrix",
                "/api/iam/who-can?view=/dashboard",
            ] {
                // A read falls back to the primary while a marker or a version has not arrived yet.
                wait_until(|| {
                    let before = reads(&mut server, "replica");
                    let answer = company.request(&server, "GET", path, &[], None);
                    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
                    (reads(&mut server, "replica") > before).then_some(())
                });
                let before = reads(&mut server, "replica");
                assert_eq!(
                    company.request(&server, "GET", path, &[("cache-control", "no-cache")], None).status,
                    200,
                    "{path}"
                );
                assert_eq!(reads(&mut server, "replica"), before, "a read that requires the latest data: {path}");
            }
            // Each decision about another user is a first decision.
            wait_until(|| {
                let (token, before) = (authorization(new_user(), false), reads(&mut server, "replica"));
                let headers = [("authorization", token.as_str()), ("x-company-id", company.id.as_str())];
                let answer = server.request("POST", "/api/iam/check", &headers, Some(&json!({ "view": "/dashboard" })));
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                (reads(&mut server, "replica") > before).then_some(())
            });
        });
    }

    #[test]
    fn a_replica_that_stops_is_left_and_used_again_after_its_restart() {
        runtime().block_on(async {
            let mut primary = primary().await;
            let mut standby = primary.standby().await;
            let mut server = start_with(&url(&primary), &[url(&standby)]);
            let company = Company::new();
            company.create_level(&server, "Staff");
            wait_for_use(&mut server, 1);
            wait_for_read(&mut server, &company);
            standby.stop();
            wait_until(|| {
                assert_eq!(company.levels(&server, &[]), ["Staff"], "no read may fail");
                (in_use(&mut server) == 0).then_some(())
            });
            standby.start_again();
            wait_for_use(&mut server, 1);
            wait_for_read(&mut server, &company);
        });
    }

    /// The commits that were lost are newer than everything on the promoted server. A standby of the lost primary lags, but
    /// has the same history id.
    #[test]
    fn after_a_failover_that_lost_commits_no_read_is_older_than_the_new_primary() {
        runtime().block_on(async {
            let mut old = primary().await;
            let (new, behind) = (old.standby().await, old.standby().await);
            let proxy = Proxy::in_front_of(&url(&old)).await;
            let mut server = start_with(proxy.url(), &[url(&new), url(&behind)]);
            let company = Company::new();
            company.create_level(&server, "kept");
            wait_for_use(&mut server, 2);
            wait_for_read(&mut server, &company);
            for standby in [&new, &behind] {
                standby.until("SELECT count(*) = 1 FROM user_levels WHERE name = 'kept'").await;
                standby.stop_streaming().await;
            }
            let (_, before) = company.create_level(&server, "lost");
            assert_eq!(company.levels(&server, &[]), ["kept", "lost"]);
            let epoch = |version: &str| version.split('.').next().unwrap().to_owned();

            old.stop();
            new.promote().await;
            proxy.redirect(&url(&new));
            proxy.cut();
            let after = wait_until(|| {
                let answer =
                    company.request(&server, "POST", "/api/iam/user-levels", &[], Some(&json!({ "name": "new" })));
                (answer.status == 201).then(|| answer.header("x-iam-version").unwrap().to_owned())
            });
            for _ in 0..50 {
                assert_eq!(company.levels(&server, &[]), ["kept", "new"]);
            }
            assert_ne!(epoch(&after), epoch(&before), "versions of both histories must not be comparable");
            // The promoted server is the primary, and the other standby follows the old one.
            wait_for_use(&mut server, 0);
        });
    }

    #[test]
    fn a_failover_with_synchronous_replication_loses_no_acknowledged_change() {
        runtime().block_on(async {
            let mut old = primary().await;
            let new = old.standby().await;
            old.wait_for_standbys().await;
            let proxy = Proxy::in_front_of(&url(&old)).await;
            let mut server = start_with(proxy.url(), &[url(&new)]);
            let company = Company::new();
            wait_for_use(&mut server, 1);
            let names: Vec<_> = (0..20).map(|number| format!("level {number:02}")).collect();
            for name in &names {
                company.create_level(&server, name);
            }
            old.stop();
            new.promote().await;
            new.run("ALTER SYSTEM RESET synchronous_standby_names").await;
            new.run("SELECT pg_reload_conf()").await;
            proxy.redirect(&url(&new));
            proxy.cut();
            let read = wait_until(|| {
                let answer = company.request(&server, "GET", "/api/iam/user-levels", &[], None);
                (answer.status == 200).then(|| company.levels(&server, &[]))
            });
            assert_eq!(read, names);
            wait_until(|| {
                assert_eq!(company.levels(&server, &[]), names);
                (in_use(&mut server) == 0).then_some(())
            });
        });
    }

    #[test]
    fn a_primary_and_a_standby_of_another_cluster_are_not_used_and_the_log_says_why() {
        runtime().block_on(async {
            let (mut primary, mut other) = (primary().await, primary().await);
            let foreign = other.standby().await;
            let standby = primary.standby().await;
            let mut server = start_with(&url(&primary), &[url(&primary), url(&foreign), url(&standby)]);
            let company = Company::new();
            company.create_level(&server, "Staff");
            wait_for_use(&mut server, 1);
            wait_for_read(&mut server, &company);
            server.wait_for(|log| log.contains("the database server is not a standby").then_some(()));
            let address = format!("127.0.0.1:{}", foreign.port());
            server.wait_for(|log| {
                let lines = log.lines().filter(|line| line.contains(&address));
                lines.into_iter().any(|line| line.contains("lacks versions of the primary")).then_some(())
            });
            for _ in 0..20 {
                assert_eq!(company.levels(&server, &[]), ["Staff"]);
            }
            assert_eq!(in_use(&mut server), 1);
        });
    }

    /// A standby that does not respond, and whose connections stay open, delays each read by at most its time limit, and
    /// only until the first of them is over.
    #[test]
    fn a_replica_that_falls_silent_is_left() {
        runtime().block_on(async {
            let mut primary = primary().await;
            let standby = primary.standby().await;
            let proxy = Proxy::in_front_of(&url(&standby)).await;
            let mut server = start_with(&url(&primary), &[proxy.url().to_owned()]);
            let company = Company::new();
            company.create_level(&server, "Staff");
            wait_for_use(&mut server, 1);
            wait_for_read(&mut server, &company);
            proxy.fall_silent();
            wait_until(|| {
                assert_eq!(company.levels(&server, &[]), ["Staff"], "no read may fail");
                (in_use(&mut server) == 0).then_some(())
            });
        });
    }

    /// Exports everything, and returns the sorted names of the company's levels, and what the command wrote to standard error.
    fn export(company: &Company, primary: &str, replicas: &[String]) -> (Vec<String>, String) {
        let environment = [("DATABASE_URL", primary), ("IAM__DATABASE__REPLICA_URLS", &replicas.join(","))];
        let output = run_program("iam", &["export", "-"], &environment);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{printed}");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let of_company = lines.skip_while(|line| line["company"]["id"] != company.id).skip(1);
        let of_company = of_company.take_while(|line| line.get("company").is_none());
        let names = of_company.filter_map(|line| line["level"]["name"].as_str().map(str::to_owned));
        let mut names: Vec<_> = names.collect();
        names.sort();
        (names, printed)
    }

    #[test]
    fn an_export_is_read_from_a_replica_that_has_every_commit_and_keeps_the_rows_of_the_snapshot() {
        const PROVIDES: &str = "a read replica provides the snapshot";
        runtime().block_on(async {
            let mut primary = primary().await;
            let standby = primary.standby().await;
            let (standbys, reload) = ([url(&standby)], "SELECT pg_reload_conf()");
            let proxy = Proxy::in_front_of(&url(&primary)).await;
            let server = start(&[("DATABASE_URL", &url(&primary))]);
            let company = Company::new();
            let mut names = Vec::new();
            let mut add_level = || {
                names.push(format!("level {}", names.len()));
                company.create_level(&server, names.last().unwrap());
                names.clone()
            };

            let (found, printed) = (add_level(), export(&company, proxy.url(), &standbys));
            assert_eq!((found, true), (printed.0, printed.1.contains("it may cancel long reads")), "{}", printed.1);

            standby.run("ALTER SYSTEM SET hot_standby_feedback = on").await;
            standby.run(reload).await;
            for is_paused in [false, true, false] {
                let replay = if is_paused { "SELECT pg_wal_replay_pause()" } else { "SELECT pg_wal_replay_resume()" };
                standby.run(replay).await;
                let expected = add_level();
                let before = proxy.sent("view_cell_ids");
                let (found, printed) = export(&company, proxy.url(), &standbys);
                assert_eq!(found, expected, "{printed}");
                assert_eq!(printed.contains(PROVIDES), !is_paused, "{printed}");
                assert_eq!(printed.contains("it lacks commits of the primary"), is_paused, "{printed}");
                let is_from_primary = proxy.sent("view_cell_ids") > before;
                assert_eq!(is_from_primary, is_paused, "{printed}");
            }

            // A standby of another database, the primary itself, and no server at all.
            let mut other = self::primary().await;
            let foreign = other.standby().await;
            foreign.run("ALTER SYSTEM SET hot_standby_feedback = on").await;
            foreign.run(reload).await;
            let nowhere = url(&primary).replace("127.0.0.1", "127.0.0.2");
            let unusable = [
                (url(&foreign), "it belongs to another database"),
                (url(&primary), "the database server is not a standby"),
                (nowhere, "Connection refused"),
            ];
            for (replica, reason) in unusable {
                let expected = add_level();
                let (found, printed) = export(&company, proxy.url(), &[replica]);
                assert_eq!(found, expected, "{printed}");
                assert!(printed.contains(reason) && !printed.contains(PROVIDES), "{printed}");
            }
        });
    }
}
