//! Tests of the file of an export: files that were truncated, altered or forged are rejected, and change nothing.

use std::collections::BTreeSet;

use iam_domain::{CompanyDetails, CompanyId, CompanyStatus, Name};
use iam_identity::system_clock;
use iam_storage::{ChangeContext, Storage, Target};
use iam_storage_memory::MemoryStorage;
use iam_transfer::{ExportOptions, ImportError, ImportOptions, OnConflict, Problem, export, import, preview};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::moving::data::{fill, some_company};

pub async fn memory() -> MemoryStorage {
    MemoryStorage::seeded(system_clock()).await.unwrap()
}

/// Returns the export of a storage.
pub async fn exported(storage: &dyn Storage, companies: Option<BTreeSet<CompanyId>>) -> Vec<u8> {
    let options = ExportOptions {
        companies,
        with_credentials: true,
        release: "test".to_owned(),
        schema: "none".to_owned(),
        now: system_clock().now(),
    };
    let mut file = Vec::new();
    export(storage, &mut file, &options, &mut |_, _| {}).await.unwrap();
    file
}

/// Returns the export of a storage with one company.
async fn some_file() -> Vec<u8> {
    let storage = memory().await;
    fill(&storage, &[some_company()]).await;
    exported(&storage, None).await
}

/// Returns the lines of a file that describe data that an import preserves: not the header, the audit log and the
/// hashes.
pub fn content_of(file: &[u8]) -> Vec<String> {
    let text = String::from_utf8(file.to_vec()).unwrap();
    let omitted = ["{\"header\"", "{\"record\"", "{\"end\"", "{\"manifest\""];
    text.lines().filter(|line| !omitted.iter().any(|kind| line.starts_with(kind))).map(str::to_owned).collect()
}

/// Returns the lines of companies, without the lines of the catalog before them.
pub fn companies_of(file: &[u8]) -> Vec<String> {
    content_of(file).into_iter().skip_while(|line| !line.starts_with("{\"company\"")).collect()
}

async fn problem_of(file: &[u8]) -> Problem {
    let storage = memory().await;
    let before = content_of(&exported(&storage, None).await);
    let outcome = preview(&storage, file, &ImportOptions::default()).await;
    assert_eq!(content_of(&exported(&storage, None).await), before);
    match outcome {
        Err(ImportError::File(error)) => error.problem,
        other => panic!("the file was not rejected: {other:?}"),
    }
}

/// Returns the file with other lines, and with the hashes and counts of these lines: a forged file.
fn forged(file: &[u8], change: impl FnOnce(&mut Vec<Value>)) -> Vec<u8> {
    let text = String::from_utf8(file.to_vec()).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    change(&mut lines);
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (mut file, mut section, mut count) = (Vec::new(), Vec::new(), 0);
    let (mut lines_before, mut sections) = (0, 0);
    for mut line in lines {
        if line.get("end").is_some() {
            line["end"] = json!({ "lines": count, "sha256": hash(&section) });
            (section, count, sections) = (Vec::new(), 0, sections + 1);
        } else if let Some(manifest) = line.get_mut("manifest") {
            (manifest["lines"], manifest["sections"]) = (json!(lines_before), json!(sections));
            manifest["sha256"] = json!(hash(&file));
        }
        let bytes = format!("{line}\n").into_bytes();
        if line.get("end").is_none() && line.get("header").is_none() {
            section.extend_from_slice(&bytes);
            count += 1;
        }
        file.extend_from_slice(&bytes);
        lines_before += 1;
    }
    file
}

fn first<'a>(lines: &'a mut [Value], kind: &str) -> &'a mut Value {
    lines.iter_mut().find_map(|line| line.get_mut(kind)).unwrap()
}

