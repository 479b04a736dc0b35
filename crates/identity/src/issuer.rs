//! The trusted issuers of tokens, and what each is trusted with.

use iam_domain::Issuer;
use secrecy::SecretString;

use crate::source::SourceError;
use crate::{Algorithm, KeySource};

/// An issuer that signs tokens with keys of its own, and what it is trusted with.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    /// The `iss` of its tokens, exactly.
    pub issuer: Issuer,
    /// Where its keys come from.
    pub keys: KeySource,
    /// The algorithms that it may use; empty: all that its keys support.
    pub algorithms: Vec<Algorithm>,
    /// The audiences that are accepted; empty: the audience is not checked.
    pub audiences: Vec<String>,
    /// The claim with the audience.
    pub audience_claim: String,
    /// The claim with the user.
    pub user_claim: String,
    /// The claim whose JSON `true` makes a super admin, if the issuer may make some.
    pub super_admin_claim: String,
    /// Whether its UUID subjects are user ids. At most one issuer may be native.
    pub is_native: bool,
    /// Whether it may make super admins.
    pub makes_super_admins: bool,
}

impl TrustedIssuer {
    /// An issuer with the standard claims, any audience, and no special rights.
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

/// A secret that the sign-in service shares with this one, for HS256. Its tokens name the user in `userId` or `sub`; a
/// UUID is a user id. They may say `isSuperAdmin`.
#[derive(Debug, Clone)]
pub struct SharedSecret {
    /// At least [`MIN_SECRET_BYTES`](crate::MIN_SECRET_BYTES) random bytes.
    pub secret: SecretString,
    /// The `iss` that its tokens must have, exactly. `None`: they need none, and must name a UUID.
    pub issuer: Option<Issuer>,
    /// The audiences that are accepted; empty: the audience is not checked.
    pub audiences: Vec<String>,
}

impl SharedSecret {
    /// A secret for tokens without `iss` and `aud`.
    #[must_use]
    pub const fn new(secret: SecretString) -> Self {
        Self { secret, issuer: None, audiences: Vec::new() }
    }
}

/// The configuration of issuers cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Two issuers have the same name, so their keys cannot be told apart.
    #[error("issuer {0} is configured twice")]
    Twice(Issuer),
    /// Two native issuers could name each other's users.
    #[error("{0} and {1} are both native: only one issuer can have its UUIDs taken as user ids")]
    TwoNatives(String, String),
    /// A file of keys cannot be used.
    #[error("issuer {issuer}: {source}")]
    Keys {
        /// The issuer.
        issuer: Issuer,
        /// The cause.
        source: SourceError,
    },
    /// The HTTP client for key sets cannot be created.
    #[error("no key set can be fetched")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}
