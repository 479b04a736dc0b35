//! Who is trusted to say who somebody is, and for what.

use iam_domain::Issuer;
use secrecy::SecretString;

use crate::source::SourceError;
use crate::{Algorithm, KeySource};

/// Somebody who signs tokens with keys of its own, and for what it is trusted.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    /// The `iss` of its tokens, exactly.
    pub issuer: Issuer,
    /// Where its keys come from.
    pub keys: KeySource,
    /// The algorithms that it may use; empty: all that its keys can be used with.
    pub algorithms: Vec<Algorithm>,
    /// Its tokens must be meant for one of these; empty: who they are meant for is not looked at.
    pub audiences: Vec<String>,
    /// The claim that says who they are meant for.
    pub audience_claim: String,
    /// The claim that says who the user is.
    pub user_claim: String,
    /// The claim whose JSON `true` makes a super admin, if this issuer may.
    pub super_admin_claim: String,
    /// Whether its UUID subjects are user ids. At most one issuer's are.
    pub is_native: bool,
    /// Whether it may make super admins.
    pub makes_super_admins: bool,
}

impl TrustedIssuer {
    /// With the claims of the standard, for any audience, and nothing that would be special.
    #[must_use]
    pub fn new(issuer: Issuer, keys: KeySource) -> Self {
        Self {
            issuer,
            keys,
            algorithms: Vec::new(),
            audiences: Vec::new(),
            audience_claim: "aud".to_owned(),
            user_claim: "sub".to_owned(),
            super_admin_claim: "isSuperAdmin".to_owned(),
            is_native: false,
            makes_super_admins: false,
        }
    }
}

/// A secret that a sign-in shares with the service, for HS256. Its tokens say `userId` or `sub`, which is a user id if it is a
/// UUID, and may say `isSuperAdmin`.
#[derive(Debug, Clone)]
pub struct SharedSecret {
    /// At least [`MIN_SECRET_BYTES`](crate::MIN_SECRET_BYTES) random bytes.
    pub secret: SecretString,
    /// The `iss` that its tokens must have, exactly. Without, they need none, and must name a UUID.
    pub issuer: Option<Issuer>,
    /// Its tokens must be meant for one of these; empty: who they are meant for is not looked at.
    pub audiences: Vec<String>,
}

impl SharedSecret {
    /// For tokens without `iss` and `aud`.
    #[must_use]
    pub const fn new(secret: SecretString) -> Self {
        Self { secret, issuer: None, audiences: Vec::new() }
    }
}

/// Tokens cannot be verified in this way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Two with the same name: which keys would be meant?
    #[error("issuer {0} is there twice")]
    Twice(Issuer),
    /// Two whose UUIDs are user ids could name each other's users.
    #[error("{0} and {1} are both native: only one issuer can have its UUIDs taken as user ids")]
    TwoNatives(String, String),
    /// A file of keys cannot be used.
    #[error("issuer {issuer}: {source}")]
    Keys {
        /// Whose.
        issuer: Issuer,
        /// Why.
        source: SourceError,
    },
    /// URLs cannot be read at all.
    #[error("no key set can be fetched")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}
