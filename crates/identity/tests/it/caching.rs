//! Tests of the cache of verified tokens. The cache is bounded. A cached token is accepted until it expires or the key
//! that signed it is removed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use iam_domain::{Clock, UserId};
use iam_identity::{AuthenticationError, KeySource, TokenSigner, TokenVerifier, TrustedIssuer, VerifierOptions};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::sync::Barrier;

use crate::support::{
    ISSUER, NOW, PAIRS, Pair, TempFile, at, clock, issuer, secret, signed_by, user, verify, with_keys, with_secret,
};

/// Replaces the verifier's clock, and returns a handle that sets the time of the clock.
fn clocked(verifier: TokenVerifier) -> (TokenVerifier, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(NOW));
    let hands = Arc::clone(&now);
    (verifier.with_clock(Clock::new(move || at(hands.load(Ordering::Relaxed)))), now)
}

/// Returns options that cache at most this many tokens.
fn caching(remembered_tokens: usize) -> VerifierOptions {
    VerifierOptions { remembered_tokens, ..VerifierOptions::default() }
}

fn of_secret(remembered: usize) -> TokenVerifier {
    with_secret(&secret(), &caching(remembered))
}

fn signer() -> TokenSigner {
    TokenSigner::hs256(&secret())
}

#[test]
fn a_cached_token_returns_the_same_caller() {
    let verifier = of_secret(10);
    let other = UserId::parse("018f3c1e-0000-7000-8000-000000000002").unwrap();
    for (user_id, is_super_admin) in [(user(), false), (user(), true), (other, false)] {
        let token = signer().sign(user_id, is_super_admin, NOW, 60).unwrap();
        for _ in 0..3 {
            let verified = verify(&verifier, &token).unwrap();
            assert_eq!((verified.user_id, verified.is_super_admin), (user_id, is_super_admin));
        }
    }
    assert_eq!(verifier.remembered(), 3);
}

#[test]
fn a_cached_token_expires() {
    for pair in [None, Some(&PAIRS[0]), Some(&PAIRS[2]), Some(&PAIRS[4])] {
        let verifier = pair.map_or_else(|| of_secret(10), |pair| with_keys(pair.keys(), &caching(10)));
        let (verifier, now) = clocked(verifier);
        let token = signed_by(&pair.map_or_else(signer, Pair::signer));
        assert!(verify(&verifier, &token).is_ok());
        assert_eq!(verifier.remembered(), 1);
        now.store(NOW + 3599, Ordering::Relaxed);
        assert!(verify(&verifier, &token).is_ok());
        now.store(NOW + 3600, Ordering::Relaxed);
        assert_eq!(verify(&verifier, &token), Err(AuthenticationError::Expired));
    }
}

#[test]
fn setting_the_clock_back_makes_a_cached_token_not_yet_valid() {
    let (verifier, now) = clocked(of_secret(10));
    let key = EncodingKey::from_secret(secret().expose_secret().as_bytes());
    let claims = json!({ "userId": user(), "nbf": NOW, "exp": NOW + 60 });
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    assert!(verify(&verifier, &token).is_ok());
    now.store(NOW - 1, Ordering::Relaxed);
    assert_eq!(verify(&verifier, &token), Err(AuthenticationError::NotYetValid));
}

#[test]
fn a_token_that_fails_verification_is_not_cached() {
    let verifier = of_secret(10);
    let good = signed_by(&signer());
    assert!(verify(&verifier, &good).is_ok());
    let expired = signer().sign(user(), false, NOW - 60, 60).unwrap();
    let strange = signed_by(&PAIRS[4].signer());
    for number in 0..1000 {
        for garbage in [format!("{good}{number}"), format!("{number}{good}"), format!("a.b.{number}")] {
            let error = verify(&verifier, &garbage).unwrap_err();
            assert!(matches!(error, AuthenticationError::Untrusted | AuthenticationError::MalformedToken));
        }
    }
    assert_eq!(verify(&verifier, &strange), Err(AuthenticationError::Untrusted));
    assert_eq!(verify(&verifier, &expired), Err(AuthenticationError::Expired));
    assert_eq!(verifier.remembered(), 1);
}

