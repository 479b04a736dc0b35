//! How pages show API keys: their state, and the companies that they are valid for.

use std::collections::BTreeMap;

use iam_application::Failure;
use iam_domain::{ApiKey, CompanyDetails, CompanyId, ServiceRole, Timestamp};
use maud::{Markup, html};

use crate::authorized::Policy;
use crate::error::PageError;
use crate::layout::company_name;
use crate::path::{PATH, company_path};
use crate::platform::OnPlatform;

/// The state of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Active,
    Expired,
    Revoked,
}

impl State {
    /// Returns the state of a key at a time.
    pub(super) fn of(key: &ApiKey, now: Timestamp) -> Self {
        match key.revoked_at {
            Some(_) => Self::Revoked,
            None if key.is_good(now) => Self::Active,
            None => Self::Expired,
        }
    }

    /// Returns the name of the state in addresses.
    pub(super) const fn value(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Returns the state as a chip.
    pub(super) fn chip(self) -> Markup {
        html! {
            @match self {
                Self::Active => span.chip.allow { "Active" },
                Self::Expired => span.chip.warn { "Expired" },
                Self::Revoked => span.chip.deny { "Revoked" },
            }
        }
    }
}

/// Returns what a service with this role may do.
pub(super) const fn role_text(role: ServiceRole) -> &'static str {
    match role {
        ServiceRole::Check => "Check: request decisions about any user",
        ServiceRole::Read => "Read: also read all IAM data",
        ServiceRole::Administer => "Administer: also change IAM data",
    }
}

/// Returns the path of the page of a key.
pub(super) fn key_path(key: &ApiKey) -> String {
    format!("{PATH}/api-keys/{}", key.id)
}

/// The companies that keys are valid for.
pub(super) type Companies = BTreeMap<CompanyId, CompanyDetails>;

/// Reads the details of the companies that these keys are valid for. Companies that were never changed have none.
pub(super) async fn companies_of<P: Policy>(page: &OnPlatform<P>, keys: &[ApiKey]) -> Result<Companies, PageError> {
    let mut companies = Companies::new();
    for id in keys.iter().filter_map(|key| key.company_id) {
        if companies.contains_key(&id) {
            continue;
        }
        let details = match page.application().company_details(id).await {
            Ok(details) => details,
            Err(Failure::NotFound(_)) => CompanyDetails::default(),
            Err(failure) => return Err(failure.into()),
        };
        companies.insert(id, details);
    }
    Ok(companies)
}

/// Returns the company that a key is valid for.
pub(super) fn valid_for(key: &ApiKey, companies: &Companies) -> Markup {
    html! {
        @match key.company_id.and_then(|id| Some((id, companies.get(&id)?))) {
            Some((id, details)) => a href=(company_path(id, "")) { (company_name(id, details)) },
            None => "All companies and the platform",
        }
    }
}
