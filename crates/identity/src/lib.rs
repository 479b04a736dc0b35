//! Who is calling.
//!
//! A [`Credential`] is read from an `Authorization` header. A [`TokenVerifier`] says who bears a token ([`Verified`]), or which
//! of a few things is wrong with it ([`AuthenticationError`]); a [`PresentedKey`] says whether it is a stored one. Knows
//! nothing of HTTP frameworks.
//!
//! ```
//! use iam_domain::{Timestamp, UserId};
//! use iam_identity::{AuthenticationError, Credential, TokenSigner, TokenVerifier};
//! use secrecy::SecretString;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = SecretString::from("a secret of at least thirty-two bytes");
//! let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
//! let user = UserId::generate(Timestamp::from_millis(now.try_into()?).ok_or("a time out of range")?);
//!
//! let header = format!("Bearer {}", TokenSigner::hs256(&secret).sign(user, false, (now / 1000).try_into()?, 60)?);
//! let Credential::Token(token) = Credential::of(Some(&header))? else { return Err("no token".into()) };
//! let verified = TokenVerifier::hs256(&secret).verify(token).await?;
//! assert_eq!(verified.user_id, user);
//! assert_eq!(Credential::of(None).err(), Some(AuthenticationError::Missing));
//! # Ok(())
//! # }
//! ```
//!
//! # What can be relied upon
//!
//! * **Whose token it is** decides with which keys it is verified: those of the [`TrustedIssuer`] that its `iss` names, and no
//!   others. Without such an `iss` it is the [`SharedSecret`]'s, if that has no name of its own. So nobody signs for another.
//! * **Keys** ([`KeySet`]) are one secret (HS256), or public keys (RS256, ES256, EdDSA). A key is used with one algorithm,
//!   whatever a token's header says; `none` is not among them.
//! * **Keys are read** ([`KeySource`]) in the background, and when a token names one that is not there: once for all who wait,
//!   and seldom. What cannot be read, or is no key set, changes nothing. A token that cannot be judged for lack of keys is
//!   [`Unavailable`](AuthenticationError::Unavailable), never accepted and never called invalid.
//! * **Users** are `(iss, subject)` pairs, exactly ([`ExternalId`](iam_domain::ExternalId)). Only one issuer, the native one,
//!   has its UUID subjects taken as user ids, and then none that stands for another issuer's user.
//! * **Verified tokens are remembered** by their digest, so that no signature is checked twice. Their times are looked at
//!   each time, and whether the key that signed them is still in its issuer's set. What does not verify is not remembered.

mod api_key;
mod backend;
mod claims;
mod credential;
mod error;
mod issuer;
mod key_ring;
mod keys;
mod signer;
mod source;
mod token;
mod token_cache;
mod verifier;

pub use api_key::{NewApiKey, PresentedKey, RandomnessError};
pub use claims::Verified;
pub use credential::Credential;
pub use error::AuthenticationError;
pub use iam_domain::NamedUser;
pub use issuer::{SharedSecret, TrustError, TrustedIssuer};
pub use keys::{Algorithm, KeyError, KeySet, MAX_KEYS};
pub use signer::{SigningError, TokenSigner};
pub use source::{JwksUrl, JwksUrlError, KeySource, MAX_DOCUMENT_BYTES, SourceError};
pub use verifier::{
    Admission, DEFAULT_REMEMBERED_TOKENS, MAX_TOKEN_BYTES, TokenVerifier, UserNameError, VerifierOptions,
};

/// The fewest bytes of a secret that is fit for production: as many as HS256's digest has.
pub const MIN_SECRET_BYTES: usize = 32;
