//! Tests of the shares of the connection pool. A flood of one company leaves connections to other companies, to other
//! classes of work, to polls and to look-ups of credentials.

mod postgres {
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;

    use iam_permissions_cache::CacheOptions;
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use sea_orm::sqlx::query_scalar;
    use serde_json::json;

    use crate::support::api::{Company, TestApi, patient};
    use crate::support::database::{TestDatabase, run};
    use crate::support::replica::{Replica, sooner_or_later, until};

    const CONNECTIONS: u32 = 10;
    /// Number of audit reads of one company that are in flight. It is much greater than the number of connections.
    const FLOOD: usize = 64;
    /// The key of the advisory lock that delays reads of the audit log of one company.
    const HOLD: &str = "4711";

    /// Starts a replica with a pool of [`CONNECTIONS`] connections.
    async fn replica(api: &TestApi, database: &TestDatabase) -> Replica {
        let options = PostgresOptions {
            max_connections: CONNECTIONS,
            acquire_timeout: Duration::from_secs(3),
            ..database.options()
        };
        let storage = Arc::new(PostgresStorage::connect(&options).unwrap());
        let lease = Duration::from_secs(10);
        Replica::over(api, storage, CacheOptions { lease, ..patient() }).await
    }

    /// Delays each read of an audit record of this company until the advisory lock [`HOLD`] is available.
    fn delay_audit_reads(company: Company) -> String {
        format!(
            "CREATE FUNCTION is_released() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
                BEGIN PERFORM pg_advisory_xact_lock_shared({HOLD}); RETURN true; END $$;
            CREATE POLICY held ON iam_audit_logs AS RESTRICTIVE FOR SELECT
                USING (company_id IS DISTINCT FROM '{}' OR is_released())",
            company.id
        )
    }

    #[actix_web::test]
    async fn audit_reads_of_one_company_leave_connections_to_all_others() {
        let api = TestApi::postgres().await;
        let database: Rc<TestDatabase> = api.database.clone().unwrap();
        let (flooding, other) = (api.company().await, api.company().await);
        let replica = replica(&api, &database).await;
        let service = &replica.api;
        let mut holder = database.connect().await;
        let sql = format!("{}; SELECT pg_advisory_lock({HOLD})", delay_audit_reads(flooding));
        run(&mut holder, sql).await.unwrap();

        // The replica knows that the caller is a member. Until then, the caller has the smaller share of a non-member.
        let levels = service.get("/api/iam/user-levels").by(flooding.admin).within(flooding.id);
        levels.send().await.expect(200);
        let reads: Vec<_> = (0..FLOOD)
            .map(|_| {
                let read = service.get("/api/iam/audit-logs").by(flooding.admin).within(flooding.id);
                actix_web::rt::spawn(read.send())
            })
            .collect();
        let mut watch = database.connect().await;
        let mut waiting = async || {
            let sql = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND (wait_event_type, wait_event) = ('Lock', 'advisory')";
            query_scalar::<_, i64>(sql).fetch_one(&mut watch).await.unwrap()
        };
        until(async || waiting().await >= 1).await;

        for n in 0..3 {
            let within = |path: &str| service.get(path).by(other.admin).within(other.id);
            sooner_or_later(within("/api/iam/user-levels").send()).await.expect(200);
            sooner_or_later(within("/api/iam/audit-logs").send()).await.expect(200);
            let level = json!({ "name": format!("Level {n}") });
            let create = service.post("/api/iam/user-levels").by(other.admin).within(other.id).json(&level);
            sooner_or_later(create.send()).await.expect(201);
            let check = json!({ "view": "/dashboard" });
            for cache in ["no-cache", "max-age=60"] {
                let check = service.post("/api/iam/check").by(other.member).within(other.id).json(&check);
                sooner_or_later(check.header("cache-control", cache).send()).await.expect(200);
            }
            let step = json!({ "sessionId": "tab", "url": "/dashboard", "label": "Dashboard" });
            let track = service.post("/api/iam/nav-trail").by(other.admin).within(other.id).json(&step);
            sooner_or_later(track.send()).await.expect(201);
            // The key is new, so its look-up needs the database.
            let key = sooner_or_later(service.api_key("read", Some(other.id))).await;
            let by_key = service.get("/api/iam/user-levels").by_key(&key).within(other.id);
            sooner_or_later(by_key.send()).await.expect(200);
            sooner_or_later(replica.catch_up()).await;
        }
        // A company has one read of the audit log at a time.
        assert_eq!(waiting().await, 1);
        let cut_off = format!("/api/iam/users/{}/not-before", flooding.admin);
        sooner_or_later(service.put(&cut_off).by_super_admin().json(&json!({})).send()).await.expect(200);

        run(&mut holder, format!("SELECT pg_advisory_unlock({HOLD})")).await.unwrap();
        for read in reads {
            let status = sooner_or_later(read).await.unwrap().status.as_u16();
            // Reads beyond the share fail after the acquire timeout. Later reads follow the cut-off of their caller.
            assert!([200, 401, 503].contains(&status), "{status}");
        }
    }
}
