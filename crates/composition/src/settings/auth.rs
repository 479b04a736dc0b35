//! The settings of authentication.

use std::path::PathBuf;
use std::time::Duration;

use iam_identity::VerifierOptions;
use secrecy::SecretString;
use serde::Deserialize;

use super::parse::{duration, list, optional_duration};

/// The settings of authentication.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The secret that signs HS256 tokens.
    pub jwt_secret: Option<SecretString>,
    /// The `iss` that these tokens must have.
    pub jwt_issuer: Option<String>,
    /// The audiences that are accepted in these tokens.
    #[serde(deserialize_with = "list")]
    pub jwt_audience: Vec<String>,
    /// The other issuers of tokens: an array of tables in the file, JSON in the environment.
    pub issuers: Vec<IssuerSettings>,
    /// The tolerated clock skew.
    #[serde(deserialize_with = "duration")]
    pub clock_skew: Duration,
    /// The greatest age of tokens since their `iat`; 0: any. Left out: any in development, a day in production.
    #[serde(deserialize_with = "optional_duration")]
    pub max_token_age: Option<Duration>,
    /// The greatest age of tokens that make super admins; 0: any. Left out: any in development, an hour in production.
    #[serde(deserialize_with = "optional_duration")]
    pub max_super_admin_token_age: Option<Duration>,
    /// How often key sets are fetched.
    #[serde(deserialize_with = "duration")]
    pub jwks_refresh: Duration,
    /// How many verified tokens are remembered; 0: none.
    pub remembered_tokens: usize,
}

impl Default for AuthSettings {
    fn default() -> Self {
        let verifier = VerifierOptions::default();
        Self {
            jwt_secret: None,
            jwt_issuer: None,
            jwt_audience: Vec::new(),
            issuers: Vec::new(),
            clock_skew: Duration::from_secs(30),
            max_token_age: None,
            max_super_admin_token_age: None,
            jwks_refresh: verifier.jwks_refresh,
            remembered_tokens: verifier.remembered_tokens,
        }
    }
}

/// The settings of an issuer that signs tokens with keys of its own. They name one source of keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IssuerSettings {
    /// The `iss` of its tokens, exactly.
    pub issuer: String,
    /// The URL of its key set. Not shown: until it is validated, it may contain a password.
    pub jwks_url: Option<SecretString>,
    /// A file with its key set.
    pub jwks_file: Option<PathBuf>,
    /// A PEM file with its public keys.
    pub public_key_file: Option<PathBuf>,
    /// `RS256`, `ES256`, `EdDSA`; none: all that its keys support.
    pub algorithms: Vec<String>,
    /// The audiences that are accepted in its tokens; none: any.
    pub audiences: Vec<String>,
    /// The claim with the audience, unless it is `aud`.
    pub audience_claim: Option<String>,
    /// The claim with the user, unless it is `sub`.
    pub user_claim: Option<String>,
    /// The claim that makes super admins, unless it is `isSuperAdmin`.
    pub super_admin_claim: Option<String>,
    /// Whether its UUID subjects are user ids.
    pub native: bool,
    /// Whether it may make super admins.
    pub super_admins: bool,
}
