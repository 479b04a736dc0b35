//! The PostgreSQL schema of the IAM service, its seed data, and the functions that apply them.
//!
//! Operators run the binary of this package (`cargo run -p migration`, or a Kubernetes Job before a release), or the
//! command `iam migrate`, which runs the same code ([`command_line`]). The server never applies migrations: it calls
//! [`pending`], and reports that it is not ready while a migration is pending.
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
//! # Guarantees
//!
//! * **All or nothing.** Each function that changes something runs in one transaction. If a migration fails, the whole
//!   transaction is rolled back, including the migrations that succeeded before it in the same run.
//! * **One at a time.** The transaction of each such function holds a lock on the table `iam_migrations` of its schema,
//!   so any number of processes may call [`up`] concurrently. One process applies the migrations. The other processes
//!   wait, and then have nothing to do. Installations in other schemas do not wait.
//! * **Short queues.** A statement of a migration waits at most one second for a lock. Then the transaction is rolled
//!   back, so that the sessions that queue behind it continue, and is run again ([`LockWait`]).
//! * **Idempotent.** [`up`] and [`seed`] change nothing when they run again. They neither overwrite rows that an
//!   operator has edited nor restore rows that an operator has deleted; only [`restore_seed`] inserts deleted rows
//!   again.
//! * **One schema.** All functions work in the first schema of the search path that exists. Tables in other schemas are
//!   ignored.
//! * **Own objects only.** The schema may contain tables of other products. [`fresh`] and [`down`] drop the tables and
//!   views of [`TABLES`] and [`VIEWS`] only if the table `iam_migrations` records that these migrations created them,
//!   and fail if another program's objects depend on them. Rows of other programs in `seaql_migrations` are ignored and
//!   not changed; the first [`up`] copies the rows that earlier builds of this program recorded there.
//! * **Reading needs no `CREATE` privilege.** [`status`] and [`pending`] only read. For a database that a newer release
//!   has migrated they return [`MigrationError::Ahead`]; the caller decides whether that is fatal.
//!
//! Indexes on tables that may be large are built after the transaction, with `CREATE INDEX CONCURRENTLY` ([`INDEXES`]).
//! Then the audit log is divided into partitions, and the partitions of the coming months are created.
//! `docs/schema-changes.md` in the repository describes how to write a migration.

pub mod additive_defaults;
pub mod adoption;
mod bookkeeping;
mod change;
pub mod command_line;
mod compatibility;
mod connect;
mod error;
mod gains;
mod indexes;
#[cfg(test)]
mod lint;
mod listing;
mod m20261122_000001_create_iam_schema;
mod m20261122_000002_add_credentials;
mod m20261122_000003_row_level_security;
mod m20261125_000004_states_and_histories;
mod m20261125_000005_indexes_without_rivals;
mod m20261126_000006_seeded_rows;
mod m20261126_000007_company_quotas;
mod m20261126_000008_change_lock;
mod m20261127_000009_api_key_rates;
mod m20261127_000010_company_ceilings;
mod m20261127_000011_company_directory;
mod m20261127_000012_cursor_key;
mod m20261127_000013_idempotency_keys;
mod m20261127_000014_assignment_periods;
mod m20261127_000015_member_names;
mod m20261127_000016_last_backup;
mod m20261128_000017_engine;
mod m20261128_000018_partitions;
mod m20261128_000019_console_sessions;
mod obstacle;
mod partitions;
mod provisioned_levels;
mod seed;
mod session;
mod stored_company;
mod waiting;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, DynIden, RuntimeErr};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::bookkeeping::Bookkeeping;
use crate::session::{Records, statement};
use crate::waiting::change_schema;

pub use error::MigrationError;
pub use indexes::{ConcurrentIndex, IndexProblem, build_indexes};
pub use obstacle::{BlockingSession, Obstacle};
pub use partitions::{Undivided, undivided};
pub use seed::{SeedReport, restore_seed, seed};
pub use waiting::{FailedAttempt, LockWait, Progress};

