//! Which keys and algorithms are believed.

use std::fmt;

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};

use crate::backend::use_aws_lc;
use crate::claims::{Claims, Verified};

/// What begins each block of a PEM file.
const BEGIN: &str = "-----BEGIN ";

/// The keys that tokens may be signed with: one secret, or public keys, never both. `Debug` tells their algorithms only.
pub struct KeySet {
    keys: Vec<Key>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.algorithm)).finish()
    }
}

/// The keys cannot be used. Names the block, and repeats nothing of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is none.
    #[error("there is no PEM block in it")]
    Empty,
    /// It is cut off, or its content is not Base64.
    #[error("PEM block {block} is damaged or incomplete")]
    Damaged {
        /// Counted from 1.
        block: usize,
    },
    /// It is a certificate, a private key, or anything else.
    #[error("PEM block {block} is labelled {label}, expected PUBLIC KEY")]
    NotPublic {
        /// Counted from 1.
        block: usize,
        /// What it says that it is.
        label: String,
    },
    /// No algorithm goes with it, or it is too weak.
    #[error("PEM block {block} is neither an RSA key of 2048 to 8192 bits, nor a P-256 key, nor an Ed25519 key")]
    Unsupported {
        /// Counted from 1.
        block: usize,
    },
    /// It is not a private key in PKCS #8 (`BEGIN PRIVATE KEY`) of a type that signs tokens.
    #[error("not an RSA, P-256 or Ed25519 private key in PKCS #8")]
    NotPrivate,
}

impl KeySet {
    /// HS256 with the secret.
    #[must_use]
    pub fn hs256(secret: &SecretString) -> Self {
        let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self { keys: vec![Key::new(Algorithm::HS256, key)] }
    }

    /// The public keys of a PEM text, one or several blocks `BEGIN PUBLIC KEY`. The type of a key says its algorithm: RSA
    /// (2048 to 8192 bits) RS256, P-256 ES256, Ed25519 EdDSA. HS256 is not among them, so a public key is never taken for
    /// a secret.
    ///
    /// # Errors
    ///
    /// [`KeyError`] names the first block that cannot be used: then none is.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        // Cut by their beginnings, so that a block without an end is noticed.
        let begins: Vec<usize> = pem.match_indices(BEGIN).map(|(begin, _)| begin).collect();
        let ends = begins.iter().copied().skip(1).chain([pem.len()]);
        let blocks = begins.iter().zip(ends).map(|(begin, end)| pem.get(*begin..end).unwrap_or_default());
        let keys: Vec<Key> =
            (1..).zip(blocks).map(|(number, text)| public_key(number, text)).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Self { keys }) }
    }

    /// What the token says, if one of the keys signed it. When it is good is not looked at.
    pub(crate) fn verify(&self, token: &str) -> Option<Verified> {
        self.keys.iter().find_map(|key| key.verify(token))
    }
}

/// A key with the one algorithm that it is used for, whatever a token's header says.
struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

impl Key {
    fn new(algorithm: Algorithm, key: DecodingKey) -> Self {
        use_aws_lc();
        let mut validation = Validation::new(algorithm);
        // `Verified::at` looks at the times, again and again.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        // Tokens of the original carry no audience; those that have one are not refused for it.
        validation.validate_aud = false;
        Self { algorithm, key, validation }
    }

    fn verify(&self, token: &str) -> Option<Verified> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).ok()?;
        // RFC 7515: extensions that must be understood are not.
        if data.header.crit.is_some() {
            return None;
        }
        data.claims.into_verified()
    }
}

fn public_key(block: usize, text: &str) -> Result<Key, KeyError> {
    let pem = pem::parse(text).map_err(|_| KeyError::Damaged { block })?;
    if pem.tag() != "PUBLIC KEY" {
        return Err(KeyError::NotPublic { block, label: pem.tag().to_owned() });
    }
    let der = pem.contents();
    // The parsers look at the type, the curve and the size, not only at the form.
    if PublicEncryptingKey::from_der(der).is_ok() {
        Ok(Key::new(Algorithm::RS256, DecodingKey::from_rsa_der(der)))
    } else if ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der).is_ok() {
        Ok(Key::new(Algorithm::ES256, DecodingKey::from_ec_der(der)))
    } else if ParsedPublicKey::new(&ED25519, der).is_ok() {
        Ok(Key::new(Algorithm::EdDSA, DecodingKey::from_ed_der(der)))
    } else {
        Err(KeyError::Unsupported { block })
    }
}
