//! Runs each case of the storage contract on PostgreSQL, each in its own database: in the native forms of the global lock
//! and of the change feed, and in the forms for other engines.

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

    /// The same cases with a row lock and without notifications.
    mod in_the_forms_for_other_engines {
        use iam_storage_postgres::PostgresStorage;

        use super::*;
        use crate::support::engines::in_other_forms;

        async fn on_a_database_of_its_own() -> IsolatedStorage {
            let database = TestDatabase::new(Content::Schema).await;
            database.switch_to_other_forms().await;
            let storage = PostgresStorage::connect(&in_other_forms(database.options())).unwrap();
            IsolatedStorage { storage: Arc::new(storage), _database: database }
        }

        iam_storage::contract_tests!(on_a_database_of_its_own().await);
    }
}
