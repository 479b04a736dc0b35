//! The PostgreSQL schema of the IAM service, its seed data, and the functions that apply them.
//!
//! The binary of this package is what operators run (`cargo run -p migration`, or a Kubernetes Job before a release).
//! The server never migrates: it calls [`pending`] and reports not-ready while something is.
//!
//! ```no_run
//! use sea_orm::Database;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let db = Database::connect("postgres://localhost/iam").await?;
//!
//! let applied = migration::up(&db).await?;
//! println!("applied {}", applied.join(", "));
//!
//! let report = migration::seed(&db).await?;
//! println!("inserted {report}");
//!
//! assert!(migration::pending(&db).await?.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # What can be relied upon
//!
//! * **All or nothing.** Each function that changes something is one transaction: a failing migration leaves nothing
//!   behind, not even the migrations before it in the same run.
//! * **One at a time.** That transaction holds an advisory lock, so any number of replicas may call [`up`] at once:
//!   one works, the others wait and find nothing left to do.
//! * **Idempotent.** [`up`] and [`seed`] change nothing when they are run again. What an operator edited or removed
//!   since stays as it is.
//! * **Ours only.** The database may hold other products' tables. [`fresh`] and [`down`] drop the tables and views of
//!   [`TABLES`] and [`VIEWS`], and refuse when somebody else's objects depend on them.
//! * **Reading needs no rights to create.** [`status`] and [`pending`] only read. A database that a newer release has
//!   migrated is [`MigrationError::Ahead`]; whether that is fatal is for the caller to say.
//!
//! A migration that cannot run inside a transaction (`CREATE INDEX CONCURRENTLY`) does not fit in here; see
//! `docs/schema-changes.md` in the repository for that, and for how to write any other.

mod m20261122_000001_create_iam_schema;
mod m20261122_000002_add_credentials;
mod m20261122_000003_row_level_security;
mod seed;

use std::collections::BTreeSet;

use sea_orm::sea_query::Query;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, Statement,
    TransactionTrait,
};
use sea_orm_migration::{MigrationTrait, MigratorTrait, seaql_migrations};

pub use seed::{SeedReport, seed};

/// Every table of the current schema, apart from the migrator's own `seaql_migrations`.
pub const TABLES: [&str; 21] = [
    "api_keys",
    "company2modules",
    "company_states",
    "effective_feature_permissions",
    "effective_view_permissions",
    "feature2views",
    "features",
    "iam_audit_logs",
    "menu_items",
    "module2features",
    "module2views",
    "modules",
    "nav_trail",
    "sub_menu_items",
    "user_cutoffs",
    "user_identities",
    "user_level_feature_permissions",
    "user_level_view_permissions",
    "user_levels",
    "user_user_levels",
    "views",
];

/// Every SQL view of the current schema.
pub const VIEWS: [&str; 2] = ["current_effective_feature_permissions", "current_effective_view_permissions"];

/// The advisory lock that migrators wait for: an arbitrary number ("IAM migr") that nothing else in the database uses.
const LOCK: i64 = 0x4941_4d20_6d69_6772;

/// Why the schema could not be changed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The database has migrations that this program does not know: a newer release has been here.
    #[error("the database has migrations of a newer release: {}", .unknown.join(", "))]
    Ahead {
        /// The names of the migrations that are applied but unknown.
        unknown: Vec<String>,
        /// The names of the known migrations that are not applied. None, unless two releases grew apart.
        pending: Vec<String>,
    },
    /// The schema is too old for what was asked.
    #[error("the schema is not up to date, apply first: {}", .pending.join(", "))]
    Behind {
        /// The names of the migrations that are not applied.
        pending: Vec<String>,
    },
    /// The database refused, or was not reachable.
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// The migrations in the order in which they apply.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_create_iam_schema::Migration),
            Box::new(m20261122_000002_add_credentials::Migration),
            Box::new(m20261122_000003_row_level_security::Migration),
        ]
    }
}

/// Whether one migration is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its name: that of its file.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Applies what is pending and returns the names of what it applied.
///
/// # Errors
///
/// [`MigrationError::Ahead`] when a newer release has migrated the database, [`MigrationError::Database`] when a
/// migration fails. Either way nothing has changed.
pub async fn up(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    up_with::<Migrator>(db).await
}

