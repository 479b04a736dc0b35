//! Tokens of each signature algorithm, signed with keys that are generated for the run.

use std::io::Write;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::Result;
use crate::clock::now;

/// Lifetime of tokens, in seconds. The lifetime is longer than any run.
const TOKEN_LIFETIME: u64 = 24 * 60 * 60;
const SECRET: &str = "the secret of the benchmarks has more than thirty-two bytes";

/// The `iss` of all tokens.
const ISSUER: &str = "https://bench.example.com";

/// A signer of tokens. It also returns the setting with which a server accepts its tokens.
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    /// The file with the public key, and the value of the setting that contains its path. `None` for a shared secret.
    public: Option<(NamedTempFile, String)>,
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

impl Signer {
    /// Creates a signer for HS256 with a shared secret.
    #[must_use]
    pub fn hs256() -> Self {
        Self { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(SECRET.as_bytes()), public: None }
    }

    /// Creates a signer for RS256 with a new 2,048-bit key.
    ///
    /// # Errors
    ///
    /// Returns an error if the key cannot be generated or written.
    pub fn rs256() -> Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
        let key = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes())?;
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?;
        Ok(Self { algorithm: Algorithm::RS256, key, public: Some(file(public.as_ref())?) })
    }

    /// Creates a signer for EdDSA with a new Ed25519 key.
    ///
    /// # Errors
    ///
    /// Returns an error if the key cannot be generated or written.
    pub fn eddsa() -> Result<Self> {
        let pair = Ed25519KeyPair::generate()?;
        let private = pair.to_pkcs8v1()?;
        let key = EncodingKey::from_ed_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes())?;
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?;
        Ok(Self { algorithm: Algorithm::EdDSA, key, public: Some(file(public.as_ref())?) })
    }

    /// Returns the name of the signature algorithm.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{:?}", self.algorithm)
    }

    /// Returns the name and value of the environment variable with which a server accepts the tokens.
    pub fn environment(&self) -> (&'static str, &str) {
        match &self.public {
            None => ("JWT_SECRET", SECRET),
            Some((_, setting)) => ("IAM__AUTH__ISSUERS", setting),
        }
    }

    /// Returns the `Authorization` header with a new token of a user.
    ///
    /// # Errors
    ///
    /// Returns an error if signing fails.
    pub fn authorization(&self, user: &str, is_super_admin: bool) -> Result<String> {
        let now = now()?;
        let claims = json!({
            "userId": user, "email": "somebody@example.com", "isSuperAdmin": is_super_admin,
            "iss": ISSUER, "iat": now, "exp": now + TOKEN_LIFETIME,
        });
        let token = jsonwebtoken::encode(&Header::new(self.algorithm), &claims, &self.key)?;
        Ok(format!("Authorization: Bearer {token}\r\n"))
    }
}

/// Writes the public key to a PEM file. Returns the file, and the value of the setting that contains its path.
fn file(public: &[u8]) -> Result<(NamedTempFile, String)> {
    let mut file = NamedTempFile::new()?;
    file.write_all(pem("PUBLIC KEY", public).as_bytes())?;
    let path = file.path().to_str().ok_or("the path is not valid Unicode")?;
    let issuer = json!({ "issuer": ISSUER, "public_key_file": path, "user_claim": "userId", "native": true, "super_admins": true });
    let setting = json!([issuer]).to_string();
    Ok((file, setting))
}
