//! The data against which credentials are verified.

use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyId, CompanyId, Timestamp, UserId};
use imbl::OrdMap;

/// The token cut-offs of users and the API keys, each with the version of its last change.
#[derive(Clone, Default)]
pub(crate) struct CredentialsData {
    pub(crate) version: i64,
    pub(crate) cutoffs: OrdMap<UserId, (Timestamp, i64)>,
    pub(crate) api_keys: OrdMap<ApiKeyId, (ApiKey, ApiKeyDigest, i64)>,
}

impl CredentialsData {
    /// Returns the token cut-off of a user, if there is one.
    pub(crate) fn not_before(&self, user: UserId) -> Option<Timestamp> {
        self.cutoffs.get(&user).map(|(at, _)| *at)
    }

    /// Deletes the API keys that are restricted to a company.
    pub(crate) fn delete_keys_of(&mut self, company: CompanyId) {
        self.api_keys = std::mem::take(&mut self.api_keys)
            .into_iter()
            .filter(|(_, (key, _, _))| key.company_id != Some(company))
            .collect();
    }
}

/// Returns an API key with the time of its last use, which is stored as auxiliary data.
pub(crate) fn with_last_use(key: &ApiKey, uses: &OrdMap<ApiKeyId, Timestamp>) -> ApiKey {
    ApiKey { last_used_at: key.last_used_at.max(uses.get(&key.id).copied()), ..key.clone() }
}
