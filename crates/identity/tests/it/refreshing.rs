//! Tests of keys from servers and files: key rotation, outages, invalid responses, and the rate limit on reads.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use iam_identity::{
    AuthenticationError, JwksUrl, KeySource, TokenSigner, TokenVerifier, TrustError, TrustedIssuer, VerifierOptions,
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::jwks_server::{Answer, JwksServer};
use crate::support::{ISSUER, NOW, PAIRS, Pair, TempFile, claims_with, clock, issuer, signed_by};

pub(crate) const INVALID: AuthenticationError = AuthenticationError::Untrusted;
const UNAVAILABLE: AuthenticationError = AuthenticationError::Unavailable;

/// Returns options with a timeout that is long enough for fetches on a busy machine.
fn patient() -> VerifierOptions {
    VerifierOptions { jwks_timeout: Duration::from_secs(60), ..VerifierOptions::default() }
}

/// Returns options without a rate limit: every unknown key triggers a read immediately.
pub(crate) fn at_once() -> VerifierOptions {
    VerifierOptions { unknown_key_pause: Duration::ZERO, ..patient() }
}

/// Returns options that allow only the first unknown key to trigger a read. After that read, only explicit refreshes
/// read the keys.
fn seldom() -> VerifierOptions {
    VerifierOptions { unknown_key_pause: Duration::MAX, ..patient() }
}

pub(crate) async fn reading(source: KeySource, options: &VerifierOptions) -> Arc<TokenVerifier> {
    let issuer = TrustedIssuer { is_native: true, ..issuer(ISSUER, source) };
    Arc::new(TokenVerifier::start(None, vec![issuer], options).await.unwrap().with_clock(clock()))
}

/// Signs a token with the key pair, with this key id in the header.
pub(crate) fn token(pair: usize, id: &str) -> String {
    signed_by(&PAIRS[pair].signer().with_key_id(id))
}

pub(crate) async fn outcome(verifier: &TokenVerifier, token: &str) -> Result<(), AuthenticationError> {
    verifier.verify(token).await.map(drop)
}

pub(crate) fn keys(pairs: &[(usize, &str)]) -> Answer {
    Answer::Keys(pairs.iter().map(|(pair, id)| PAIRS[*pair].jwk(id)).collect())
}

#[tokio::test]
async fn keys_are_fetched_for_the_first_token_and_reused_for_the_next() {
    let server = JwksServer::start(keys(&[(0, "a"), (2, "b"), (4, "c")])).await;
    let verifier = reading(server.source(), &at_once()).await;
    assert_eq!(server.requests(), 0);
    for _ in 0..3 {
        for (pair, id) in [(0, "a"), (2, "b"), (4, "c")] {
            assert_eq!(outcome(&verifier, &token(pair, id)).await, Ok(()));
        }
    }
    assert_eq!(server.requests(), 1);
    // The key with the token's `kid` did not sign the token. The issuer may have published a newer key with this id.
    assert_eq!(outcome(&verifier, &token(1, "a")).await, Err(INVALID));
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_new_key_is_accepted_immediately_and_an_old_key_until_it_is_removed() {
    let server = JwksServer::start(keys(&[(4, "old")])).await;
    let verifier = reading(server.source(), &at_once()).await;
    let (old, new) = (token(4, "old"), token(5, "new"));
    assert_eq!(outcome(&verifier, &old).await, Ok(()));

    server.answers(keys(&[(4, "old"), (5, "new")]));
    assert_eq!(outcome(&verifier, &new).await, Ok(()));
    assert_eq!(outcome(&verifier, &old).await, Ok(()));

    server.answers(keys(&[(5, "new")]));
    assert_eq!(
        outcome(&verifier, &old).await,
        Ok(()),
        "a token of a removed key must be accepted until the keys are read again"
    );
    verifier.refresh().await;
    assert_eq!(outcome(&verifier, &old).await, Err(INVALID));
    assert_eq!(outcome(&verifier, &new).await, Ok(()));
}

#[tokio::test]
async fn a_new_key_with_the_same_id_replaces_the_old_key() {
    let server = JwksServer::start(keys(&[(4, "a")])).await;
    let verifier = reading(server.source(), &at_once()).await;
    let (old, new) = (token(4, "a"), token(5, "a"));
    assert_eq!(outcome(&verifier, &old).await, Ok(()));
    server.answers(keys(&[(5, "a")]));
    // The first token of the new key triggers a read of the key set.
    assert_eq!(outcome(&verifier, &new).await, Ok(()));
    assert_eq!(outcome(&verifier, &old).await, Err(INVALID));
}

#[tokio::test]
async fn an_empty_key_set_replaces_the_keys() {
    let server = JwksServer::start(keys(&[(4, "a")])).await;
    let verifier = reading(server.source(), &at_once()).await;
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));
    server.answers(keys(&[]));
    verifier.refresh().await;
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Err(INVALID));
}