/// The names of all tables that the migrations create in the schema of the installation. The migrator's own table,
/// `iam_migrations`, is not listed.
pub const TABLES: [&str; 30] = [
    "api_keys",
    "company2modules",
    "company_states",
    "console_sessions",
    "effective_feature_permissions",
    "effective_view_permissions",
    "feature2views",
    "features",
    "iam_audit_logs",
    "iam_cursor_keys",
    "iam_engine",
    "iam_gate_marks",
    "iam_heartbeats",
    "iam_installation",
    "iam_seeded_rows",
    "idempotency_keys",
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
    "user_profiles",
    "user_user_levels",
    "views",
];

/// The names of all SQL views that the migrations create.
pub const VIEWS: [&str; 2] = ["current_effective_feature_permissions", "current_effective_view_permissions"];

/// The indexes that are built after the transaction of the migrations, because their tables may be large.
pub const INDEXES: [ConcurrentIndex; 1] = [m20261127_000015_member_names::INDEX];

/// The signatures of all functions that the migrations create, except those of the global lock.
const FUNCTIONS: [&str; 1] = ["iam_mark_state()"];

/// Query for the relations in the current schema whose names are in $1.
const FIND_RELATIONS: &str = r#"
    SELECT relname::text AS name, current_schema()::text AS schema FROM pg_class
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relname = ANY($1)
    ORDER BY relname COLLATE "C""#;

/// The migrator of this program, with the migrations in the order in which they are applied.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_create_iam_schema::Migration),
            Box::new(m20261122_000002_add_credentials::Migration),
            Box::new(m20261122_000003_row_level_security::Migration),
            Box::new(m20261125_000004_states_and_histories::Migration),
            Box::new(m20261125_000005_indexes_without_rivals::Migration),
            Box::new(m20261126_000006_seeded_rows::Migration),
            Box::new(m20261126_000007_company_quotas::Migration),
            Box::new(m20261126_000008_change_lock::Migration),
            Box::new(m20261127_000009_api_key_rates::Migration),
            Box::new(m20261127_000010_company_ceilings::Migration),
            Box::new(m20261127_000011_company_directory::Migration),
            Box::new(m20261127_000012_cursor_key::Migration),
            Box::new(m20261127_000013_idempotency_keys::Migration),
            Box::new(m20261127_000014_assignment_periods::Migration),
            Box::new(m20261127_000015_member_names::Migration),
            Box::new(m20261127_000016_last_backup::Migration),
            Box::new(m20261128_000017_engine::Migration),
            Box::new(m20261128_000018_partitions::Migration),
            Box::new(m20261128_000019_console_sessions::Migration),
        ]
    }

    /// Returns the name of the table of applied migrations, which only this program uses. SeaORM's migrator fails if
    /// the table contains migrations of another program, so two programs cannot share a table.
    fn migration_table_name() -> DynIden {
        "iam_migrations".into()
    }
}

/// The status of one migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// The name of the migration, which is the name of its file.
    pub name: String,
    /// `true` if the migration is applied to the database.
    pub applied: bool,
}

/// The changes of one call of [`up_within`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The names of the migrations that were applied.
    pub applied: Vec<String>,
    /// The names of the indexes that were built.
    pub built: Vec<String>,
}

/// Applies pending migrations, builds missing indexes, and returns the names of the migrations. Waits for locks as
/// [`LockWait::default`] specifies.
///
/// # Errors
///
/// Returns the same errors as [`up_within`].
pub async fn up(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    Ok(up_within(db, LockWait::default()).await?.applied)
}

