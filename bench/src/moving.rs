//! Measures `iam export` and `iam import` with 1,000 companies of 100 users, beside `pg_dump` and `psql`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::api::Api;
use crate::postgres::Database;
use crate::process::peak_memory;
use crate::report::{Row, Target};
use crate::scale::fill;
use crate::tokens::Signer;
use crate::{Result, progress};

const SECTION: &str = "Export and import, 1,000 companies × 100 users";
const COMPANIES: usize = 1_000;
const USERS: usize = 100;
/// The number of audit records of each company.
const RECORDS: usize = 20;

/// The costs of a command.
struct Costs {
    /// Duration in seconds.
    seconds: f64,
    /// The largest resident memory, in mebibytes.
    mebibytes: f64,
}

/// Measures the section.
///
/// # Errors
///
/// Returns an error if a server cannot be started, or a command fails.
pub async fn moving(server: &str, program: &Path) -> Result<Vec<Row>> {
    Database::with(server, async |source| {
        Database::with(server, async |target| {
            Database::with(server, async |copy| measure(program, source, target, copy).await).await
        })
        .await
    })
    .await
}

async fn measure(program: &Path, source: &Database, target: &Database, copy: &Database) -> Result<Vec<Row>> {
    let settings = [("DATABASE_URL", source.url.as_str())];
    let api = Api::start_with(program, Signer::hs256(), 1, &settings)?;
    api.ready().await?;
    fill::companies(&api, source, COMPANIES, USERS).await?;
    fill::records(source, USERS, RECORDS).await?;
    drop(api);

    let folder = TempDir::new()?;
    let (file, dump) = (folder.path().join("all.ndjson"), folder.path().join("all.sql"));
    progress(format_args!("exporting"));
    let exported = run(Command::new(program).arg("export").arg(&file).env("DATABASE_URL", &source.url)).await?;
    progress(format_args!("importing"));
    let imported = run(Command::new(program).arg("import").arg(&file).env("DATABASE_URL", &target.url)).await?;
    progress(format_args!("importing again"));
    let again = run(Command::new(program).arg("import").arg(&file).env("DATABASE_URL", &target.url)).await?;
    progress(format_args!("pg_dump and psql"));
    let dumped = run(tool("pg_dump").arg("--clean").arg("--file").arg(&dump).arg(&source.url)).await?;
    let restored = run(tool("psql").args(["-q", "-f"]).arg(&dump).arg(&copy.url)).await?;

    let size = std::fs::metadata(&file)?.len() as f64 / 1e6;
    let time = |name: &str, own: &Costs| Row::new(SECTION, name, "s", own.seconds);
    let memory = |name: &str, own: &Costs| Row::new(SECTION, name, "MiB", own.mebibytes).target(Target::AtMost(100.0));
    // The targets apply to our times, not to the ratios.
    Ok(vec![
        time("iam export", &exported).target(Target::AtMost(60.0)).note(format!("a file of {size:.1} MB")),
        memory("iam export, peak memory", &exported),
        time("iam import into an empty database", &imported).target(Target::AtMost(60.0)),
        memory("iam import, peak memory", &imported),
        time("iam import of the same file again", &again).target(Target::AtMost(60.0)),
        time("iam export beside pg_dump", &exported).beside(
            "pg_dump",
            dumped.seconds,
            exported.seconds / dumped.seconds,
        ),
        time("iam import beside psql", &imported).beside("psql", restored.seconds, imported.seconds / restored.seconds),
    ])
}

/// Returns a client program of PostgreSQL: that of the test server, or the one in `PATH`.
fn tool(name: &str) -> Command {
    let beside = std::env::var_os("IAM_PG_BINDIR").map(|folder| Path::new(&folder).join(name));
    Command::new(beside.filter(|path| path.exists()).unwrap_or_else(|| name.into()))
}

/// Runs a command until it exits, and returns its costs.
async fn run(command: &mut Command) -> Result<Costs> {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // Fails only if the process exits meanwhile.
        peak = peak_memory(child.id()).unwrap_or(peak).max(peak);
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let seconds = begun.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{command:?} exited with {status}").into());
    }
    Ok(Costs { seconds, mebibytes: peak as f64 / (1024.0 * 1024.0) })
}
