//! Write operations on users and on API keys.

use async_trait::async_trait;
use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyId, ExternalId, Timestamp, UserId};
use iam_storage::{ApiKeysMut, Constraint, Result, StorageError, Target, UsersMut};

use crate::constraints::refuse_if;
use crate::repository::{Repository, StateSource};
use crate::state::with_last_use;
use crate::unit_of_work::Unit;

#[async_trait]
impl UsersMut for Repository<Unit> {
    async fn remember(&mut self, external_ids: &[&ExternalId]) -> Result<()> {
        let target = self.0.recorder.target();
        self.0.change(target, |unit| {
            let named = external_ids.iter().map(|external_id| (external_id.user_id(), (*external_id).clone()));
            unit.external_ids.extend(named);
            Ok(())
        })
    }

    async fn cut_off(&mut self, user: UserId, not_before: Timestamp) -> Result<Option<Timestamp>> {
        self.0.change(Target::Credentials, |unit| {
            let credentials = unit.work.credentials_mut();
            let before = credentials.cutoffs.insert(user, (not_before, credentials.version)).map(|(at, _)| at);
            unit.recorder.user_cut_off(user, before, not_before);
            Ok(before)
        })
    }
}

#[async_trait]
impl ApiKeysMut for Repository<Unit> {
    async fn create(&mut self, key: &ApiKey, digest: &ApiKeyDigest) -> Result<()> {
        self.0.change(Target::Credentials, |unit| {
            let credentials = unit.work.credentials_mut();
            let taken = credentials.api_keys.values().any(|(other, _, _)| other.prefix == key.prefix);
            refuse_if(taken || credentials.api_keys.contains_key(&key.id), Constraint::Duplicate)?;
            credentials.api_keys.insert(key.id, (key.clone(), *digest, credentials.version));
            unit.recorder.api_key_created(key);
            Ok(())
        })
    }

    async fn revoke(&mut self, id: ApiKeyId) -> Result<ApiKey> {
        let uses = self.0.api_key_uses();
        self.0.change(Target::Credentials, |unit| {
            let now = unit.recorder.now();
            let credentials = unit.work.credentials_mut();
            let (key, digest, _) = credentials.api_keys.get(&id).cloned().ok_or(StorageError::NotFound)?;
            let before = with_last_use(&key, &uses);
            if before.revoked_at.is_none() {
                let after = ApiKey { revoked_at: Some(now), ..before.clone() };
                credentials.api_keys.insert(id, (after.clone(), digest, credentials.version));
                unit.recorder.api_key_revoked(&before, &after);
            }
            Ok(before)
        })
    }
}
