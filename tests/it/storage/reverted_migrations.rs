//! Tests of the data that remains when a migration is reverted.

mod postgres {
    use sea_orm::sqlx::{AssertSqlSafe, query_scalar};

    use crate::support::database::{Content, TestDatabase, run};

    #[tokio::test]
    async fn reverting_periods_makes_no_assignment_permanent() {
        let database = TestDatabase::new(Content::Schema).await;
        let mut connection = database.connect().await;
        run(
            &mut connection,
            "INSERT INTO company_states (company_id, version) VALUES (md5('a')::uuid, 7), (md5('b')::uuid, 7);
            INSERT INTO user_levels (id, company_id, name)
                SELECT md5(company)::uuid, md5(company)::uuid, 'Level' FROM unnest(ARRAY['a', 'b']) AS company;
            CREATE TABLE period AS SELECT * FROM (VALUES
                ('a', 'unlimited', NULL, NULL), ('a', 'pending', '1 hour', NULL), ('a', 'active', '-1 hour', '1 hour'),
                ('a', 'expired', NULL, '-1 hour'), ('b', 'started', '-1 hour', NULL)
            ) AS period (company, user_name, starts_in, expires_in);
            INSERT INTO user_user_levels (user_id, user_level_id, company_id, starts_at, expires_at)
                SELECT md5(user_name)::uuid, md5(company)::uuid, md5(company)::uuid, now() + starts_in::interval,
                    now() + expires_in::interval FROM period"
                .to_owned(),
        )
        .await
        .unwrap();
        let db = database.sea_orm().await;
        while !migration::down(&db, 1).await.unwrap()[0].ends_with("assignment_periods") {}
        let mut texts = async |sql: &str| -> Vec<String> {
            query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap()
        };
        let left = "SELECT user_name FROM period JOIN user_user_levels ON user_id = md5(user_name)::uuid ORDER BY 1";
        assert_eq!(texts(left).await, ["started", "unlimited"]);
        let versions = "SELECT version::text FROM company_states WHERE version >= 7 ORDER BY 1";
        assert_eq!(texts(versions).await, ["7", "8"]);
    }
}