#[tokio::test]
async fn a_thousand_waiting_requests_cause_one_fetch_during_key_rotation() {
    let server = JwksServer::start(keys(&[(4, "old")])).await;
    let verifier = reading(server.source(), &at_once()).await;
    assert_eq!(outcome(&verifier, &token(4, "old")).await, Ok(()));

    let gate = Arc::new(Semaphore::new(0));
    server.answers(Answer::Gated(Arc::clone(&gate), vec![PAIRS[4].jwk("old"), PAIRS[5].jwk("new")]));
    let signer = PAIRS[5].signer().with_key_id("new");
    let tokens: Vec<String> =
        (0..1000).map(|number| signer.sign_claims(&claims_with(&json!({ "jti": number }))).unwrap()).collect();
    let waiting = join_all(tokens.iter().map(|token| outcome(&verifier, token)));
    let opening = async {
        while server.requests() < 2 {
            tokio::task::yield_now().await;
        }
        // A token whose key is already in the set does not wait for the read.
        assert_eq!(outcome(&verifier, &token(4, "old")).await, Ok(()));
        gate.add_permits(1000);
    };
    let (outcomes, ()) = tokio::join!(waiting, opening);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_thousand_requests_for_an_unknown_key_cause_one_fetch() {
    let gate = Arc::new(Semaphore::new(0));
    let server = JwksServer::start(Answer::Gated(Arc::clone(&gate), Vec::new())).await;
    let verifier = reading(server.source(), &at_once()).await;
    let tokens: Vec<String> = (0..1000).map(|number| token(4, &number.to_string())).collect();
    let waiting = join_all(tokens.iter().map(|token| outcome(&verifier, token)));
    let opening = async {
        while server.requests() < 1 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(1000);
    };
    let (outcomes, ()) = tokio::join!(waiting, opening);
    assert!(outcomes.iter().all(|outcome| *outcome == Err(INVALID)));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn requests_during_a_fetch_share_the_fetch() {
    let gate = Arc::new(Semaphore::new(0));
    let server = JwksServer::start(Answer::Gated(Arc::clone(&gate), vec![PAIRS[4].jwk("a")])).await;
    let verifier = reading(server.source(), &at_once()).await;
    let to_come = token(4, "a");
    let coming = async {
        while server.requests() < 1 {
            tokio::task::yield_now().await;
        }
        // `biased` polls the verification first, so that it is already waiting when the server sends the response.
        tokio::join!(biased; outcome(&verifier, &to_come), async { gate.add_permits(1000) }).0
    };
    let ((), outcome) = tokio::join!(verifier.refresh(), coming);
    assert_eq!(outcome, Ok(()));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn unknown_keys_cause_fetches_at_a_limited_rate() {
    let server = JwksServer::start(keys(&[(4, "a")])).await;
    // The interval is longer than the duration of the test.
    let options = VerifierOptions { unknown_key_pause: Duration::from_secs(3600), ..patient() };
    let verifier = reading(server.source(), &options).await;
    verifier.refresh().await;
    for number in 0..100 {
        assert_eq!(outcome(&verifier, &token(4, &number.to_string())).await, Err(INVALID));
        assert_eq!(outcome(&verifier, &signed_by(&PAIRS[5].signer())).await, Err(INVALID));
    }
    assert_eq!(server.requests(), 2, "there must be one request for the refresh, and one for all unknown keys");
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));
}

/// Signs a token that was issued just now, with this key id in the header.
fn fresh_token(pair: usize, id: &str) -> String {
    PAIRS[pair].signer().with_key_id(id).sign_claims(&claims_with(&json!({ "iat": NOW }))).unwrap()
}

#[tokio::test]
async fn a_token_with_a_new_key_waits_for_the_next_fetch_that_the_rate_limit_allows() {
    let server = JwksServer::start(keys(&[(4, "old")])).await;
    let options = VerifierOptions { clock_skew: Duration::from_secs(30), ..patient() };
    let verifier = reading(server.source(), &options).await;
    verifier.refresh().await;
    assert_eq!(outcome(&verifier, &fresh_token(4, "no such key")).await, Err(INVALID));
    server.answers(keys(&[(4, "old"), (5, "new")]));
    assert_eq!(outcome(&verifier, &fresh_token(5, "new")).await, Ok(()));
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_rejected_with_few_fetches() {
    let server = JwksServer::start(keys(&[(4, "a")])).await;
    let options = VerifierOptions { clock_skew: Duration::from_secs(30), ..patient() };
    let verifier = reading(server.source(), &options).await;
    verifier.refresh().await;
    let began = std::time::Instant::now();
    for round in 0..4 {
        let tokens: Vec<String> = (0..200).map(|number| fresh_token(5, &format!("{round}/{number}"))).collect();
        let outcomes = join_all(tokens.iter().map(|token| outcome(&verifier, token))).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Err(INVALID)), "{outcomes:?}");
        assert_eq!(outcome(&verifier, &fresh_token(4, "a")).await, Ok(()));
    }
    let allowed = began.elapsed().as_millis() / options.unknown_key_pause.as_millis() + 1;
    let fetches = server.requests() - 1;
    assert!(fetches as u128 <= allowed, "{fetches} fetches, {allowed} are allowed");
    assert!(fetches >= 4, "each round must cause a fetch, and there were {fetches}");
}