#[actix_web::test]
async fn a_truncated_file_is_rejected() {
    let file = some_file().await;
    let borders: Vec<_> = (0..file.len()).filter(|n| *n > 0 && file[*n - 1] == b'\n').collect();
    assert!(borders.len() > 60);
    for end in borders.iter().copied().chain(borders.iter().map(|border| border - 3)).filter(|end| *end < file.len()) {
        match problem_of(&file[..end]).await {
            Problem::Truncated | Problem::Foreign => {}
            other => panic!("{end}: {other:?}"),
        }
    }
    assert!(matches!(problem_of(&[]).await, Problem::Foreign));
    let longer = [file.as_slice(), b"{\"end\":{\"lines\":0,\"sha256\":\"\"}}\n"].concat();
    assert!(matches!(problem_of(&longer).await, Problem::Misplaced));
}

#[actix_web::test]
async fn a_file_with_one_altered_byte_in_any_line_is_rejected() {
    let file = some_file().await;
    let mut start = 0;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        // A digit of an id, a count, a hash or a time is replaced by another digit, so the line remains valid.
        let digits: Vec<_> = (0..line.len()).filter(|n| line[*n].is_ascii_digit()).collect();
        if let Some(digit) = digits.get(digits.len() / 2) {
            let mut altered = file.clone();
            let byte = &mut altered[start + digit];
            *byte = if *byte == b'7' { b'8' } else { b'7' };
            if altered != file {
                problem_of(&altered).await;
            }
        }
        start += line.len();
    }
}

#[actix_web::test]
async fn files_of_newer_versions_and_of_other_programs_are_rejected() {
    let file = some_file().await;
    let newer = forged(&file, |lines| {
        let header = first(lines, "header");
        (header["version"], header["added"]) = (json!(2), json!(true));
    });
    assert!(matches!(problem_of(&newer).await, Problem::Version(2, 1)));
    for foreign in [
        "{\"type\":\"product\",\"id\":1}\n",
        "hello\n",
        "\n",
        "[]\n",
        "{\"header\":{}}\n",
        "{\"header\":{\"format\":\"iam-export\"}}\n",
        "\u{0}\u{1}\n",
    ] {
        assert!(matches!(problem_of(foreign.as_bytes()).await, Problem::Foreign), "{foreign:?}");
    }
    let long = vec![b'['; 17 * 1024 * 1024];
    assert!(matches!(problem_of(&long).await, Problem::TooLong(_)));
}