/// Applies pending migrations, then builds the indexes of [`INDEXES`] that are missing or invalid, and creates the
/// partitions of the audit log for the coming months.
///
/// # Errors
///
/// [`MigrationError::Ahead`] if a newer release has migrated the database, [`MigrationError::ForeignRelations`] and
/// [`MigrationError::NameConflict`] if objects of another product have names that the migrations use,
/// [`MigrationError::ReadOnly`] if the session is read-only, [`MigrationError::Encoding`] if the database is not UTF8,
/// [`MigrationError::NoSchema`] if the search path names no usable schema, [`MigrationError::Locked`] if other sessions
/// hold locks, and [`MigrationError::Database`] if a migration fails. In each of these cases no migration is applied.
/// [`MigrationError::Index`] if an index cannot be built, and [`MigrationError::Partitions`] if a partition cannot be
/// created. In these cases all migrations are applied.
pub async fn up_within(db: &DatabaseConnection, wait: LockWait<'_>) -> Result<Changes, MigrationError> {
    let applied = change_schema::<Migrator, _>(db, Records::Required, wait, |tx| {
        Box::pin(async move {
            let bookkeeping = Bookkeeping::read::<Migrator>(tx).await?;
            check_no_foreign_relations(tx, &bookkeeping).await?;
            apply::<Migrator>(tx, &bookkeeping).await.map_err(to_name_conflict)
        })
    })
    .await?;
    let built = build_indexes::<Migrator>(db, &INDEXES, wait).await?;
    partitions::divide::<Migrator>(db, wait).await?;
    Ok(Changes { applied, built })
}

/// Applies the pending migrations of any migrator `M`, and returns their names. The applied migrations are recorded in
/// the table of this migrator. This function is for programs with their own migrations and for tests. Unlike [`up`], it
/// does not check beforehand whether relations of another product have the same names.
///
/// # Errors
///
/// Returns the same errors as [`up`], except [`MigrationError::ForeignRelations`] and [`MigrationError::NameConflict`].
pub async fn up_with<M: MigratorTrait>(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    change_schema::<M, _>(db, Records::Required, LockWait::default(), |tx| {
        Box::pin(async move { apply::<M>(tx, &Bookkeeping::read::<M>(tx).await?).await })
    })
    .await
}

/// Reverts the last `steps` applied migrations, and returns their names, newest first. **This deletes all data in the
/// tables that these migrations created.**
///
/// # Errors
///
/// [`MigrationError::Ahead`] if a newer release has migrated the database, [`MigrationError::Database`] if another
/// object depends on an object to be dropped; [`MigrationError::ReadOnly`], [`MigrationError::Encoding`],
/// [`MigrationError::NoSchema`] and [`MigrationError::Locked`] as for [`up`]. In each case the database is unchanged.
pub async fn down(db: &DatabaseConnection, steps: u32) -> Result<Vec<String>, MigrationError> {
    change_schema::<Migrator, _>(db, Records::Optional, LockWait::default(), |tx| {
        Box::pin(async move {
            let bookkeeping = Bookkeeping::read::<Migrator>(tx).await?;
            let applied = names(compare::<Migrator>(&bookkeeping)?, true);
            let last = applied.into_iter().rev().zip(0..steps).map(|(name, _)| name).collect::<Vec<_>>();
            if !last.is_empty() {
                bookkeeping.adopt::<Migrator>(tx).await?;
                Migrator::down(tx, Some(steps)).await?;
                bookkeeping.forget_shared(tx, &last).await?;
            }
            Ok(last)
        })
    })
    .await
}

/// Drops this program's tables and views **with all their data**, and applies every migration again. If the database
/// has no applied migration, this function does the same as [`up`]. Returns the names of the migrations that it
/// applied.
///
/// # Errors
///
/// Returns the same errors as [`up`], and [`MigrationError::Database`] if another object depends on an object to be
/// dropped.
pub async fn fresh(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    let applied = change_schema::<Migrator, _>(db, Records::Required, LockWait::default(), |tx| {
        Box::pin(async move {
            let bookkeeping = Bookkeeping::read::<Migrator>(tx).await?;
            check_no_foreign_relations(tx, &bookkeeping).await?;
            // `apply` fails if a newer release has migrated the database, because tables of that release would remain.
            // `apply` also applies the pending migrations before the tables are dropped. It fails if a relation of another
            // product has a name that a pending migration creates. If it succeeds, all relations with these names belong to
            // this program.
            let mut applied = apply::<Migrator>(tx, &bookkeeping).await.map_err(to_name_conflict)?;
            if !bookkeeping.applied().is_empty() {
                // One statement drops all tables, because they reference each other. It has no CASCADE, which would also
                // drop objects of other programs.
                let drop = format!(
                    "DROP VIEW IF EXISTS {}; DROP TABLE IF EXISTS {}; DROP FUNCTION IF EXISTS {}; DELETE FROM {}",
                    VIEWS.join(", "),
                    TABLES.join(", "),
                    FUNCTIONS.join(", "),
                    Migrator::migration_table_name()
                );
                tx.execute_unprepared(m20261126_000008_change_lock::DOWN).await?;
                tx.execute_unprepared(&drop).await?;
                Migrator::up(tx, None).await?;
                applied = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
            }
            Ok(applied)
        })
    })
    .await?;
    build_indexes::<Migrator>(db, &INDEXES, LockWait::default()).await?;
    partitions::divide::<Migrator>(db, LockWait::default()).await?;
    Ok(applied)
}

