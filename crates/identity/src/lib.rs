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
//! * **The issuer** of a token determines the keys that verify it. If `iss` names a [`TrustedIssuer`], only that
//!   issuer's keys are used. Otherwise the token is verified with the [`SharedSecret`], if there is one and it has no
//!   `iss` of its own. So no issuer can sign for another.
//! * **Keys** ([`KeySet`]) are one secret (HS256), or public keys (RS256, ES256, EdDSA). A key is used with one
//!   algorithm, whatever `alg` a token's header has. `none` is never accepted.
//! * **Keys are refreshed** ([`KeySource`]) in the background, and when a token names an unknown key. All requests that
//!   wait for an unknown key share one read, and the rate of these reads is limited. A failed read or an invalid key
//!   set leaves the current keys in use. If a token cannot be verified because keys are not available, the result is
//!   [`Unavailable`](AuthenticationError::Unavailable): the token is neither accepted nor reported as invalid.
//! * **Users** are identified by issuer and subject, both compared exactly ([`ExternalId`](iam_domain::ExternalId)). At
//!   most one issuer is native: its subjects that are UUIDs are taken as user ids. A native subject that is the
//!   computed id of another issuer's user is rejected.
//! * **Verified tokens are cached** by their digest, so that a signature is not checked again while the token is
//!   cached. Every use checks the token's times, and that the key that signed it is still in its issuer's set. Tokens
//!   that fail verification are not cached.

mod algorithm;
mod api_key;
mod backend;
mod claims;
mod credential;
mod error;
mod issuer;
mod issuer_verifier;
mod jwks;
mod key_ring;
mod keys;
mod options;
mod signer;
mod source;
mod system_clock;
mod token;
mod token_cache;
mod verifier;

pub use algorithm::Algorithm;
pub use api_key::{NewApiKey, PresentedKey, RandomnessError};
pub use claims::Verified;
pub use credential::Credential;
pub use error::AuthenticationError;
pub use iam_domain::NamedUser;
pub use issuer::{SharedSecret, TrustError, TrustedIssuer};
pub use keys::{KeyError, KeySet, MAX_KEYS};
pub use options::{DEFAULT_REMEMBERED_TOKENS, VerifierOptions};
pub use signer::{SigningError, TokenSigner};
pub use source::{JwksUrl, JwksUrlError, KeySource, MAX_DOCUMENT_BYTES, SourceError};
pub use system_clock::system_clock;
pub use verifier::{Admission, MAX_TOKEN_BYTES, TokenVerifier, UserNameError};

/// Minimum length of a secret in bytes, for production use: the length of an HS256 digest.
pub const MIN_SECRET_BYTES: usize = 32;
