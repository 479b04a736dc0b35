//! Tests of the ends of sessions.

use std::sync::Arc;
use std::time::Duration;

use iam_console::ConsoleOptions;
use iam_domain::Issuer;
use iam_identity::{KeySet, KeySource, SharedSecret, TokenVerifier, TrustedIssuer, VerifierOptions, system_clock};
use iam_storage_memory::MemoryStorage;
use serde_json::json;

use crate::http::tokens::Pair;
use crate::support::api::{TestApi, both_adapters, new_user, now, secret};
use crate::support::clock::SetTime;
use crate::support::console::{Setting, TestConsole};

const MINUTE: Duration = Duration::from_secs(60);

both_adapters! {
    /// A cut-off of the user ends the session at once. A later sign-in begins a new session.
    async fn a_cut_off_ends_the_session(api: TestApi) {
        let company = api.company().await;
        let console = TestConsole::of(&api, Setting::default()).await;
        let (browser, other) =
            (console.signed_in(company.admin, false).await, console.signed_in(company.member, false).await);
        assert!(browser.is_signed_in().await);
        let path = format!("/api/iam/users/{}/not-before", company.admin);
        api.put(&path).by_super_admin().send().await.expect(200);
        assert!(!browser.is_signed_in().await);
        assert!(browser.cookies.borrow().is_empty(), "the cookie must be removed");
        assert!(other.is_signed_in().await);
    }

    /// A session ends after its idle time-out, and in any case after its absolute time-out.
    async fn a_session_ends_after_its_time_outs(api: TestApi) {
        let company = api.company().await;
        let time = SetTime::at(system_clock().now());
        let options = ConsoleOptions {
            idle_timeout: 10 * MINUTE,
            absolute_timeout: 30 * MINUTE,
            ..ConsoleOptions::default()
        };
        let setting = Setting { clock: time.clock(), options, ..Setting::default() };
        let console = TestConsole::of(&api, setting.demo(company.admin, "Admin", false)).await;
        let sign_in = async || {
            let (browser, user) = (console.browser(), company.admin.to_string());
            browser.submit("/console/sign-in", "/console/sign-in/demo", &[("user", &user)]).await.expect(303);
            browser
        };
        let idle = sign_in().await;
        time.advance(9 * MINUTE);
        assert!(idle.is_signed_in().await);
        time.advance(9 * MINUTE);
        assert!(idle.is_signed_in().await, "a request extends the session");
        time.advance(10 * MINUTE);
        assert!(!idle.is_signed_in().await);
        let busy = sign_in().await;
        for _ in 0..5 {
            time.advance(5 * MINUTE);
            assert!(busy.is_signed_in().await);
        }
        time.advance(5 * MINUTE);
        assert!(!busy.is_signed_in().await);
    }
}

#[actix_web::test]
async fn a_session_ends_when_its_token_does() {
    let api = TestApi::memory().await;
    let time = SetTime::at(system_clock().now());
    let setting = Setting { clock: time.clock(), ..Setting::default() };
    let console = TestConsole::of(&api, setting).await;
    let browser = console.signed_in(new_user(), false).await;
    for _ in 0..2 {
        time.advance(29 * MINUTE);
        assert!(browser.is_signed_in().await);
    }
    time.advance(3 * MINUTE);
    assert!(!browser.is_signed_in().await);
}

#[actix_web::test]
async fn a_session_ends_when_its_issuer_is_no_longer_trusted() {
    let api = TestApi::memory().await;
    let (pair, name) = (Pair::ed25519(), "https://login.example");
    let console = async |issuers: &[(&str, bool)]| {
        let trusted = |(issuer, may_grant_super_admin): &(&str, bool)| {
            let keys = KeySource::Keys(KeySet::from_pem(&pair.public).unwrap());
            let may_grant_super_admin = *may_grant_super_admin;
            TrustedIssuer { may_grant_super_admin, ..TrustedIssuer::new(Issuer::parse(*issuer).unwrap(), keys) }
        };
        let issuers = issuers.iter().map(trusted).collect();
        let native = Some(SharedSecret::new(secret()));
        let verifier = TokenVerifier::start(native, issuers, &VerifierOptions::default()).await.unwrap();
        TestConsole::of(&api, Setting { verifier, ..Setting::default() }).await
    };
    let (trusting, limited, without) =
        (console(&[(name, true)]).await, console(&[(name, false)]).await, console(&[]).await);
    let sign_in = async |is_super_admin: bool| {
        let claims =
            json!({ "iss": name, "sub": "ada", "iat": now(), "exp": now() + 3600, "isSuperAdmin": is_super_admin });
        let browser = trusting.browser();
        browser.sign_in(&pair.signer.sign_claims(&claims).unwrap()).await.expect(303);
        browser
    };
    let person = sign_in(false).await;
    assert!(person.is_signed_in().await);
    assert!(person.at(&limited).is_signed_in().await);
    assert!(!person.at(&without).is_signed_in().await);
    // A super admin does not become a person without this right: the session ends.
    let super_admin = sign_in(true).await;
    assert!(super_admin.is_signed_in().await);
    assert!(!super_admin.at(&limited).is_signed_in().await);
}

#[actix_web::test]
async fn sessions_of_one_storage_are_unknown_to_another() {
    let api = TestApi::memory().await;
    let browser = TestConsole::of(&api, Setting::default()).await.signed_in(new_user(), true).await;
    let other = api.behind(Arc::new(MemoryStorage::seeded(system_clock()).await.unwrap())).await;
    assert!(!browser.at(&TestConsole::of(&other, Setting::default()).await).is_signed_in().await);
}