#[test]
fn the_number_of_cached_tokens_is_bounded() {
    for bound in [1, 10, 100, 1000] {
        let verifier = of_secret(bound);
        let tokens: Vec<String> =
            (1..=3 * bound as u64).map(|seconds| signer().sign(user(), false, NOW, seconds).unwrap()).collect();
        for token in tokens.iter().chain(&tokens) {
            assert!(verify(&verifier, token).is_ok());
            assert!(verifier.remembered() <= bound, "{} of {bound}", verifier.remembered());
        }
        assert!(verifier.remembered() > bound / 2, "{} of {bound}", verifier.remembered());
    }
}

#[test]
fn a_capacity_of_zero_disables_the_cache() {
    let verifier = of_secret(0);
    let token = signed_by(&signer());
    for _ in 0..3 {
        assert!(verify(&verifier, &token).is_ok());
        assert_eq!(verifier.remembered(), 0);
    }
}

/// Creates a verifier that trusts the keys in the file.
async fn of_file(file: &TempFile) -> TokenVerifier {
    let issuer = TrustedIssuer { is_native: true, ..issuer(ISSUER, KeySource::PemFile(file.path())) };
    // The verifier reads the file again only on an explicit refresh.
    let options = VerifierOptions { unknown_key_pause: Duration::MAX, ..caching(10) };
    let verifier = TokenVerifier::start(None, vec![issuer], &options).await.unwrap().with_clock(clock());
    // Uses up the one read that the rate limit allows for unknown keys.
    assert_eq!(verifier.verify(&signed_by(&Pair::ed25519().signer())).await, Err(AuthenticationError::Untrusted));
    verifier
}

#[tokio::test]
async fn only_the_tokens_of_a_removed_key_are_evicted() {
    let (old, new) = (&PAIRS[4], &PAIRS[0]);
    let (old_token, new_token) = (signed_by(&old.signer()), signed_by(&new.signer()));
    let file = TempFile::new(&old.public);
    let verifier = of_file(&file).await;
    assert!(verifier.verify(&old_token).await.is_ok());
    assert_eq!(verifier.verify(&new_token).await, Err(AuthenticationError::Untrusted));

    // The file has both keys during the rotation.
    file.write(&format!("{}{}", new.public, old.public));
    verifier.refresh().await;
    assert_eq!(verifier.remembered(), 1);
    assert!(verifier.verify(&old_token).await.is_ok() && verifier.verify(&new_token).await.is_ok());

    file.write(&new.public);
    verifier.refresh().await;
    assert_eq!(verifier.verify(&old_token).await, Err(AuthenticationError::Untrusted));
    assert_eq!(verifier.remembered(), 1, "the token of the new key must remain cached");
    assert!(verifier.verify(&new_token).await.is_ok());

    // The old key is added again, so its tokens are valid again.
    file.write(&old.public);
    verifier.refresh().await;
    assert!(verifier.verify(&old_token).await.is_ok());
    assert_eq!(verifier.verify(&new_token).await, Err(AuthenticationError::Untrusted));
}

