//! The trusted issuers of tokens, and their configuration.

use iam_domain::Issuer;
use secrecy::SecretString;

use crate::source::SourceError;
use crate::{Algorithm, KeySource};

/// An issuer that signs tokens with its own keys, and what its tokens are accepted for.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    /// The `iss` of its tokens, compared exactly.
    pub issuer: Issuer,
    /// The source of its public keys.
    pub keys: KeySource,
    /// The accepted signature algorithms. If empty, all algorithms that its keys support are accepted.
    pub algorithms: Vec<Algorithm>,
    /// The accepted audiences. If empty, the audience is not checked.
    pub audiences: Vec<String>,
    /// The name of the claim that contains the audience. Default: `aud`.
    pub audience_claim: String,
    /// The name of the claim that contains the subject. Default: `sub`.
    pub user_claim: String,
    /// The name of the claim whose JSON `true` grants super admin. Default: `isSuperAdmin`. It has no effect unless
    /// `makes_super_admins` is set.
    pub super_admin_claim: String,
    /// If `true`, the issuer is native: its subjects that are UUIDs are taken as user ids. At most one issuer may be
    /// native.
    pub is_native: bool,
    /// If `true`, tokens of this issuer may grant super admin.
    pub makes_super_admins: bool,
}

impl TrustedIssuer {
    /// Creates an issuer with the default claims. Any audience is accepted; the issuer is not native and may not grant
    /// super admin.
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

/// A secret that the identity provider shares with this service, for HS256. Its tokens name the user in `userId` or
/// `sub`, where a UUID is taken as the user id. The claim `isSuperAdmin` grants super admin.
#[derive(Debug, Clone)]
pub struct SharedSecret {
    /// At least [`MIN_SECRET_BYTES`](crate::MIN_SECRET_BYTES) random bytes.
    pub secret: SecretString,
    /// The `iss` that its tokens must have, compared exactly. If `None`, tokens need no `iss`, and the user must be a
    /// UUID.
    pub issuer: Option<Issuer>,
    /// The accepted audiences. If empty, the audience is not checked.
    pub audiences: Vec<String>,
}

impl SharedSecret {
    /// Creates a secret for tokens without `iss`, with any audience or none.
    #[must_use]
    pub const fn new(secret: SecretString) -> Self {
        Self { secret, issuer: None, audiences: Vec::new() }
    }
}

/// The configured issuers contradict each other or cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Two issuers have the same `iss`, so it would not determine the keys.
    #[error("issuer {0} is configured twice")]
    Twice(Issuer),
    /// Two issuers are native, so each could issue tokens for the other's users.
    #[error("{0} and {1} are both native: only one issuer can have its UUIDs taken as user ids")]
    TwoNatives(String, String),
    /// A key file cannot be used.
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
