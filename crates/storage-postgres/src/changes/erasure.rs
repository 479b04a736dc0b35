//! The erasure of a company: deletes all its rows, and leaves a tombstone.

use iam_domain::CompanyId;
use iam_storage::{ERASED_TABLES, ErasedRows, Result};

use super::Unit;
use crate::repository::Repository;
use crate::statement::{column, statement};

/// Returns the statement that deletes the rows of the company $1 from all tables, and returns the number of deleted rows
/// of each table. Foreign keys are checked at the end of the statement, so the order of the tables does not matter.
fn delete_rows() -> String {
    let delete = |table: &&str| match *table {
        // Sub-items have no company of their own.
        "sub_menu_items" => "erased_sub_menu_items AS (DELETE FROM sub_menu_items WHERE menu_item_id IN (
                SELECT id FROM menu_items WHERE company_id = $1
            ) RETURNING 1)"
            .to_owned(),
        table => format!("erased_{table} AS (DELETE FROM {table} WHERE company_id = $1 RETURNING 1)"),
    };
    let count = |table: &&str| format!("(SELECT count(*) FROM erased_{table}) AS {table}");
    let deletes: Vec<_> = ERASED_TABLES.iter().map(delete).collect();
    let counts: Vec<_> = ERASED_TABLES.iter().map(count).collect();
    format!("WITH {} SELECT {}", deletes.join(",\n"), counts.join(", "))
}

/// The statement that makes the row of a company a tombstone. The tombstone is suspended, so no decision about the
/// company can ever be an allow.
const MAKE_TOMBSTONE: &str = "UPDATE company_states SET erased_at = $2, status = 'suspended', name = NULL,
        name_folded = NULL, provisioned_at = NULL, quotas = NULL, ceilings = NULL
    WHERE company_id = $1";

impl Repository<Unit> {
    /// Deletes all rows of a company, and makes its row in `company_states` a tombstone.
    pub(super) async fn erase_rows(&self, company: CompanyId) -> Result<ErasedRows> {
        // A navigation step that is being stored locks the row of the company (`FOR KEY SHARE`). This lock waits for it,
        // and makes later steps wait until they see the tombstone.
        let lock = "SELECT 1 AS locked FROM company_states WHERE company_id = $1 FOR UPDATE";
        self.row(statement(lock, [company.as_uuid().into()])).await?;
        let row = self.single(statement(delete_rows(), [company.as_uuid().into()])).await?;
        self.execute(statement(MAKE_TOMBSTONE, [company.as_uuid().into(), self.at()])).await?;
        let count = |table: &&'static str| Ok((*table, column::<i64>(&row, table)?.unsigned_abs()));
        Ok(ErasedRows(ERASED_TABLES.iter().map(count).collect::<Result<_>>()?))
    }
}
