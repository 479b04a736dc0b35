//! Tests of the dependency rules in ARCHITECTURE.md, checked against `cargo metadata` and the source files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package, TargetKind};

/// The expected dependencies of each crate that ships: the workspace crates on which the crate depends directly.
const DEPENDENCIES: [(&str, &[&str]); 14] = [
    ("iam-domain", &[]),
    ("iam-database-url", &[]),
    ("iam-traces", &[]),
    ("iam-storage", &["iam-domain"]),
    ("iam-storage-memory", &["iam-domain", "iam-storage"]),
    ("iam-storage-postgres", &["iam-database-url", "iam-domain", "iam-storage", "iam-traces"]),
    ("iam-permissions-cache", &["iam-domain", "iam-storage", "iam-traces"]),
    ("iam-identity", &["iam-domain", "iam-traces"]),
    ("iam-application", &["iam-domain", "iam-permissions-cache", "iam-storage", "iam-traces"]),
    ("iam-console", &["iam-application", "iam-domain", "iam-identity", "iam-permissions-cache"]),
    ("iam-http", &["iam-application", "iam-domain", "iam-identity", "iam-permissions-cache", "iam-traces"]),
    (
        "iam-composition",
        &[
            "iam-application",
            "iam-domain",
            "iam-identity",
            "iam-permissions-cache",
            "iam-storage",
            "iam-storage-memory",
            "iam-storage-postgres",
            "iam-traces",
            "iam-transfer",
            "migration",
        ],
    ),
    ("iam-transfer", &["iam-domain", "iam-storage"]),
    ("migration", &["iam-database-url", "iam-domain"]),
];

/// The crates of the whole-system tests and of the soak test. They do not ship, and may depend on every crate.
const TESTS: [&str; 3] = ["iam-tests", "iam-browser", "iam-chaos"];

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ must be a directory of the workspace").to_owned()
}

/// Returns the output of `cargo metadata` with all features, for this platform only. Packages for other platforms are
/// never compiled here and would have to be downloaded.
fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        MetadataCommand::new()
            .manifest_path(root().join("Cargo.toml"))
            .features(CargoOpt::AllFeatures)
            .other_options(["--filter-platform", "host-tuple"].map(str::to_owned))
            .exec()
            .expect("cargo metadata must succeed")
    })
}

/// Returns the workspace crates that ship.
fn workspace_packages() -> impl Iterator<Item = &'static Package> {
    metadata().workspace_packages().into_iter().filter(|package| !TESTS.contains(&package.name.as_str()))
}

fn package(name: &str) -> &'static Package {
    workspace_packages().find(|package| package.name == name).expect("the crate must be in the workspace")
}

/// Returns the names of a package's direct dependencies of this kind that satisfy `is_meant`. The closure `is_meant`
/// receives the name of a dependency and whether the dependency is optional.
fn direct(package: &Package, kind: DependencyKind, is_meant: impl Fn(&str, bool) -> bool) -> BTreeSet<&str> {
    let dependencies = package.dependencies.iter().filter(|dependency| dependency.kind == kind);
    let meant = dependencies.filter(|dependency| is_meant(&dependency.name, dependency.optional));
    meant.map(|dependency| dependency.name.as_str()).collect()
}

fn is_workspace_package(name: &str) -> bool {
    DEPENDENCIES.iter().any(|(package, _)| *package == name) || TESTS.contains(&name)
}

/// Returns the name of the crate and the names of its direct and transitive dependencies. Development dependencies are
/// omitted.
fn transitive_dependencies(name: &str) -> BTreeSet<&'static str> {
    let resolve = metadata().resolve.as_ref().expect("cargo metadata must resolve the graph");
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<_, _> =
        metadata().packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let mut seen = BTreeSet::new();
    let mut open = vec![&package(name).id];
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let is_shipped = |kinds: &[cargo_metadata::DepKindInfo]| {
                kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
            };
            open.extend(nodes[id].deps.iter().filter(|dep| is_shipped(&dep.dep_kinds)).map(|dep| &dep.pkg));
        }
    }
    seen.into_iter().map(|id| names[id]).collect()
}

