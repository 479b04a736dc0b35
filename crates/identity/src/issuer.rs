//! The trusted issuers of tokens, and their configuration.

use iam_domain::Issuer;
use secrecy::SecretString;

use crate::source::SourceError;
use crate::{Algorithm, KeySource};

/// An issuer that signs tokens with its own keys, and the rules for accepting its tokens.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    /// The `iss` claim of the issuer's tokens, compared exactly.
    pub issuer: Issuer,
    /// The source of the issuer's public keys.
    pub keys: KeySource,
    /// The accepted signature algorithms. If empty, all algorithms of the issuer's keys are accepted.
    pub algorithms: Vec<Algorithm>,
    /// The accepted audiences. If empty, the audience is not checked.
    pub audiences: Vec<String>,
    /// The name of the claim that contains the audience. Default: `aud`.
    pub audience_claim: String,
    /// The name of the claim that contains the subject. Default: `sub`.
    pub user_claim: String,
    /// The name of the claim that grants super admin rights if its value is the JSON literal `true`. Default:
    /// `isSuperAdmin`. The claim is used only if `may_grant_super_admin` is `true`.
    pub super_admin_claim: String,
    /// If `true`, the issuer is native: subjects of its tokens that are UUIDs are used as user ids unchanged. At most
    /// one issuer may be native.
    pub is_native: bool,
    /// If `true`, tokens of this issuer may grant super admin rights.
    pub may_grant_super_admin: bool,
    /// If `true`, the claims `name` and `email` of the issuer's tokens are the profiles of its users. The claim `email`
    /// is used only if the claim `email_verified` is the JSON literal `true`.
    pub provides_profiles: bool,
}

impl TrustedIssuer {
    /// Creates an issuer with the default claim names. The audience is not checked, the issuer is not native, its tokens
    /// cannot grant super admin rights, and provide no profiles.
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
            may_grant_super_admin: false,
            provides_profiles: false,
        }
    }
}

/// The secret that the identity provider shares with this service, for HS256 tokens. The claim `userId` identifies the
/// user, or the claim `sub` if `userId` is absent. If the value is a UUID, it is used as the user id unchanged. The
/// claim `isSuperAdmin` grants super admin rights.
#[derive(Debug, Clone)]
pub struct SharedSecret {
    /// The secret. It should have at least [`MIN_SECRET_BYTES`](crate::MIN_SECRET_BYTES) random bytes.
    pub secret: SecretString,
    /// The `iss` claim that the tokens must have, compared exactly. If `None`, the tokens need no `iss`, but they must
    /// identify the user by a UUID.
    pub issuer: Option<Issuer>,
    /// The accepted audiences. If empty, the audience is not checked.
    pub audiences: Vec<String>,
}

impl SharedSecret {
    /// Creates a shared secret for tokens that need no `iss` claim. The audience is not checked.
    #[must_use]
    pub const fn new(secret: SecretString) -> Self {
        Self { secret, issuer: None, audiences: Vec::new() }
    }
}

/// The error for issuer configurations that conflict with each other or cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Two issuers have the same `iss`, so the `iss` of a token would not determine the keys that verify the token.
    #[error("issuer {0} is configured twice")]
    Twice(Issuer),
    /// Two issuers are native, so each could issue tokens for the other's users.
    #[error("{first} and issuer {second} are both native, but at most one issuer may be native")]
    TwoNatives {
        /// The first native issuer, or the shared secret.
        first: String,
        /// The second native issuer.
        second: Issuer,
    },
    /// The key file of an issuer cannot be used.
    #[error("issuer {issuer}: {source}")]
    Keys {
        /// The issuer whose keys cannot be used.
        issuer: Issuer,
        /// The reason why the key file cannot be used.
        source: SourceError,
    },
    /// The HTTP client for key sets cannot be created.
    #[error("the HTTP client for key sets cannot be created")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}
