//! What an import does, or would do.

use std::fmt;

/// The outcome for one row of the catalog, one company or one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It does not exist in the storage: the import creates it.
    Create,
    /// It exists with the same content: the import changes nothing.
    Unchanged,
    /// It exists with other content. The text describes the difference.
    Conflict(String),
    /// It cannot be imported, whatever the policy for conflicts. The text states the reason.
    Refused(String),
}

/// The outcome for one row of the catalog, one company or one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was compared, such as `company` with its id.
    pub what: String,
    /// The outcome.
    pub outcome: Outcome,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, outcome } = self;
        match outcome {
            Outcome::Create => write!(f, "create    {what}"),
            Outcome::Unchanged => write!(f, "unchanged {what}"),
            Outcome::Conflict(difference) => write!(f, "conflict  {what}: {difference}"),
            Outcome::Refused(reason) => write!(f, "refused   {what}: {reason}"),
        }
    }
}

/// What an import does, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The outcomes, in the order of the file.
    pub findings: Vec<Finding>,
    /// Number of audit records in the chosen sections of the file or, after an import, of added audit records.
    pub records: u64,
    /// Number of companies in the file that were chosen.
    pub companies: u64,
}

impl Report {
    pub(crate) fn note(&mut self, what: String, outcome: Outcome) {
        self.findings.push(Finding { what, outcome });
    }

    fn count(&self, is_meant: impl Fn(&Outcome) -> bool) -> usize {
        self.findings.iter().filter(|finding| is_meant(&finding.outcome)).count()
    }

    /// Returns the number of conflicts.
    #[must_use]
    pub fn conflicts(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Conflict(_)))
    }

    /// Returns the number of entries that cannot be imported.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Refused(_)))
    }

    /// Returns the number of created entries.
    #[must_use]
    pub fn created(&self) -> usize {
        self.count(|outcome| *outcome == Outcome::Create)
    }

    /// Returns the number of entries that the storage contains already.
    #[must_use]
    pub fn unchanged(&self) -> usize {
        self.count(|outcome| *outcome == Outcome::Unchanged)
    }
}
