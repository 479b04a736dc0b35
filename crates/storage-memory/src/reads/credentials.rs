//! Read operations on users, on API keys, and on the data against which credentials are verified.

use async_trait::async_trait;
use iam_domain::{ApiKey, ApiKeyId, CompanyId, User, UserId};
use iam_storage::{ApiKeys, CredentialChanges, Credentials, Result, StateId, Users};

use crate::repository::{Repository, StateSource};
use crate::state::with_last_use;

#[async_trait]
impl<S: StateSource> Users for Repository<S> {
    async fn find(&self, users: &[UserId]) -> Result<Vec<User>> {
        let state = self.0.state();
        let mut users = users.to_vec();
        users.sort_unstable();
        users.dedup();
        let stored = users.into_iter().map(|id| User {
            id,
            external_id: state.external_ids.get(&id).cloned(),
            not_before: state.credentials.not_before(id),
        });
        Ok(stored.filter(|user| user.external_id.is_some() || user.not_before.is_some()).collect())
    }
}

#[async_trait]
impl<S: StateSource> ApiKeys for Repository<S> {
    async fn find_all(&self) -> Result<Vec<ApiKey>> {
        let (state, uses) = (self.0.state(), self.0.api_key_uses());
        let keys = state.credentials.api_keys.values();
        let mut keys: Vec<_> = keys.map(|(key, _, _)| with_last_use(key, &uses)).collect();
        keys.sort_unstable_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(keys)
    }

    async fn find_by_id(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        let uses = self.0.api_key_uses();
        Ok(self.0.state().credentials.api_keys.get(&id).map(|(key, _, _)| with_last_use(key, &uses)))
    }

    async fn find_by_company(&self, company: CompanyId) -> Result<Vec<ApiKey>> {
        let (state, uses) = (self.0.state(), self.0.api_key_uses());
        let keys = state.credentials.api_keys.values().map(|(key, _, _)| key);
        Ok(keys.filter(|key| key.company_id == Some(company)).map(|key| with_last_use(key, &uses)).collect())
    }
}

#[async_trait]
impl<S: StateSource> Credentials for Repository<S> {
    async fn changes_since(&self, since: i64) -> Result<CredentialChanges> {
        let (state, uses) = (self.0.state(), self.0.api_key_uses());
        let credentials = &state.credentials;
        let cutoffs = credentials.cutoffs.iter().filter(|(_, (_, version))| *version > since);
        let api_keys = credentials.api_keys.values().filter(|(_, _, version)| *version > since);
        let cutoff_versions = credentials.cutoffs.values().map(|(_, version)| *version);
        let key_versions = credentials.api_keys.values().map(|(_, _, version)| *version);
        let latest = cutoff_versions.chain(key_versions).max().filter(|latest| *latest > since);
        Ok(CredentialChanges {
            epoch: self.0.epoch(),
            state: StateId { version: credentials.version, stamp: 0 },
            cutoffs: cutoffs.map(|(user, (at, _))| (*user, *at)).collect(),
            api_keys: api_keys.map(|(key, digest, _)| (with_last_use(key, &uses), *digest)).collect(),
            unreadable_api_keys: Vec::new(),
            latest,
            api_key_count: credentials.api_keys.len(),
        })
    }
}
