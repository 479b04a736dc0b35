//! The matrix of a company: the rules of its levels for views and for the actions of features.
//!
//! People edit a draft, which is part of the page (`draft`). They then review it (`review`), which shows the effect of each
//! change in people and changes nothing, and save it (`save`). A form without scripts edits one level (`editor`); with
//! scripts, all levels can be edited on one page (`overview`).

pub(crate) mod conflict;
pub(crate) mod differences;
pub(crate) mod draft;
pub(crate) mod editor;
pub(crate) mod filter;
pub(crate) mod grid;
pub(crate) mod overview;
pub(crate) mod parts;
pub(crate) mod review;
pub(crate) mod rows;
pub(crate) mod rule;
pub(crate) mod save;
mod toolbar;

use iam_application::{CompanyMatrix, Requirement};
use serde::Deserialize;

use self::rows::Available;
use crate::authorized::{Authorized, Policy};
use crate::error::PageError;

/// A form whose only content is a draft.
#[derive(Debug, Deserialize)]
pub(crate) struct OnlyDraft {}

/// The matrix of a company, and what the person may do with it.
pub(crate) struct Loaded {
    pub(crate) matrix: CompanyMatrix,
    pub(crate) available: Available,
    /// Whether the person may change cells.
    pub(crate) may_edit: bool,
    /// Whether the person may read the audit log.
    pub(crate) may_read_audit: bool,
    /// Whether the person may change pinned cells.
    pub(crate) may_edit_pinned: bool,
}

impl Loaded {
    /// Reads the matrix, if the person may read IAM data.
    pub(crate) async fn of<P: Policy>(page: &Authorized<P>) -> Result<Self, PageError> {
        // A person who may change permissions does not necessarily have the right to read them.
        if !page.meets(Requirement::ReadIam).await? {
            return Err(PageError::Forbidden(Requirement::ReadIam.denial_message().to_owned()));
        }
        let application = page.application();
        let matrix = application.matrix(page.company).await?.value;
        let granted = application.company_modules(page.company).await?;
        let available = Available { granted, ceilings: application.company_ceilings(page.company).await? };
        let may_edit = page.meets(Requirement::ManagePermissions).await?;
        let may_read_audit = page.meets(Requirement::ReadAudit).await?;
        Ok(Self {
            matrix,
            available,
            may_read_audit,
            may_edit,
            may_edit_pinned: may_edit && page.caller().is_super_admin(),
        })
    }
}
