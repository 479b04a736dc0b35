//! Changes of credentials: API keys, and cut-offs of users.

use std::time::Duration;

use iam_domain::{
    ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, CompanyId, ExternalId, Name, NamedUser, ServiceRole, Timestamp, User,
    UserId,
};
use iam_storage::Target;

use crate::Failure;
use crate::execute::change;

pub(crate) const API_KEY: &str = "API key";

/// Adds an API key. Only super admins in person can: no service creates keys for others.
#[derive(Debug, Clone)]
pub struct CreateApiKey {
    /// The prefix by which the key is looked up.
    pub prefix: ApiKeyPrefix,
    /// The digest of the whole key.
    pub digest: ApiKeyDigest,
    /// Its display name.
    pub name: Name,
    /// Its role.
    pub role: ServiceRole,
    /// The one company that it is valid for; `None` means all companies and the platform.
    pub company: Option<CompanyId>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

change!(CreateApiKey -> ApiKey, needs ManageCredentials, locks |_this| Target::Credentials, |this, tx, caller| {
    let now = tx.now();
    if this.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Failure::invalid("expiresAt", "must be in the future"));
    }
    let key = this.key(Some(caller.id()), now);
    tx.api_keys_mut().create(&key, &this.digest).await?;
    Ok(key)
});

impl CreateApiKey {
    /// The key that it creates.
    #[must_use]
    pub fn key(&self, created_by: Option<UserId>, now: Timestamp) -> ApiKey {
        ApiKey {
            id: ApiKeyId::generate(now),
            prefix: self.prefix.clone(),
            name: self.name.clone(),
            role: self.role,
            company_id: self.company,
            created_by,
            created_at: now,
            expires_at: self.expires_at,
            revoked_at: None,
            last_used_at: None,
        }
    }
}

/// Revokes an API key permanently. Repeating it changes nothing.
#[derive(Debug, Clone)]
pub struct RevokeApiKey {
    /// The key.
    pub id: ApiKeyId,
}

change!(RevokeApiKey -> (), needs ManageCredentials, locks |_this| Target::Credentials, |this, tx, _| {
    tx.api_keys_mut().revoke(this.id).await.map(drop).map_err(|error| match Failure::from(error) {
        Failure::NotFound(_) => Failure::NotFound(API_KEY),
        other => other,
    })
});

/// Cuts a user off: from now on, exactly the tokens issued before the given time are refused.
#[derive(Debug, Clone)]
pub struct CutOffUser {
    /// The user.
    pub user: NamedUser,
    /// The cut-off; `None` means now.
    pub not_before: Option<Timestamp>,
    /// How much the clocks of issuers may be ahead. "Now" is later by as much, so that it covers tokens issued by a
    /// clock that is ahead.
    pub clock_skew: Duration,
}

change!(CutOffUser -> User, needs ManageCredentials, locks |_this| Target::Credentials, external_id |this| this.user.external_id.as_ref(),
|this, tx, _| {
    let id = this.user.id;
    let not_before = this.not_before.unwrap_or_else(|| tx.now().plus(this.clock_skew));
    tx.users_mut().cut_off(id, not_before).await?;
    let stored = tx.users().find(&[id]).await?.pop().and_then(|user| user.external_id);
    let external_id: Option<ExternalId> = this.user.external_id.clone().or(stored);
    Ok(User { id, external_id, not_before: Some(not_before) })
});
