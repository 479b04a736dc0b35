//! Tests of changes that the database aborts with a serialization failure or a deadlock. These changes are retried.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{Name, UserLevel};
use iam_storage::{ChangeContext, Result, Storage, StorageError, Target, UnitOfWork, Work, transact};
use iam_storage_postgres::PostgresOptions;
use sea_orm::sqlx::{AssertSqlSafe, query_scalar};
use tokio::sync::Notify;

use super::{add, ending, level, levels, records, storage_with};
use crate::support::api::new_company;
use crate::support::database::{Content, TestDatabase, run};

#[tokio::test]
async fn a_change_with_a_serialization_failure_is_retried() {
    let database = TestDatabase::new(Content::Schema).await;
    let storage = storage_with(database.url(), |options| options);
    let mut connection = database.connect().await;
    // A sequence is not rolled back with its transaction, so it counts the attempts.
    run(
        &mut connection,
        "CREATE SEQUENCE attempts; GRANT USAGE ON SEQUENCE attempts TO PUBLIC;
        CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('attempts') < 3 OR NEW.name = 'Never' THEN RAISE 'lost' USING ERRCODE = '40001'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER lose BEFORE INSERT ON user_levels FOR EACH ROW EXECUTE FUNCTION lose()"
            .to_owned(),
    )
    .await
    .unwrap();
    let attempts = "SELECT last_value FROM attempts";

    let made = level(new_company(), "Made");
    add(storage.as_ref(), &made).await.unwrap();
    assert_eq!(query_scalar::<_, i64>(attempts).fetch_one(&mut connection).await.unwrap(), 3);
    assert_eq!(levels(storage.as_ref(), made.company_id).await.unwrap(), std::slice::from_ref(&made));
    assert_eq!(records(storage.as_ref(), made.company_id).await.len(), 1);
    let state = storage.reader().company_states().read(made.company_id).await.unwrap();
    assert_eq!(state.map(|state| state.version), Some(1));

    let never = level(made.company_id, "Never");
    let outcome = add(storage.as_ref(), &never).await;
    assert!(matches!(outcome, Err(StorageError::Unavailable { retryable: true, .. })), "{outcome:?}");
    assert_eq!(query_scalar::<_, i64>(attempts).fetch_one(&mut connection).await.unwrap(), 7);
    assert_eq!(levels(storage.as_ref(), made.company_id).await.unwrap(), [made]);
}

/// The work of a change that renames a level. Its first attempt waits for a signal before the rename.
struct Rename {
    pub to: UserLevel,
    attempts: AtomicU32,
    begun: Notify,
    go: Notify,
}

#[async_trait]
impl Work for Rename {
    type Output = ();
    type Error = StorageError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<()> {
        if self.attempts.fetch_add(1, Ordering::SeqCst) == 0 {
            self.begun.notify_one();
            self.go.notified().await;
        }
        tx.user_levels_mut().update(&self.to).await.map(drop)
    }
}

#[tokio::test]
async fn a_change_that_loses_a_deadlock_is_retried() {
    let database = TestDatabase::new(Content::Schema).await;
    let storage = storage_with(database.url(), |options| PostgresOptions {
        lock_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(30),
        ..options
    });
    let before = level(new_company(), "Before");
    let (id, company) = (before.id, before.company_id);
    add(storage.as_ref(), &before).await.unwrap();

    let after = UserLevel { name: Name::parse("After").unwrap(), ..before };
    let rename = Rename { to: after.clone(), attempts: AtomicU32::new(0), begun: Notify::new(), go: Notify::new() };
    let context = ChangeContext::command_line();
    let change = transact(storage.as_ref(), Target::Company(company), &context, &rename);
    let in_the_way = async {
        rename.begun.notified().await;
        // Another program locks the level. It then waits for the company's row lock, which the change holds. The
        // deadlock timeout of the other program is long. PostgreSQL therefore detects the deadlock in the session of
        // the change, and aborts the change.
        let mut other = database.connect().await;
        let lock = format!("SET deadlock_timeout = '60s'; BEGIN; SELECT FROM user_levels WHERE id = '{id}' FOR UPDATE");
        run(&mut other, lock).await.unwrap();
        let wait = format!("UPDATE company_states SET updated_at = now() WHERE company_id = '{company}'; COMMIT");
        let other = tokio::spawn(async move { run(&mut other, wait).await });
        let mut watch = database.connect().await;
        let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')";
        while !query_scalar::<_, bool>(AssertSqlSafe(waiting)).fetch_one(&mut watch).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The change now waits for the lock on the level, which completes the deadlock cycle.
        rename.go.notify_one();
        other.await.unwrap().unwrap();
    };
    let (changed, ()) = ending(async { futures_util::join!(change, in_the_way) }).await;
    assert_eq!(changed.unwrap().1.versions().unwrap().company, 2);
    assert_eq!(rename.attempts.load(Ordering::SeqCst), 2);
    assert_eq!(levels(storage.as_ref(), company).await.unwrap(), [after]);
    assert_eq!(records(storage.as_ref(), company).await.len(), 2);
}