/// Returns the content of every Rust source file below `crates`, `migration` and `tests`, keyed by its path in the
/// workspace.
fn sources() -> BTreeMap<String, String> {
    fn collect(folder: &Path, files: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).expect("the folder must be readable") {
            let path = entry.expect("the entry must be readable").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(root())
                    .expect("the file must be in the workspace")
                    .to_string_lossy()
                    .into_owned();
                files.insert(name, std::fs::read_to_string(&path).expect("the file must be readable"));
            }
        }
    }
    let mut files = BTreeMap::new();
    for folder in ["crates", "migration", "tests"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
}

/// Returns every code line that ships, with the path of its file. Test modules and comment lines are omitted.
pub fn shipped_lines() -> impl Iterator<Item = (String, String)> {
    sources().into_iter().filter(|(file, _)| file.contains("/src/") && !file.starts_with("tests/")).flat_map(
        |(file, source)| {
            let shipped = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            let lines: Vec<_> =
                shipped.lines().map(str::trim).filter(|line| !line.starts_with("//")).map(str::to_owned).collect();
            lines.into_iter().map(move |line| (file.clone(), line))
        },
    )
}

#[test]
fn crates_have_exactly_the_documented_dependencies() {
    let built: BTreeMap<_, _> = workspace_packages()
        .map(|package| {
            let known =
                direct(package, DependencyKind::Normal, |name, optional| is_workspace_package(name) && !optional);
            (package.name.as_str(), known)
        })
        .collect();
    let meant: BTreeMap<_, BTreeSet<_>> =
        DEPENDENCIES.iter().map(|(name, known)| (*name, known.iter().copied().collect())).collect();
    assert_eq!(built, meant);
}

#[test]
fn only_the_program_depends_on_the_composition_root_the_console_and_the_migrations() {
    for package in workspace_packages() {
        let optional = direct(package, DependencyKind::Normal, |name, optional| is_workspace_package(name) && optional);
        let of_program = BTreeSet::from(["iam-composition", "iam-console", "migration"]);
        let meant = if package.name == "iam-http" { of_program } else { BTreeSet::new() };
        assert_eq!(optional, meant, "{}", package.name);
        assert_eq!(
            direct(package, DependencyKind::Build, |name, _| is_workspace_package(name)),
            BTreeSet::new(),
            "{}",
            package.name
        );
    }
    let http = package("iam-http");
    for (optional, feature) in [("iam-composition", "server"), ("iam-console", "console"), ("migration", "server")] {
        let dependency = format!("dep:{optional}");
        let enabling = http.features.iter().filter(|(_, enabled)| enabled.contains(&dependency));
        assert_eq!(enabling.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [feature]);
    }
    let binaries: Vec<_> = http.targets.iter().filter(|target| target.kind.contains(&TargetKind::Bin)).collect();
    assert_eq!(binaries.iter().map(|binary| binary.name.as_str()).collect::<Vec<_>>(), ["iam", "iam-http"]);
    for binary in binaries {
        assert!(binary.required_features.iter().any(|name| name == "server"), "{}", binary.name);
    }
    // The program consists of its main files, and of the folder with its commands.
    let of_program = ["iam_composition", "iam_console", "migration::"];
    let knows = |line: &str| of_program.iter().any(|name| line.contains(name));
    for (file, line) in shipped_lines().filter(|(file, line)| file.starts_with("crates/http/") && knows(line)) {
        assert!(file.starts_with("crates/http/src/cli/"), "{file}: {line}");
    }
    let library = std::fs::read_to_string(root().join("crates/http/src/lib.rs")).expect("the file must be readable");
    assert!(!library.contains("mod cli;"), "the commands must not be part of the library");
}

#[test]
fn tests_of_a_crate_depend_on_no_other_workspace_crates() {
    for package in workspace_packages() {
        let mut known = direct(package, DependencyKind::Normal, |name, _| is_workspace_package(name));
        if package.name.as_str() == "iam-permissions-cache" {
            // The tests of the cache use the in-memory storage.
            known.insert("iam-storage-memory");
        }
        let built = direct(package, DependencyKind::Development, |name, _| is_workspace_package(name));
        assert!(built.is_subset(&known), "{}: {built:?}", package.name);
    }
}