/// Returns the status of every migration, in order. Changes nothing.
///
/// # Errors
///
/// [`MigrationError::Ahead`] if a newer release has migrated the database, [`MigrationError::NoSchema`] if the search
/// path names no usable schema, [`MigrationError::Database`] if the database cannot be read.
pub async fn status(db: &DatabaseConnection) -> Result<Vec<MigrationStatus>, MigrationError> {
    compare::<Migrator>(&Bookkeeping::read::<Migrator>(db).await?)
}

/// Returns the names of the migrations that are not applied, in order. Changes nothing.
///
/// # Errors
///
/// Returns the same errors as [`status`]. If a deployment is rolled back to an older release, the older release
/// receives [`MigrationError::Ahead`]. If the list `pending` in this error is empty, the database has everything that
/// the older release needs.
pub async fn pending(db: &DatabaseConnection) -> Result<Vec<String>, MigrationError> {
    Ok(names(status(db).await?, false))
}

/// Returns the indexes of [`INDEXES`] that are missing or invalid. The service works without them, but slower. Changes
/// nothing.
///
/// # Errors
///
/// [`MigrationError::NoSchema`] and [`MigrationError::Database`] as for [`status`].
pub async fn index_problems(db: &DatabaseConnection) -> Result<Vec<(&'static str, IndexProblem)>, MigrationError> {
    indexes::problems(db, &INDEXES).await
}

/// Fails if no migration has been applied but relations with names from [`TABLES`] or [`VIEWS`] already exist. Such
/// relations belong to another product.
async fn check_no_foreign_relations(tx: &DatabaseTransaction, bookkeeping: &Bookkeeping) -> Result<(), MigrationError> {
    if !bookkeeping.applied().is_empty() {
        return Ok(());
    }
    let ours: Vec<String> = TABLES.into_iter().chain(VIEWS).map(str::to_owned).collect();
    let found = tx.query_all_raw(statement(FIND_RELATIONS, [ours.into()])).await?;
    let Some(first) = found.first() else { return Ok(()) };
    let names = found.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?;
    Err(MigrationError::ForeignRelations { schema: first.try_get("", "schema")?, names })
}

/// Converts the error of a migration to [`MigrationError::NameConflict`] if the migration failed because an object
/// with the same name already exists. For tables and views, [`check_no_foreign_relations`] checks this beforehand. It
/// cannot check types, functions and indexes, because there is no complete list of their names.
fn to_name_conflict(error: MigrationError) -> MigrationError {
    let MigrationError::Database(source) = error else { return error };
    let answer = match &source {
        DbErr::Exec(RuntimeErr::SqlxError(error)) => error.as_database_error(),
        _ => None,
    };
    // duplicate_table (any relation), duplicate_object, duplicate_function
    let is_taken = |code: &str| matches!(code, "42P07" | "42710" | "42723");
    match answer.filter(|answer| answer.code().as_deref().is_some_and(is_taken)) {
        Some(answer) => MigrationError::NameConflict { object: answer.message().to_owned(), source },
        None => MigrationError::Database(source),
    }
}

