//! Parses JSON Web Key Sets (RFC 7517).

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RsaPublicKeyComponents};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use serde::Deserialize;
use serde_json::Value;

use crate::keys::{Key, rsa_of_der};
use crate::{Algorithm, KeyError, KeySet, MAX_KEYS};

/// The decoder of base64url with or without padding. RFC 7515 forbids padding, but some issuers add it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Maximum number of characters of a key id that are logged.
const LOGGED_ID_CHARACTERS: usize = 64;

impl KeySet {
    /// Parses a JSON Web Key Set (RFC 7517). The result contains the public keys that verify signatures with a
    /// supported algorithm. All other entries are ignored: secrets (`oct`), private keys, keys for encryption or
    /// another algorithm, weak keys, and malformed entries. So the resulting set can be empty.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::NotKeySet`] if the document is not a key set, and [`KeyError::TooMany`] if it has more than
    /// [`MAX_KEYS`] entries.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeyError> {
        Jwks::parse(json).map(|jwks| jwks.keys)
    }
}

/// The parsed contents of a JSON Web Key Set.
pub(crate) struct Jwks {
    pub(crate) keys: KeySet,
    pub(crate) ignored: Vec<IgnoredEntry>,
}

/// An entry of a key set that was ignored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IgnoredEntry {
    /// The key id, quoted and truncated. If the entry has no key id, this is its position in the key set, counted from
    /// 1.
    pub(crate) name: String,
    pub(crate) reason: IgnoredReason,
}

/// The reason why an entry is ignored. The message does not reveal the content of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum IgnoredReason {
    #[error("it is not a JSON Web Key")]
    Unreadable,
    #[error("it contains a private key, so every reader of the key set can sign tokens")]
    Private,
    #[error("its use or key_ops does not allow the verification of signatures")]
    OtherUse,
    #[error("its type is not RSA, P-256 or Ed25519")]
    OtherType,
    #[error("it is not a valid key of its type, or it is an RSA key of fewer than 2048 or more than 8192 bits")]
    Unusable,
    #[error("its alg is not the algorithm that this service uses with keys of its type")]
    OtherAlgorithm,
}

impl Jwks {
    /// Parses a key set, as documented for [`KeySet::from_jwks`].
    pub(crate) fn parse(json: &[u8]) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }

        // RFC 8259 allows parsers to ignore a byte order mark.
        let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
        let document: Document = serde_json::from_slice(json).map_err(|_| KeyError::NotKeySet)?;
        if document.keys.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        let (mut keys, mut ignored) = (Vec::new(), Vec::new());
        for (place, entry) in (1..).zip(document.keys) {
            let id = entry.get("kid").and_then(Value::as_str);
            let id = id.map(|id| id.chars().take(LOGGED_ID_CHARACTERS).collect::<String>());
            match of_jwk(entry) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    let name = id.map_or_else(|| format!("entry {place}"), |id| format!("key {id:?}"));
                    ignored.push(IgnoredEntry { name, reason });
                }
            }
        }
        Ok(Self { keys: KeySet::of(keys), ignored })
    }
}

/// The fields of an entry that this service reads.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part of the key, of any JSON type. A key that was published with its private part is compromised.
    d: Option<Value>,
}

/// Parses an entry, which must be a public key for the verification of signatures.
fn of_jwk(entry: Value) -> Result<Key, IgnoredReason> {
    let jwk: Jwk = serde_json::from_value(entry).map_err(|_| IgnoredReason::Unreadable)?;
    if jwk.d.is_some() {
        return Err(IgnoredReason::Private);
    }
    let is_for_signatures = jwk.r#use.as_deref().is_none_or(|r#use| r#use == "sig")
        && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    if !is_for_signatures {
        return Err(IgnoredReason::OtherUse);
    }
    let (algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (Algorithm::Rs256, rsa_of_jwk(&jwk)),
        ("EC", Some("P-256")) => (Algorithm::Es256, p256_of_jwk(&jwk)),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, ed25519_of_jwk(&jwk)),
        _ => return Err(IgnoredReason::OtherType),
    };
    let is_its_algorithm = jwk.alg.is_none_or(|name| Algorithm::parse(&name) == Some(algorithm));
    if !is_its_algorithm {
        return Err(IgnoredReason::OtherAlgorithm);
    }
    Ok(Key::public(jwk.kid, algorithm, key.ok_or(IgnoredReason::Unusable)?))
}

fn rsa_of_jwk(jwk: &Jwk) -> Option<ParsedPublicKey> {
    // Leading zero bytes of a number are removed: some issuers write them, but the parser rejects them.
    let number = |text| field(text).map(|bytes| bytes.into_iter().skip_while(|byte| *byte == 0).collect());
    let (n, e): (Vec<u8>, Vec<u8>) = (number(&jwk.n)?, number(&jwk.e)?);
    let der: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n: n.as_slice(), e: e.as_slice() }.as_der().ok()?;
    rsa_of_der(der.as_ref())
}

fn p256_of_jwk(jwk: &Jwk) -> Option<ParsedPublicKey> {
    let point = [&[4], field(&jwk.x)?.as_slice(), field(&jwk.y)?.as_slice()].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
}

fn ed25519_of_jwk(jwk: &Jwk) -> Option<ParsedPublicKey> {
    let point = field(&jwk.x).filter(|point| point.len() == 32)?;
    ParsedPublicKey::new(&ED25519, point).ok()
}

/// Decodes a base64url field. The standard alphabet is accepted too, because some issuers use it.
fn field(text: &Option<String>) -> Option<Vec<u8>> {
    BASE64URL.decode(text.as_ref()?.replace('+', "-").replace('/', "_")).ok()
}