/// As [`up`], with the migrations of any migrator: for programs with migrations of their own, and for tests.
///
/// # Errors
///
/// As [`up`].
pub async fn up_with<M: MigratorTrait>(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    let tx = begin(db).await?;
    let pending = names(compare::<M>(&tx).await?, false);
    if !pending.is_empty() {
        M::up(&tx, None).await?;
    }
    tx.commit().await?;
    Ok(pending)
}

/// Takes back the last `steps` applied migrations, **with all data in what they created**, and returns their names,
/// the newest first.
///
/// # Errors
///
/// [`MigrationError::Ahead`] when a newer release has migrated the database, [`MigrationError::Database`] when another
/// object depends on what would be dropped. Either way nothing has changed.
pub async fn down(db: &DatabaseConnection, steps: u32) -> Result<Vec<String>, MigrationError> {
    let tx = begin(db).await?;
    let applied = names(compare::<Migrator>(&tx).await?, true);
    let last = applied.into_iter().rev().zip(0..steps).map(|(name, _)| name).collect::<Vec<_>>();
    if !last.is_empty() {
        Migrator::down(&tx, Some(steps)).await?;
    }
    tx.commit().await?;
    Ok(last)
}

/// Drops our tables and views, recorded as applied or not, **with all their data**, and applies every migration anew.
/// Returns the names of what it applied.
///
/// # Errors
///
/// As [`down`].
pub async fn fresh(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    let tx = begin(db).await?;
    // Of a newer release's tables we would leave some behind, so this stops there.
    let all = compare::<Migrator>(&tx).await?.into_iter().map(|migration| migration.name).collect();
    // One statement for all tables, since they refer to one another; no CASCADE, which would take foreign objects along.
    let drop = format!("DROP VIEW IF EXISTS {}; DROP TABLE IF EXISTS {};", VIEWS.join(", "), TABLES.join(", "));
    tx.execute_unprepared(&drop).await?;
    Migrator::uninstall(&tx).await?;
    Migrator::up(&tx, None).await?;
    tx.commit().await?;
    Ok(all)
}

/// Every migration and whether it is applied, in order. Only reads.
///
/// # Errors
///
/// [`MigrationError::Ahead`] when a newer release has migrated the database, [`MigrationError::Database`] when it
/// cannot be read.
pub async fn status(db: &DatabaseConnection) -> Result<Vec<MigrationStatus>, MigrationError> {
    compare::<Migrator>(db).await
}

/// The names of the migrations that are not applied, in order. Only reads.
///
/// # Errors
///
/// As [`status`]. After a release was rolled back, [`MigrationError::Ahead`] with nothing pending is a database that
/// has more than this program needs.
pub async fn pending(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    Ok(names(compare::<Migrator>(db).await?, false))
}

/// Begins the transaction that every change runs in, and waits in it for the migrators before us.
async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    // READ COMMITTED whatever the role's default: after waiting we must see what the others committed.
    let tx = db.begin_with_config(Some(IsolationLevel::ReadCommitted), Some(AccessMode::ReadWrite)).await?;
    // However long the others take, and however long our statements take …
    tx.execute_unprepared("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0").await?;
    // Migrations and the seed are about no single company. The owner of the tables is behind their policies too.
    tx.execute_unprepared("SET LOCAL iam.company = 'all'").await?;
    tx.execute_raw(statement("SELECT pg_advisory_xact_lock($1)", [LOCK.into()])).await?;
    // … but never stand in front of a busy table with everybody queueing behind us.
    tx.execute_unprepared("SET LOCAL lock_timeout = '5s'").await?;
    Ok(tx)
}

/// Compares a migrator's migrations with those that the database records.
async fn compare<M: MigratorTrait>(db: &impl ConnectionTrait) -> Result<Vec<MigrationStatus>, MigrationError> {
    let mut recorded = recorded::<M>(db).await?;
    let statuses = M::migrations()
        .iter()
        .map(|migration| MigrationStatus {
            name: migration.name().to_owned(),
            applied: recorded.remove(migration.name()),
        })
        .collect::<Vec<_>>();
    if recorded.is_empty() {
        return Ok(statuses);
    }
    Err(MigrationError::Ahead { unknown: recorded.into_iter().collect(), pending: names(statuses, false) })
}

