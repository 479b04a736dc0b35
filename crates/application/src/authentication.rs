//! Checks whether a user's token cut-off invalidates a token, and whether an API key is valid (stored, not revoked and
//! not expired). `iam-identity` verifies signatures and secrets.

use iam_domain::{ApiKeyDigest, ApiKeyPrefix, Service, Timestamp, UserId, is_token_valid};

use crate::{Application, Failure};

/// The result of authenticating a service by its API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceAuthentication {
    /// The key is valid and identifies this service.
    Admitted(Service),
    /// No such key is stored, or its secret does not match.
    Unknown,
    /// The key was revoked.
    Revoked,
    /// The key has expired.
    Expired,
}

impl Application {
    /// Returns `true` if the user's token cut-off invalidates a token that was issued at `issued_at`. The cut-off is
    /// read from the cache, with the same bounded staleness as permissions.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the cut-offs cannot be read.
    #[inline]
    pub async fn is_cut_off(&self, user: UserId, issued_at: Option<Timestamp>) -> Result<bool, Failure> {
        Ok(!is_token_valid(issued_at, self.permissions.credentials().not_before(user).await?))
    }

    /// Looks up the API key that a service presents. If the key is valid, records its use. `has_digest` compares the
    /// presented key with the digest of the stored key. The stored key is read from the cache, with the same bounded
    /// staleness as permissions.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the API keys cannot be read.
    pub async fn authenticate_service(
        &self,
        prefix: &ApiKeyPrefix,
        has_digest: impl FnOnce(&ApiKeyDigest) -> bool,
        now: Timestamp,
    ) -> Result<ServiceAuthentication, Failure> {
        let known = self.permissions.credentials().api_key(prefix).await?;
        let Some(known) = known.filter(|known| has_digest(&known.digest)) else {
            return Ok(ServiceAuthentication::Unknown);
        };
        let key = &known.key;
        if key.revoked_at.is_some() {
            return Ok(ServiceAuthentication::Revoked);
        }
        if !key.is_good(now) {
            return Ok(ServiceAuthentication::Expired);
        }
        self.permissions.credentials().note_use(&known, now);
        Ok(ServiceAuthentication::Admitted(Service {
            key: key.id,
            role: key.role,
            company: key.company_id,
            rate: key.requests_per_second,
        }))
    }
}
