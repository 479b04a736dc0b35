//! Changes to credentials: API keys, and the cut-offs of users.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{
    ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, Caller, CompanyId, ExternalId, Name, NamedUser, RequestRate,
    ServiceRole, Timestamp, User, UserId,
};
use iam_storage::{Constraint, StorageError, Target, UnitOfWork};
use uuid::Uuid;

use crate::{Change, Failure, Requirement};

pub(crate) const API_KEY: &str = "API key";

/// Creates an API key. Only super admins who authenticate with a token can create keys. Services cannot.
#[derive(Debug, Clone)]
pub struct CreateApiKey {
    /// The public prefix of the key, which is used to look up the key.
    pub prefix: ApiKeyPrefix,
    /// The digest of the complete key.
    pub digest: ApiKeyDigest,
    /// The display name of the key.
    pub name: Name,
    /// The role of the key.
    pub role: ServiceRole,
    /// The company that the key is restricted to. If `None`, the key is valid for all companies and for platform-wide
    /// requests.
    pub company: Option<CompanyId>,
    /// The key's own limit on its work. `None` if the limit for all API keys applies.
    pub rate: Option<RequestRate>,
    /// The time at which the key expires. `None` if it never expires.
    pub expires_at: Option<Timestamp>,
}

#[async_trait]
impl Change for CreateApiKey {
    type Answer = ApiKey;

    const REQUIREMENT: Requirement = Requirement::ManageCredentials;

    const CREATES: bool = true;

    fn target(&self) -> Target {
        Target::Credentials
    }

    fn created(&self, answer: &Self::Answer) -> Option<Uuid> {
        Some(answer.id.as_uuid())
    }

    async fn find_created(&self, tx: &mut dyn UnitOfWork, id: Uuid) -> Result<Option<Self::Answer>, Failure> {
        Ok(tx.api_keys().find_by_id(ApiKeyId::from_uuid(id)).await?)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        let now = tx.now();
        if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Failure::invalid("expiresAt", "must be in the future"));
        }
        if let Some(company) = self.company
            && tx.company_states().read(company).await?.is_some_and(|state| state.erased_at.is_some())
        {
            return Err(StorageError::conflict(Constraint::CompanyErased).into());
        }
        let key = self.key(caller.user_id(), now);
        tx.api_keys_mut().create(&key, &self.digest).await?;
        Ok(key)
    }
}

impl CreateApiKey {
    /// Returns the API key that this change creates at the time `now`.
    #[must_use]
    pub fn key(&self, created_by: Option<UserId>, now: Timestamp) -> ApiKey {
        ApiKey {
            id: ApiKeyId::generate(now),
            prefix: self.prefix.clone(),
            name: self.name.clone(),
            role: self.role,
            company_id: self.company,
            requests_per_second: self.rate,
            created_by,
            created_at: now,
            expires_at: self.expires_at,
            revoked_at: None,
            last_used_at: None,
        }
    }
}

/// Revokes an API key permanently. The change is idempotent.
#[derive(Debug, Clone)]
pub struct RevokeApiKey {
    /// The key to revoke.
    pub id: ApiKeyId,
}

#[async_trait]
impl Change for RevokeApiKey {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::ManageCredentials;

    fn target(&self) -> Target {
        Target::Credentials
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        tx.api_keys_mut().revoke(self.id).await.map(drop).map_err(|error| match Failure::from(error) {
            Failure::NotFound(_) => Failure::NotFound(API_KEY),
            other => other,
        })
    }
}

/// Sets the token cut-off of a user. It replaces the previous cut-off. The user's tokens that were issued (`iat`)
/// before the cut-off are rejected, as are tokens without an `iat`. All other tokens of the user remain valid.
#[derive(Debug, Clone)]
pub struct CutOffUser {
    /// The user whose tokens are rejected.
    pub user: NamedUser,
    /// The time of the cut-off. If `None`, it is the current time plus `clock_skew`.
    pub not_before: Option<Timestamp>,
    /// The tolerated clock skew: the maximum time by which the clocks of issuers may be ahead. It is added to the
    /// default cut-off, so that tokens that were already issued are rejected even if the issuer's clock is ahead.
    pub clock_skew: Duration,
}

#[async_trait]
impl Change for CutOffUser {
    type Answer = User;

    const REQUIREMENT: Requirement = Requirement::ManageCredentials;

    fn target(&self) -> Target {
        Target::Credentials
    }

    fn external_ids(&self) -> Vec<&ExternalId> {
        self.user.external_id.iter().collect()
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let id = self.user.id;
        let not_before = self.not_before.unwrap_or_else(|| tx.now().plus(self.clock_skew));
        tx.users_mut().cut_off(id, not_before).await?;
        let stored = tx.users().find(&[id]).await?.pop().and_then(|user| user.external_id);
        let external_id: Option<ExternalId> = self.user.external_id.clone().or(stored);
        Ok(User { id, external_id, not_before: Some(not_before) })
    }
}
