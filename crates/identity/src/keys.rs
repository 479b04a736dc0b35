//! The keys that verify signatures, each bound to one algorithm.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use secrecy::{ExposeSecret, SecretString};

use crate::Algorithm;
use crate::token::Token;

/// Maximum number of keys of one issuer.
pub const MAX_KEYS: usize = 100;

/// Maximum number of keys that are tried to verify one token.
const MAX_TRIES: usize = 8;

/// The marker at the start of each PEM block.
const BEGIN: &str = "-----BEGIN ";

/// The keys that verify the tokens of an issuer. `Debug` shows only the algorithms of the keys.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.algorithm)).finish()
    }
}

/// The error for input that cannot be parsed as keys. The message identifies the PEM block but contains no key
/// material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The string has no PEM block.
    #[error("it contains no PEM block")]
    Empty,
    /// A block is truncated, or its content is not Base64.
    #[error("PEM block {block} is malformed or truncated")]
    Damaged {
        /// The number of the block, counted from 1.
        block: usize,
    },
    /// A block is not a public key but, for example, a certificate or a private key.
    #[error("PEM block {block} has the label {label}, but the label PUBLIC KEY is required")]
    NotPublic {
        /// The number of the block, counted from 1.
        block: usize,
        /// The label of the block.
        label: String,
    },
    /// The key has an unsupported type or size.
    #[error("PEM block {block} is neither an RSA key of 2048 to 8192 bits, nor a P-256 key, nor an Ed25519 key")]
    Unsupported {
        /// The number of the block, counted from 1.
        block: usize,
    },
    /// The input is not a private key in PKCS #8 (`BEGIN PRIVATE KEY`) of a supported type.
    #[error("not an RSA, P-256 or Ed25519 private key in PKCS #8")]
    NotPrivate,
    /// The input is not a JSON object with an array `keys`.
    #[error("it is not a JSON Web Key Set")]
    NotKeySet,
    /// The input has more than [`MAX_KEYS`] keys.
    #[error("it contains more than {MAX_KEYS} keys")]
    TooMany,
}

impl KeySet {
    /// Returns the algorithms of the keys, separated by commas, for log lines.
    pub(crate) fn algorithms(&self) -> String {
        let algorithms: Vec<_> = self.keys.iter().map(|key| key.algorithm.as_str()).collect();
        algorithms.join(", ")
    }

    /// Returns the id, if there is one, and the algorithm of each key.
    pub(crate) fn names(&self) -> impl Iterator<Item = (Option<&str>, Algorithm)> {
        self.keys.iter().map(|key| (key.id.as_deref(), key.algorithm))
    }

    pub(crate) fn of(keys: impl IntoIterator<Item = Key>) -> Self {
        Self { keys: keys.into_iter().map(Arc::new).collect() }
    }

    /// Creates a key set that contains a single key: the secret, for HS256.
    pub(crate) fn hs256(secret: &SecretString) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        Self::of([Key::new(None, Algorithm::Hs256, Material::Secret(Box::new(key)))])
    }

    /// Parses the public keys in a PEM string, which contains one or more `PUBLIC KEY` blocks. The type of a key
    /// determines its algorithm: RS256 for RSA (2048 to 8192 bits), ES256 for P-256, EdDSA for Ed25519. A public key is
    /// never used as the secret of HS256, which prevents algorithm confusion.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError`] for the first block that cannot be used. One unusable block is enough to reject the whole
    /// input.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        // The string is split at the begin markers, so that a block without an end is detected.
        let begins: Vec<usize> = pem.match_indices(BEGIN).map(|(begin, _)| begin).collect();
        match begins.len() {
            0 => return Err(KeyError::Empty),
            1..=MAX_KEYS => {}
            _ => return Err(KeyError::TooMany),
        }
        let ends = begins.iter().copied().skip(1).chain([pem.len()]);
        let blocks = begins.iter().zip(ends).map(|(begin, end)| pem.get(*begin..end).unwrap_or_default());
        let keys = (1..).zip(blocks).map(|(number, text)| of_pem(number, text));
        Ok(Self::of(keys.collect::<Result<Vec<_>, _>>()?))
    }

    /// Returns `true` if the set has no key.
    pub(crate) const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the same set, but reuses the key objects of `old` for the keys that both sets contain. So cached tokens
    /// that were verified with these keys remain valid.
    pub(crate) fn sharing(self, old: &Self) -> Self {
        let kept = |key: Arc<Key>| old.keys.iter().find(|known| known.is_same(&key)).map_or(key, Arc::clone);
        Self { keys: self.keys.into_iter().map(kept).collect() }
    }

    /// Returns `true` if both sets contain the same key objects in the same order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && self.keys.iter().zip(&other.keys).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// Retires the keys that are not in `newer`. Cached tokens that were signed with these keys become invalid.
    pub(crate) fn retire_unless_in(&self, newer: &Self) {
        for key in self.keys.iter().filter(|key| !newer.keys.iter().any(|kept| Arc::ptr_eq(kept, key))) {
            key.is_retired.store(true, Ordering::Release);
        }
    }

    /// Searches for the key that signed the token. A key is tried if its id equals the key id of the token. A key is
    /// also tried if the key or the token has no id.
    pub(crate) fn check_signature(&self, token: &Token<'_>) -> SignatureCheck {
        let named = |key: &&Arc<Key>| key.id.is_some() && key.id == token.key_id;
        let possible = |key: &&Arc<Key>| key.id.is_none() || token.key_id.is_none();
        let of_algorithm = || self.keys.iter().filter(|key| key.algorithm == token.algorithm);

        let mut of_that_name = of_algorithm().filter(named).peekable();
        let is_known = of_that_name.peek().is_some();
        let mut candidates = of_that_name.chain(of_algorithm().filter(possible)).take(MAX_TRIES);
        match candidates.find(|key| key.verifies(token)) {
            Some(key) => SignatureCheck::Valid(Arc::clone(key)),
            None if is_known => SignatureCheck::Forged,
            None => SignatureCheck::UnknownKey,
        }
    }
}

