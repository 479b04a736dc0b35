//! Tokens are remembered: until they expire, in a bounded number, and for the keys that verified them only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use iam_domain::{Caller, UserId};
use iam_identity::{AuthenticationError, KeySet, TokenSigner, TokenVerifier};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::kit::{NOW, PAIRS, Pair, at, secret, signed_by, user, verify};

/// A verifier and the hands of its clock.
fn clocked(keys: KeySet, remembered: usize) -> (TokenVerifier, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(NOW));
    let hands = Arc::clone(&now);
    (TokenVerifier::new(keys, remembered).with_clock(move || at(hands.load(Ordering::Relaxed))), now)
}

fn signer() -> TokenSigner {
    TokenSigner::hs256(&secret())
}

#[test]
fn a_remembered_token_says_what_it_said() {
    let (verifier, _) = clocked(KeySet::hs256(&secret()), 10);
    let other = UserId::parse("018f3c1e-0000-7000-8000-000000000002").unwrap();
    for (user_id, is_super_admin) in [(user(), false), (user(), true), (other, false)] {
        let token = signer().sign(user_id, is_super_admin, NOW, 60).unwrap();
        for _ in 0..3 {
            assert_eq!(verify(&verifier, &token), Ok(Caller { user_id, is_super_admin }));
        }
    }
    assert_eq!(verifier.remembered(), 3);
}

#[test]
fn a_remembered_token_expires_all_the_same() {
    for pair in [None, Some(&PAIRS[0]), Some(&PAIRS[2]), Some(&PAIRS[4])] {
        let keys = pair.map_or_else(|| KeySet::hs256(&secret()), Pair::keys);
        let (verifier, now) = clocked(keys, 10);
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
fn a_clock_that_is_set_back_makes_a_remembered_token_early_again() {
    let (verifier, now) = clocked(KeySet::hs256(&secret()), 10);
    let key = EncodingKey::from_secret(secret().expose_secret().as_bytes());
    let claims = json!({ "userId": user(), "nbf": NOW, "exp": NOW + 60 });
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    assert!(verify(&verifier, &token).is_ok());
    now.store(NOW - 1, Ordering::Relaxed);
    assert_eq!(verify(&verifier, &token), Err(AuthenticationError::Invalid));
}

#[test]
fn what_does_not_verify_is_not_remembered() {
    let (verifier, _) = clocked(KeySet::hs256(&secret()), 10);
    let good = signed_by(&signer());
    assert!(verify(&verifier, &good).is_ok());
    let expired = signer().sign(user(), false, NOW - 60, 60).unwrap();
    let strange = signed_by(&PAIRS[4].signer());
    for number in 0..1000 {
        for garbage in [format!("{good}{number}"), format!("{number}{good}"), format!("a.b.{number}")] {
            assert_eq!(verify(&verifier, &garbage), Err(AuthenticationError::Invalid));
        }
    }
    assert_eq!(verify(&verifier, &strange), Err(AuthenticationError::Invalid));
    assert_eq!(verify(&verifier, &expired), Err(AuthenticationError::Expired));
    assert_eq!(verifier.remembered(), 1);
}

#[test]
fn their_number_is_bounded() {
    for bound in [1, 10, 100, 1000] {
        let (verifier, _) = clocked(KeySet::hs256(&secret()), bound);
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
fn with_zero_nothing_is_remembered() {
    let (verifier, _) = clocked(KeySet::hs256(&secret()), 0);
    let token = signed_by(&signer());
    for _ in 0..3 {
        assert!(verify(&verifier, &token).is_ok());
        assert_eq!(verifier.remembered(), 0);
    }
}

#[test]
fn new_keys_forget_what_the_old_ones_verified() {
    let (old, new) = (&PAIRS[4], &PAIRS[0]);
    let (verifier, _) = clocked(old.keys(), 10);
    let (old_token, new_token) = (signed_by(&old.signer()), signed_by(&new.signer()));
    assert!(verify(&verifier, &old_token).is_ok());
    assert_eq!(verify(&verifier, &new_token), Err(AuthenticationError::Invalid));

    verifier.replace_keys(new.keys());
    assert_eq!(verifier.remembered(), 0);
    assert_eq!(verify(&verifier, &old_token), Err(AuthenticationError::Invalid));
    assert!(verify(&verifier, &new_token).is_ok());

    // Both, while the signers change over.
    verifier.replace_keys(KeySet::from_pem(&format!("{}{}", old.public, new.public)).unwrap());
    assert!(verify(&verifier, &old_token).is_ok() && verify(&verifier, &new_token).is_ok());
}

/// The clock is asked when the signature is known to be good and nothing is remembered yet: there the keys change.
#[test]
fn a_verification_under_way_while_the_keys_change_leaves_nothing_behind() {
    let (old, new) = (&PAIRS[4], &PAIRS[5]);
    let this = Arc::new(OnceLock::<Arc<TokenVerifier>>::new());
    let changes = Arc::new(AtomicU64::new(0));
    let (handle, counter) = (Arc::clone(&this), Arc::clone(&changes));
    let verifier = Arc::new(TokenVerifier::new(old.keys(), 10).with_clock(move || {
        if counter.fetch_add(1, Ordering::Relaxed) == 0 {
            handle.get().unwrap().replace_keys(new.keys());
        }
        at(NOW)
    }));
    this.set(Arc::clone(&verifier)).unwrap();

    let token = signed_by(&old.signer());
    assert!(verify(&verifier, &token).is_ok(), "it began under the old keys");
    assert_eq!(changes.load(Ordering::Relaxed), 1);
    assert_eq!(verifier.remembered(), 0);
    assert_eq!(verify(&verifier, &token), Err(AuthenticationError::Invalid));
    assert!(verify(&verifier, &signed_by(&new.signer())).is_ok());
    assert_eq!(verifier.remembered(), 1);
}

#[test]
fn an_old_token_is_refused_once_its_keys_are_replaced_however_many_are_using_it() {
    let (old, new) = (&PAIRS[4], &PAIRS[5]);
    let (old_token, new_token) = (signed_by(&old.signer()), signed_by(&new.signer()));
    let (verifier, _) = clocked(old.keys(), 10);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2_000).filter(|_| verify(&verifier, &old_token).is_ok()).count());
        }
        verifier.replace_keys(new.keys());
        for _ in 0..100 {
            assert_eq!(verify(&verifier, &old_token), Err(AuthenticationError::Invalid));
            assert!(verify(&verifier, &new_token).is_ok());
        }
    });
    assert_eq!(verifier.remembered(), 1);
}
