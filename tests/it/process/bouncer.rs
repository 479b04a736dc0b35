//! Tests of the service behind PgBouncer in session mode: it works without any PgBouncer-specific settings.

mod postgres {
    use serde_json::json;

    use crate::process::persistence::{start, super_admin};
    use crate::support::api::new_company;
    use crate::support::bouncer::Bouncer;
    use crate::support::process::{ServerProcess, wait_until};
    use crate::support::server::PostgresServer;

    fn status(server: &ServerProcess, method: &str, path: &str, body: Option<serde_json::Value>) -> u16 {
        let company = new_company().to_string();
        let token = super_admin();
        let headers = [("authorization", token.as_str()), ("x-company-id", company.as_str())];
        server.request(method, path, &headers, body.as_ref()).status.as_u16()
    }

    fn change(server: &ServerProcess) -> u16 {
        status(server, "POST", "/api/iam/user-levels", Some(json!({ "name": "Auditors" })))
    }

    fn decide(server: &ServerProcess) -> u16 {
        status(server, "POST", "/api/iam/check", Some(json!({ "view": "/dashboard" })))
    }

    #[actix_web::test]
    async fn changes_and_decisions_survive_a_restart_of_the_pooler() {
        let postgres = PostgresServer::start().await;
        let mut bouncer = Bouncer::of(&postgres);
        let url = bouncer.url();
        let environment = [("DATABASE_URL", url.as_str())];
        let (one, other) = (start(&environment), start(&environment));
        for server in [&one, &other] {
            for _ in 0..3 {
                assert_eq!((change(server), decide(server)), (201, 200));
            }
            assert_eq!(status(server, "GET", "/api/iam/audit-logs", None), 200);
            let user = crate::support::api::new_user();
            assert_eq!(status(server, "PUT", &format!("/api/iam/users/{user}/not-before"), None), 200);
        }
        bouncer.stop();
        assert_eq!(wait_until(|| Some(change(&one)).filter(|status| *status != 201)), 503);
        bouncer.start_again();
        for server in [&one, &other] {
            wait_until(|| (change(server) == 201 && decide(server) == 200).then_some(()));
        }
        one.stop();
        other.stop();
    }
}
