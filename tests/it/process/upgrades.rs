//! The upgrade drill: replicas of an old and of this release serve on the same database behind a load balancer, during the
//! migration, the rolling update and the rollback. No request fails. `make upgrade-drill` builds the old release and runs
//! the drill.

mod postgres {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use crate::process::persistence::SECRET;
    use crate::process::restarts::postgres::send_requests;
    use crate::support::database::{Content, TestDatabase};
    use crate::support::haproxy::HaProxy;
    use crate::support::process::{ServerProcess, binary, run, text_of, wait_until};

    /// The number of clients that send requests during the whole drill.
    const CLIENTS: usize = 4;
    /// The number of requests that must succeed in each phase.
    const REQUESTS: usize = 400;

    /// Returns a variable that `make upgrade-drill` sets.
    #[expect(clippy::disallowed_methods, reason = "`make upgrade-drill` describes the old release")]
    fn variable(name: &str) -> Option<PathBuf> {
        std::env::var_os(name).map(PathBuf::from)
    }

    /// The server program of a release.
    struct Release {
        program: PathBuf,
        /// Whether the release has an admin port. A release without it rejects the setting.
        has_admin_port: bool,
    }

    impl Release {
        /// Starts a replica with settings that all releases know.
        fn start(&self, database: &TestDatabase) -> ServerProcess {
            let mut settings = vec![
                ("PORT", "0"),
                ("JWT_SECRET", SECRET),
                ("DATABASE_URL", database.url()),
                ("IAM__SERVER__DRAIN_DELAY", "4s"),
                ("IAM__SERVER__WORKERS", "2"),
                ("IAM__DATABASE__MAX_CONNECTIONS", "4"),
                ("IAM__RATE_LIMIT__PER_USER", "0"),
                ("IAM__RATE_LIMIT__PER_COMPANY", "0"),
            ];
            if self.has_admin_port {
                settings.push(("IAM__ADMIN__PORT", "0"));
            }
            ServerProcess::start_exactly(self.program.to_str().unwrap(), &[], &settings)
        }
    }

    fn migrate(program: &Path, arguments: &[&str], database: &TestDatabase) -> String {
        let output = run(program.to_str().unwrap(), arguments, &[("DATABASE_URL", database.url())]);
        assert!(output.status.success(), "{arguments:?}: {}", text_of(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Replaces a replica by a process of this release, after the old process has ended.
    fn replace(
        replicas: &mut [ServerProcess],
        number: usize,
        release: &Release,
        database: &TestDatabase,
        balancer: &HaProxy,
    ) {
        let new = release.start(database);
        wait_until(|| (new.get("/readyz").status == 200).then_some(()));
        std::mem::replace(&mut replicas[number], new).stop();
        balancer.move_replica(number, replicas[number].address);
        wait_until(|| balancer.is_up(number).then_some(()));
    }

    #[actix_web::test]
    #[ignore = "it needs the programs of an old release: run make upgrade-drill"]
    async fn an_upgrade_and_a_rollback_fail_no_request() {
        let programs = variable("IAM_OLD_PROGRAMS").expect("run make upgrade-drill");
        let has_admin_port = variable("IAM_OLD_HAS_ADMIN_PORT").is_some();
        let old = Release { program: programs.join("iam-http"), has_admin_port };
        let new = Release { program: binary("iam-http"), has_admin_port: true };
        let database = TestDatabase::new(Content::Nothing).await;
        migrate(&programs.join("migration"), &["up"], &database);
        migrate(&programs.join("migration"), &["seed"], &database);
        // The last replica is of the new release, and is not ready before the migration.
        let mut replicas = vec![old.start(&database), old.start(&database), new.start(&database)];
        let addresses: Vec<_> = replicas.iter().map(|replica| replica.address).collect();
        let balancer = HaProxy::of(&addresses);
        for number in 0..2 {
            wait_until(|| balancer.is_up(number).then_some(()));
        }
        let refused = wait_until(|| {
            Some(replicas[2].get("/readyz?verbose")).filter(|answer| answer.json().to_string().contains("pending"))
        });
        assert_eq!(refused.status, 503);

        let (stop, succeeded) = (AtomicBool::new(false), AtomicUsize::new(0));
        let failures = thread::scope(|scope| {
            let client = || send_requests(balancer.address, &stop, &succeeded);
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let count = || succeeded.load(Ordering::Relaxed);
            let phase = |name: &str, work: &mut dyn FnMut()| {
                let (start, before) = (Instant::now(), count());
                work();
                let needed = count() + REQUESTS;
                let has_ended = || clients.iter().any(|client| client.is_finished());
                wait_until(|| (count() >= needed || has_ended()).then_some(()));
                println!("{name}: {} requests in {:.1?}", count() - before, start.elapsed());
            };
            phase("old replicas, old schema", &mut || {});
            phase("migration", &mut || {
                let applied = migrate(&binary("iam"), &["migrate", "up", "--wait", "5m"], &database);
                assert!(applied.contains("applied "), "the old release must lack a migration: {applied}");
            });
            phase("old replicas, new schema", &mut || {});
            phase("the new replica that waited for the migration joins", &mut || {
                wait_until(|| balancer.is_up(2).then_some(()));
            });
            for number in 0..2 {
                phase("a new replica replaces an old one", &mut || {
                    replace(&mut replicas, number, &new, &database, &balancer);
                });
            }
            for number in 0..3 {
                phase("an old replica replaces a new one", &mut || {
                    replace(&mut replicas, number, &old, &database, &balancer);
                });
            }
            stop.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        println!("in total: {} requests succeeded, {} failed", succeeded.into_inner(), failures.len());
        assert_eq!(failures, Vec::<String>::new());
    }
}