#[test]
fn the_domain_is_pure() {
    let found = transitive_dependencies("iam-domain");
    assert!(found.contains("serde"), "the dependency of iam-domain on serde must be found");
    for banned in ["actix-web", "async-trait", "futures-util", "sea-orm", "sqlx", "sqlx-core", "tokio"] {
        assert!(!found.contains(banned), "iam-domain must not depend on {banned}");
    }
    let banned = ["async fn", "SystemTime", "Instant", "Utc::now", "std::env", "std::fs", "std::net", "std::thread"];
    for (file, line) in shipped_lines().filter(|(file, _)| file.starts_with("crates/domain/")) {
        assert!(!banned.iter().any(|word| line.contains(word)), "{file}: {line}");
    }
}

#[test]
fn only_designated_crates_depend_on_database_and_http_crates() {
    let knowing = |prefixes: &[&str]| -> BTreeSet<&str> {
        workspace_packages()
            .filter(|package| {
                package.dependencies.iter().any(|known| prefixes.iter().any(|prefix| known.name.starts_with(prefix)))
            })
            .map(|package| package.name.as_str())
            .collect()
    };
    let database = BTreeSet::from(["iam-database-url", "iam-storage-postgres", "migration"]);
    assert_eq!(knowing(&["sea-", "sqlx", "tokio-postgres"]), database);
    assert_eq!(knowing(&["actix", "hyper", "axum", "http"]), BTreeSet::from(["iam-console", "iam-http"]));
}

/// Returns `true` if the license expression can be satisfied without a GPL, LGPL or AGPL. Either the expression
/// contains none of these licenses, or it offers an alternative to them (`OR`, `/`). An expression that contains both
/// `AND` and `GPL` is rejected without further parsing.
fn is_free_of_gpl(license: &str) -> bool {
    let alternatives = || license.split(" OR ").flat_map(|part| part.split('/'));
    !license.contains("GPL") || (!license.contains(" AND ") && alternatives().any(|part| !part.contains("GPL")))
}

#[test]
fn every_dependency_is_usable_without_a_gpl_license() {
    assert!(is_free_of_gpl("MIT OR Apache-2.0 OR LGPL-2.1-or-later") && is_free_of_gpl("MIT/GPL-2.0"));
    assert!(!is_free_of_gpl("AGPL-3.0-only") && !is_free_of_gpl("MIT AND GPL-3.0") && !is_free_of_gpl("LGPL-3.0"));
    let resolve = metadata().resolve.as_ref().expect("cargo metadata must resolve the graph");
    let used: BTreeSet<_> = resolve.nodes.iter().map(|node| &node.id).collect();
    for package in metadata().packages.iter().filter(|package| used.contains(&package.id)) {
        let license = package.license.as_deref();
        assert!(license.is_some_and(is_free_of_gpl), "{} {}: {license:?}", package.name, package.version);
    }
}

/// Exactly one cryptography backend of `jsonwebtoken` is enabled. With no backend, or with two backends and no default,
/// `jsonwebtoken` would panic at the first token.
#[test]
fn tokens_use_exactly_one_cryptography_library() {
    let resolve = metadata().resolve.as_ref().expect("cargo metadata must resolve the graph");
    let package = metadata()
        .packages
        .iter()
        .find(|package| package.name == "jsonwebtoken")
        .expect("jsonwebtoken must be a dependency");
    let features =
        &resolve.nodes.iter().find(|node| node.id == package.id).expect("the graph must contain jsonwebtoken").features;
    let back_ends = features.iter().filter(|feature| ["aws_lc_rs", "rust_crypto"].contains(&feature.as_str()));
    assert_eq!(back_ends.map(|feature| feature.as_str()).collect::<Vec<_>>(), ["aws_lc_rs"]);
}

#[test]
fn every_crate_inherits_the_lints() {
    for package in metadata().workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("the manifest must be readable");
        let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
        assert_eq!(lines.find(|line| !line.is_empty()), Some("workspace = true"), "{}", package.name);
    }
}

#[test]
fn only_the_settings_read_the_environment() {
    let reading: BTreeSet<_> = shipped_lines()
        .filter(|(_, line)| line.contains("std::env") || line.contains("env::var"))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(reading, BTreeSet::from(["crates/composition/src/settings/mod.rs".to_owned()]));
}

#[test]
fn every_source_file_begins_with_a_module_comment() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, source)| !source.starts_with("//! ")).map(|(file, _)| file).collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn no_source_file_exceeds_500_lines() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(file, source)| (file, source.lines().count()))
        .filter(|(_, lines)| *lines > 500)
        .collect();
    assert_eq!(long, Vec::<(String, usize)>::new());
}
