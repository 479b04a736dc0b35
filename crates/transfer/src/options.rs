//! The options of an import.

use std::collections::BTreeSet;

use iam_domain::{CompanyId, QuotaLimits};
use iam_storage::CompanyContent;

use crate::remap::{CatalogIds, with_new_ids};

/// What an import does with data that exists with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// The import fails.
    #[default]
    Stop,
    /// The data of the storage remains unchanged.
    Skip,
    /// The data of the file replaces that of the storage. API keys are never replaced.
    Replace,
}

/// The ids of imported companies and of their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ids {
    /// The ids of the file.
    #[default]
    Keep,
    /// The companies keep their ids, and their rows have new ids.
    New,
    /// The only chosen company has this id, and its rows have new ids.
    CloneAs(CompanyId),
}

/// How to import a file.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The companies. `None`: everything in the file.
    pub companies: Option<BTreeSet<CompanyId>>,
    /// The ids of the imported rows.
    pub ids: Ids,
    /// What to do with data that exists with other content.
    pub on_conflict: OnConflict,
    /// Whether to import API keys and token cut-offs.
    pub with_credentials: bool,
    /// The quotas of companies without overrides.
    pub quotas: QuotaLimits,
}

impl ImportOptions {
    /// Returns `true` if the company is imported.
    pub(crate) fn is_chosen(&self, company: CompanyId) -> bool {
        self.companies.as_ref().is_none_or(|chosen| chosen.contains(&company))
    }

    /// Returns the id of an imported company.
    fn id_of(&self, company: CompanyId) -> CompanyId {
        match self.ids {
            Ids::Keep | Ids::New => company,
            Ids::CloneAs(id) => id,
        }
    }

    /// Returns the content as it is imported.
    pub(crate) fn prepared(&self, mut content: CompanyContent, ids: &CatalogIds) -> CompanyContent {
        ids.apply(&mut content);
        if self.ids != Ids::Keep {
            let company = self.id_of(content.company);
            with_new_ids(&mut content, company);
        }
        content
    }

    /// Returns `true` if the audit log of the platform is imported.
    pub(crate) fn has_platform(&self) -> bool {
        self.companies.is_none() && self.ids == Ids::Keep
    }
}
