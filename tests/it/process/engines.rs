//! Tests of several server processes in the forms of the global lock and of the change feed for engines other than
//! PostgreSQL.

mod postgres {
    use sea_orm::sqlx::query_scalar;
    use serde_json::json;

    use crate::process::persistence::{start, super_admin};
    use crate::process::replicas::{Case, allowed};
    use crate::support::api::new_company;
    use crate::support::database::{Content, TestDatabase};
    use crate::support::engines::OTHER_FORMS;
    use crate::support::process::{ServerProcess, wait_until};

    fn environment(database: &TestDatabase) -> [(&str, &str); 3] {
        let [gate, feed] = OTHER_FORMS;
        [("DATABASE_URL", database.url()), gate, feed]
    }

    #[actix_web::test]
    async fn a_revocation_reaches_the_other_replica_without_notifications() {
        let database = TestDatabase::new(Content::Seeded).await;
        database.switch_to_other_forms().await;
        let (a, b) = (start(&environment(&database)), start(&environment(&database)));
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
        let listeners = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE '% listener'";
        let listeners: i64 = query_scalar(listeners).fetch_one(&mut database.connect().await).await.unwrap();
        assert_eq!(listeners, 0);
    }

    #[actix_web::test]
    async fn a_restarted_replica_accepts_the_versions_of_the_other_one() {
        let database = TestDatabase::new(Content::Seeded).await;
        database.switch_to_other_forms().await;
        let a = start(&environment(&database));
        let case = Case::new(&a);
        let before = case.ask(&a).header("x-iam-version").map(str::to_owned);
        let b = start(&environment(&database));
        wait_until(|| (case.ask(&b).header("x-iam-version").map(str::to_owned) == before).then_some(()));
    }

    #[actix_web::test]
    async fn a_replica_in_another_form_than_the_installation_is_not_ready_and_changes_nothing() {
        let database = TestDatabase::new(Content::Seeded).await;
        let native = start(&[("DATABASE_URL", database.url())]);
        database.switch_to_other_forms().await;
        let late = ServerProcess::start(&[], &[("DATABASE_URL", database.url())]);
        wait_until(|| {
            let answer = late.get("/readyz?verbose");
            let reason = String::from_utf8_lossy(&answer.body).contains("the installation uses gate=row");
            (answer.status == 503 && reason).then_some(())
        });
        let path = format!("/api/iam/companies/{}/provision", new_company());
        let (token, body) = (super_admin(), json!({}));
        let refused = native.request("POST", &path, &[("authorization", token.as_str())], Some(&body));
        assert_eq!(refused.status, 503);
    }
}
