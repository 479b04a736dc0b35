//! Runs each case of the storage contract on PostgreSQL, each in its own database.

mod postgres {
    use std::sync::Arc;

    use iam_storage::Storage;
    use iam_storage::contract::Fresh;
    use iam_storage_postgres::PostgresStorage;

    use crate::support::database::{Content, TestDatabase};

    /// The adapter for one contract case, and the database of that case. The adapter is dropped before the database.
    struct IsolatedStorage {
        storage: Arc<PostgresStorage>,
        _database: TestDatabase,
    }

    impl Fresh for IsolatedStorage {
        fn storage(&self) -> Arc<dyn Storage> {
            Arc::<PostgresStorage>::clone(&self.storage)
        }
    }

    async fn on_a_database_of_its_own() -> IsolatedStorage {
        let database = TestDatabase::new(Content::Schema).await;
        IsolatedStorage { storage: Arc::new(database.storage()), _database: database }
    }

    iam_storage::contract_tests!(on_a_database_of_its_own().await);
}
