//! The records of applied migrations in a schema: those in `iam_migrations`, and those of earlier builds in
//! `seaql_migrations`.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigratorTrait, seaql_migrations};

use crate::error::MigrationError;
use crate::session::statement;

/// SeaORM's default table of migrations, which earlier builds shared with other programs.
const SHARED_TABLE: &str = "seaql_migrations";

/// Query for the schema in which unqualified names are created. It also returns whether the migrator's own table ($1)
/// and the shared table ($2) exist in this schema. A shared table without the column `version`, or without the SELECT
/// privilege for the current role, is treated as another program's table.
const FIND: &str = "
    SELECT nspname::text AS schema,
        EXISTS (SELECT FROM pg_class WHERE relnamespace = own.oid AND relname = $1) AS is_recorded,
        EXISTS (
            SELECT FROM pg_class AS shared JOIN pg_attribute ON attrelid = shared.oid AND attname = 'version'
            WHERE relnamespace = own.oid AND relname = $2 AND relkind IN ('r', 'p')
                AND has_table_privilege(shared.oid, 'SELECT')
        ) AS is_shared
    FROM pg_namespace AS own WHERE nspname = current_schema()";

/// The names of the migrations that are recorded in a schema.
#[derive(Debug)]
pub(crate) struct Bookkeeping {
    /// The names in the migrator's own table, including the names of migrations that the migrator does not contain.
    own: BTreeSet<String>,
    /// The names in the shared table, limited to the migrations that the migrator contains.
    shared: BTreeSet<String>,
}

impl Bookkeeping {
    /// Reads the records of applied migrations. SeaORM's own query is not used: it fails on unknown names, treats
    /// unreadable tables as missing, and also matches tables in other schemas.
    pub(crate) async fn read<M: MigratorTrait>(db: &impl ConnectionTrait) -> Result<Self, MigrationError> {
        let table = M::migration_table_name().to_string();
        let found = db.query_one_raw(statement(FIND, [table.clone().into(), SHARED_TABLE.into()])).await?;
        let found = found.ok_or(MigrationError::NoSchema)?;
        let schema: String = found.try_get("", "schema")?;
        let mut own = BTreeSet::new();
        if found.try_get("", "is_recorded")? {
            own = versions(db, &schema, &table).await?;
        }
        let mut shared = BTreeSet::new();
        if found.try_get("", "is_shared")? {
            let known: BTreeSet<_> = M::migrations().iter().map(|migration| migration.name().to_owned()).collect();
            shared = &versions(db, &schema, SHARED_TABLE).await? & &known;
        }
        Ok(Self { own, shared })
    }

    /// Returns the names of all migrations that are recorded in either table.
    pub(crate) fn applied(&self) -> BTreeSet<String> {
        &self.own | &self.shared
    }

    /// Copies the names that are recorded only in the shared table into the migrator's own table. The shared table is
    /// not changed, because replicas of earlier builds still read it.
    pub(crate) async fn adopt<M: MigratorTrait>(&self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        let missing = &self.shared - &self.own;
        if missing.is_empty() {
            return Ok(());
        }
        M::install(tx).await?;
        let copy = format!(
            "INSERT INTO {} (version, applied_at)
            SELECT version, applied_at FROM {SHARED_TABLE} WHERE version = ANY($1)",
            M::migration_table_name()
        );
        tx.execute_raw(statement(&copy, [Vec::from_iter(missing).into()])).await.map(drop)
    }

    /// Deletes the names of reverted migrations from the shared table, if they are recorded there.
    pub(crate) async fn forget_shared(&self, tx: &impl ConnectionTrait, names: &[String]) -> Result<(), DbErr> {
        let gone: Vec<_> = names.iter().filter(|name| self.shared.contains(*name)).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        let delete = format!("DELETE FROM {SHARED_TABLE} WHERE version = ANY($1)");
        tx.execute_raw(statement(&delete, [gone.into()])).await.map(drop)
    }
}

/// Reads the names of migrations from a table, regardless of the type of its column `version`.
async fn versions(db: &impl ConnectionTrait, schema: &str, table: &str) -> Result<BTreeSet<String>, DbErr> {
    let version = Expr::col(seaql_migrations::Column::Version).cast_as("text");
    let query = Query::select().expr_as(version, "version").from((schema.to_owned(), table.to_owned())).take();
    db.query_all(&query).await?.iter().map(|row| row.try_get("", "version")).collect()
}
