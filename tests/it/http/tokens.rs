//! Tests of token verification, with the services configured from settings as in the server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use iam_composition::{Settings, StartError, System};
use iam_http::Services;
use iam_identity::TokenSigner;
use pem::Pem;
use serde_json::{Value, json};

use crate::support::api::{Answer, get_from, new_user, now, secret};

/// A key pair: a signer with the private key, and the public key in PEM format.
pub struct Pair {
    pub signer: TokenSigner,
    pub public: String,
}

impl Pair {
    fn new(private: &[u8], public: &[u8]) -> Self {
        let signer = TokenSigner::from_pem(&pem::encode(&Pem::new("PRIVATE KEY", private)).into()).unwrap();
        Self { signer, public: pem::encode(&Pem::new("PUBLIC KEY", public)) }
    }

    pub fn ed25519() -> Self {
        let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).unwrap();
        Self::new(private.as_ref(), pair.public_key().as_der().unwrap().as_ref())
    }

    fn p256() -> Self {
        let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let private = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(curve, private.as_ref()).unwrap();
        Self::new(private.as_ref(), pair.public_key().as_der().unwrap().as_ref())
    }
}

/// A temporary file. Dropping this value removes the file.
pub struct TempFile(pub PathBuf);

impl TempFile {
    pub fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("iam-tokens-{}-{name}.pem", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Starts the services in production mode with in-memory storage. These environment variables specify the settings.
pub async fn start(variables: &[(&str, &str)]) -> Result<System, StartError> {
    let all = [("IAM__SERVER__MODE", "production"), ("USE_DATABASE", "false")].iter().chain(variables);
    let environment: BTreeMap<String, String> =
        all.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    System::start(&Settings::load(&environment).unwrap()).await
}

const ISSUER: &str = "https://sign-in.example.com";

/// Returns the value of `IAM__AUTH__ISSUERS` for one issuer whose public keys are in the file.
fn with_file(file: &TempFile, is_native: bool) -> String {
    let issuer = json!({
        "issuer": ISSUER, "public_key_file": file.0, "native": is_native, "super_admins": true, "audiences": ["iam"],
    });
    json!([issuer]).to_string()
}

/// Starts the services with the native issuer as the only issuer. The issuer's public keys are in the file.
async fn start_with(keys: &TempFile) -> Result<System, StartError> {
    start(&[("IAM__AUTH__ISSUERS", &with_file(keys, true))]).await
}

/// Returns a super admin's token that was issued this number of hours ago and has a lifetime of one hour.
fn token(signer: &TokenSigner, hours_ago: u64) -> String {
    token_with_claims(signer, ISSUER, hours_ago, 1)
}

fn token_with_claims(signer: &TokenSigner, issuer: &str, hours_ago: u64, good_for_hours: u64) -> String {
    // The issue time of the token is one minute earlier. If it were the current time, the verifier might reload the
    // keys, because the token could be signed with a key that is newer than the loaded keys (JWKS rotation).
    let issued = now() - 60 - hours_ago * 3600;
    signer
        .sign_claims(&json!({
            "iss": issuer,
            "sub": new_user(),
            "aud": "iam",
            "isSuperAdmin": true,
            "iat": issued,
            "exp": issued + good_for_hours * 3600,
        }))
        .unwrap()
}

/// Returns the services of the system, for an API instance.
pub fn services(system: &System) -> Services {
    Services {
        application: Arc::clone(&system.application),
        verifier: Arc::clone(&system.verifier),
        probe: Arc::clone(&system.probe),
        clock: system.clock.clone(),
    }
}

/// Returns the response to a request with this token.
async fn answer(system: &System, token: &str) -> Answer {
    get_from(services(system), "/api/iam/views", &format!("Bearer {token}")).await
}

/// Returns the status of the response to a request with this token, and the message if the response is an error.
async fn ask(system: &System, token: &str) -> (u16, String) {
    let answer = answer(system, token).await;
    (answer.status.as_u16(), answer.json()["message"].as_str().unwrap_or_default().to_owned())
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

fn invalid() -> (u16, String) {
    (401, "Invalid token".to_owned())
}

#[actix_web::test]
async fn production_with_public_keys_requires_no_secret() {
    let (ed25519, p256) = (Pair::ed25519(), Pair::p256());
    let file = TempFile::new("both", &format!("{}{}", ed25519.public, p256.public));
    let system = start_with(&file).await.unwrap();
    for pair in [&ed25519, &p256] {
        let token = token(&pair.signer, 0);
        // The second verification uses the cached result of the first one.
        assert_eq!(ask(&system, &token).await, accepted());
        assert_eq!(ask(&system, &token).await, accepted());
    }
    let expired = token(&p256.signer, 2);
    assert_eq!(ask(&system, &expired).await, (401, "Token expired".to_owned()));
    assert_eq!(ask(&system, &token(&Pair::p256().signer, 0)).await, invalid());
}

const SECRET: &str = "a perfectly private secret of the tests, long enough";

#[actix_web::test]
async fn with_public_keys_no_hmac_signature_is_accepted() {
    let pair = Pair::ed25519();
    let file = TempFile::new("confusion", &pair.public);
    let issuers = with_file(&file, false);
    let system = start(&[("IAM__AUTH__ISSUERS", &issuers), ("JWT_SECRET", SECRET)]).await.unwrap();
    for secret in [SECRET, &pair.public, pair.public.trim()] {
        let signer = TokenSigner::hs256(&secret.into());
        assert_eq!(ask(&system, &token(&signer, 0)).await, invalid());
    }
    assert_eq!(ask(&system, &token(&pair.signer, 0)).await, accepted());
    // Tokens that are signed with the secret are accepted as tokens of the native issuer. They are not accepted as
    // tokens of the external issuer.
    let other = "https://other.example.com";
    assert_eq!(ask(&system, &token_with_claims(&TokenSigner::hs256(&SECRET.into()), other, 0, 1)).await, accepted());
    assert_eq!(ask(&system, &token_with_claims(&pair.signer, other, 0, 1)).await, invalid());
}

#[actix_web::test]
async fn in_production_tokens_have_a_maximum_age_and_super_admin_tokens_a_lower_one() {
    let system = start(&[("JWT_SECRET", SECRET)]).await.unwrap();
    let signer = TokenSigner::hs256(&SECRET.into());
    let token = |is_super_admin: bool, iat: Value| {
        let claims = json!({ "sub": new_user(), "isSuperAdmin": is_super_admin, "iat": iat, "exp": now() + 999_999 });
        signer.sign_claims(&claims).unwrap()
    };
    let hours_ago = |hours: u64| json!(now() - hours * 3600);
    // The token is accepted, but the request returns 400 because it specifies no company.
    assert_eq!(ask(&system, &token(false, hours_ago(23))).await.0, 400);
    assert_eq!(ask(&system, &token(false, hours_ago(25))).await, (401, "Token expired".to_owned()));
    assert_eq!(ask(&system, &token(true, hours_ago(0))).await, accepted());
    assert_eq!(ask(&system, &token(true, hours_ago(2))).await, (401, "Token expired".to_owned()));
    assert_eq!(ask(&system, &token(false, Value::Null)).await, invalid());
}

#[actix_web::test]
async fn only_tokens_that_cannot_be_verified_are_503() {
    // No process listens on this port, so the keys cannot be loaded.
    let issuers = json!([{ "issuer": ISSUER, "jwks_url": "http://127.0.0.1:1/jwks.json" }]).to_string();
    let system = start(&[("IAM__AUTH__ISSUERS", &issuers), ("JWT_SECRET", SECRET)]).await.unwrap();
    let unavailable = (503, "The service is temporarily unavailable".to_owned());
    assert_eq!(ask(&system, &token(&Pair::ed25519().signer, 0)).await, unavailable);
    let secret = TokenSigner::hs256(&SECRET.into());
    assert_eq!(ask(&system, &token_with_claims(&secret, "https://other.example.com", 0, 1)).await, accepted());
    assert_eq!(
        ask(&system, &token(&Pair::ed25519().signer, 2)).await,
        invalid(),
        "an expired token must be rejected even if its signature cannot be verified"
    );

    let response = answer(&system, &token(&Pair::ed25519().signer, 0)).await;
    assert!(response.header("retry-after").is_some());
    assert!(response.header("www-authenticate").is_none());
}

#[actix_web::test]
async fn with_a_secret_no_public_key_signature_is_accepted() {
    let system = start(&[("JWT_SECRET", SECRET)]).await.unwrap();
    assert_eq!(ask(&system, &token(&Pair::p256().signer, 0)).await, invalid());
    assert_eq!(ask(&system, &token(&TokenSigner::hs256(&secret()), 0)).await, invalid());
    // The header of the token is `{"alg":"none"}`.
    let claims = "eyJzdWIiOiJjMGZmZWUwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJleHAiOjQwMDAwMDAwMDB9";
    assert_eq!(ask(&system, &format!("eyJhbGciOiJub25lIn0.{claims}.")).await, invalid());
}

#[actix_web::test]
async fn tokens_of_replaced_keys_are_rejected_immediately() {
    let (old, new) = (Pair::ed25519(), Pair::ed25519());
    let file = TempFile::new("replaced", &old.public);
    let system = start_with(&file).await.unwrap();
    let (old_token, new_token) = (token(&old.signer, 0), token(&new.signer, 0));
    assert_eq!(ask(&system, &old_token).await, accepted());
    assert_eq!(ask(&system, &old_token).await, accepted());
    assert_eq!(ask(&system, &new_token).await, invalid());
    std::fs::write(&file.0, &new.public).unwrap();
    system.verifier.refresh().await;
    assert_eq!(ask(&system, &old_token).await, invalid());
    assert_eq!(ask(&system, &new_token).await, accepted());
}

#[actix_web::test]
async fn unusable_keys_are_a_startup_error_in_one_line() {
    const WEAK: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDOjkVvLPZAnod1pbbi+1plsciY
SADWuW256OHRBUAnTcoP4yld8a1tNAgZPmd/hrxvcO41QEmp9K4OwoqmQ65BIi1j
OPVeweIRpCX+SVNHM5yQ/2V+BuXlELDoGIkBiYt+PD5xAJ1FoMhZzTbtIPyLgYFU
nwN7kT5L7wbNM2n+0wIDAQAB
-----END PUBLIC KEY-----
";
    let begin = "auth.issuers[0].public_key_file (IAM__AUTH__ISSUERS): ";
    let issuers = json!([{ "issuer": ISSUER, "public_key_file": "/no/such/keys.pem" }]).to_string();
    let missing = start(&[("IAM__AUTH__ISSUERS", &issuers)]).await.unwrap_err().to_string();
    assert!(missing.starts_with(&format!("{begin}cannot read /no/such/keys.pem: ")), "{missing}");
    assert!(!missing.contains('\n'));

    let good = Pair::ed25519().public;
    let unsupported = "is neither an RSA key of 2048 to 8192 bits, nor a P-256 key, nor an Ed25519 key";
    for (name, text, problem) in [
        ("empty", String::new(), "it contains no PEM block".to_owned()),
        ("weak", WEAK.to_owned(), format!("PEM block 1 {unsupported}")),
        ("second-weak", format!("{good}{WEAK}"), format!("PEM block 2 {unsupported}")),
    ] {
        let file = TempFile::new(name, &text);
        let error = start_with(&file).await.unwrap_err().to_string();
        assert_eq!(error, format!("{begin}{}: {problem}", file.0.display()));
    }
}
