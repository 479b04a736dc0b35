//! Whose tokens are believed, with the services wired as the server wires them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{App, test};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use iam_composition::{Settings, StartError, System};
use iam_http::{Api, HttpOptions, Services};
use iam_identity::{KeySet, TokenSigner};
use pem::Pem;
use serde_json::Value;

use crate::kit::api::{new_user, secret};

/// A private key, and its public key in PEM.
struct Pair {
    signer: TokenSigner,
    public: String,
}

impl Pair {
    fn new(private: &[u8], public: &[u8]) -> Self {
        let signer = TokenSigner::from_pem(&pem::encode(&Pem::new("PRIVATE KEY", private)).into()).unwrap();
        Self { signer, public: pem::encode(&Pem::new("PUBLIC KEY", public)) }
    }

    fn ed25519() -> Self {
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

/// A file that lasts as long as this.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
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

/// In memory, in production mode.
async fn start(variables: &[(&str, &str)]) -> Result<System, StartError> {
    let all = [("IAM__SERVER__MODE", "production")].iter().chain(variables);
    let environment: BTreeMap<String, String> =
        all.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    System::start(&Settings::load(&environment).unwrap()).await
}

/// With the keys in a file, and nothing but them.
async fn start_with(keys: &TempFile) -> Result<System, StartError> {
    start(&[("IAM__AUTH__PUBLIC_KEY_FILE", keys.0.to_str().unwrap())]).await
}

/// A super admin's token that was good for an hour at the given time.
fn token(signer: &TokenSigner, hours_ago: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    signer.sign(new_user(), true, now - hours_ago * 3600, 3600).unwrap()
}

/// What a server of this system answers to somebody with the token: the status, and the message if it is an error.
async fn ask(system: &System, token: &str) -> (u16, String) {
    let services = Services {
        application: Arc::clone(&system.application),
        verifier: Arc::clone(&system.verifier),
        probe: Arc::clone(&system.probe),
    };
    let api = Api::new(services, HttpOptions::default());
    let service = test::init_service(App::new().configure(|config| iam_http::configure(config, &api))).await;
    let request =
        test::TestRequest::get().uri("/api/iam/views").insert_header(("authorization", format!("Bearer {token}")));
    let response = test::call_service(&service, request.to_request()).await;
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&test::read_body(response).await).unwrap();
    (status, body["error"]["message"].as_str().or(body["message"].as_str()).unwrap_or_default().to_owned())
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

fn invalid() -> (u16, String) {
    (401, "Invalid token".to_owned())
}

#[actix_web::test]
async fn production_with_public_keys_needs_no_secret() {
    let (ed25519, p256) = (Pair::ed25519(), Pair::p256());
    let file = TempFile::new("both", &format!("{}{}", ed25519.public, p256.public));
    let system = start_with(&file).await.unwrap();
    for pair in [&ed25519, &p256] {
        let token = token(&pair.signer, 0);
        // The second time it is remembered.
        assert_eq!(ask(&system, &token).await, accepted());
        assert_eq!(ask(&system, &token).await, accepted());
    }
    let expired = token(&p256.signer, 2);
    assert_eq!(ask(&system, &expired).await, (401, "Token expired".to_owned()));
    assert_eq!(ask(&system, &token(&Pair::p256().signer, 0)).await, invalid());
}

#[actix_web::test]
async fn with_public_keys_no_secret_is_believed_not_even_the_public_key() {
    let pair = Pair::ed25519();
    let file = TempFile::new("confusion", &pair.public);
    let path = file.0.to_str().unwrap();
    let secret_text = "a perfectly private secret of the tests, long enough";
    let system = start(&[("IAM__AUTH__PUBLIC_KEY_FILE", path), ("JWT_SECRET", secret_text)]).await.unwrap();
    for secret in [secret_text, &pair.public, pair.public.trim()] {
        let signer = TokenSigner::hs256(&secret.into());
        assert_eq!(ask(&system, &token(&signer, 0)).await, invalid());
    }
    assert_eq!(ask(&system, &token(&pair.signer, 0)).await, accepted());
}

#[actix_web::test]
async fn with_a_secret_no_public_key_is_believed() {
    let system = start(&[("JWT_SECRET", "a perfectly private secret of the tests, long enough")]).await.unwrap();
    assert_eq!(ask(&system, &token(&Pair::p256().signer, 0)).await, invalid());
    assert_eq!(ask(&system, &token(&TokenSigner::hs256(&secret()), 0)).await, invalid());
    // {"alg":"none"}
    let claims = "eyJzdWIiOiJjMGZmZWUwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJleHAiOjQwMDAwMDAwMDB9";
    assert_eq!(ask(&system, &format!("eyJhbGciOiJub25lIn0.{claims}.")).await, invalid());
}

#[actix_web::test]
async fn replaced_keys_refuse_at_once_what_the_old_ones_verified() {
    let (old, new) = (Pair::ed25519(), Pair::ed25519());
    let system = start_with(&TempFile::new("replaced", &old.public)).await.unwrap();
    let (old_token, new_token) = (token(&old.signer, 0), token(&new.signer, 0));
    assert_eq!(ask(&system, &old_token).await, accepted());
    assert_eq!(ask(&system, &old_token).await, accepted());
    assert_eq!(ask(&system, &new_token).await, invalid());
    system.verifier.replace_keys(KeySet::from_pem(&new.public).unwrap());
    assert_eq!(ask(&system, &old_token).await, invalid());
    assert_eq!(ask(&system, &new_token).await, accepted());
}

#[actix_web::test]
async fn keys_that_cannot_be_used_stop_the_start_in_one_line() {
    const WEAK: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDOjkVvLPZAnod1pbbi+1plsciY
SADWuW256OHRBUAnTcoP4yld8a1tNAgZPmd/hrxvcO41QEmp9K4OwoqmQ65BIi1j
OPVeweIRpCX+SVNHM5yQ/2V+BuXlELDoGIkBiYt+PD5xAJ1FoMhZzTbtIPyLgYFU
nwN7kT5L7wbNM2n+0wIDAQAB
-----END PUBLIC KEY-----
";
    let missing = start(&[("IAM__AUTH__PUBLIC_KEY_FILE", "/no/such/keys.pem")]).await.unwrap_err().to_string();
    assert!(missing.starts_with("IAM__AUTH__PUBLIC_KEY_FILE: cannot read /no/such/keys.pem: "), "{missing}");
    assert!(!missing.contains('\n'));

    let good = Pair::ed25519().public;
    let unsupported = "is neither an RSA key of 2048 to 8192 bits, nor a P-256 key, nor an Ed25519 key";
    for (name, text, problem) in [
        ("empty", String::new(), "there is no PEM block in it".to_owned()),
        ("weak", WEAK.to_owned(), format!("PEM block 1 {unsupported}")),
        ("second-weak", format!("{good}{WEAK}"), format!("PEM block 2 {unsupported}")),
    ] {
        let file = TempFile::new(name, &text);
        let error = start_with(&file).await.unwrap_err().to_string();
        assert_eq!(error, format!("IAM__AUTH__PUBLIC_KEY_FILE: {}: {problem}", file.0.display()));
    }
}