/// Verifies a token while the content of the key file changes to `content`. Returns the verifier, the token, and `true`
/// if the token was accepted. The file changes when the clock is read: after the signature was verified, and before the
/// token is cached.
async fn verified_while_keys_become(content: String) -> (Arc<TokenVerifier>, String, bool) {
    let file = TempFile::new(&PAIRS[4].public);
    let this = Arc::new(OnceLock::<Arc<TokenVerifier>>::new());
    let changes = Arc::new(AtomicU64::new(0));
    let (handle, counter, path) = (Arc::clone(&this), Arc::clone(&changes), file.path());
    let clock = Clock::new(move || {
        if counter.fetch_add(1, Ordering::Relaxed) == 0 {
            std::fs::write(&path, &content).unwrap();
            let verifier = Arc::clone(handle.get().unwrap());
            let read = async move { verifier.refresh().await };
            let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
            std::thread::spawn(move || runtime().block_on(read)).join().unwrap();
        }
        at(NOW)
    });
    let verifier = Arc::new(of_file(&file).await.with_clock(clock));
    this.set(Arc::clone(&verifier)).unwrap();
    let token = signed_by(&PAIRS[4].signer());
    let is_good = verifier.verify(&token).await.is_ok();
    assert_eq!(changes.load(Ordering::Relaxed), 1, "the verification must read the clock once");
    (verifier, token, is_good)
}

#[tokio::test]
async fn a_verification_in_progress_fails_if_its_key_is_removed() {
    let (verifier, token, is_good) = verified_while_keys_become(PAIRS[5].public.clone()).await;
    assert!(!is_good);
    assert_eq!(verifier.remembered(), 0);
    assert_eq!(verifier.verify(&token).await, Err(AuthenticationError::Untrusted));
    assert!(verifier.verify(&signed_by(&PAIRS[5].signer())).await.is_ok());
}

#[tokio::test]
async fn a_verification_in_progress_succeeds_if_its_key_remains() {
    let both = format!("{}{}", PAIRS[5].public, PAIRS[4].public);
    let (verifier, token, is_good) = verified_while_keys_become(both).await;
    assert!(is_good);
    assert_eq!(verifier.remembered(), 1);
    assert!(verifier.verify(&token).await.is_ok());
}

#[tokio::test]
async fn a_cached_token_is_revalidated_with_the_current_time_and_keys() {
    let (old, new) = (&PAIRS[4], &PAIRS[5]);
    let file = TempFile::new(&old.public);
    let (verifier, now) = clocked(of_file(&file).await);
    let (_, admission) = verifier.admit(&signed_by(&old.signer())).await.unwrap();
    for (time, is_good) in [(NOW, true), (NOW + 3599, true), (NOW + 3600, false), (NOW, true)] {
        now.store(time, Ordering::Relaxed);
        assert_eq!(verifier.is_still_valid(&admission), is_good, "{}", time - NOW);
    }
    verifier.refresh().await;
    assert!(verifier.is_still_valid(&admission));
    file.write(&new.public);
    verifier.refresh().await;
    assert!(!verifier.is_still_valid(&admission));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_is_refused_once_its_key_is_removed_even_under_concurrent_use() {
    let (old, new) = (&PAIRS[4], &PAIRS[5]);
    let (old_token, new_token) = (signed_by(&old.signer()), signed_by(&new.signer()));
    let file = TempFile::new(&old.public);
    let verifier = Arc::new(of_file(&file).await);
    let (all_use_it, is_over) = (Arc::new(Barrier::new(5)), Arc::new(AtomicBool::new(false)));
    let users: Vec<_> = (0..4)
        .map(|_| {
            let (verifier, token) = (Arc::clone(&verifier), old_token.clone());
            let (all_use_it, is_over) = (Arc::clone(&all_use_it), Arc::clone(&is_over));
            tokio::spawn(async move {
                assert!(verifier.verify(&token).await.is_ok());
                all_use_it.wait().await;
                while !is_over.load(Ordering::Relaxed) {
                    let _ = verifier.verify(&token).await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    all_use_it.wait().await;
    file.write(&new.public);
    verifier.refresh().await;
    for _ in 0..100 {
        assert_eq!(verifier.verify(&old_token).await, Err(AuthenticationError::Untrusted));
        assert!(verifier.verify(&new_token).await.is_ok());
    }
    is_over.store(true, Ordering::Relaxed);
    for user in users {
        user.await.unwrap();
    }
}