#[actix_web::test]
async fn hostile_files_with_valid_hashes_are_rejected() {
    type Change = fn(&mut Vec<Value>);
    let file = some_file().await;
    assert_eq!(
        preview(&memory().await, &*forged(&file, |_| {}), &ImportOptions::default()).await.unwrap().created(),
        1
    );
    let nil = "00000000-0000-0000-0000-000000000000";
    let cases: Vec<(&str, Change)> = vec![
        ("an unknown field", |lines| first(lines, "level")["surprise"] = json!(1)),
        ("an unknown type", |lines| lines.insert(3, json!({ "surprise": {} }))),
        ("a missing field", |lines| drop(first(lines, "level").as_object_mut().unwrap().remove("name"))),
        ("a reserved id", |lines| first(lines, "company")["id"] = json!("00000000-0000-0000-0000-000000000000")),
        ("a long name", |lines| first(lines, "level")["name"] = json!("x".repeat(300))),
        ("a name with NUL", |lines| first(lines, "level")["name"] = json!("a\0b")),
        ("an unknown quota", |lines| first(lines, "company")["quotas"] = json!({ "money": 1 })),
        ("an unknown state", |lines| first(lines, "viewCells")["cells"][0][2] = json!("perhaps")),
        ("a cell with too many values", |lines| {
            first(lines, "viewCells")["cells"][0].as_array_mut().unwrap().push(json!(1));
        }),
        ("a cell twice", |lines| {
            let cells = first(lines, "viewCells")["cells"].as_array_mut().unwrap();
            cells.push(cells[0].clone());
        }),
        ("a cell of an unknown level", |lines| {
            first(lines, "viewCells")["level"] = json!("0190a000-0000-7000-8000-000000000001");
        }),
        ("a cell for an unknown view", |lines| {
            first(lines, "viewCells")["cells"][0][1] = json!("0190a000-0000-7000-8000-000000000001");
        }),
        ("a level twice", |lines| {
            let level = first(lines, "level").clone();
            let place = lines.iter().position(|line| line.get("level").is_some()).unwrap();
            lines.insert(place, json!({ "level": level }));
        }),
        ("an assignment that ends before it starts", |lines| {
            let row = &mut first(lines, "assignments")[0];
            (row[2], row[3]) = (json!("2030-01-02T00:00:00Z"), json!("2030-01-01T00:00:00Z"));
        }),
        ("a time that no database represents", |lines| {
            first(lines, "level")["createdAt"] = json!("0000-01-01T00:00:00Z");
        }),
        ("a record with NUL", |lines| first(lines, "record")["changes"] = json!({ "a": ["\0"] })),
        ("a record with a long action", |lines| first(lines, "record")["action"] = json!("x".repeat(101))),
        ("a record with a wrong actor", |lines| {
            let record = first(lines, "record");
            (record["actorKind"], record["actor"]) = (json!("user"), json!(null));
        }),
        ("a company twice", |lines| {
            let place = lines.iter().position(|line| line.get("company").is_some()).unwrap();
            let mut copy: Vec<_> =
                lines[place..].iter().take_while(|line| line.get("end").is_none()).cloned().collect();
            copy.push(json!({ "end": {} }));
            lines.splice(place..place, copy);
            first(lines, "manifest")["companies"] = json!(2);
        }),
        ("a sub-item of another menu", |lines| {
            first(lines, "subMenuItem")["item"] = json!("0190a000-0000-7000-8000-000000000001");
        }),
        ("a digest that is no hash", |lines| first(lines, "apiKey")["digest"] = json!("c2hvcnQ=")),
        ("sections in another order", |lines| {
            let place = lines.iter().position(|line| line.get("catalog").is_some()).unwrap();
            lines.splice(place..place, [json!({ "platform": {} }), json!({ "end": {} })]);
        }),
        ("a data line outside a section", |lines| {
            let level = first(lines, "level").clone();
            lines.insert(1, json!({ "level": level }));
        }),
    ];
    for (what, change) in cases {
        let problem = problem_of(&forged(&file, change)).await;
        assert!(!problem.to_string().contains('\u{1b}'), "{what}");
        assert!(!matches!(problem, Problem::Altered | Problem::Count { .. }), "{what}: {problem:?}");
        assert!(!problem.to_string().is_empty() && !nil.is_empty(), "{what}");
    }
    let escape = forged(&file, |lines| first(lines, "level")["\u{1b}[2J"] = json!(1));
    assert!(!problem_of(&escape).await.to_string().contains('\u{1b}'));
}

#[actix_web::test]
async fn a_company_beyond_its_quotas_or_with_an_erased_id_is_refused() {
    let file = some_file().await;
    let storage = memory().await;
    let quotas = iam_domain::QuotaLimits { levels_per_user: 1, ..Default::default() };
    let options = ImportOptions { quotas, on_conflict: OnConflict::Replace, ..ImportOptions::default() };
    let refused = preview(&storage, &*file, &options).await.unwrap();
    assert_eq!((refused.refused(), refused.companies), (1, 1));
    assert_eq!(import(&storage, &*file, &options, None).await.unwrap().refused(), 1);
    assert!(companies_of(&exported(&storage, None).await).iter().all(|line| !line.starts_with("{\"company\"")));

    let company = {
        let mut company = None;
        forged(&file, |lines| {
            company = CompanyId::parse(first(lines, "company")["id"].as_str().unwrap()).ok();
        });
        company.unwrap()
    };
    let mut tx = storage.begin(Target::Company(company), ChangeContext::command_line()).await.unwrap();
    let details = CompanyDetails { name: Name::parse("Gone").ok(), status: CompanyStatus::Suspended };
    tx.company_states_mut().replace_details(company, &details).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = storage.begin(Target::Company(company), ChangeContext::command_line()).await.unwrap();
    tx.company_states_mut().erase(company).await.unwrap();
    tx.commit().await.unwrap();
    let options = ImportOptions { on_conflict: OnConflict::Replace, ..ImportOptions::default() };
    assert_eq!(preview(&storage, &*file, &options).await.unwrap().refused(), 1);
    assert_eq!(import(&storage, &*file, &options, None).await.unwrap().refused(), 1);
}

