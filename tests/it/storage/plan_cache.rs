//! Tests that PostgreSQL keeps the plans of frequent statements, so that it does not plan them again for each execution.

pub mod postgres {
    use iam_domain::{CompanyId, UserId};
    use iam_storage::Storage;
    use iam_storage_postgres::{PostgresOptions, PostgresStorage};
    use sea_orm::sqlx::{Executor, Row};

    use crate::support::database::{APPLICATION, Content, TestDatabase, run};
    use crate::support::proxy::Proxy;

    /// The number of executions after which PostgreSQL compares the cost of a generic plan with that of the plans for the
    /// parameters.
    const CUSTOM_PLANS: i64 = 5;

    /// A load of few users keeps its plan. PostgreSQL estimates the length of an array that it does not know, and the plan
    /// for a shorter array that it knows can seem cheaper.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_load_of_few_users_is_not_planned_again() {
        let database = TestDatabase::new(Content::Seeded).await;
        let proxy = Proxy::to(&database).await;
        let storage = PostgresStorage::connect(&TestDatabase::options_for(proxy.url())).unwrap();
        let (company, user) = (CompanyId::from_uuid(uuid::Uuid::new_v4()), UserId::from_uuid(uuid::Uuid::new_v4()));
        storage.reader().snapshots().load_users(company, &[user]).await.unwrap();
        let texts: Vec<_> = proxy.texts().into_iter().filter(|text| text.contains("AS holders")).collect();
        let [text] = texts.as_slice() else { panic!("{texts:#?}") };

        let mut connection = database.connect().await;
        let prepare =
            format!("SET ROLE {APPLICATION}; SET jit = off; SET enable_seqscan = off; PREPARE load AS {text}");
        run(&mut connection, prepare).await.unwrap();
        for users in [1, 2, 9] {
            let users = vec![format!("\"{user}\""); users].join(",");
            for _ in 0..CUSTOM_PLANS + 5 {
                let execute = format!("EXECUTE load (1, 1, '{company}', '{{{users}}}', '{company}')");
                run(&mut connection, execute).await.unwrap();
            }
        }
        let plans = "SELECT custom_plans FROM pg_prepared_statements WHERE name = 'load'";
        let custom: i64 = connection.fetch_one(plans).await.unwrap().get(0);
        assert_eq!(custom, CUSTOM_PLANS);
    }

    /// A copy reads a whole company, so it is planned for the size of this company. A plan for companies of average size
    /// would read 100,000 assignments one by one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_copy_of_a_company_is_planned_for_this_company() {
        let database = TestDatabase::new(Content::Seeded).await;
        let proxy = Proxy::to(&database).await;
        let options = PostgresOptions { max_connections: 1, ..TestDatabase::options_for(proxy.url()) };
        let storage = PostgresStorage::connect(&options).unwrap();
        let company = CompanyId::from_uuid(uuid::Uuid::new_v4());
        for _ in 0..3 {
            storage.reader().snapshots().load_copy(company).await.unwrap();
            storage.reader().snapshots().load_matrix(company).await.unwrap();
        }
        assert_eq!((proxy.sent("AS own_levels"), proxy.sent("AS matrices")), (3, 1));
    }
}
