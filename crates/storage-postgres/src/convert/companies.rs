//! Converts the rows of companies and of the profiles of their users.

use iam_domain::{CompanyDetails, CompanyId, Email, Name, UserId, UserProfile};
use iam_storage::{CompanyState, Result, StorageError};

use super::{optional_text, parsed, time};
use crate::entities::{company_states, user_profiles};

/// Parses the name and the status of a company.
pub(crate) fn details(name: Option<String>, status: &str) -> Result<CompanyDetails> {
    Ok(CompanyDetails {
        name: optional_text("company_states.name", name, Name::stored)?,
        status: parsed("company_states.status", status)?,
    })
}

impl TryFrom<company_states::Model> for CompanyState {
    type Error = StorageError;

    fn try_from(row: company_states::Model) -> Result<Self> {
        Ok(Self {
            version: row.version,
            provisioned_at: row.provisioned_at.map(time),
            details: details(row.name, &row.status)?,
            erased_at: row.erased_at.map(time),
        })
    }
}

impl TryFrom<user_profiles::Model> for UserProfile {
    type Error = StorageError;

    fn try_from(row: user_profiles::Model) -> Result<Self> {
        Ok(Self {
            company_id: CompanyId::from_uuid(row.company_id),
            user_id: UserId::from_uuid(row.user_id),
            display_name: optional_text("user_profiles.display_name", row.display_name, Name::stored)?,
            email: optional_text("user_profiles.email", row.email, Email::stored)?,
            source: parsed("user_profiles.source", &row.source)?,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}