#[tokio::test]
async fn a_token_waits_one_second_at_most_for_a_slow_fetch() {
    let server = JwksServer::start(keys(&[(4, "a")])).await;
    let options = VerifierOptions { jwks_timeout: Duration::from_secs(3600), ..at_once() };
    let verifier = reading(server.source(), &options).await;
    verifier.refresh().await;
    let gate = Arc::new(Semaphore::new(0));
    server.answers(Answer::Gated(Arc::clone(&gate), vec![PAIRS[4].jwk("a"), PAIRS[5].jwk("b")]));
    for id in ["b", "c"] {
        let new = fresh_token(5, id);
        let waiting = tokio::time::timeout(Duration::from_secs(60), outcome(&verifier, &new));
        assert_eq!(waiting.await.expect("the token must not wait for the fetch"), Err(UNAVAILABLE));
    }
    assert_eq!(outcome(&verifier, &fresh_token(4, "a")).await, Ok(()), "known keys remain in use");
    // The fetch continues without the requests that triggered it.
    gate.add_permits(1000);
    assert_eq!(outcome(&verifier, &fresh_token(5, "b")).await, Ok(()));
}

#[tokio::test]
async fn a_token_that_is_invalid_with_every_key_causes_no_fetch() {
    let server = JwksServer::start(Answer::Close).await;
    let source = server.source();
    let issuer = TrustedIssuer { audiences: vec!["us".to_owned()], ..issuer(ISSUER, source) };
    let verifier = TokenVerifier::start(None, vec![issuer], &at_once()).await.unwrap().with_clock(clock());
    let signer = PAIRS[4].signer().with_key_id("a");
    for claims in [
        json!({ "aud": "us", "exp": NOW }),
        json!({ "aud": "us", "nbf": NOW + 1 }),
        json!({ "aud": "others" }),
        json!({ "aud": "us", "sub": null }),
        json!({ "aud": "us", "iss": "https://other.example/" }),
    ] {
        let token = signer.sign_claims(&claims_with(&claims)).unwrap();
        assert_eq!(outcome(&verifier, &token).await, Err(INVALID), "{claims}");
    }
    let secret = TokenSigner::hs256(&PAIRS[4].public.as_str().into()).with_key_id("a");
    let token = secret.sign_claims(&claims_with(&json!({ "aud": "us" }))).unwrap();
    assert_eq!(outcome(&verifier, &token).await, Err(INVALID), "an HS256 token must cause no fetch");
    assert_eq!(server.requests(), 0);
    let good = signer.sign_claims(&claims_with(&json!({ "aud": "us" }))).unwrap();
    assert_eq!(outcome(&verifier, &good).await, Err(UNAVAILABLE));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_cancelled_request_does_not_end_the_fetch() {
    let gate = Arc::new(Semaphore::new(0));
    let server = JwksServer::start(Answer::Gated(Arc::clone(&gate), vec![PAIRS[4].jwk("a")])).await;
    let verifier = reading(server.source(), &seldom()).await;
    let waiting = {
        let verifier = Arc::clone(&verifier);
        tokio::spawn(async move { outcome(&verifier, &token(4, "a")).await })
    };
    while server.requests() < 1 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    gate.add_permits(1000);
    // The rate limit allows no further read. The keys are therefore from the read that the cancelled request triggered.
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn tokens_are_unavailable_until_the_key_server_recovers() {
    let server = JwksServer::start(Answer::Close).await;
    let verifier = reading(server.source(), &at_once()).await;
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Err(UNAVAILABLE));
    server.answers(keys(&[(4, "a")]));
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));

    // No server is listening.
    let url = server.url.clone();
    drop(server);
    let unreachable = reading(KeySource::JwksUrl(JwksUrl::parse(&url).unwrap()), &at_once()).await;
    assert_eq!(outcome(&unreachable, &token(4, "a")).await, Err(UNAVAILABLE));
}

