//! Keys, users, times and verifiers for the tests.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use iam_domain::{Clock, Issuer, Timestamp, UserId};
use iam_identity::{
    AuthenticationError, KeySet, KeySource, SharedSecret, TokenSigner, TokenVerifier, TrustedIssuer, Verified,
    VerifierOptions,
};
use pem::Pem;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// The current time of the tests, in seconds since the Unix epoch.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds).unwrap() * 1000).unwrap()
}

/// Returns a clock that always returns [`NOW`].
pub(crate) fn clock() -> Clock {
    Clock::new(|| at(NOW))
}

pub(crate) fn secret() -> SecretString {
    SecretString::from("a secret of at least thirty-two bytes")
}

pub(crate) fn user() -> UserId {
    UserId::parse("018f3c1e-0000-7000-8000-000000000001").unwrap()
}

/// A key pair in PEM: a private key and its public key.
pub(crate) struct Pair {
    pub(crate) private: SecretString,
    pub(crate) public: String,
    jwk: Value,
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Pair {
    fn new(private: &[u8], public: &impl AsDer<PublicKeyX509Der<'static>>, jwk: Value) -> Self {
        Self {
            private: pem::encode(&Pem::new("PRIVATE KEY", private)).into(),
            public: pem::encode(&Pem::new("PUBLIC KEY", public.as_der().unwrap().as_ref())),
            jwk,
        }
    }

    pub(crate) fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let components = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let jwk = json!({ "kty": "RSA", "n": base64url(&components.n), "e": base64url(&components.e) });
        Self::new(private.as_ref(), pair.public_key(), jwk)
    }

    fn ec(curve: &'static EcdsaSigningAlgorithm) -> Self {
        let private = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(curve, private.as_ref()).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at((pair.public_key().as_ref().len() - 1) / 2);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) });
        Self::new(private.as_ref(), pair.public_key(), jwk)
    }

    pub(crate) fn p256() -> Self {
        Self::ec(&ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn p384() -> Self {
        Self::ec(&ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    pub(crate) fn ed25519() -> Self {
        let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).unwrap();
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) });
        Self::new(private.as_ref(), pair.public_key(), jwk)
    }

    pub(crate) fn signer(&self) -> TokenSigner {
        TokenSigner::from_pem(&self.private).unwrap()
    }

    pub(crate) fn keys(&self) -> KeySet {
        KeySet::from_pem(&self.public).unwrap()
    }

    /// Returns the public key as an entry of a key set.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        self.jwk_with(&json!({ "kid": id, "use": "sig" }))
    }

    /// Returns the public key as a JWK, with these members added or replaced.
    pub(crate) fn jwk_with(&self, fields: &Value) -> Value {
        let mut jwk = self.jwk.clone();
        jwk.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        jwk
    }
}

/// Two key pairs of each type, in the order RSA, P-256, Ed25519. They are generated once, since generating RSA keys is
/// slow.
pub(crate) static PAIRS: LazyLock<[Pair; 6]> =
    LazyLock::new(|| [Pair::rsa(), Pair::rsa(), Pair::p256(), Pair::p256(), Pair::ed25519(), Pair::ed25519()]);

/// The issuer that most tests use.
pub(crate) const ISSUER: &str = "https://issuer.example/";

pub(crate) fn issuer(name: &str, keys: KeySource) -> TrustedIssuer {
    TrustedIssuer::new(Issuer::parse(name).unwrap(), keys)
}

/// Creates a verifier that trusts [`ISSUER`] as the native issuer with these keys.
pub(crate) fn with_keys(keys: KeySet, options: &VerifierOptions) -> TokenVerifier {
    let issuer = TrustedIssuer { is_native: true, ..issuer(ISSUER, KeySource::Keys(keys)) };
    trusting(None, vec![issuer], options)
}

/// Creates a verifier that trusts tokens signed with the secret.
pub(crate) fn with_secret(secret: &SecretString, options: &VerifierOptions) -> TokenVerifier {
    trusting(Some(SharedSecret::new(secret.clone())), Vec::new(), options)
}

/// Creates a verifier that trusts these issuers, whose keys are in memory.
pub(crate) fn trusting(
    secret: Option<SharedSecret>,
    issuers: Vec<TrustedIssuer>,
    options: &VerifierOptions,
) -> TokenVerifier {
    let started = TokenVerifier::start(secret, issuers, options).now_or_never();
    started.expect("a verifier with keys in memory must start without waiting").unwrap().with_clock(clock())
}

/// Returns the claims of a token for [`user`]. The token was issued one minute before [`NOW`] and expires one hour
/// after it.
pub(crate) fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": user(), "iat": NOW - 60, "exp": NOW + 3600 })
}

/// Returns the claims from [`claims`], with the fields of `others` added or replaced.
pub(crate) fn claims_with(others: &Value) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    claims
}

pub(crate) fn signed_by(signer: &TokenSigner) -> String {
    signer.sign_claims(&claims()).unwrap()
}

/// Signs the claims from [`claims`] with Ed25519. The header of the token has this `alg`.
pub(crate) fn signed_as(alg: &str, pair: &Pair) -> String {
    let private = pem::parse(pair.private.expose_secret()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(private.contents()).unwrap();
    let [header, claims] = [json!({ "alg": alg }), claims()].map(|part| base64url(part.to_string().as_bytes()));
    let message = format!("{header}.{claims}");
    let signature = key.sign(message.as_bytes());
    format!("{message}.{}", base64url(signature.as_ref()))
}

/// Verifies the token with keys in memory, so that the verification never waits.
pub(crate) fn verify(verifier: &TokenVerifier, token: &str) -> Result<Verified, AuthenticationError> {
    verifier.verify(token).now_or_never().expect("a verification with keys in memory must finish without waiting")
}

/// A temporary file that is deleted on drop.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn new(text: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = Self(std::env::temp_dir().join(format!("iam-identity-{}-{number}", std::process::id())));
        file.write(text);
        file
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.clone()
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