/// The migrations that the database records. The migrator's own look-up fails on a name that it does not know, and
/// takes a table that one may not read for a missing one; so this asks itself.
async fn recorded<M: MigratorTrait>(db: &impl ConnectionTrait) -> Result<BTreeSet<String>, DbErr> {
    let table = M::migration_table_name();
    let exists = statement("SELECT to_regclass(quote_ident($1)) IS NOT NULL AS found", [table.to_string().into()]);
    let Some(row) = db.query_one_raw(exists).await? else { return Ok(BTreeSet::new()) };
    if !row.try_get::<bool>("", "found")? {
        return Ok(BTreeSet::new());
    }
    let versions = Query::select().column(seaql_migrations::Column::Version).from(table).take();
    db.query_all(&versions).await?.iter().map(|row| row.try_get("", "version")).collect()
}

/// The names of those that are applied, or of those that are not.
fn names(statuses: Vec<MigrationStatus>, applied: bool) -> Vec<String> {
    statuses.into_iter().filter(|status| status.applied == applied).map(|status| status.name).collect()
}

/// A statement with its values, in PostgreSQL's dialect.
fn statement<const N: usize>(sql: &str, values: [sea_orm::Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SQL of every migration, in order.
    const SQL: [&str; 3] = [
        m20261122_000001_create_iam_schema::UP,
        m20261122_000002_add_credentials::UP,
        m20261122_000003_row_level_security::UP,
    ];

    /// The words that follow `phrase` wherever it stands.
    fn after<'a>(sql: &'a str, phrase: &str) -> BTreeSet<&'a str> {
        sql.split(phrase).skip(1).filter_map(|rest| rest.split_whitespace().next()).collect()
    }

    fn all_after(phrase: &str) -> BTreeSet<&'static str> {
        SQL.iter().flat_map(|sql| after(sql, phrase)).collect()
    }

    #[test]
    fn fresh_drops_exactly_what_the_migrations_create() {
        assert_eq!(all_after("CREATE TABLE "), TABLES.into());
        assert_eq!(all_after("CREATE VIEW "), VIEWS.into());
    }

    #[test]
    fn migrations_take_back_all_that_they_create() {
        let down = [m20261122_000001_create_iam_schema::DOWN, m20261122_000002_add_credentials::DOWN];
        let dropped: BTreeSet<_> = down.iter().flat_map(|down| down.split([' ', ',', ';', '\n'])).collect();
        let kept = TABLES.into_iter().chain(VIEWS).filter(|name| !dropped.contains(name)).collect::<Vec<_>>();
        assert_eq!(kept, Vec::<&str>::new());
    }

    #[test]
    fn names_fit_into_what_postgresql_keeps_of_them() {
        let constraints_and_indexes = all_after("CONSTRAINT ").into_iter().chain(all_after("CREATE INDEX "));
        let named = constraints_and_indexes.chain(TABLES).chain(VIEWS).collect::<Vec<_>>();
        assert!(named.iter().all(|name| name.len() <= 63), "{named:?}");
    }

    #[test]
    fn every_constraint_is_named_and_every_text_sorts_by_code_point() {
        // Comments, and what policies are made of.
        const OTHERS: [&str; 4] = ["--", "own ", "item ", "WITH CHECK"];
        let is_other = |line: &&str| OTHERS.iter().any(|other| line.trim_start().starts_with(other));
        for line in SQL.iter().flat_map(|sql| sql.lines()).filter(|line| !is_other(line)) {
            let is_text = line.contains(" varchar(") || line.contains(" text ");
            assert!(!is_text || line.contains("COLLATE \"C\""), "{line}");
            let is_constraint =
                ["PRIMARY KEY", " UNIQUE", "CHECK (", "REFERENCES"].iter().any(|kind| line.contains(kind));
            let is_continued = line.starts_with("        ");
            assert!(!is_constraint || is_continued || line.trim_start().starts_with("CONSTRAINT "), "{line}");
        }
    }

    #[test]
    fn migrations_are_in_the_order_of_their_names() {
        let names = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect::<Vec<_>>();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
