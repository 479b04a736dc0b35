//! The report of an adoption: the rows of each table, the rows that violate constraints, and what is done with them.

use std::fmt;

use super::problems::{ProblemKind, Repair};

/// A row that violates a constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The kind of the violation.
    pub kind: ProblemKind,
    /// The table of the row.
    pub table: &'static str,
    /// The row as JSON, without its times.
    pub row: String,
}

/// The rows of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCount {
    /// The name of the table.
    pub table: &'static str,
    /// The number of rows in the original table.
    pub original: i64,
    /// The number of rows that were or would be copied. `None` if the service computes the rows itself.
    pub copied: Option<i64>,
}

/// What an adoption did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The rows of each table. Empty if rows remain without a repair.
    pub tables: Vec<TableCount>,
    /// All rows that violate a constraint.
    pub problems: Vec<Problem>,
    /// The repairs that were chosen.
    pub repairs: Vec<Repair>,
    /// The number of companies. 0 if rows remain without a repair.
    pub companies: i64,
}

impl Report {
    /// Returns the repair of a kind, if one was chosen.
    pub(crate) fn repair_of(&self, kind: ProblemKind) -> Option<&Repair> {
        self.repairs.iter().find(|repair| repair.kind() == kind)
    }

    /// Returns `true` if each row that violates a constraint has a repair.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.problems.iter().all(|problem| self.repair_of(problem.kind).is_some())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in ProblemKind::ALL {
            let rows: Vec<_> = self.problems.iter().filter(|problem| problem.kind == kind).collect();
            if rows.is_empty() {
                continue;
            }
            match self.repair_of(kind) {
                Some(repair) => writeln!(f, "{kind}: {} rows, repair: {}", rows.len(), repair.name())?,
                None => writeln!(f, "{kind}: {} rows without a repair", rows.len())?,
            }
            for Problem { table, row, .. } in rows {
                writeln!(f, "  {table} {row}")?;
            }
            if self.repair_of(kind).is_none() {
                for (name, _, description) in kind.repairs() {
                    writeln!(f, "  --repair {kind}={name}: {description}")?;
                }
                if kind.repairs().is_empty() {
                    writeln!(f, "  no repair: change these rows in the original database")?;
                }
            }
        }
        for TableCount { table, original, copied } in &self.tables {
            match copied {
                Some(copied) => writeln!(f, "table {table}: {copied} of {original} rows")?,
                None => {
                    writeln!(f, "table {table}: {original} rows are not copied, because the service computes them")?
                }
            }
        }
        if !self.tables.is_empty() {
            writeln!(f, "companies: {}", self.companies)?;
        }
        Ok(())
    }
}
