//! Who is calling.
//!
//! A [`TokenVerifier`] turns an `Authorization` header into a [`Caller`](iam_domain::Caller), or says which of four things
//! is wrong with it. Knows nothing of HTTP frameworks.
//!
//! ```
//! use iam_domain::{Timestamp, UserId};
//! use iam_identity::{AuthenticationError, TokenSigner, TokenVerifier};
//! use secrecy::SecretString;
//!
//! let secret = SecretString::from("a secret of at least thirty-two bytes");
//! let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
//! let user = UserId::generate(Timestamp::from_millis(now.try_into()?).ok_or("a time out of range")?);
//!
//! let token = TokenSigner::hs256(&secret).sign(user, false, (now / 1000).try_into()?, 60)?;
//! let caller = TokenVerifier::hs256(&secret).verify(Some(&format!("Bearer {token}")))?;
//! assert_eq!(caller.user_id, user);
//! assert_eq!(TokenVerifier::hs256(&secret).verify(None), Err(AuthenticationError::Missing));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What can be relied upon
//!
//! * **Keys** ([`KeySet`]) are one secret (HS256), or public keys (RS256, ES256, EdDSA) and then no secret. A key is used with
//!   one algorithm, whatever a token's header says; `none` is not among them.
//! * **Verified tokens are remembered** by their digest, so that no signature is checked twice. Their times are looked at
//!   each time. What does not verify is not remembered.
//! * **Replacing the keys** ([`TokenVerifier::replace_keys`]) forgets all of them, also those whose verification is under way.

mod backend;
mod claims;
mod error;
mod keys;
mod remembered;
mod signer;
mod verifier;

pub use error::AuthenticationError;
pub use keys::{KeyError, KeySet};
pub use signer::{SigningError, TokenSigner};
pub use verifier::{DEFAULT_REMEMBERED_TOKENS, MAX_TOKEN_BYTES, TokenVerifier};

/// The fewest bytes of a secret that is fit for production: as many as HS256's digest has.
pub const MIN_SECRET_BYTES: usize = 32;
