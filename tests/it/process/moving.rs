//! Tests of `iam export` and `iam import` between databases and in-memory services.

pub mod data;

use std::path::{Path, PathBuf};

/// A temporary folder. Dropping this value deletes it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("iam-moving-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

mod postgres {
    use std::process::{Command, Output, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use iam_domain::{CompanyDetails, CompanyId, CompanyStatus, EntityType, Name};
    use iam_storage::{ChangeContext, Storage, Target};
    use iam_storage_postgres::PostgresStorage;
    use serde_json::Value;

    use super::super::moving_files::{companies_of, content_of, exported};
    use super::super::persistence::{authorization, start, super_admin};
    use super::data::{LEVELS, external_user, fill, some_company};
    use super::{Folder, read};
    use crate::support::database::{Content, TestDatabase};
    use crate::support::engines::settings_of_forms;
    use crate::support::process::{ServerProcess, binary, run, text_of, wait_until};

    /// Runs `iam` with a database.
    fn iam(database: &TestDatabase, arguments: &[&str]) -> Output {
        run("iam", arguments, &[("DATABASE_URL", database.url())])
    }

    fn succeeds(database: &TestDatabase, arguments: &[&str]) -> String {
        let output = iam(database, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text_of(&output));
        text_of(&output)
    }

    fn fails(database: &TestDatabase, arguments: &[&str]) -> String {
        let output = iam(database, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text_of(&output));
        text_of(&output)
    }

    /// Returns a database with companies, and the open storage.
    async fn filled(companies: &[CompanyId]) -> (TestDatabase, PostgresStorage) {
        let database = TestDatabase::new(Content::Seeded).await;
        let storage = database.storage();
        fill(&storage, companies).await;
        (database, storage)
    }

    fn some_companies(count: usize) -> Vec<CompanyId> {
        (0..count).map(|_| some_company()).collect()
    }

    #[actix_web::test]
    async fn data_moves_from_a_database_through_memory_to_another_database_and_back() {
        let folder = Folder::new();
        let [first, second, third, last] = ["1", "2", "3", "4"].map(|name| folder.file(name));
        let (source, storage) = filled(&some_companies(3)).await;
        succeeds(&source, &["export", "--with-credentials", &first]);
        // The service imports the file into memory at its start, and exports its memory at its end.
        let server = ServerProcess::start_program("iam", &["serve", "--import", &first, "--export", &second], &[]);
        server.stop();
        assert_eq!(companies_of(&read(&second)), companies_of(&read(&first)));
        // The database has no catalog yet.
        let other = TestDatabase::new(Content::Schema).await;
        succeeds(&other, &["import", "--with-credentials", &second]);
        succeeds(&other, &["export", "--with-credentials", &third]);
        assert_eq!(content_of(&read(&third)), content_of(&read(&second)));
        let text = succeeds(&source, &["import", "--with-credentials", &third]);
        assert!(text.contains("created 0") && text.contains("conflicts 0"), "{text}");
        succeeds(&source, &["export", "--with-credentials", &last]);
        assert_eq!(companies_of(&read(&last)), companies_of(&read(&first)));
        storage.close().await;
    }

    #[actix_web::test]
    async fn the_audit_log_and_the_external_names_move_and_credentials_only_on_request() {
        let folder = Folder::new();
        let (file, with) = (folder.file("without"), folder.file("with"));
        let companies = some_companies(2);
        let (source, storage) = filled(&companies).await;
        succeeds(&source, &["export", &file]);
        succeeds(&source, &["export", "--with-credentials", &with]);
        assert!(!String::from_utf8(read(&file)).unwrap().contains("{\"apiKey\""));
        let target = TestDatabase::new(Content::Seeded).await;
        let there = target.storage();
        succeeds(&target, &["import", &with]);
        assert!(there.reader().api_keys().find_all().await.unwrap().is_empty());
        let records = async |storage: &PostgresStorage, company: CompanyId| {
            let logs = storage.reader().audit_logs();
            logs.list_for_entity(Some(company), EntityType::Company, company.as_uuid(), 99).await.unwrap()
        };
        for company in &companies {
            let (old, new) = (records(&storage, *company).await, records(&there, *company).await);
            assert_eq!((old.len(), new.len()), (1, 2));
            assert!(new.contains(&old[0]), "{new:?}");
            let user = external_user(*company);
            let known = there.reader().users().find(&[user.user_id()]).await.unwrap();
            assert_eq!((known[0].external_id.as_ref(), known[0].not_before), (Some(&user), None));
        }
        succeeds(&target, &["import", "--with-credentials", &with]);
        let keys = async |storage: &PostgresStorage| {
            let changes = storage.reader().credentials().changes_since(0).await.unwrap();
            let mut keys: Vec<_> = changes.api_keys.into_iter().map(|(key, digest)| (key.id, digest.0)).collect();
            keys.sort_unstable();
            (keys, changes.cutoffs.len())
        };
        assert_eq!(keys(&there).await, keys(&storage).await);
        assert_eq!(keys(&there).await.0.len(), 2);
        for storage in [storage, there] {
            storage.close().await;
        }
    }

    #[actix_web::test]
    async fn an_interrupted_import_continues_and_a_repetition_changes_nothing() {
        let folder = Folder::new();
        let file = folder.file("file");
        let companies = some_companies(60);
        let (source, storage) = filled(&companies).await;
        succeeds(&source, &["export", &file]);
        let target = TestDatabase::new(Content::Seeded).await;
        let there = target.storage();
        let mut import = Command::new(binary("iam"))
            .args(["import", &file])
            .envs(settings_of_forms())
            .env("DATABASE_URL", target.url())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (first, latest) = (*companies.iter().min().unwrap(), *companies.iter().max().unwrap());
        while there.reader().company_states().read(first).await.unwrap().is_none() {
            assert!(import.try_wait().unwrap().is_none(), "the import ended before it was interrupted");
        }
        import.kill().unwrap();
        import.wait().unwrap();
        assert_eq!(there.reader().company_states().read(latest).await.unwrap(), None, "the import was interrupted");
        succeeds(&target, &["import", &file]);
        let content = companies_of(&exported(&there, None).await);
        let keys = ["{\"platform\"", "{\"credentials\"", "{\"apiKey\"", "{\"cutOff\""];
        let without_keys = |lines: Vec<String>| -> Vec<String> {
            lines.into_iter().filter(|line| !keys.iter().any(|kind| line.starts_with(kind))).collect()
        };
        assert_eq!(without_keys(content), without_keys(companies_of(&read(&file))));
        let version = there.reader().company_states().versions(Some(first)).await.unwrap();
        let text = succeeds(&target, &["import", &file]);
        assert!(text.contains("created 0") && text.contains("audit records 0"), "{text}");
        assert_eq!(there.reader().company_states().versions(Some(first)).await.unwrap(), version);
        for storage in [storage, there] {
            storage.close().await;
        }
    }

    #[actix_web::test]
    async fn two_imports_at_once_write_everything_once() {
        let folder = Folder::new();
        let (file, after) = (folder.file("file"), folder.file("after"));
        let (source, storage) = filled(&some_companies(20)).await;
        succeeds(&source, &["export", &file]);
        let target = TestDatabase::new(Content::Schema).await;
        let imports = [0, 1].map(|_| {
            Command::new(binary("iam"))
                .args(["import", &file])
                .envs(settings_of_forms())
                .env("DATABASE_URL", target.url())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        });
        for mut import in imports {
            assert_eq!(import.wait().unwrap().code(), Some(0));
        }
        succeeds(&target, &["export", &after]);
        assert_eq!(content_of(&read(&after)), content_of(&read(&file)));
        let there = target.storage();
        for company in there
            .reader()
            .company_directory()
            .list(&iam_storage::CompanyFilter::default(), iam_storage::CompanyOrder::Id, None, 99)
            .await
            .unwrap()
        {
            let logs = there.reader().audit_logs();
            let about = logs.list_for_entity(Some(company.id), EntityType::Company, company.id.as_uuid(), 9);
            assert_eq!(about.await.unwrap().len(), 2, "one record of the source, and one of the import");
        }
        for storage in [storage, there] {
            storage.close().await;
        }
    }

    /// The number in the name of the first company is changed before that of the last company, so in each state of the
    /// database it is equal, or greater by one.
    #[actix_web::test]
    async fn an_export_during_changes_is_one_snapshot() {
        let folder = Folder::new();
        let companies = {
            let mut companies = some_companies(30);
            companies.sort_unstable();
            companies
        };
        let (first, last) = (companies[0], companies[29]);
        let (database, storage) = filled(&companies).await;
        let (storage, stop) = (Arc::new(storage), Arc::new(AtomicBool::new(false)));
        let (changing, stopped) = (Arc::clone(&storage), Arc::clone(&stop));
        let changes = tokio::spawn(async move {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                for company in [first, last] {
                    let context = ChangeContext::command_line();
                    let mut tx = changing.begin(Target::Company(company), context).await.unwrap();
                    let name = Name::parse(number.to_string()).ok();
                    let details = CompanyDetails { name, status: CompanyStatus::Active };
                    tx.company_states_mut().replace_details(company, &details).await.unwrap();
                    tx.commit().await.unwrap();
                }
            }
            number
        });
        let mut exports = Vec::new();
        for n in 0..3 {
            let (file, url) = (folder.file(&n.to_string()), database.url().to_owned());
            let path = file.clone();
            let export = move || run("iam", &["export", &path], &[("DATABASE_URL", &url)]);
            let output = tokio::task::spawn_blocking(export).await.unwrap();
            assert!(output.status.success(), "{}", text_of(&output));
            exports.push(read(&file));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(changes.await.unwrap() > 3, "changes ran during the exports");
        for export in exports {
            let number = |company: CompanyId| {
                let lines = content_of(&export);
                let of = |line: &String| -> Option<Value> {
                    let line: Value = serde_json::from_str(line).ok()?;
                    Some(line.get("company")?.clone()).filter(|found| found["id"] == company.to_string())
                };
                lines.iter().find_map(of).unwrap()["name"].as_str().unwrap().parse::<i64>().unwrap_or(0)
            };
            let (ahead, behind) = (number(first), number(last));
            assert!(ahead == behind || ahead == behind + 1, "{ahead} {behind}");
        }
        storage.close().await;
    }

    #[actix_web::test]
    async fn a_running_replica_serves_an_imported_company_without_a_restart() {
        let folder = Folder::new();
        let file = folder.file("file");
        let company = some_company();
        let (source, storage) = filled(&[company]).await;
        succeeds(&source, &["export", &file]);
        let target = TestDatabase::new(Content::Seeded).await;
        let [old, new] = [&source, &target].map(|database| start(&[("DATABASE_URL", database.url())]));
        let (token, id) = (super_admin(), company.to_string());
        let headers = [("authorization", token.as_str()), ("x-company-id", id.as_str())];
        let matrix = |server: &ServerProcess| server.request("GET", "/api/iam/user-levels", &headers, None).json();
        assert_eq!(matrix(&new)["data"]["userLevels"], serde_json::json!([]));
        succeeds(&target, &["import", &file]);
        let copy = storage.reader().snapshots().load_copy(company).await.unwrap().value;
        let user = *copy.holders.keys().find(|user| !user.is_service_generated()).unwrap();
        let token = authorization(user, false);
        let own = [("authorization", token.as_str()), ("x-company-id", id.as_str())];
        // The response contains every decision about the user.
        let decisions = |server: &ServerProcess| {
            let answer = server.request("GET", "/api/iam/permissions/current", &own, None);
            (answer.status == 200).then(|| answer.json()["data"].take())
        };
        let expected = decisions(&old).unwrap();
        let found = wait_until(|| decisions(&new).filter(|found| found["views"] == expected["views"]));
        assert_eq!(found, expected);
        assert_eq!(matrix(&new)["data"]["userLevels"].as_array().unwrap().len(), LEVELS);
        storage.close().await;
    }

    #[actix_web::test]
    async fn a_dry_run_changes_nothing_and_chosen_companies_are_imported_or_cloned() {
        let folder = Folder::new();
        let (file, trail, after) = (folder.file("file"), folder.file("trail"), folder.file("after"));
        let companies = some_companies(3);
        let (source, storage) = filled(&companies).await;
        let [one, other] = [companies[0], companies[1]].map(|company| company.to_string());
        succeeds(&source, &["export", &file, "--company", &one, "--company", &other]);
        let target = TestDatabase::new(Content::Seeded).await;
        let text = succeeds(&target, &["import", "--dry-run", &file]);
        assert!(text.contains(&format!("create    company {one}")), "{text}");
        assert!(text.contains("companies 2, created 2"), "{text}");
        let there = target.storage();
        assert_eq!(there.reader().company_states().read(companies[0]).await.unwrap(), None);
        succeeds(&target, &["import", &file, "--company", &one]);
        assert_eq!(there.reader().company_states().read(companies[1]).await.unwrap(), None);
        let absent = some_company().to_string();
        assert!(fails(&target, &["import", &file, "--company", &absent]).contains("does not contain the company"));
        assert!(fails(&target, &["export", &after, "--company", &absent]).contains("does not exist"));

        // A clone has new ids, so it may be in the database of its source. Its repetition changes nothing.
        let clone = some_company().to_string();
        let cloned = ["import", &file, "--company", &one, "--as", &clone, "--trail-to", &trail];
        assert!(succeeds(&source, &cloned).contains("created 1"));
        assert!(succeeds(&source, &cloned).contains("created 0"));
        assert!(String::from_utf8(read(&trail)).unwrap().contains("company.imported"));
        let copies = [&one, &clone].map(|id| CompanyId::parse(id).unwrap());
        let mut names = Vec::new();
        for company in copies {
            let copy = storage.reader().snapshots().load_copy(company).await.unwrap().value;
            let mut levels: Vec<_> = copy.levels.iter().map(|copied| copied.level.name.clone()).collect();
            levels.sort_unstable();
            names.push((levels, copy.holders.keys().copied().collect::<Vec<_>>(), copy.menu.items.len()));
        }
        assert_eq!(names[0], names[1]);
        for storage in [storage, there] {
            storage.close().await;
        }
    }

    #[actix_web::test]
    async fn failures_are_reported_and_change_nothing() {
        let folder = Folder::new();
        let file = folder.file("file");
        let (source, storage) = filled(&some_companies(2)).await;
        assert!(fails(&source, &["export", "/dev/full"]).contains("cannot be written"));
        succeeds(&source, &["export", &file]);
        let whole = read(&file);
        std::fs::write(&file, &whole[..whole.len() - 10]).unwrap();
        let target = TestDatabase::new(Content::Schema).await;
        assert!(fails(&target, &["import", &file]).contains("the file is truncated"));
        assert!(target.storage().reader().views().find_all().await.unwrap().is_empty());
        assert!(fails(&target, &["import", &folder.file("absent")]).contains("cannot be read"));
        let empty = TestDatabase::new(Content::Nothing).await;
        assert!(fails(&empty, &["export", &file]).contains("iam migrate"));
        let memory = run("iam", &["export", &file], &[]);
        assert!(text_of(&memory).contains("set DATABASE_URL"), "{}", text_of(&memory));
        let database = run("iam", &["serve", "--import", &file], &[("DATABASE_URL", source.url())]);
        assert!(text_of(&database).contains("needs in-memory storage"), "{}", text_of(&database));
        storage.close().await;
    }
}
