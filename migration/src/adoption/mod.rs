//! The adoption of a database of the original system: its tables are moved to a schema of their own, the schema of this
//! service is created, and the rows are copied.
//!
//! Everything happens in one transaction. Rows that violate a constraint of the service stop the adoption, unless the
//! operator has chosen a repair for their kind. The moved tables keep all rows, so nothing is lost by a repair.

mod copy;
mod error;
mod original;
mod problems;
mod report;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction};

use crate::bookkeeping::Bookkeeping;
use crate::session::{Records, begin, statement};
use crate::waiting::is_contention;
use crate::{INDEXES, LockWait, Migrator, apply, build_indexes, partitions, to_name_conflict};
use copy::{COPIES, FUNCTIONS, STATES};
use original::TABLES;
use problems::Action;

pub use error::AdoptionError;
pub use problems::{ProblemKind, Repair};
pub use report::{Problem, Report, TableCount};

/// The schema to which the original tables are moved.
pub const ARCHIVE: &str = "iam_original";

/// Whether an adoption is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The adoption is committed, if no row remains without a repair.
    Commit,
    /// The adoption is rolled back. The database remains unchanged.
    DryRun,
}

/// Adopts the tables of the original system in the current schema. The role must own them, and must be permitted to create
/// a schema. No other program may use the tables meanwhile: they are locked, and moved to the schema [`ARCHIVE`].
///
/// # Errors
///
/// Returns [`AdoptionError`] if the database is not one of the original system, if rows violate constraints and have no
/// repair, or if a statement fails. The database is then unchanged.
pub async fn adopt(db: &DatabaseConnection, repairs: &[Repair], mode: Mode) -> Result<Report, AdoptionError> {
    let tx = begin::<Migrator>(db, Records::Required).await?;
    let bookkeeping = Bookkeeping::read::<Migrator>(&tx).await?;
    if !bookkeeping.applied().is_empty() {
        return Err(AdoptionError::AlreadyAdopted);
    }
    original::recognize(&tx).await?;
    let own = archive(&tx).await?;
    let mut report = Report { repairs: repairs.to_vec(), ..Report::default() };
    find_problems(&tx, &mut report).await?;
    if !report.is_complete() {
        return Err(AdoptionError::Unrepaired(Box::new(report)));
    }
    tx.execute_unprepared(&format!("SET LOCAL search_path = {own}")).await?;
    apply::<Migrator>(&tx, &bookkeeping).await.map_err(to_name_conflict)?;
    for copy in COPIES {
        let count = copy_table(&tx, &copy).await?;
        report.tables.push(count);
    }
    for sql in STATES {
        tx.execute_unprepared(sql).await?;
    }
    report.companies = count(&tx, "company_states").await? - RESERVED_STATES;
    if mode == Mode::DryRun {
        tx.rollback().await?;
        return Ok(report);
    }
    tx.commit().await?;
    build_indexes::<Migrator>(db, &INDEXES, LockWait::default()).await?;
    partitions::divide::<Migrator>(db, LockWait::default()).await?;
    Ok(report)
}

/// The number of rows of `company_states` that the migrations create, for the catalog and for the credentials.
const RESERVED_STATES: i64 = 2;

/// Locks the original tables, moves them to [`ARCHIVE`], and makes this schema the search path. Returns the quoted name of
/// the current schema.
async fn archive(tx: &DatabaseTransaction) -> Result<String, AdoptionError> {
    let own = "SELECT quote_ident(current_schema()) AS own,
        EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS is_taken";
    let row = tx.query_one_raw(statement(own, [ARCHIVE.into()])).await?.ok_or(crate::MigrationError::NoSchema)?;
    if row.try_get("", "is_taken")? {
        return Err(AdoptionError::ArchiveExists(ARCHIVE));
    }
    let names: Vec<_> = TABLES.iter().map(|(table, _)| *table).collect();
    let lock = format!("SET LOCAL lock_timeout = '5s'; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "));
    let locked = tx.execute_unprepared(&lock).await;
    locked.map_err(|error| if is_contention(&error) { AdoptionError::InUse } else { error.into() })?;
    tx.execute_unprepared(&format!("CREATE SCHEMA {ARCHIVE}")).await?;
    for table in names {
        tx.execute_unprepared(&format!("ALTER TABLE {table} SET SCHEMA {ARCHIVE}")).await?;
    }
    tx.execute_unprepared(&format!("SET LOCAL search_path = {ARCHIVE}")).await?;
    Ok(row.try_get("", "own")?)
}

/// Finds all rows that violate constraints. Records those that a repair drops in the temporary table `iam_dropped`.
async fn find_problems(tx: &DatabaseTransaction, report: &mut Report) -> Result<(), AdoptionError> {
    tx.execute_unprepared(FUNCTIONS).await?;
    tx.execute_unprepared("CREATE TEMPORARY TABLE iam_dropped (tab text, id tid) ON COMMIT DROP").await?;
    for kind in ProblemKind::ALL {
        let is_dropped = report.repair_of(kind).is_some_and(|repair| repair.action() == Action::Drop);
        for (table, condition) in kind.conditions() {
            let rows = format!(
                "SELECT (to_jsonb(o) - '{{created_at,updated_at,changes,metadata}}'::text[])::text AS row
                FROM {table} AS o WHERE {condition} ORDER BY 1"
            );
            for row in tx.query_all_raw(statement(&rows, [])).await? {
                report.problems.push(Problem { kind, table, row: row.try_get("", "row")? });
            }
            if is_dropped {
                let drop = format!(
                    "INSERT INTO pg_temp.iam_dropped SELECT '{table}', ctid FROM {table} AS o WHERE {condition}"
                );
                tx.execute_unprepared(&drop).await?;
            }
        }
    }
    tx.execute_unprepared("ANALYZE pg_temp.iam_dropped").await?;
    Ok(())
}

/// Copies the rows of a table, and checks that all rows were copied that no repair drops.
async fn copy_table(tx: &DatabaseTransaction, copy: &copy::Copy) -> Result<TableCount, AdoptionError> {
    let table = copy.table;
    let original = count(tx, &format!("{ARCHIVE}.{table}")).await?;
    let Some(sql) = copy.sql else { return Ok(TableCount { table, original, copied: None }) };
    let kept = format!("NOT EXISTS (SELECT FROM pg_temp.iam_dropped AS d WHERE d.tab = '{table}' AND d.id = o.ctid)");
    tx.execute_unprepared(&sql.replace("{kept}", &kept)).await?;
    let dropped =
        count(tx, &format!("(SELECT DISTINCT id FROM pg_temp.iam_dropped WHERE tab = '{table}') AS d")).await?;
    let (expected, copied) = (original - dropped, count(tx, table).await?);
    if copied != expected {
        return Err(AdoptionError::Incomplete { table, expected, copied });
    }
    Ok(TableCount { table, original, copied: Some(copied) })
}

async fn count(tx: &DatabaseTransaction, rows: &str) -> Result<i64, AdoptionError> {
    let row = tx.query_one_raw(statement(&format!("SELECT count(*) AS count FROM {rows}"), [])).await?;
    Ok(row.map(|row| row.try_get("", "count")).transpose()?.unwrap_or(0))
}