/// The outcome of checking a token's signature.
pub(crate) enum SignatureCheck {
    /// The token was signed with this key.
    Valid(Arc<Key>),
    /// The key that the token's `kid` identifies is in the set, but it did not sign the token.
    Forged,
    /// No key of this set signed the token. A newer key set of the issuer may contain the key.
    UnknownKey,
}

/// A key, and the only algorithm for which the key is used, regardless of the `alg` in the header of a token.
pub(crate) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    material: Material,
    is_retired: AtomicBool,
}

enum Material {
    Secret(Box<hmac::Key>),
    /// A public key, parsed into the form that its algorithm requires.
    Public(ParsedPublicKey),
}

impl Key {
    fn new(id: Option<String>, algorithm: Algorithm, material: Material) -> Self {
        Self { id, algorithm, material, is_retired: AtomicBool::new(false) }
    }

    pub(crate) fn public(id: Option<String>, algorithm: Algorithm, key: ParsedPublicKey) -> Self {
        Self::new(id, algorithm, Material::Public(key))
    }

    /// Returns `true` if the key was removed from its issuer's set.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    fn is_same(&self, other: &Self) -> bool {
        match (&self.material, &other.material) {
            (Material::Public(mine), Material::Public(others)) => {
                self.id == other.id && self.algorithm == other.algorithm && mine.as_ref() == others.as_ref()
            }
            _ => false,
        }
    }

    fn verifies(&self, token: &Token<'_>) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, token.message, &token.signature).is_ok(),
            Material::Public(key) => key.verify_sig(token.message, &token.signature).is_ok(),
        }
    }
}

/// Parses one block of a PEM string.
fn of_pem(block: usize, text: &str) -> Result<Key, KeyError> {
    let pem = pem::parse(text).map_err(|_| KeyError::Damaged { block })?;
    if pem.tag() != "PUBLIC KEY" {
        return Err(KeyError::NotPublic { block, label: pem.tag().to_owned() });
    }
    let der = pem.contents();
    // Each parser checks the key type and the curve as well as the encoding.
    let p256 = || ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der).ok();
    let ed25519 = || ParsedPublicKey::new(&ED25519, der).ok();
    let (algorithm, key) = (rsa_of_der(der).map(|key| (Algorithm::Rs256, key)))
        .or_else(|| p256().map(|key| (Algorithm::Es256, key)))
        .or_else(|| ed25519().map(|key| (Algorithm::EdDsa, key)))
        .ok_or(KeyError::Unsupported { block })?;
    Ok(Key::public(None, algorithm, key))
}

/// Parses an RSA key. Returns `None` if the size of the key is not allowed or its public exponent is unsafe. Only the
/// parser `PublicEncryptingKey` checks both the size and the exponent.
pub(crate) fn rsa_of_der(der: &[u8]) -> Option<ParsedPublicKey> {
    PublicEncryptingKey::from_der(der).ok()?;
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).ok()
}
