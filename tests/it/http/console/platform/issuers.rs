//! Tests of the page of issuers.

use iam_domain::Issuer;
use iam_identity::{JwksUrl, KeySource, SharedSecret, TokenVerifier, TrustedIssuer, VerifierOptions};

use super::super::scene::{assert_contains, content};
use crate::support::api::{TestApi, new_user, secret};
use crate::support::console::{Setting, TestConsole};

#[actix_web::test]
async fn the_page_shows_the_issuers_and_the_state_of_their_keys() {
    let unreachable = JwksUrl::parse("http://127.0.0.1:1/secret-path").unwrap();
    let issuer = TrustedIssuer {
        audiences: vec!["https://api.example/<b>".to_owned()],
        may_grant_super_admin: true,
        ..TrustedIssuer::new(Issuer::parse("https://issuer.example/").unwrap(), KeySource::JwksUrl(unreachable))
    };
    let shared = SharedSecret::new(secret());
    let verifier = TokenVerifier::start(Some(shared), vec![issuer], &VerifierOptions::default()).await.unwrap();
    verifier.refresh().await;
    let console = TestConsole::of(&TestApi::memory().await, Setting { verifier, ..Setting::default() }).await;
    let browser = console.signed_in(new_user(), true).await;
    let page = content(&browser.get("/console/issuers").await.expect(200));
    let panels: Vec<_> = page.split("<section").skip(1).collect();
    assert_contains(
        panels[0],
        &["Shared secret, without an issuer", "HS256", "never read again", "May grant super admin"],
    );
    assert_contains(panels[1], &["<bdi>https://issuer.example/</bdi>", "https://api.example/&lt;b&gt;", "unreachable"]);
    assert_contains(
        panels[1],
        &["No usable key: its tokens are rejected", "Its keys cannot be read", "May grant super admin"],
    );
    assert!(!page.contains("127.0.0.1") && !page.contains("the secret of the tests"), "{page}");
}
