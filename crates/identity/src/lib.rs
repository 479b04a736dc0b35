//! Authentication of callers.
//!
//! A [`Credential`] is read from an `Authorization` header. A [`TokenVerifier`] returns the bearer of a token
//! ([`Verified`]) or why it is refused ([`AuthenticationError`]); a [`PresentedKey`] is compared with the digest of a
//! stored key. The crate depends on no HTTP framework.
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
//! * **The issuer** of a token determines the keys that verify it: those of the [`TrustedIssuer`] that its `iss` names,
//!   and no others. A token without such an `iss` is verified with the [`SharedSecret`], if that has no name of its
//!   own. So no issuer can sign for another.
//! * **Keys** ([`KeySet`]) are one secret (HS256), or public keys (RS256, ES256, EdDSA). A key is used with one
//!   algorithm, whatever a token's header says; `none` is not among them.
//! * **Keys are read** ([`KeySource`]) in the background, and when a token names an unknown one: once for all waiting
//!   requests, and at a limited rate. A failed read or an invalid key set changes nothing. A token that cannot be
//!   verified for lack of keys is [`Unavailable`](AuthenticationError::Unavailable), never accepted and never called
//!   invalid.
//! * **Users** are identified by `(iss, subject)` pairs, exactly ([`ExternalId`](iam_domain::ExternalId)). Only one
//!   issuer, the native one, has its UUID subjects taken as user ids, and never an id that stands for another issuer's
//!   user.
//! * **Verified tokens are cached** by their digest, so that no signature is checked twice. Every use checks their
//!   times, and whether the key that signed them is still in its issuer's set. Tokens that fail verification are not
//!   cached.

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

/// The fewest bytes of a secret that is fit for production: the length of HS256's digest.
pub const MIN_SECRET_BYTES: usize = 32;
