//! Tests of the row-level security of the console's sessions.

#[cfg(test)]
mod postgres {
    use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_scalar};

    use crate::support::database::{Content, TestDatabase, run};

    /// Sets `iam.company` for the rest of the session.
    async fn say(connection: &mut PgConnection, setting: &str) {
        run(connection, format!("SELECT set_config('iam.company', '{setting}', false)")).await.unwrap();
    }

    async fn count(connection: &mut PgConnection) -> i64 {
        let sql = AssertSqlSafe("SELECT count(*) FROM console_sessions".to_owned());
        query_scalar(sql).fetch_one(connection).await.unwrap()
    }

    fn insert(key: &str) -> String {
        format!("INSERT INTO console_sessions VALUES (sha256('{key}'), '{{}}', 'infinity', 'infinity')")
    }

    #[tokio::test]
    async fn a_statement_of_a_company_neither_sees_nor_changes_sessions() {
        let database = TestDatabase::new(Content::Schema).await;
        let mut connection = database.connect().await;
        run(&mut connection, insert("key")).await.unwrap();
        let mut application = database.connect_as_application().await;
        run(&mut application, insert("other")).await.unwrap_err();
        say(&mut application, "0190a000-0000-7000-8000-000000000001").await;
        assert_eq!(count(&mut application).await, 0);
        run(&mut application, "DELETE FROM console_sessions".to_owned()).await.unwrap();
        run(&mut application, insert("other")).await.unwrap_err();
        say(&mut application, "all").await;
        assert_eq!(count(&mut application).await, 1);
    }
}
