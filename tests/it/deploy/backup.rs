//! Tests of the script of the component `backup`, and functions that run it.

use std::path::Path;
use std::process::{Command, Output};

use super::manifests::deploy;
use crate::support::server::programs;

/// Returns a command that finds the client programs of PostgreSQL. They may be next to the target of a symbolic link.
pub(crate) fn client_program(program: &str, folder: &Path) -> Command {
    let programs = programs();
    let target = programs.join("postgres").canonicalize().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test harness extends `PATH`")]
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{}:{path}", target.parent().unwrap().display(), programs.display());
    let mut command = Command::new(program);
    command.env("PATH", path).current_dir(folder);
    command
}

/// Runs the script, which keeps this number of dumps in the folder.
pub(crate) fn back_up_and_keep(keep: &str, url: &str, folder: &Path) -> Output {
    let mut command = client_program("sh", folder);
    command.arg(deploy().join("components/backup/backup.sh"));
    let environment = [("BACKUP_KEEP", keep), ("DATABASE_URL", url), ("BACKUP_FOLDER", folder.to_str().unwrap())];
    command.envs(environment).output().unwrap()
}

mod postgres {
    use std::path::PathBuf;

    use sea_orm::sqlx::query_scalar;

    use super::*;
    use crate::support::database::{Content, OWNER, TestDatabase, run};
    use crate::support::process::text_of;

    fn back_up(url: &str, folder: &Path) -> Output {
        back_up_and_keep("2", url, folder)
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// Creates a role that owns the tables of the database, and to which row-level security applies. Returns the role and
    /// the URL with which it connects.
    async fn owner_of(database: &TestDatabase) -> (String, String) {
        let role = format!("{}_backup", database.name());
        let set = format!("ALTER ROLE {role} IN DATABASE {} SET role = '{OWNER}'", database.name());
        let create = format!("CREATE ROLE {role} LOGIN IN ROLE {OWNER}; {set}");
        run(&mut database.connect().await, create).await.unwrap();
        let (_, server) = database.url().split_once('@').unwrap();
        let url = format!("postgres://{role}@{server}");
        (role, url)
    }

    /// Creates a folder with old dumps, and with the rest of a dump that was interrupted.
    fn folder_with_dumps(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for day in ["01.dump", "02.dump", "03.dump", "04.dump.part"] {
            let (day, ending) = day.split_once('.').unwrap();
            std::fs::write(folder.join(format!("iam-202001{day}T021700Z.{ending}")), "").unwrap();
        }
        std::fs::write(folder.join("other.txt"), "").unwrap();
        folder
    }

    #[tokio::test]
    async fn the_script_writes_a_dump_that_can_be_restored_and_keeps_the_latest_dumps() {
        let database = TestDatabase::new(Content::Seeded).await;
        let folder = folder_with_dumps("backup");
        let (role, url) = owner_of(&database).await;
        let output = back_up(&url, &folder);
        let mut connection = database.connect().await;
        run(&mut connection, format!("DROP ROLE {role}")).await.unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
        let files = files(&folder);
        let [latest_old, new, other] = files.as_slice() else { panic!("{files:?}") };
        assert_eq!((latest_old.as_str(), other.as_str()), ("iam-20200103T021700Z.dump", "other.txt"));

        let restored = TestDatabase::new(Content::Nothing).await;
        let mut restore = client_program("pg_restore", &folder);
        let output = restore.args(["--exit-on-error", "--dbname", restored.url(), new]).output().unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
        let mut counts = vec![];
        for database in [&database, &restored] {
            let mut connection = database.connect().await;
            let count: i64 = query_scalar("SELECT count(*) FROM views").fetch_one(&mut connection).await.unwrap();
            counts.push(count);
        }
        assert!(counts[0] > 0 && counts[0] == counts[1], "{counts:?}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn the_script_rejects_a_number_of_dumps_that_would_delete_all_or_none() {
        let database = TestDatabase::new(Content::Nothing).await;
        let folder = folder_with_dumps("kept-backup");
        let before = files(&folder);
        for keep in ["0", "00", "", "x", "-1", "1 2"] {
            let output = back_up_and_keep(keep, database.url(), &folder);
            assert!(!output.status.success() && text_of(&output).contains("BACKUP_KEEP"), "{}", text_of(&output));
            assert_eq!(files(&folder), before, "{keep:?}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_dump_that_fails_deletes_no_dump() {
        let folder = folder_with_dumps("failed-backup");
        let output = back_up("postgres://iam@127.0.0.1:1/iam", &folder);
        assert!(!output.status.success(), "{}", text_of(&output));
        let names = ["01", "02", "03"].map(|day| format!("iam-202001{day}T021700Z.dump"));
        assert_eq!(files(&folder), [&names[..], &["other.txt".to_owned()]].concat());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
