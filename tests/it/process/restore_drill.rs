//! The restore drill: a database is dumped, changed, destroyed and restored, while two replicas use it.

mod postgres {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Instant;

    use iam_domain::{CompanyId, UserId};
    use sea_orm::sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar};
    use serde_json::{Value, json};

    use crate::deploy::backup::{back_up_and_keep, client_program};
    use crate::deploy::manifests::deploy;
    use crate::process::metrics::metric;
    use crate::process::persistence::{start, super_admin};
    use crate::support::answer::Answer;
    use crate::support::api::{new_company, new_user};
    use crate::support::database::run;
    use crate::support::process::{ServerProcess, text_of, wait_until};
    use crate::support::server::PostgresServer;

    /// The number of users of each company.
    const USERS: usize = 8;

    /// Returns the number of companies. `make restore-drill` sets a larger number than `make test`.
    fn size() -> usize {
        #[expect(clippy::disallowed_methods, reason = "`make restore-drill` sets the number of companies")]
        let configured = std::env::var("IAM_DRILL_COMPANIES").ok();
        configured.map_or(2, |number| number.parse().expect("IAM_DRILL_COMPANIES must be a number"))
    }

    /// A company with users who hold different sets of levels.
    struct Company {
        id: CompanyId,
        users: Vec<UserId>,
        /// The ids of the levels Admin, Member, Visitor and Auditors.
        levels: Vec<String>,
    }

    fn send(server: &ServerProcess, company: CompanyId, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let (root, company) = (super_admin(), company.to_string());
        let headers = [("authorization", root.as_str()), ("x-company-id", company.as_str())];
        server.request(method, &format!("/api/iam{path}"), &headers, body)
    }

    impl Company {
        /// Provisions a company with a level of its own, pinned cells, profiles, and assignments with an end.
        fn create(server: &ServerProcess) -> Self {
            let (id, users): (_, Vec<_>) = (new_company(), (0..USERS).map(|_| new_user()).collect());
            let admin = json!({ "adminUserId": users[0] });
            send(server, id, "POST", &format!("/companies/{id}/provision"), Some(&admin)).expect(201);
            let level = send(server, id, "POST", "/user-levels", Some(&json!({ "name": "Auditors" }))).expect(201);
            let auditors = level.data()["userLevel"]["id"].as_str().unwrap().to_owned();
            let views = send(server, id, "GET", "/views", None).expect(200).data()["views"].take();
            let states = views.as_array().unwrap().iter().zip(["allow", "deny", "inherit"].into_iter().cycle());
            let cells: Vec<_> = states
                .map(|(view, state)| json!({ "viewId": view["id"], "state": state, "modifiable": state != "deny" }))
                .collect();
            let path = format!("/user-levels/{auditors}/permissions/views");
            send(server, id, "PUT", &path, Some(&json!({ "views": cells }))).expect(200);
            let listed = send(server, id, "GET", "/user-levels", None).expect(200).data();
            let level = |name: &str| {
                let levels = listed["userLevels"].as_array().unwrap();
                levels.iter().find(|level| level["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
            };
            let levels = ["Admin", "Member", "Visitor", "Auditors"].map(level).to_vec();
            for (number, user) in users.iter().enumerate().skip(1) {
                let held: Vec<_> =
                    (1..4).filter(|level| number & (1 << (level - 1)) != 0).map(|n| &levels[n]).collect();
                let expires = (number % 2 == 0).then_some("2100-01-01T00:00:00Z");
                let pair = |level: &&String| json!({ "userId": user, "userLevelId": level, "expiresAt": expires });
                let pairs: Vec<_> = held.iter().map(pair).collect();
                send(server, id, "POST", "/assignments", Some(&json!({ "add": pairs }))).expect(200);
                let profile = json!({ "displayName": format!("User {number}"), "email": null });
                send(server, id, "PUT", &format!("/users/{user}/profile"), Some(&profile)).expect(200);
            }
            Self { id, users, levels }
        }

        /// Sets the levels of a user.
        fn set(&self, server: &ServerProcess, user: usize, levels: &[usize]) {
            let levels: Vec<_> = levels.iter().map(|number| &self.levels[*number]).collect();
            let path = format!("/users/{}/user-levels?force=true", self.users[user]);
            send(server, self.id, "PUT", &path, Some(&json!({ "userLevelIds": levels }))).expect(200);
        }

        /// Returns what clients can read about the company: its levels, matrices, members and records, and every decision
        /// about each user. `None` if a response is 503.
        fn observe(&self, server: &ServerProcess) -> Option<BTreeMap<String, Value>> {
            let paths =
                ["/user-levels?limit=100", "/matrix", "/users?limit=100", "/audit-logs?limit=100", "/navigation"];
            let paths = paths.map(str::to_owned).into_iter();
            let decisions = self.users.iter().map(|user| format!("/users/{user}/permissions?keys=true"));
            let read = |path: String| {
                let answer = send(server, self.id, "GET", &path, None);
                (answer.status != 503).then(|| (path, answer.expect(200).data()))
            };
            paths.chain(decisions).map(read).collect()
        }
    }

    /// A decision about the user 1 of a company, with the epoch of the data that it is based on.
    fn decision(server: &ServerProcess, company: &Company, header: (&str, &str)) -> Option<(String, bool)> {
        versioned_decision(server, company, header).map(|(epoch, _, is_allowed)| (epoch, is_allowed))
    }

    /// A decision about the user 1 of a company, with the epoch and the versions of the data that it is based on.
    fn versioned_decision(
        server: &ServerProcess,
        company: &Company,
        header: (&str, &str),
    ) -> Option<(String, String, bool)> {
        let (root, id) = (super_admin(), company.id.to_string());
        let headers = [("authorization", root.as_str()), ("x-company-id", id.as_str()), header];
        let check = json!({ "view": "/dashboard", "userId": company.users[1] });
        let answer = server.request("POST", "/api/iam/check", &headers, Some(&check));
        if answer.status == 503 {
            return None;
        }
        let answer = answer.expect(200);
        let (epoch, versions) = answer.header("x-iam-version").unwrap().split_once('.').unwrap();
        Some((epoch.to_owned(), versions.to_owned(), answer.data()["allowed"].as_bool().unwrap()))
    }

    /// Returns the number of rows of each table that a dump contains.
    async fn counts(url: &str) -> BTreeMap<&'static str, i64> {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let is_dumped =
            |table: &&&str| !table.starts_with("effective_") && !["nav_trail", "iam_heartbeats"].contains(*table);
        let mut counts = BTreeMap::new();
        for table in migration::TABLES.iter().filter(is_dumped) {
            let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            counts.insert(*table, query_scalar(sql).fetch_one(&mut connection).await.unwrap());
        }
        counts
    }

    /// Creates the roles and the database as the documentation describes.
    async fn installed() -> PostgresServer {
        let server = PostgresServer::start().await;
        for role in ["iam_owner", "iam"] {
            server.run(&format!("CREATE ROLE {role} LOGIN")).await;
        }
        server.run("CREATE DATABASE iam OWNER iam_owner").await;
        let owner = server.url_as("iam_owner", "iam");
        let mut connection = PgConnection::connect(&owner).await.unwrap();
        let privileges = "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO iam";
        run(&mut connection, privileges.to_owned()).await.unwrap();
        let db = sea_orm::Database::connect(&owner).await.unwrap();
        migration::up(&db).await.unwrap();
        migration::seed(&db).await.unwrap();
        db.close().await.unwrap();
        let mut create = client_program("sh", Path::new(env!("CARGO_TARGET_TMPDIR")));
        create.arg(deploy().join("components/backup/create-role.sh"));
        create.env("DATABASE_URL", server.url_as("iam_test", "iam"));
        // The script can be run again, for example to change the password.
        for password in ["first", "it's a \"password\""] {
            let output = create.env("BACKUP_PASSWORD", password).output().unwrap();
            assert!(output.status.success(), "{}", text_of(&output));
        }
        server
    }

    /// What a replica answered while the database was destroyed and restored.
    #[derive(Debug, Default)]
    struct Watched {
        unavailable: usize,
        /// The decisions, each with its epoch, without repetitions.
        decisions: Vec<(String, bool)>,
    }

    /// Asks for decisions until `stop` is set and a decision has another epoch than the first one.
    fn watch(server: &ServerProcess, company: &Company, stop: &AtomicBool) -> Watched {
        let mut watched = Watched::default();
        wait_until(|| {
            match decision(server, company, ("accept", "*/*")) {
                None => watched.unavailable += 1,
                Some(decision) if watched.decisions.last() != Some(&decision) => watched.decisions.push(decision),
                Some(_) => {}
            }
            let epochs =
                [watched.decisions.first(), watched.decisions.last()].map(|decision| decision.map(|(epoch, _)| epoch));
            (stop.load(Ordering::Relaxed) && epochs[0] != epochs[1]).then_some(())
        });
        watched
    }

    #[actix_web::test]
    async fn a_restored_database_has_the_data_of_the_dump_and_running_replicas_answer_from_it() {
        let server = installed().await;
        let [owner, url, superuser] = ["iam_owner", "iam", "iam_test"].map(|role| server.url_as(role, "iam"));
        let mut replicas = [(); 2].map(|()| start(&[("DATABASE_URL", &url)]));
        let companies: Vec<_> = (0..size()).map(|_| Company::create(&replicas[0])).collect();
        let watched_company = &companies[0];

        // Load, and dump as a role that may only read.
        assert_eq!(metric(&mut replicas[1], "iam_last_backup_timestamp_seconds"), 0);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("drill-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let dumping = Instant::now();
        let output = back_up_and_keep("2", &server.url_as("iam_backup", "iam"), &folder);
        assert!(output.status.success(), "{}", text_of(&output));
        let dumping = dumping.elapsed();
        wait_until(|| (metric(&mut replicas[1], "iam_last_backup_timestamp_seconds") > 0).then_some(()));
        let expected: Vec<_> = companies.iter().map(|company| company.observe(&replicas[0]).unwrap()).collect();
        let rows = counts(&superuser).await;
        let versions = |server: &ServerProcess| -> Vec<_> {
            let fresh = |company| versioned_decision(server, company, ("cache-control", "no-cache"));
            companies.iter().map(|company| wait_until(|| fresh(company)).1).collect()
        };
        let dumped_versions = versions(&replicas[0]);

        // Changes after the dump, which the restore reverts.
        for company in &companies {
            company.set(&replicas[0], 1, &[]);
            company.set(&replicas[0], 2, &[0]);
        }
        let revoked = decision(&replicas[1], watched_company, ("cache-control", "no-cache")).unwrap();
        assert!(!revoked.1, "{revoked:?}");

        // Destroy and restore, while both replicas are asked.
        let stop = AtomicBool::new(false);
        let dump = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let (watched, restoring) = thread::scope(|scope| {
            let watching: Vec<_> =
                replicas.iter().map(|replica| scope.spawn(|| watch(replica, watched_company, &stop))).collect();
            let restoring = Instant::now();
            let administrator = server.url_as("iam_test", "postgres");
            let commands = ["DROP DATABASE iam WITH (FORCE)", "CREATE DATABASE iam OWNER iam_owner"];
            let commands = commands.map(|sql| format!("--command={sql}"));
            operate("psql", &[&administrator, &commands[0], &commands[1]], &folder);
            let options = ["--single-transaction", "--exit-on-error", "--dbname", &owner, dump.to_str().unwrap()];
            operate("pg_restore", &options, &folder);
            let restoring = restoring.elapsed();
            // A request that requires up-to-date data is now answered from the restored data.
            for replica in &replicas {
                let fresh = || decision(replica, watched_company, ("cache-control", "no-cache"));
                let (epoch, is_allowed) = wait_until(fresh);
                assert!(epoch != revoked.0 && is_allowed, "{epoch} {is_allowed}");
            }
            stop.store(true, Ordering::Relaxed);
            (watching.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>(), restoring)
        });

        // Each replica first answers from the data before the restore, then possibly not at all, and then from the dump.
        let new_epoch = decision(&replicas[0], watched_company, ("accept", "*/*")).unwrap().0;
        for replica in &watched {
            assert_eq!(replica.decisions, [revoked.clone(), (new_epoch.clone(), true)], "{replica:?}");
        }
        assert_eq!(counts(&superuser).await, rows);
        assert_eq!(replicas.each_ref().map(versions), [dumped_versions.clone(), dumped_versions]);
        for replica in &replicas {
            for (company, expected) in companies.iter().zip(&expected) {
                assert_eq!(&wait_until(|| company.observe(replica)), expected);
            }
        }
        // The restored database can be changed, and a change reaches the other replica.
        watched_company.set(&replicas[0], 1, &[]);
        let after = wait_until(|| decision(&replicas[1], watched_company, ("cache-control", "no-cache")));
        assert_eq!(after, (new_epoch, false));
        std::fs::remove_dir_all(folder).unwrap();
        let (users, unavailable) =
            (companies.len() * USERS, watched.iter().map(|replica| replica.unavailable).sum::<usize>());
        let decisions: usize = expected.iter().map(decisions_in).sum();
        println!(
            "{} companies, {users} users, {} rows, dump {dumping:.1?}, restore {restoring:.1?}: {decisions} decisions of each \
            replica are those before the dump; {unavailable} requests were unavailable meanwhile",
            companies.len(),
            rows.values().sum::<i64>(),
        );
    }

    /// Runs a client program of PostgreSQL.
    fn operate(program: &str, arguments: &[&str], folder: &Path) {
        let output = client_program(program, folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
    }

    /// Returns the number of decisions in what was observed about a company.
    fn decisions_in(observed: &BTreeMap<String, Value>) -> usize {
        let permissions = observed.iter().filter(|(path, _)| path.ends_with("/permissions?keys=true"));
        let decisions = permissions.map(|(_, permissions)| {
            let actions = permissions["features"].as_object().unwrap().values();
            let actions: usize = actions.map(|actions| actions.as_object().unwrap().len()).sum();
            permissions["views"].as_object().unwrap().len() + actions
        });
        decisions.sum()
    }
}
