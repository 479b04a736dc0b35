//! Measures what an idle replica costs: memory, processor time, connections and statements.

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::api::Api;
use crate::postgres::{Database, connect};
use crate::process::{ProcessorTime, resident_memory};
use crate::report::Row;
use crate::statements::Statements;
use crate::tokens::Signer;
use crate::{Result, progress};

const SECTION: &str = "An idle replica with PostgreSQL";
/// The time that the replica has after its start to become idle.
const SETTLING: Duration = Duration::from_secs(10);
/// The period in which the idle replica is measured.
const PERIOD: Duration = Duration::from_secs(30);

/// Starts a server with the default settings on a seeded database, and measures it while no client sends a request.
///
/// # Errors
///
/// Returns an error if the server does not start, or if the database cannot be queried.
pub async fn sizing(database_url: &str, program: &Path) -> Result<Vec<Row>> {
    progress(format_args!("an idle replica"));
    Database::with(database_url, async |database| measure(database, program).await).await
}

async fn measure(database: &Database, program: &Path) -> Result<Vec<Row>> {
    let statements = Statements::start(&database.url).await?;
    let api = Api::start_with_defaults(program, Signer::hs256(), &statements.url)?;
    api.ready().await?;
    tokio::time::sleep(SETTLING).await;
    let process = api.server.id();
    let (executed, used) = (statements.executed(), ProcessorTime::of_process(process)?);
    tokio::time::sleep(PERIOD).await;
    let executed = statements.executed() - executed;
    let used = ProcessorTime::of_process(process)?.since(used).ran;
    let resident = resident_memory(process)? as f64 / (1024.0 * 1024.0);
    let row = |name, unit, ours| Row::new(SECTION, name, unit, ours);
    Ok(vec![
        row("resident memory", "MiB", resident),
        row("processor time", "ms/s", used.as_secs_f64() * 1e3 / PERIOD.as_secs_f64()),
        row("open connections to the database", "", sessions(database).await?),
        row("statements", "1/s", executed as f64 / PERIOD.as_secs_f64()),
    ])
}

/// Returns the number of sessions of the database, apart from that of this query.
async fn sessions(database: &Database) -> Result<f64> {
    let sql = "SELECT count(*) AS sessions FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let connection = connect(&database.url).await?;
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    let sessions: i64 = row.ok_or("a count returned no row")?.try_get("", "sessions")?;
    Ok(sessions as f64)
}
