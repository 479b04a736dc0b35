//! Tests of databases that are restored, replaced, isolated or made read-only. Replicas must stop using data that they
//! cached from such a database.

mod postgres {
    use std::time::{Duration, Instant};

    use iam_permissions_cache::{CacheOptions, Consistency, Subject};
    use sea_orm::sqlx::{PgConnection, query_scalar};

    use crate::process::persistence::{SECRET, start};
    use crate::process::replicas::{Case, allowed};
    use crate::support::api::{TestApi, patient};
    use crate::support::database::run;
    use crate::support::process::{ServerProcess, wait_until};
    use crate::support::replica::{Replica, until};
    use crate::support::server::PostgresServer;

    const LEASE: Duration = Duration::from_secs(1);
    /// Short values for the lease and the load timeout. While polls fail, a decision fails only after the lease and
    /// then the load timeout have expired.
    const SHORT_WAITS: [(&str, &str); 2] = [("IAM__CACHE__LEASE", "1s"), ("IAM__CACHE__LOAD_TIMEOUT", "1s")];

    fn start_on(server: &PostgresServer) -> ServerProcess {
        let [lease, load_timeout] = SHORT_WAITS;
        start(&[("DATABASE_URL", &server.url()), lease, load_timeout])
    }

    /// Returns the problem that `/readyz` reports.
    fn reason(server: &ServerProcess) -> Option<String> {
        let answer = server.get("/readyz");
        (answer.status == 503).then(|| String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Waits until a decision fails with 503. Then asserts that every further decision fails, including decisions that
    /// require up-to-date data.
    fn stops_answering(server: &ServerProcess, case: &Case) {
        wait_until(|| allowed(&case.ask(server)).is_none().then_some(()));
        for _ in 0..3 {
            assert_eq!(allowed(&case.ask(server)), None);
            assert_eq!(allowed(&case.request_without_cache(server)), None);
        }
    }

    /// Waits until a decision is a denial after an acknowledged revocation. Decisions may fail meanwhile, because the
    /// short lease may expire on a busy machine. No decision may be an allow.
    fn denies_from_now_on(server: &ServerProcess, case: &Case) {
        wait_until(|| {
            let decision = allowed(&case.ask(server));
            assert_ne!(decision, Some(true), "a decision after the acknowledged revocation must not be an allow");
            decision
        });
    }

    // --- Which server is the primary ---

    #[actix_web::test]
    async fn an_isolated_primary_whose_synchronous_standby_was_promoted_stops_answering() {
        let mut old = PostgresServer::start().await;
        let new = old.standby().await;
        old.wait_for_standbys().await;
        let behind = start_on(&old);
        let case = Case::new(&behind);
        case.wait_for(&behind, true);

        new.promote().await;
        let promoted = Instant::now();
        let ahead = start_on(&new);
        assert_eq!(case.set(&ahead, false), 200);
        loop {
            let is_within_lease = promoted.elapsed() < LEASE;
            let answer = allowed(&case.ask(&behind));
            if !is_within_lease {
                assert_eq!(answer, None, "the replica of the old primary must decide for at most the lease");
                break;
            }
        }
        stops_answering(&behind, &case);
        denies_from_now_on(&ahead, &case);
    }

    #[actix_web::test]
    async fn a_standby_serves_nothing_until_it_is_promoted() {
        let mut primary = PostgresServer::start().await;
        let standby = primary.standby().await;
        let sound = start_on(&primary);
        let case = Case::new(&sound);
        let url = standby.url();
        let [lease, load_timeout] = SHORT_WAITS;
        let environment = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", SECRET), lease, load_timeout];
        let server = ServerProcess::start(&[], &environment);
        // The process cannot use the database, because the server is a standby in recovery. The process must report
        // this reason.
        wait_until(|| reason(&server).filter(|why| why.contains("recovery")));
        stops_answering(&server, &case);

        primary.stop();
        standby.promote().await;
        case.wait_for(&server, true);
        wait_until(|| reason(&server).is_none().then_some(()));
        assert_eq!(case.set(&server, false), 200);
        denies_from_now_on(&server, &case);
    }

    /// While the database is read-only, a replica serves no decisions. The test changes `default_transaction_read_only`
    /// for open sessions too, as managed databases do when the disk is full.
    #[actix_web::test]
    async fn a_replica_stops_answering_while_its_server_is_read_only() {
        let database = PostgresServer::start().await;
        let server = start_on(&database);
        let case = Case::new(&server);
        for _ in 0..2 {
            case.wait_for(&server, true);
            database.run("ALTER SYSTEM SET default_transaction_read_only = on").await;
            database.run("SELECT pg_reload_conf()").await;
            wait_until(|| reason(&server).filter(|why| why.contains("read-only")));
            stops_answering(&server, &case);
            database.run("ALTER SYSTEM RESET default_transaction_read_only").await;
            database.run("SELECT pg_reload_conf()").await;
            wait_until(|| reason(&server).is_none().then_some(()));
        }
        case.wait_for(&server, true);
    }

    // --- Rows that a restore reverts ---

    /// Reverts rows to a lower version, as a data-only restore with disabled triggers does.
    async fn put_back(connection: &mut PgConnection, changed_by: &str, rows: &str) {
        let sql = format!(
            "BEGIN; SET LOCAL session_replication_role = replica;
            UPDATE company_states SET version = version - 1, stamp = stamp + 1, changed_by = {changed_by} WHERE {rows};
            COMMIT"
        );
        run(connection, sql).await.unwrap();
    }

    /// Replicas drop their cache entries when a load or a poll detects a lower version within the same epoch. The lease
    /// is too long to expire during the test.
    #[actix_web::test]
    async fn a_lower_version_within_an_epoch_invalidates_everything_wherever_it_is_detected() {
        let api = TestApi::postgres().await;
        let database = api.database.clone().unwrap();
        let company = api.company().await;
        let options = CacheOptions { lease: Duration::from_secs(600), ..patient() };
        let (noticing, other) =
            (Replica::with_options(&api, options).await, Replica::with_options(&api, options).await);
        let access = async |replica: &Replica, consistency| {
            replica.permissions.access(company.id, Subject::User(company.admin), consistency).await.ok()
        };
        let mut connection = database.connect().await;
        let of_company = format!("company_id = '{}'", company.id);
        let all = "true".to_owned();
        // In the first case, polls do not report the lower version, so a load detects it. In the other cases, a poll
        // reports it.
        for (changed_by, rows) in
            [("changed_by", &of_company), ("pg_current_xact_id()", &of_company), ("pg_current_xact_id()", &all)]
        {
            for replica in [&noticing, &other] {
                until(async || access(replica, Consistency::Cached).await.is_some()).await;
            }
            let history: uuid::Uuid =
                query_scalar("SELECT history FROM iam_installation").fetch_one(&mut connection).await.unwrap();
            let before = access(&other, Consistency::Cached).await.unwrap().versions();
            put_back(&mut connection, changed_by, rows).await;
            until(async || {
                access(&noticing, Consistency::Fresh)
                    .await
                    .is_some_and(|access| access.versions().epoch != before.epoch)
            })
            .await;
            // The replica that detected the lower version has changed the epoch. For this reason the other replica
            // drops its entries too.
            let now: uuid::Uuid =
                query_scalar("SELECT history FROM iam_installation").fetch_one(&mut connection).await.unwrap();
            assert_ne!(now, history, "{changed_by} {rows}");
            other.catch_up().await;
            until(async || {
                access(&other, Consistency::Cached).await.is_some_and(|access| access.versions().epoch != before.epoch)
            })
            .await;
        }
    }

    // --- Credentials that are changed directly in the database ---

    /// Replicas reject a key that is revoked or deleted in SQL, if the version is incremented as docs/persistence.md
    /// describes. If a restore of the table removes a key without a new version, replicas reject the key after the next
    /// change to the credentials.
    #[actix_web::test]
    async fn keys_revoked_or_deleted_directly_in_the_database_are_rejected() {
        let api = TestApi::postgres().await;
        let database = api.database.clone().unwrap();
        let options = CacheOptions { lease: Duration::from_secs(600), ..patient() };
        let replicas = [Replica::with_options(&api, options).await, Replica::with_options(&api, options).await];
        let status =
            async |replica: &Replica, key: &str| replica.api.get("/api/iam/views").by_key(key).send().await.status;
        let mut connection = database.connect().await;
        let bump =
            "UPDATE company_states SET version = version + 1 WHERE company_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff'";
        let cases = [
            ("UPDATE api_keys SET revoked_at = now() WHERE prefix =", true),
            ("DELETE FROM api_keys WHERE prefix =", true),
            ("DELETE FROM api_keys WHERE prefix =", false),
        ];
        for (edit, is_told) in cases {
            let key = api.api_key("read", None).await;
            let prefix = key.split('_').nth(1).unwrap();
            for replica in &replicas {
                replica.catch_up().await;
                assert_eq!(status(replica, &key).await, 200);
            }
            run(&mut connection, format!("{edit} '{prefix}'")).await.unwrap();
            if is_told {
                run(&mut connection, bump.to_owned()).await.unwrap();
            } else {
                // Replicas detect the deletion at the next change to the credentials.
                api.api_key("read", None).await;
            }
            for replica in &replicas {
                replica.catch_up().await;
                assert_eq!(status(replica, &key).await, 401, "{edit} {is_told}");
            }
        }
    }
}
