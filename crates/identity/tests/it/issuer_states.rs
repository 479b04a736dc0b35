//! Tests of the state of the issuers and their keys, as operators see it.

use std::time::Duration;

use iam_identity::{Algorithm, KeyName, SharedSecret, TokenVerifier, TrustedIssuer, VerifierOptions, system_clock};

use crate::jwks_server::{Answer, JwksServer};
use crate::refreshing::keys;
use crate::support::{ISSUER, PAIRS, issuer, secret};

fn name(id: &str, algorithm: Algorithm) -> KeyName {
    KeyName { id: Some(id.to_owned()), algorithm }
}

#[tokio::test]
async fn the_state_contains_the_keys_and_the_reads_of_each_issuer() {
    let server = JwksServer::start(keys(&[(0, "a"), (4, "b")])).await;
    let trusted = TrustedIssuer {
        audiences: vec!["api".to_owned()],
        may_grant_super_admin: true,
        ..issuer(ISSUER, server.source())
    };
    let options = VerifierOptions { jwks_refresh: Duration::from_secs(300), ..VerifierOptions::default() };
    let secret = SharedSecret::new(secret());
    let verifier = TokenVerifier::start(Some(secret), vec![trusted], &options).await.unwrap();
    let [shared, before] = &verifier.issuer_states()[..] else { panic!("two issuers") };
    assert_eq!((shared.issuer.clone(), shared.reads, shared.keys.len()), (None, None, 1));
    assert_eq!(before.issuer.as_ref().map(|issuer| issuer.as_str()), Some(ISSUER));
    assert_eq!((before.audiences.as_slice(), before.may_grant_super_admin), (["api".to_owned()].as_slice(), true));
    let reads = before.reads.unwrap();
    assert_eq!((before.keys.len(), reads.succeeded_at, reads.failed_at), (0, None, None));
    assert_eq!(reads.interval, Duration::from_secs(300));

    let started = system_clock().now();
    verifier.refresh().await;
    let state = verifier.issuer_states().remove(1);
    assert_eq!(state.keys, [name("a", Algorithm::Rs256), name("b", Algorithm::EdDsa)]);
    let reads = state.reads.unwrap();
    assert!(reads.succeeded_at >= Some(started) && !reads.is_failing());

    server.answers(Answer::Text("no keys".to_owned()));
    verifier.refresh().await;
    let state = verifier.issuer_states().remove(1);
    assert_eq!(state.keys.len(), 2, "the previous keys remain in use");
    let after = state.reads.unwrap();
    assert_eq!((after.succeeded_at, after.failed_at.map(|(_, kind)| kind)), (reads.succeeded_at, Some("unusable")));
    assert!(after.is_failing());

    server.answers(keys(&[(4, "b")]));
    verifier.refresh().await;
    let state = verifier.issuer_states().remove(1);
    assert_eq!(state.keys, [name("b", Algorithm::EdDsa)]);
    assert!(!state.reads.unwrap().is_failing());
    assert!(PAIRS.iter().all(|pair| !format!("{state:?}").contains(pair.public.as_str())));
}
