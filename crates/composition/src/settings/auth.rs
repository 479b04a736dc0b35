//! The authentication settings.

use std::path::PathBuf;
use std::time::Duration;

use iam_identity::VerifierOptions;
use secrecy::SecretString;
use serde::Deserialize;

use super::parse::{boolean, clock_skew, list, number, optional_duration, seconds};

/// The authentication settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The secret that signs HS256 tokens.
    pub jwt_secret: Option<SecretString>,
    /// The `iss` claim that HS256 tokens must have. Default: any issuer.
    pub jwt_issuer: Option<String>,
    /// The accepted audiences of HS256 tokens. A token must have at least one of them. Default: any audience.
    #[serde(deserialize_with = "list")]
    pub jwt_audience: Vec<String>,
    /// The trusted issuers that sign tokens with their own keys: an array of tables in the file, a JSON array in the
    /// environment.
    pub issuers: Vec<IssuerSettings>,
    /// The tolerated clock skew between token issuers and this process, at most 5 min. Default: 30 s.
    #[serde(deserialize_with = "clock_skew")]
    pub clock_skew: Duration,
    /// Maximum age of tokens since their `iat`. `0` means no maximum. Default: no maximum in development, 24 h in
    /// production.
    #[serde(deserialize_with = "optional_duration")]
    pub max_token_age: Option<Duration>,
    /// Maximum age of tokens that grant super admin, since their `iat`. `0` means no maximum. Default: no maximum in
    /// development, 1 h in production.
    #[serde(deserialize_with = "optional_duration")]
    pub max_super_admin_token_age: Option<Duration>,
    /// Interval between two fetches of a key set (JWKS). The minimum of 1 s protects the issuer's server from overload.
    /// Default: 5 min.
    #[serde(deserialize_with = "seconds")]
    pub jwks_refresh: Duration,
    /// Maximum number of verified tokens that are cached. `0` disables the cache. Default: 10,000.
    #[serde(deserialize_with = "number")]
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

/// The settings of an issuer that signs tokens with its own keys. Exactly one of `jwks_url`, `jwks_file` and
/// `public_key_file` must be set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IssuerSettings {
    /// The exact `iss` claim of the issuer's tokens.
    pub issuer: String,
    /// The URL of the issuer's key set (JWKS). The URL is treated as a secret, because a URL that has not been
    /// validated may contain a password.
    pub jwks_url: Option<SecretString>,
    /// The path of a file with the issuer's key set (JWKS).
    pub jwks_file: Option<PathBuf>,
    /// The path of a PEM file with the issuer's public keys.
    pub public_key_file: Option<PathBuf>,
    /// The accepted signature algorithms: `RS256`, `ES256`, `EdDSA`. Default: all algorithms that the issuer's keys
    /// support.
    pub algorithms: Vec<String>,
    /// The accepted audiences. A token must have at least one of them. Default: any audience.
    pub audiences: Vec<String>,
    /// The name of the claim that contains the audience. Default: `aud`.
    pub audience_claim: Option<String>,
    /// The name of the claim that identifies the user (the subject). Default: `sub`.
    pub user_claim: Option<String>,
    /// The name of the claim that grants super admin. Default: `isSuperAdmin`.
    pub super_admin_claim: Option<String>,
    /// The id of the console as a client of the issuer's identity provider. If it is set, people can sign in to the console
    /// there.
    pub client_id: Option<String>,
    /// The secret of the console as a client. Default: a public client, without a secret.
    pub client_secret: Option<SecretString>,
    /// Whether this is the native issuer. A subject of the native issuer that is a UUID is used as the user id
    /// unchanged.
    #[serde(deserialize_with = "boolean")]
    pub native: bool,
    /// Whether the issuer's tokens can grant super admin.
    #[serde(deserialize_with = "boolean")]
    pub super_admins: bool,
    /// Whether the claims `name` and `email` of the issuer's tokens are recorded as the profiles of its users.
    #[serde(deserialize_with = "boolean")]
    pub profiles_from_claims: bool,
}
