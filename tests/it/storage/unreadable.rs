//! Tests that a row of the database that cannot be parsed affects only its own company, key or user.

pub mod postgres {
    use std::sync::Arc;

    use iam_domain::{ApiKeyPrefix, CompanyId};
    use serde_json::{Value, json};

    use crate::support::api::{Answer, Company, TestApi, new_user};
    use crate::support::database::run;

    /// Executes raw SQL on the database of the API, as an operator could.
    async fn edit(api: &TestApi, sql: String) {
        let mut connection = api.database.as_ref().unwrap().connect().await;
        run(&mut connection, format!("SET iam.company = 'all'; {sql}")).await.unwrap();
    }

    /// Creates another replica, which shares no cache with the first, and loads all data.
    async fn replica(api: &TestApi) -> TestApi {
        api.behind(Arc::new(api.database.as_ref().unwrap().storage())).await
    }

    async fn check(api: &TestApi, company: Company, view: &str) -> Answer {
        api.post("/api/iam/check").by(company.admin).within(company.id).json(&json!({ "view": view })).send().await
    }

    async fn key_is_accepted(api: &TestApi, key: &str, company: CompanyId) -> u16 {
        api.get("/api/iam/user-levels").by_key(key).within(company).send().await.status.as_u16()
    }

    #[actix_web::test]
    async fn an_unreadable_api_key_affects_only_this_key() {
        let api = TestApi::postgres().await;
        let company = api.company().await;
        let (broken, good) = (api.api_key("read", Some(company.id)).await, api.api_key("read", Some(company.id)).await);
        assert_eq!(key_is_accepted(&api, &broken, company.id).await, 200);
        let prefix = |key: &str| key.split('_').find_map(|part| ApiKeyPrefix::parse(part).ok()).unwrap();
        let state = "UPDATE company_states SET version = version + 1
            WHERE company_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff'";
        edit(
            &api,
            format!(
                "BEGIN; {state}; UPDATE api_keys SET name = '', version = (SELECT version FROM company_states
                WHERE company_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff') WHERE prefix = '{}'; COMMIT",
                prefix(&broken)
            ),
        )
        .await;
        let fresh = replica(&api).await;
        for api in [&api, &fresh] {
            // A change to the credentials makes each replica load the changed rows.
            let cut = format!("/api/iam/users/{}/not-before", new_user());
            api.put(&cut).by_super_admin().send().await.expect(200);
            assert_eq!(key_is_accepted(api, &broken, company.id).await, 401);
            assert_eq!(key_is_accepted(api, &good, company.id).await, 200);
            check(api, company, "/dashboard").await.expect(200);
        }
        let late = api.api_key("read", Some(company.id)).await;
        assert_eq!(key_is_accepted(&api, &late, company.id).await, 200);
    }

    #[actix_web::test]
    async fn an_unreadable_cut_off_rejects_only_its_user() {
        let api = TestApi::postgres().await;
        let company = api.company().await;
        let cut = format!("/api/iam/users/{}/not-before", company.member);
        api.put(&cut).by_super_admin().send().await.expect(200);
        edit(&api, format!("UPDATE user_cutoffs SET not_before = '290000-01-01' WHERE user_id = '{}'", company.member))
            .await;
        let fresh = replica(&api).await;
        check(&fresh, company, "/dashboard").await.expect(200);
        fresh.get("/api/iam/permissions/current").by(company.member).within(company.id).send().await.expect(401);
    }

    #[actix_web::test]
    async fn an_unreadable_row_of_the_catalog_is_denied_and_affects_no_other_row() {
        let api = TestApi::postgres().await;
        let company = api.company().await;
        let answer = check(&api, company, "/users").await.expect(200).data();
        assert_eq!(answer["allowed"], true);
        for (table, column) in [("views", "url"), ("features", "key"), ("modules", "code")] {
            edit(
                &api,
                format!(
                    "ALTER TABLE {table} DISABLE TRIGGER ALL; UPDATE {table} SET name = ''
                WHERE id = (SELECT id FROM {table} WHERE {column} IN ('/users', 'iam.manage_menu', 'risks')
                    OR {column} = (SELECT max({column}) FROM {table}) ORDER BY {column} DESC LIMIT 1)"
                ),
            )
            .await;
        }
        let broken: String = {
            let mut connection = api.database.as_ref().unwrap().connect().await;
            sea_orm::sqlx::query_scalar("SELECT url FROM views WHERE name = ''")
                .fetch_one(&mut connection)
                .await
                .unwrap()
        };
        let fresh = replica(&api).await;
        assert_eq!(check(&fresh, company, "/dashboard").await.expect(200).data()["allowed"], true);
        let denied = check(&fresh, company, &broken).await;
        let allowed = denied.status.is_success().then(|| denied.data()["allowed"].clone());
        assert!(allowed.is_none_or(|allowed| allowed == Value::Bool(false)));
        for list in ["views", "features"] {
            fresh.get(&format!("/api/iam/{list}")).by(company.admin).within(company.id).send().await.expect(200);
        }
        fresh.get("/api/iam/navigation").by(company.admin).within(company.id).send().await.expect(200);
        fresh.get("/api/iam/permissions/current").by(company.admin).within(company.id).send().await.expect(200);
    }

    #[actix_web::test]
    async fn an_unreadable_cell_affects_only_its_company() {
        let api = TestApi::postgres().await;
        let (company, other) = (api.company().await, api.company().await);
        edit(
            &api,
            format!(
                "UPDATE user_level_feature_permissions SET action = '' WHERE id = (SELECT id
                FROM user_level_feature_permissions WHERE company_id = '{}' LIMIT 1)",
                company.id
            ),
        )
        .await;
        let fresh = replica(&api).await;
        check(&fresh, company, "/dashboard").await.expect(500);
        assert_eq!(check(&fresh, other, "/dashboard").await.expect(200).data()["allowed"], true);
        let late = fresh.company().await;
        check(&fresh, late, "/dashboard").await.expect(200);
    }
}
