//! Tests of migrations that wait for locks of other sessions.

use std::process::Output;

use crate::support::process::{run, text_of};

#[test]
fn an_invalid_time_to_wait_is_rejected() {
    for wait in ["5", "-1s", "1.5s", "s", "5 m", "25h", "99999999999999999999s"] {
        let output = run("iam", &["migrate", "up", "--wait", wait], &[("DATABASE_URL", "postgres://127.0.0.1:1/iam")]);
        assert_eq!(output.status.code(), Some(2), "{wait}: {}", text_of(&output));
    }
}

mod postgres {
    use std::thread;
    use std::time::Duration;

    use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_scalar};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::support::database::{Content, TestDatabase, run as execute};

    /// A database with a pending migration that changes the table `user_user_levels`, and a session that has read this
    /// table in a transaction that has not ended.
    struct Scene {
        database: TestDatabase,
        holder: PgConnection,
        /// The process id of the holder.
        pid: i32,
    }

    impl Scene {
        async fn new() -> Self {
            let database = TestDatabase::new(Content::Schema).await;
            let db = database.sea_orm().await;
            while !migration::down(&db, 1).await.unwrap()[0].ends_with("assignment_periods") {}
            let mut holder = database.connect().await;
            let begin = "SET application_name = 'the report'; BEGIN; SELECT FROM user_user_levels";
            execute(&mut holder, begin.to_owned()).await.unwrap();
            let pid = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut holder).await.unwrap();
            Self { database, holder, pid }
        }

        fn up(&self, wait: &'static str) -> thread::JoinHandle<Output> {
            let url = self.database.url().to_owned();
            thread::spawn(move || run("iam", &["migrate", "up", "--wait", wait], &[("DATABASE_URL", &url)]))
        }

        /// Returns the part of a message that names the table and the holder.
        fn obstacle(&self) -> String {
            let Self { pid, .. } = self;
            format!(
                "the table user_user_levels is locked by session {pid} (application \"the report\", idle in transaction)"
            )
        }
    }

    /// Waits until the query returns `true`.
    async fn until(database: &TestDatabase, sql: &str) {
        let mut observer = database.connect().await;
        for _ in 0..6_000 {
            if query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut observer).await.unwrap() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the condition was not met: {sql}");
    }

    /// The query that returns whether a session waits for the exclusive lock on `user_user_levels`.
    ///
    /// The databases of the tests are copies of one template, so their tables have the same ids.
    const IS_WAITING: &str = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON oid = database
        WHERE datname = current_database()
            AND relation = 'user_user_levels'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted)";

    /// Waits until the reader waits for its lock (`true`) or has read the table (`false`).
    async fn queues<T>(database: &TestDatabase, read: &JoinHandle<T>) -> bool {
        let mut observer = database.connect().await;
        while !read.is_finished() {
            if query_scalar(IS_READER_WAITING).fetch_one(&mut observer).await.unwrap() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// The query that returns whether a session waits to read `user_user_levels`.
    const IS_READER_WAITING: &str = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON oid = database
        WHERE datname = current_database()
            AND relation = 'user_user_levels'::regclass AND mode = 'AccessShareLock' AND NOT granted)";

    #[actix_web::test]
    async fn a_migration_lets_queued_sessions_continue_and_succeeds_after_the_lock_is_released() {
        let mut scene = Scene::new().await;
        let up = scene.up("5m");
        // Twice a reader queues behind the migration, and continues although the holder has not released its lock.
        let mut queued = 0;
        while queued < 2 {
            let mut reader = scene.database.connect().await;
            until(&scene.database, IS_WAITING).await;
            let read =
                tokio::spawn(async move { execute(&mut reader, "SELECT FROM user_user_levels".to_owned()).await });
            // A reader that begins between two attempts does not queue.
            queued += u32::from(queues(&scene.database, &read).await);
            let read = tokio::time::timeout(Duration::from_secs(60), read).await;
            read.expect("the reader must continue while the lock is held").unwrap().unwrap();
        }
        assert!(!up.is_finished());
        execute(&mut scene.holder, "COMMIT".to_owned()).await.unwrap();
        let output = up.join().unwrap();
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("applied m20261127_000014_assignment_periods"), "{text}");
        let reports: Vec<_> = text.lines().filter(|line| line.contains("was rolled back: ")).collect();
        assert!(reports.len() >= 2, "{text}");
        // An attempt of a busy machine may end before its obstacle is determined.
        let report = format!("was rolled back: {}; the next attempt begins in ", scene.obstacle());
        assert!(reports.iter().any(|line| line.contains(&report)), "{text}");
    }

    #[actix_web::test]
    async fn a_migration_fails_when_its_time_is_over_and_names_the_session_to_end() {
        let mut scene = Scene::new().await;
        let message = format!("the schema is unchanged, because {}", scene.obstacle());
        let mut attempts = 0;
        loop {
            let output = scene.up("0s").join().unwrap();
            let text = text_of(&output);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains("the schema is unchanged, because "), "{text}");
            assert!(!text.contains("SELECT FROM user_user_levels"), "{text}");
            if text.contains(&message) && text.contains("pg_terminate_backend") {
                break;
            }
            // An attempt of a busy machine may end before its obstacle is determined.
            attempts += 1;
            assert!(attempts < 20, "{text}");
        }
        let status = run("iam", &["migrate", "status"], &[("DATABASE_URL", scene.database.url())]);
        assert!(text_of(&status).contains("pending m20261127_000014_assignment_periods"), "{}", text_of(&status));
        execute(&mut scene.holder, "COMMIT".to_owned()).await.unwrap();
        assert_eq!(scene.up("0s").join().unwrap().status.code(), Some(0));
    }

    /// The session of the holder waits for the table that the migration has locked, and the migration waits for the
    /// table that the holder has locked.
    #[actix_web::test]
    async fn a_migration_is_attempted_again_after_a_deadlock() {
        let mut scene = Scene::new().await;
        // The migration locks `user_user_levels` before `iam_audit_logs`. The holder detects the deadlock later than
        // the migration does.
        let begin = "COMMIT; SET deadlock_timeout = '60s'; BEGIN; SELECT FROM iam_audit_logs";
        execute(&mut scene.holder, begin.to_owned()).await.unwrap();
        let up = scene.up("5m");
        until(&scene.database, &IS_WAITING.replace("user_user_levels", "iam_audit_logs")).await;
        execute(&mut scene.holder, "SELECT FROM user_user_levels".to_owned()).await.unwrap();
        execute(&mut scene.holder, "COMMIT".to_owned()).await.unwrap();
        let output = up.join().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        assert!(text_of(&output).contains("was rolled back: "), "{}", text_of(&output));
    }
}
