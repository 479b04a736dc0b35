//! Authentication of callers.
//!
//! A [`Credential`] is parsed from an `Authorization` header. A [`TokenVerifier`] returns the bearer of a token
//! ([`Verified`]), or the reason why the token is rejected ([`AuthenticationError`]). A [`PresentedKey`] is compared
//! with the digest of a stored API key. The crate depends on no HTTP framework.
//!
//! ```
//! use iam_domain::UserId;
//! use iam_identity::{AuthenticationError, Credential, TokenSigner, TokenVerifier, system_clock};
//! use secrecy::SecretString;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = SecretString::from("a secret of at least thirty-two bytes");
//! let now = system_clock().now();
//! let user = UserId::generate(now);
//!
//! let issued_at = (now.millis() / 1000).try_into()?;
//! let header = format!("Bearer {}", TokenSigner::hs256(&secret).sign(user, false, issued_at, 60)?);
//! let Credential::Token(token) = Credential::of(Some(&header))? else { return Err("no token".into()) };
//! let verified = TokenVerifier::hs256(&secret).verify(token).await?;
//! assert_eq!(verified.user_id, user);
//! assert_eq!(Credential::of(None).err(), Some(AuthenticationError::Missing));
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! * **The issuer** of a token determines the keys that verify it. If the token's `iss` identifies a [`TrustedIssuer`],
//!   only the keys of this issuer are used. If it equals the `iss` of the [`SharedSecret`], only the secret is used.
//!   All other tokens are verified with the shared secret if the secret has no `iss`; otherwise they are rejected. An
//!   issuer therefore cannot sign valid tokens of another issuer.
//! * **Keys** ([`KeySet`]) are one secret (HS256), or public keys (RS256, ES256, EdDSA). Each key is used with only one
//!   algorithm, regardless of the `alg` in a token's header, which prevents algorithm confusion. `none` is never
//!   accepted.
//! * **Keys are refreshed** ([`KeySource`]) in the background, and when no current key verifies a token (JWKS
//!   rotation). All requests that wait for an unknown key share one read (single flight), and the rate of these reads
//!   is limited. If a read fails or a key set is invalid, the current keys remain in use. If a token cannot be verified
//!   because keys are not available, the result is [`Unavailable`](AuthenticationError::Unavailable): the token is
//!   neither accepted nor reported as invalid.
//! * **Users** are identified by issuer and subject, both compared exactly ([`ExternalId`](iam_domain::ExternalId)). At
//!   most one issuer is native: subjects of its tokens that are UUIDs are used as user ids unchanged. A native subject
//!   that is the computed id of another issuer's user is rejected.
//! * **Verified tokens are cached** by their digest. The signature of a cached token is not checked again. On every
//!   use, the token's period of validity is checked again, and the key that signed the token must still be in the
//!   issuer's key set. Tokens that fail verification are not cached (no negative caching).

mod algorithm;
mod api_key;
mod backend;
mod claims;
mod credential;
mod error;
mod issuer;
mod issuer_state;
mod issuer_verifier;
mod jwks;
mod key_ring;
mod keys;
mod metric_list;
mod options;
mod reads;
mod signer;
mod source;
mod system_clock;
mod token;
mod token_cache;
mod user_names;
mod verifier;

pub use algorithm::Algorithm;
pub use api_key::{NewApiKey, PresentedKey, RandomnessError};
pub use claims::Verified;
pub use credential::Credential;
pub use error::AuthenticationError;
pub use iam_domain::NamedUser;
pub use issuer::{SharedSecret, TrustError, TrustedIssuer};
pub use issuer_state::{IssuerState, KeyName};
pub use keys::{KeyError, KeySet, MAX_KEYS};
pub use metric_list::describe_metrics;
pub use options::{DEFAULT_REMEMBERED_TOKENS, VerifierOptions};
pub use reads::Reads;
pub use signer::{SigningError, TokenSigner};
pub use source::{JwksUrl, JwksUrlError, KeySource, MAX_DOCUMENT_BYTES, SourceError, http_client};
pub use system_clock::system_clock;
pub use user_names::UserNames;
pub use verifier::{Admission, ExpectedIdToken, MAX_TOKEN_BYTES, TokenVerifier, UserNameError};

/// Minimum length in bytes of a shared secret for production use: the length of an HS256 digest.
pub const MIN_SECRET_BYTES: usize = 32;
