//! Tests of frozen processes and half-open connections. Other processes must continue to work, and the locks of the
//! blocked transactions must be released.

mod postgres {
    use std::time::Duration;

    use sea_orm::sqlx::{AssertSqlSafe, Connection as _, PgConnection, query_scalar};
    use serde_json::json;

    use crate::process::persistence::{start, super_admin};
    use crate::support::api::{new_company, new_user};
    use crate::support::client::Connection;
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::process::{ServerProcess, wait_until};
    use crate::support::proxy::Proxy;
    use crate::support::replica::until;

    fn open(server: &ServerProcess, method: &str, path: &str, company: &str, name: Option<&str>) -> Connection {
        let token = super_admin();
        let headers = [("authorization", token.as_str()), ("x-company-id", company)];
        let body = name.map(|name| json!({ "name": name }));
        server.open(method, path, &headers, body.as_ref())
    }

    fn add(server: &ServerProcess, company: &str, name: &str) -> u16 {
        open(server, "POST", "/api/iam/user-levels", company, Some(name)).answer().unwrap().status.as_u16()
    }

    fn cut_off(server: &ServerProcess) -> u16 {
        let path = format!("/api/iam/users/{}/not-before", new_user());
        open(server, "PUT", &path, &new_company().to_string(), None).answer().unwrap().status.as_u16()
    }

    /// Starts a change to the company. Returns as soon as the change waits for a lock inside its transaction.
    async fn inside_a_change(
        database: &TestDatabase,
        server: &ServerProcess,
        company: &str,
    ) -> (PgConnection, Connection) {
        let mut blocker = database.connect().await;
        run(&mut blocker, "BEGIN; LOCK TABLE user_levels IN SHARE MODE".to_owned()).await.unwrap();
        let request = open(server, "POST", "/api/iam/user-levels", company, Some("Lost"));
        let mut watch = database.connect().await;
        let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')";
        until(async || query_scalar::<_, bool>(AssertSqlSafe(waiting)).fetch_one(&mut watch).await.unwrap()).await;
        (blocker, request)
    }

    async fn release(mut blocker: PgConnection) {
        run(&mut blocker, "COMMIT".to_owned()).await.unwrap();
        blocker.close().await.unwrap();
    }

    #[actix_web::test]
    async fn a_process_frozen_inside_a_change_does_not_block_a_cut_off() {
        let database = TestDatabase::new(Content::Seeded).await;
        let patient = ("IAM__DATABASE__STATEMENT_TIMEOUT", "60s");
        let environment = [("DATABASE_URL", database.url()), patient, ("IAM__DATABASE__LOCK_TIMEOUT", "30s")];
        let (frozen, sound) = (start(&environment), start(&environment));
        let company = new_company().to_string();
        let (blocker, request) = inside_a_change(&database, &frozen, &company).await;
        frozen.signal("STOP");
        release(blocker).await;
        assert_eq!(cut_off(&sound), 200);
        wait_until(|| (add(&sound, &company, "Next") == 201).then_some(()));
        // After the process resumes, its interrupted change fails. The process then continues to serve requests.
        frozen.signal("CONT");
        drop(request);
        wait_until(|| (add(&frozen, &company, &new_user().to_string()) == 201).then_some(()));
        frozen.stop();
    }

    #[test]
    fn a_process_with_dead_connections_ends_on_a_signal() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let database = runtime.block_on(TestDatabase::new(Content::Seeded));
        let proxy = runtime.block_on(Proxy::to(&database));
        let environment = [
            ("DATABASE_URL", proxy.url()),
            ("IAM__SERVER__SHUTDOWN_TIMEOUT", "2s"),
            ("IAM__DATABASE__STATEMENT_TIMEOUT", "2s"),
            ("IAM__DATABASE__CHANGE_TIMEOUT", "3s"),
        ];
        let server = start(&environment);
        let company = new_company().to_string();
        assert_eq!(add(&server, &company, "Before"), 201);
        proxy.fall_silent();
        let _request = open(&server, "POST", "/api/iam/user-levels", &company, Some("Lost"));
        std::thread::sleep(Duration::from_millis(100));
        server.stop();
    }

    #[test]
    fn a_change_on_a_dead_connection_does_not_block_its_company() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let database = runtime.block_on(TestDatabase::new(Content::Seeded));
        let proxy = runtime.block_on(Proxy::to(&database));
        let environment = [("DATABASE_URL", proxy.url()), ("IAM__DATABASE__STATEMENT_TIMEOUT", "2s")];
        let server = start(&environment);
        let company = new_company().to_string();
        assert_eq!(add(&server, &company, "Before"), 201);
        proxy.forget();
        wait_until(|| (add(&server, &company, &new_user().to_string()) == 201).then_some(()));
        assert_eq!(cut_off(&server), 200);
        server.stop();
    }
}
