//! Tests of the rows that the selection of members by their levels reads, and the copy of a company returns.

mod postgres {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use iam_domain::{CompanyId, UserLevelId};
    use iam_storage::{LevelRules, Storage};
    use iam_storage_postgres::PostgresStorage;
    use sea_orm::sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

    use super::super::rows_read::postgres::rows_read;
    use crate::support::api::new_company;
    use crate::support::database::{Content, TestDatabase, run};

    const USERS: usize = 200;

    /// Inserts a company with this many levels. Each of its users holds two of them. Returns the levels.
    async fn fill(connection: &mut PgConnection, company: CompanyId, levels: usize) -> Vec<UserLevelId> {
        run(
            connection,
            format!(
                "INSERT INTO company_states (company_id, version) VALUES ('{company}', 1);
                CREATE TEMP TABLE own AS SELECT gen_random_uuid() AS id, n FROM generate_series(0, {levels} - 1) n;
                INSERT INTO user_levels (id, company_id, name) SELECT id, '{company}', 'Level ' || n FROM own;
                INSERT INTO user_user_levels (user_id, user_level_id, company_id)
                    SELECT md5('user ' || u)::uuid, own.id, '{company}' FROM generate_series(1, {USERS}) u, own
                    WHERE own.n IN (u % {levels}, (u + 1) % {levels});
                ANALYZE"
            ),
        )
        .await
        .unwrap();
        let ids = connection.fetch_all(AssertSqlSafe("SELECT id FROM own".to_owned())).await.unwrap();
        ids.iter().map(|row| UserLevelId::from_uuid(row.get(0))).collect()
    }

    /// Returns the number of rows that the selection of ten members reads, if all levels allow.
    async fn rows_of_a_page(levels: usize) -> i64 {
        let database = TestDatabase::new(Content::Schema).await;
        let mut connection = database.connect().await;
        // Small tables would otherwise be scanned whole.
        run(&mut connection, format!("ALTER DATABASE \"{}\" SET enable_seqscan = off", database.name())).await.unwrap();
        let company = new_company();
        let levels = fill(&mut connection, company, levels).await;
        drop(connection);
        let before = rows_read(&database).await;
        let storage = PostgresStorage::connect(&database.options()).unwrap();
        let rules = LevelRules { allowing: &levels, denying: &[] };
        let selected = storage.reader().members().select(company, rules, None, 10).await.unwrap().value;
        assert_eq!(selected.members.len(), 10);
        storage.close().await;
        rows_read(&database).await - before
    }

    #[actix_web::test]
    async fn a_page_reads_as_many_rows_if_a_hundred_levels_allow_as_if_ten_do() {
        let (few, many) = (rows_of_a_page(10).await, rows_of_a_page(100).await);
        // One row more of each level would be ninety rows.
        assert!(few > 0 && many < few + 45, "{few} {many}");
    }

    /// Users with the same assignments share them in a copy, so that previews cost as many comparisons as there are sets.
    #[actix_web::test]
    async fn users_with_the_same_levels_share_them_in_copies_and_snapshots() {
        let database = TestDatabase::new(Content::Schema).await;
        let company = new_company();
        fill(&mut database.connect().await, company, 5).await;
        let storage: Arc<dyn Storage> = Arc::new(PostgresStorage::connect(&database.options()).unwrap());
        let snapshots = storage.reader().snapshots();
        let copy = snapshots.load_copy(company).await.unwrap().value;
        let snapshot = snapshots.load_company(company).await.unwrap().value;
        let copied: BTreeMap<_, _> = copy.holders.values().map(|held| (Arc::as_ptr(held), held)).collect();
        let loaded: BTreeMap<_, _> = snapshot.holders.values().map(|held| (Arc::as_ptr(held), held)).collect();
        assert_eq!((copy.holders.len(), copied.len()), (USERS, 5));
        assert_eq!((snapshot.holders.len(), loaded.len()), (USERS, 5));
    }
}