#[tokio::test]
async fn during_an_outage_cached_keys_are_used_and_unknown_keys_are_unavailable() {
    let server = JwksServer::start(keys(&[(4, "a")])).await;
    let verifier = reading(server.source(), &at_once()).await;
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));
    assert_eq!(
        outcome(&verifier, &token(5, "b")).await,
        Err(INVALID),
        "a token whose key is not in the key set must be invalid"
    );

    server.answers(Answer::Close);
    assert_eq!(outcome(&verifier, &token(5, "b")).await, Err(UNAVAILABLE));
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));
    assert_eq!(
        outcome(&verifier, &signed_by(&PAIRS[4].signer())).await,
        Ok(()),
        "a token that is not cached must be accepted"
    );
    assert_eq!(
        outcome(&verifier, &token(5, "a")).await,
        Err(INVALID),
        "a token whose `kid` identifies another key must be invalid"
    );

    server.answers(keys(&[(4, "a")]));
    assert_eq!(outcome(&verifier, &token(5, "b")).await, Err(INVALID));
}

#[tokio::test]
async fn invalid_responses_leave_the_keys_unchanged() {
    let redirect = JwksServer::start(keys(&[(5, "b")])).await;
    let raw = |head: &str| Answer::Raw(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n"));
    let good = json!({ "keys": [PAIRS[5].jwk("b")] }).to_string();
    let of_status = |status: &str| {
        Answer::Raw(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{good}", good.len()))
    };
    let responses = [
        ("HTML", Answer::Text("<!doctype html><title>Maintenance</title>".to_owned())),
        ("an empty body", Answer::Text(String::new())),
        ("other JSON", Answer::Text(r#"{"error":"not_found"}"#.to_owned())),
        ("keys that are not an array", Answer::Text(r#"{"keys":"none"}"#.to_owned())),
        ("a list", Answer::Text("[]".to_owned())),
        ("too many keys", Answer::Keys(vec![PAIRS[5].jwk("b"); 101])),
        ("too many bytes", Answer::Text(format!("{good}{}", " ".repeat(1024 * 1024)))),
        ("an endless body", Answer::Endless),
        ("a truncated body", Answer::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{good}"))),
        ("404", of_status("404 Not Found")),
        ("500", of_status("500 Internal Server Error")),
        ("203", of_status("203 Non-Authoritative Information")),
        ("a redirect", raw(&format!("302 Found\r\nLocation: {}", redirect.url))),
        ("a permanent redirect", raw(&format!("308 Permanent Redirect\r\nLocation: {}", redirect.url))),
        ("no HTTP", Answer::Raw("hello\r\n".to_owned())),
        ("a closed connection", Answer::Close),
    ];
    let server = JwksServer::start(keys(&[(4, "a")])).await;
    let verifier = reading(server.source(), &at_once()).await;
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));
    for (what, response) in responses {
        server.answers(response);
        verifier.refresh().await;
        assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()), "{what}");
        assert_eq!(outcome(&verifier, &token(5, "b")).await, Err(UNAVAILABLE), "{what}");
        let fresh = reading(server.source(), &at_once()).await;
        assert_eq!(outcome(&fresh, &token(5, "b")).await, Err(UNAVAILABLE), "{what}");
    }
    assert_eq!(redirect.requests(), 0);
}

#[tokio::test]
async fn a_slow_server_times_out() {
    let server = JwksServer::start(keys(&[(4, "a")])).await;
    let options = VerifierOptions { jwks_timeout: Duration::from_millis(300), ..at_once() };
    let verifier = reading(server.source(), &options).await;
    // On a busy machine, a valid response may also exceed the timeout.
    let first = async {
        loop {
            match outcome(&verifier, &token(4, "a")).await {
                Err(AuthenticationError::Unavailable) => {}
                known => return known,
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(60), first).await.expect("the keys must be fetched"), Ok(()));
    server.answers(Answer::Silence);
    assert_eq!(outcome(&verifier, &token(5, "b")).await, Err(UNAVAILABLE));
    assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));
}

#[tokio::test]
async fn an_unresponsive_server_delays_only_tokens_of_its_issuer() {
    const OTHER: &str = "https://other.example/";
    let (good, bad) = (JwksServer::start(keys(&[(4, "a")])).await, JwksServer::start(Answer::Silence).await);
    let issuers = vec![issuer(ISSUER, good.source()), issuer(OTHER, bad.source())];
    let verifier = TokenVerifier::start(None, issuers, &at_once()).await.unwrap().with_clock(clock());
    let to_other = PAIRS[4].signer().with_key_id("a").sign_claims(&claims_with(&json!({ "iss": OTHER }))).unwrap();
    let to_first = token(4, "a");
    tokio::select! {
        biased;
        _ = outcome(&verifier, &to_other) => panic!("the verification must wait for the server"),
        outcome = outcome(&verifier, &to_first) => assert_eq!(outcome, Ok(())),
    }
}

#[tokio::test]
async fn keys_are_fetched_in_the_background() {
    let server = JwksServer::start(keys(&[(4, "old")])).await;
    let options = VerifierOptions { jwks_refresh: Duration::from_millis(20), ..seldom() };
    let verifier = reading(server.source(), &options).await;
    // Uses up the one read that the rate limit allows for unknown keys.
    assert_eq!(outcome(&verifier, &token(5, "new")).await, Err(INVALID));
    let background = Arc::clone(&verifier);
    let task = tokio::spawn(async move { background.keep_fresh().await });

    server.answers(Answer::Close);
    let seen = server.requests();
    while server.requests() < seen + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.answers(keys(&[(5, "new")]));
    while outcome(&verifier, &token(5, "new")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(outcome(&verifier, &token(4, "old")).await, Err(INVALID));
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn files_are_read_every_minute_and_a_damaged_file_is_ignored() {
    let set = |pair: usize| json!({ "keys": [PAIRS[pair].jwk("a")] }).to_string();
    let pem = |pair: usize| PAIRS[pair].public.clone();
    let cut_off = |text: String| text[..text.len() / 2].to_owned();
    for (file, new, bad, is_pem) in [
        (TempFile::new(&set(4)), set(5), cut_off(set(5)), false),
        (TempFile::new(&pem(4)), pem(5), cut_off(pem(5)), true),
    ] {
        let source = if is_pem { KeySource::PemFile(file.path()) } else { KeySource::JwksFile(file.path()) };
        let verifier = reading(source, &seldom()).await;
        let background = Arc::clone(&verifier);
        let task = tokio::spawn(async move { background.keep_fresh().await });
        assert_eq!(outcome(&verifier, &token(4, "a")).await, Ok(()));
        for (content, good, other) in [(bad.as_str(), 4, 5), (&new, 5, 4), ("", 5, 4)] {
            file.write(content);
            // The paused clock advances only during these sleeps, and not while a file is being read.
            tokio::time::sleep(Duration::from_secs(60)).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(outcome(&verifier, &token(good, "a")).await, Ok(()), "{content}");
            assert!(outcome(&verifier, &token(other, "a")).await.is_err(), "{content}");
        }
        task.abort();
    }
}

#[tokio::test]
async fn a_new_key_in_a_file_is_accepted_immediately() {
    let file = TempFile::new(&PAIRS[4].public);
    let verifier = reading(KeySource::PemFile(file.path()), &at_once()).await;
    file.write(&format!("{}{}", PAIRS[4].public, PAIRS[2].public));
    assert_eq!(outcome(&verifier, &signed_by(&PAIRS[2].signer())).await, Ok(()));
    assert_eq!(outcome(&verifier, &signed_by(&PAIRS[4].signer())).await, Ok(()));
    assert_eq!(outcome(&verifier, &signed_by(&Pair::p256().signer())).await, Err(INVALID));
}

#[tokio::test]
async fn an_unusable_key_file_is_a_startup_error() {
    let started = async |source: KeySource| {
        let started = TokenVerifier::start(None, vec![issuer(ISSUER, source)], &at_once()).await;
        let error = started.map(drop).unwrap_err();
        assert!(matches!(error, TrustError::Keys { .. }));
        error.to_string()
    };
    let html = TempFile::new("<html>");
    let path = html.path();
    let shown = path.display().to_string();
    assert_eq!(
        started(KeySource::JwksFile(path.clone())).await,
        format!("issuer {ISSUER}: {shown}: it is not a JSON Web Key Set")
    );
    assert_eq!(
        started(KeySource::PemFile(path.clone())).await,
        format!("issuer {ISSUER}: {shown}: it contains no PEM block")
    );
    html.write(&" ".repeat(1024 * 1024 + 1));
    assert!(started(KeySource::JwksFile(path)).await.contains("more than 1048576 bytes"));
    let missing = started(KeySource::JwksFile("/no/such/jwks.json".into())).await;
    assert!(missing.contains("cannot read /no/such/jwks.json: "), "{missing}");
}
