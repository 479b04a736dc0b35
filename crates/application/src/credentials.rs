//! Changes of who is let in: API keys, and since when users' tokens count.

use std::time::Duration;

use iam_domain::{
    ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, CompanyId, ExternalId, Name, NamedUser, ServiceRole, Timestamp, User,
    UserId,
};
use iam_storage::Target;

use crate::Failure;
use crate::execute::change;

pub(crate) const API_KEY: &str = "API key";

/// Makes an API key known. Only super admins may, in person: no service makes keys for others.
#[derive(Debug, Clone)]
pub struct CreateApiKey {
    /// What it is looked up by.
    pub prefix: ApiKeyPrefix,
    /// What proves it.
    pub digest: ApiKeyDigest,
    /// What people call it.
    pub name: Name,
    /// How much it may do.
    pub role: ServiceRole,
    /// The one company that it is good for; `None` is every company, and the platform.
    pub company: Option<CompanyId>,
    /// From when on it is refused.
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
    /// The key that it makes.
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

/// Revokes an API key, for good. Doing it again changes nothing.
#[derive(Debug, Clone)]
pub struct RevokeApiKey {
    /// Which.
    pub id: ApiKeyId,
}

change!(RevokeApiKey -> (), needs ManageCredentials, locks |_this| Target::Credentials, |this, tx, _| {
    tx.api_keys_mut().revoke(this.id).await.map(drop).map_err(|error| match Failure::from(error) {
        Failure::NotFound(_) => Failure::NotFound(API_KEY),
        other => other,
    })
});

/// Refuses a user's tokens from before a time, from now on, and no others.
#[derive(Debug, Clone)]
pub struct CutOffUser {
    /// Whose.
    pub user: NamedUser,
    /// The time; `None` is now.
    pub not_before: Option<Timestamp>,
    /// How much the clocks of issuers may be ahead: "now" is so much later, or a token from before would be one from after.
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