/// Applies pending migrations and returns their names.
async fn apply<M: MigratorTrait>(
    tx: &DatabaseTransaction,
    bookkeeping: &Bookkeeping,
) -> Result<Vec<String>, MigrationError> {
    let pending = names(compare::<M>(bookkeeping)?, false);
    bookkeeping.adopt::<M>(tx).await?;
    if !pending.is_empty() {
        M::up(tx, None).await?;
    }
    Ok(pending)
}

/// Returns the status of a migrator's migrations. Fails if the schema records migrations that the migrator does not
/// contain.
fn compare<M: MigratorTrait>(bookkeeping: &Bookkeeping) -> Result<Vec<MigrationStatus>, MigrationError> {
    let mut recorded = bookkeeping.applied();
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

/// Returns the names of the applied migrations if `applied` is `true`, and otherwise of the pending migrations.
fn names(statuses: Vec<MigrationStatus>, applied: bool) -> Vec<String> {
    statuses.into_iter().filter(|status| status.applied == applied).map(|status| status.name).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Returns the SQL of every migration that creates objects in the schema of the installation, in order. The table of
    /// the global lock is in a schema of its own.
    fn sql() -> impl Iterator<Item = &'static str> {
        crate::lint::UP.into_iter().filter(|(name, _)| !name.ends_with("change_lock")).map(|(_, sql)| sql)
    }

    /// Returns the word after each occurrence of `phrase`.
    fn after<'a>(sql: &'a str, phrase: &str) -> BTreeSet<&'a str> {
        sql.split(phrase).skip(1).filter_map(|rest| rest.split_whitespace().next()).collect()
    }

    fn all_after(phrase: &str) -> BTreeSet<&'static str> {
        sql().flat_map(|sql| after(sql, phrase)).collect()
    }

    #[test]
    fn fresh_drops_exactly_what_the_migrations_create() {
        let mut tables = all_after("CREATE TABLE ");
        // The partitions have no constant names; they are dropped with their tables.
        tables.remove("%I");
        assert_eq!(tables, TABLES.into());
        assert_eq!(all_after("CREATE VIEW "), VIEWS.into());
    }

    #[test]
    fn down_migrations_drop_all_created_objects() {
        let down = [
            m20261122_000001_create_iam_schema::DOWN,
            m20261122_000002_add_credentials::DOWN,
            m20261125_000004_states_and_histories::DOWN,
            m20261126_000006_seeded_rows::DOWN,
            m20261127_000011_company_directory::DOWN,
            m20261127_000012_cursor_key::DOWN,
            m20261127_000013_idempotency_keys::DOWN,
            m20261128_000017_engine::DOWN,
            m20261128_000019_console_sessions::DOWN,
        ];
        let dropped: BTreeSet<_> = down.iter().flat_map(|down| down.split([' ', ',', ';', '\n'])).collect();
        let kept = TABLES.into_iter().chain(VIEWS).filter(|name| !dropped.contains(name)).collect::<Vec<_>>();
        assert_eq!(kept, Vec::<&str>::new());
    }

    #[test]
    fn object_names_do_not_exceed_63_bytes() {
        let constraints_and_indexes = all_after("CONSTRAINT ")
            .into_iter()
            .chain(all_after("CREATE INDEX "))
            .chain(all_after("CREATE INDEX IF NOT EXISTS "))
            .chain(INDEXES.map(|index| index.name));
        let named = constraints_and_indexes.chain(TABLES).chain(VIEWS).collect::<Vec<_>>();
        assert!(named.iter().all(|name| name.len() <= 63), "{named:?}");
    }

    #[test]
    fn every_constraint_has_a_name_and_every_text_column_has_collation_c() {
        // The prefixes of the lines that this test skips: comments, and lines of row-level security policies.
        const OTHERS: [&str; 4] = ["--", "own ", "item ", "WITH CHECK"];
        let is_other = |line: &&str| OTHERS.iter().any(|other| line.trim_start().starts_with(other));
        for line in sql().flat_map(str::lines).filter(|line| !is_other(line)) {
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
