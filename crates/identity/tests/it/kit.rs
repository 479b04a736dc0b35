//! Keys made for the occasion, users, and times.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use iam_domain::{Caller, UserId};
use iam_identity::{AuthenticationError, KeySet, TokenSigner, TokenVerifier};
use pem::Pem;
use secrecy::SecretString;

/// When the tests take place, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn secret() -> SecretString {
    SecretString::from("a secret of at least thirty-two bytes")
}

pub(crate) fn user() -> UserId {
    UserId::parse("018f3c1e-0000-7000-8000-000000000001").unwrap()
}

/// A private key and its public key, in PEM.
pub(crate) struct Pair {
    pub(crate) private: SecretString,
    pub(crate) public: String,
}

impl Pair {
    fn new(private: &[u8], public: &impl AsDer<PublicKeyX509Der<'static>>) -> Self {
        Self {
            private: pem::encode(&Pem::new("PRIVATE KEY", private)).into(),
            public: pem::encode(&Pem::new("PUBLIC KEY", public.as_der().unwrap().as_ref())),
        }
    }

    pub(crate) fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        Self::new(private.as_ref(), pair.public_key())
    }

    fn ec(curve: &'static EcdsaSigningAlgorithm) -> Self {
        let private = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
        Self::new(private.as_ref(), EcdsaKeyPair::from_pkcs8(curve, private.as_ref()).unwrap().public_key())
    }

    pub(crate) fn p256() -> Self {
        Self::ec(&ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn p384() -> Self {
        Self::ec(&ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    pub(crate) fn ed25519() -> Self {
        let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        Self::new(private.as_ref(), Ed25519KeyPair::from_pkcs8(private.as_ref()).unwrap().public_key())
    }

    pub(crate) fn signer(&self) -> TokenSigner {
        TokenSigner::from_pem(&self.private).unwrap()
    }

    pub(crate) fn keys(&self) -> KeySet {
        KeySet::from_pem(&self.public).unwrap()
    }
}

/// Two of each type, in the order RSA, P-256, Ed25519. Made once: RSA keys take their time.
pub(crate) static PAIRS: LazyLock<[Pair; 6]> =
    LazyLock::new(|| [Pair::rsa(), Pair::rsa(), Pair::p256(), Pair::p256(), Pair::ed25519(), Pair::ed25519()]);

/// A token of [`user`] that is good for an hour from [`NOW`] on.
pub(crate) fn signed_by(signer: &TokenSigner) -> String {
    signer.sign(user(), false, NOW, 3600).unwrap()
}

pub(crate) fn verify(verifier: &TokenVerifier, token: &str) -> Result<Caller, AuthenticationError> {
    verifier.verify(Some(&format!("Bearer {token}")))
}