#[actix_web::test]
async fn conflicts_stop_the_import_or_are_skipped_or_replaced() {
    let (source, there) = (memory().await, memory().await);
    let companies = [some_company(), some_company()];
    fill(&source, &companies).await;
    let file = exported(&source, None).await;
    import(&there, &*file, &ImportOptions::default(), None).await.unwrap();
    let original = content_of(&exported(&there, None).await);
    let rename = async |text: &str| {
        let mut tx = there.begin(Target::Company(companies[0]), ChangeContext::command_line()).await.unwrap();
        let details = CompanyDetails { name: Name::parse(text).ok(), status: CompanyStatus::Active };
        tx.company_states_mut().replace_details(companies[0], &details).await.unwrap();
        tx.commit().await.unwrap();
    };
    rename("Renamed").await;
    let with = |on_conflict| ImportOptions { on_conflict, ..ImportOptions::default() };
    let seen = preview(&there, &*file, &with(OnConflict::Stop)).await.unwrap();
    assert_eq!((seen.created(), seen.conflicts()), (0, 1), "{:?}", seen.findings);
    let stopped = import(&there, &*file, &with(OnConflict::Stop), None).await.unwrap_err();
    assert!(matches!(stopped, ImportError::Conflict(_)), "{stopped}");
    assert_eq!(import(&there, &*file, &with(OnConflict::Skip), None).await.unwrap().conflicts(), 1);
    assert_ne!(content_of(&exported(&there, None).await), original);
    assert_eq!(import(&there, &*file, &with(OnConflict::Replace), None).await.unwrap().conflicts(), 1);
    assert_eq!(content_of(&exported(&there, None).await), original);
    assert_eq!(preview(&there, &*file, &with(OnConflict::Stop)).await.unwrap().conflicts(), 0);
}

/// A view that exists with the same URL and another id stands for the view of the file, in the catalog and in companies.
#[actix_web::test]
async fn rows_of_the_catalog_with_other_ids_are_mapped() {
    let (source, there) = (memory().await, memory().await);
    let company = some_company();
    fill(&source, &[company]).await;
    let used = source.reader().snapshots().load_copy(company).await.unwrap().value.levels;
    let view = used.iter().find_map(|level| level.views.first()).unwrap().view_id;
    let view = source.reader().views().find_by_id(view).await.unwrap().unwrap();
    let other = iam_domain::View { id: iam_domain::ViewId::generate(view.created_at), ..view.clone() };
    let mut tx = there.begin(Target::Catalog, ChangeContext::command_line()).await.unwrap();
    for item in tx.snapshots().load_menu(None).await.unwrap().value.items {
        tx.menu_items_mut().delete(None, item.id).await.unwrap();
    }
    tx.views_mut().delete(view.id).await.unwrap();
    tx.views_mut().create(&other).await.unwrap();
    tx.commit().await.unwrap();
    let file = exported(&source, None).await;
    let seen = preview(&there, &*file, &ImportOptions::default()).await.unwrap();
    assert!(seen.conflicts() > 0);
    let options = ImportOptions { on_conflict: OnConflict::Skip, ..ImportOptions::default() };
    import(&there, &*file, &options, None).await.unwrap();
    let cells = |levels: Vec<iam_storage::CopiedLevel>| {
        levels.into_iter().flat_map(|level| level.views).map(|cell| (cell.id, cell.view_id)).collect::<BTreeSet<_>>()
    };
    let mapped = |(cell, id)| (cell, if id == view.id { other.id } else { id });
    let imported = there.reader().snapshots().load_copy(company).await.unwrap().value.levels;
    assert_eq!(cells(imported), cells(used).into_iter().map(mapped).collect());
}
