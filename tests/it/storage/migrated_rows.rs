//! Tests that each migration keeps the rows that exist before it, on a database with rows in every table and values in
//! every column.

mod fixtures;

mod postgres {
    use std::collections::{BTreeMap, BTreeSet};

    use migration::Migrator;
    use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_as, query_scalar};
    use sea_orm_migration::MigratorTrait;
    use serde_json::Value;

    use super::fixtures::{ADDED_ROWS, CHANGED_COLUMNS, DISCARDED, FIXTURES};
    use crate::support::database::{Content, TestDatabase, run};

    /// The query for the tables, each with the columns of its primary key.
    const TABLES: &str = "
        SELECT relname::text, string_agg(quote_ident(attname), ', ' ORDER BY attnum)
        FROM pg_class
        JOIN pg_index ON indrelid = pg_class.oid AND indisprimary
        JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
            AND relname <> 'iam_migrations'
        GROUP BY relname";

    /// All rows of all tables: for each table, the columns of each row by its primary key.
    type Rows = BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>>;

    async fn rows(connection: &mut PgConnection) -> Rows {
        let tables: Vec<(String, String)> = query_as(TABLES).fetch_all(&mut *connection).await.unwrap();
        let mut rows = Rows::new();
        for (table, key) in tables {
            let sql = format!("SELECT jsonb_build_array({key})::text, to_jsonb(t)::text FROM {table} AS t");
            let found: Vec<(String, String)> = query_as(AssertSqlSafe(sql)).fetch_all(&mut *connection).await.unwrap();
            let columns = found.into_iter().map(|(key, columns)| (key, serde_json::from_str(&columns).unwrap()));
            rows.insert(table, columns.collect());
        }
        rows
    }

    /// Returns the tables without a row, and the columns without a value.
    fn unpopulated(rows: &Rows) -> Vec<String> {
        let mut missing = Vec::new();
        for (table, rows) in rows {
            if rows.is_empty() {
                missing.push(table.clone());
            }
            let columns: BTreeSet<_> = rows.values().flat_map(BTreeMap::keys).collect();
            let is_null = |column: &str| rows.values().all(|row| row[column].is_null());
            missing
                .extend(columns.into_iter().filter(|column| is_null(column)).map(|column| format!("{table}.{column}")));
        }
        missing
    }

    /// Returns the rows that are lost, and the columns that have another value than `expected` returns for them.
    fn differences(before: &Rows, after: &Rows, expected: impl Fn(&str, &str, &Value) -> Value) -> Vec<String> {
        let mut found = Vec::new();
        for (table, rows) in before {
            for (key, row) in rows {
                let Some(kept) = after.get(table).and_then(|rows| rows.get(key)) else {
                    found.push(format!("{table} {key} is lost"));
                    continue;
                };
                for (column, value) in row {
                    let expected = expected(table, column, value);
                    if kept.get(column) != Some(&expected) {
                        found.push(format!("{table} {key}: {column} is {:?} instead of {expected}", kept.get(column)));
                    }
                }
            }
        }
        found
    }

    /// Returns the number of rows that each table has in addition, without the tables that did not exist before.
    fn added(before: &Rows, after: &Rows) -> Vec<(String, usize)> {
        let more = |(table, rows): (&String, &BTreeMap<_, _>)| {
            let count = after.get(table).map_or(0, BTreeMap::len).saturating_sub(rows.len());
            (count > 0).then(|| (table.clone(), count))
        };
        before.iter().filter_map(more).collect()
    }

    /// Applies the next migration.
    async fn step(database: &TestDatabase) {
        Migrator::up(&database.sea_orm().await, Some(1)).await.unwrap();
    }

    #[tokio::test]
    async fn each_migration_and_its_reversal_keep_the_rows_that_existed_before() {
        let database = TestDatabase::new(Content::Nothing).await;
        let mut connection = database.connect().await;
        let names: Vec<_> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        assert_eq!(FIXTURES.map(|(migration, _)| migration).to_vec(), names);
        for (migration, fixture) in FIXTURES {
            let kept = |mut rows: Rows| {
                rows.retain(|table, _| !DISCARDED.contains(&(migration, table)));
                rows
            };
            let before = kept(rows(&mut connection).await);
            step(&database).await;
            let after = rows(&mut connection).await;
            let expected = |table: &str, column: &str, value: &Value| {
                let changed = CHANGED_COLUMNS.iter().find(|changed| changed.is(migration, table, column));
                changed.map_or_else(|| value.clone(), |changed| (changed.expected)(value))
            };
            assert_eq!(differences(&before, &after, expected), Vec::<String>::new(), "{migration}");
            let declared = ADDED_ROWS.iter().filter(|(by, ..)| *by == migration);
            let declared: Vec<_> = declared.map(|(_, table, count)| ((*table).to_owned(), *count)).collect();
            assert_eq!(added(&before, &after), declared, "{migration}");

            let reverted = migration::down(&database.sea_orm().await, 1).await.unwrap();
            assert_eq!(reverted, [migration]);
            assert_eq!(kept(rows(&mut connection).await), before, "{migration} was reverted");

            step(&database).await;
            run(&mut connection, fixture.to_owned()).await.unwrap_or_else(|error| panic!("{migration}: {error}"));
            let missing = unpopulated(&rows(&mut connection).await);
            assert!(
                missing.is_empty(),
                "the fixtures must fill these tables and columns after {migration}: {missing:?}"
            );
        }
        let companies = "SELECT count(DISTINCT company_id) FROM user_levels";
        assert_eq!(query_scalar::<_, i64>(companies).fetch_one(&mut connection).await.unwrap(), 3);
    }
}
