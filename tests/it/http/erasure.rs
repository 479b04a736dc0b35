//! Tests that the erasure of a company leaves no data in the database.

mod postgres {
    use iam_permissions_cache::{FillOptions, Filled};
    use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_scalar};
    use serde_json::json;

    use crate::http::directory::{path_of, set_status};
    use crate::support::api::TestApi;
    use crate::support::database::run;
    use crate::support::replica::Replica;

    async fn number(connection: &mut PgConnection, sql: String) -> i64 {
        query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap()
    }

    /// Returns the tables that have this column.
    async fn tables(connection: &mut PgConnection, column: &str) -> Vec<String> {
        let sql = format!(
            "SELECT table_name::text FROM information_schema.columns JOIN information_schema.tables
                USING (table_schema, table_name)
            WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name LIKE '{column}'
                AND NOT (SELECT relispartition FROM pg_class WHERE oid = format('public.%I', table_name)::regclass)
            GROUP BY table_name ORDER BY 1"
        );
        query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap()
    }

    /// After an erasure, no table contains a row of the company, its id or the name of a user. Only the tombstone and
    /// the records of the platform contain the id. The test fills every table that has a company column, so it fails if
    /// a new table is not filled.
    #[actix_web::test]
    async fn an_erasure_leaves_no_row_in_any_table() {
        let api = TestApi::postgres().await;
        let company = api.company().await;
        let id = company.id;
        let member = |path: &str| format!("/api/iam/users/{}{path}", company.member);
        let profile = json!({ "displayName": "Ada Lovelace", "email": "lovelace@example.com" });
        api.put(&member("/profile")).by(company.admin).within(id).json(&profile).send().await.expect(200);
        let item = api.make("menu-items", Some(id), json!({ "label": "Lovelace's item" })).await;
        let sub = json!({ "label": "Lovelace's sub-item", "menuItemId": item["id"] });
        let sub = api.make("sub-menu-items", Some(id), sub).await;
        let step = json!({ "sessionId": "s", "url": "/lovelace", "label": "Lovelace" });
        api.post("/api/iam/nav-trail").by(company.member).within(id).json(&step).send().await.expect(201);
        api.put(&format!("{}/quotas", path_of(id)))
            .by_super_admin()
            .json(&json!({ "levels": 900 }))
            .send()
            .await
            .expect(200);
        let ceilings = json!({ "hiddenViews": [api.view_id("/home").await], "actions": [] });
        api.put(&format!("{}/ceilings", path_of(id))).by_super_admin().json(&ceilings).send().await.expect(200);
        let named = json!({ "name": "Lovelace Ltd" });
        api.patch(&path_of(id)).by_super_admin().json(&named).send().await.expect(200);
        api.api_key("check", Some(id)).await;
        let once = api.post("/api/iam/user-levels").by(company.admin).within(id).header("idempotency-key", "lovelace");
        once.json(&json!({ "name": "Lovelace" })).send().await.expect(201);
        set_status(&api, id, "suspended").await;
        let replica = Replica::of(&api).await;
        replica.api.check(company, company.member, json!({ "view": "/dashboard" })).await;
        assert!(replica.permissions.fill(&mut Filled::default(), &FillOptions::default()).await > 0);

        let mut connection = api.database.as_ref().unwrap().connect().await;
        run(&mut connection, "SET iam.company = 'all'".to_owned()).await.unwrap();
        let of_companies = tables(&mut connection, "company\\_id").await;
        assert!(of_companies.len() >= 14, "{of_companies:?}");
        for table in &of_companies {
            let rows = format!("SELECT count(*) FROM {table} WHERE company_id = '{id}'");
            assert!(number(&mut connection, rows).await > 0, "the test must create a row in {table}");
        }
        let answer = api.delete(&path_of(id)).by_super_admin().send().await.expect(200).data();
        let deleted = answer["rows"].as_object().unwrap();
        for table in &of_companies {
            let rows = number(&mut connection, format!("SELECT count(*) FROM {table} WHERE company_id = '{id}'")).await;
            if table == "company_states" {
                assert_eq!(rows, 1, "the tombstone");
            } else {
                assert_eq!(rows, 0, "{table}");
                assert!(deleted[table].as_u64().unwrap() > 0, "{table}");
            }
        }
        let subs = format!("SELECT count(*) FROM sub_menu_items WHERE id = '{}'", sub["id"].as_str().unwrap());
        assert_eq!(number(&mut connection, subs).await, 0);

        // The tombstone contains nothing but the id, the version, the status and technical columns.
        let kept = ["company_id", "version", "status", "erased_at", "created_at", "updated_at", "changed_by", "stamp"];
        let others = format!(
            "SELECT count(*) FROM company_states AS state, jsonb_each(to_jsonb(state)) AS member
            WHERE state.company_id = '{id}' AND member.value <> 'null' AND member.key <> ALL('{{{}}}')",
            kept.join(",")
        );
        assert_eq!(number(&mut connection, others).await, 0);

        let all = tables(&mut connection, "%").await;
        for table in all {
            let of = |text: &str| format!("SELECT count(*) FROM {table} AS row WHERE row::text ILIKE '%{text}%'");
            assert_eq!(number(&mut connection, of("lovelace")).await, 0, "{table}");
            let rows = number(&mut connection, of(&id.to_string())).await;
            let expected = match table.as_str() {
                "company_states" => 1,
                // The records of the platform: the creation of the API key, and the erasure.
                "iam_audit_logs" => 2,
                _ => 0,
            };
            assert_eq!(rows, expected, "{table}");
        }
    }

    /// An erasure waits for a navigation step that is being stored, and deletes it. A later step is rejected.
    #[actix_web::test]
    async fn no_navigation_step_outlives_an_erasure() {
        let api = TestApi::postgres().await;
        let company = api.company().await;
        set_status(&api, company.id, "suspended").await;
        let mut connection = api.database.as_ref().unwrap().connect().await;
        let begin = format!(
            "BEGIN; SELECT set_config('iam.company', 'all', true);
            SELECT 1 FROM company_states WHERE company_id = '{id}' FOR KEY SHARE;
            INSERT INTO nav_trail (id, user_id, company_id, session_id, url, label, depth)
                VALUES (gen_random_uuid(), gen_random_uuid(), '{id}', 's', '/a', 'A', 0)",
            id = company.id
        );
        run(&mut connection, begin).await.unwrap();
        let path = path_of(company.id);
        let erasing = api.delete(&path).by_super_admin().send();
        let commit = async {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            run(&mut connection, "COMMIT".to_owned()).await.unwrap();
        };
        let (answer, ()) = futures_util::future::join(erasing, commit).await;
        assert_eq!(answer.expect(200).data()["rows"]["nav_trail"], 1);
        run(&mut connection, "SET iam.company = 'all'".to_owned()).await.unwrap();
        let left = format!("SELECT count(*) FROM nav_trail WHERE company_id = '{}'", company.id);
        assert_eq!(number(&mut connection, left).await, 0);
    }
}
