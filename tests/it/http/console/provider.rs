//! Tests of the sign-in at an identity provider, which the tests serve on a port of this machine.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use iam_console::{ConsoleOptions, SignInIssuer};
use iam_domain::{ExternalId, Issuer, UserId};
use iam_http::HttpOptions;
use iam_identity::{KeySet, KeySource, SharedSecret, TokenVerifier, TrustedIssuer, VerifierOptions, system_clock};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::http::tokens::Pair;
use crate::support::api::{TestApi, new_user, now, one_a_second, secret};
use crate::support::clock::SetTime;
use crate::support::console::{Browser, Setting, TestConsole};

const CLIENT: &str = "iam-console";
const CLIENT_SECRET: &str = "a secret of the client: with /&=";
const CALLBACK: &str = "https://iam.example/console/sign-in/callback";

/// The sign-ins at the identity provider that are not complete: the challenge and the claims of each code.
#[derive(Default)]
struct Codes(Mutex<BTreeMap<String, (String, Value)>>);

/// An identity provider with one client.
struct Provider {
    issuer: String,
    pair: Arc<Pair>,
    codes: Arc<Codes>,
    handle: ServerHandle,
}

type Fields = BTreeMap<String, String>;

async fn configuration(request: HttpRequest) -> HttpResponse {
    let issuer = format!("http://{}", request.connection_info().host());
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "end_session_endpoint": format!("{issuer}/end"),
    }))
}

/// Responds to a token request, and forgets the code.
async fn exchange(
    request: HttpRequest,
    form: web::Form<Fields>,
    codes: web::Data<Codes>,
    pair: web::Data<Pair>,
) -> HttpResponse {
    let refused = || HttpResponse::BadRequest().json(json!({ "error": "invalid_grant" }));
    let encoded = |text: &str| url_encoded(text);
    let basic = STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(CLIENT_SECRET)));
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    if header != Some(&format!("Basic {basic}")) {
        return HttpResponse::Unauthorized().json(json!({ "error": "invalid_client" }));
    }
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let Some((challenge, claims)) = codes.0.lock().unwrap().remove(&field("code")) else { return refused() };
    let is_bound = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier"))) == challenge;
    if !is_bound || field("redirect_uri") != CALLBACK || field("grant_type") != "authorization_code" {
        return refused();
    }
    let token = pair.signer.sign_claims(&claims).unwrap();
    HttpResponse::Ok().json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": token }))
}

/// Encodes a text as `application/x-www-form-urlencoded` does, but with `+` for spaces only.
fn url_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (pair, codes) = (Arc::new(Pair::ed25519()), Arc::new(Codes::default()));
        let (pair_of_server, codes_of_server) = (Arc::clone(&pair), Arc::clone(&codes));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::from(Arc::clone(&pair_of_server)))
                .app_data(web::Data::from(Arc::clone(&codes_of_server)))
                .route("/.well-known/openid-configuration", web::get().to(configuration))
                .route("/token", web::post().to(exchange))
        });
        let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { issuer, pair, codes, handle }
    }

    async fn setting(&self) -> Setting {
        self.setting_with(&VerifierOptions::default()).await
    }

    async fn setting_with(&self, options: &VerifierOptions) -> Setting {
        let keys = KeySource::Keys(KeySet::from_pem(&self.pair.public).unwrap());
        let audiences = vec!["the API, not the console".to_owned()];
        let trusted = TrustedIssuer {
            audiences,
            may_grant_super_admin: true,
            ..TrustedIssuer::new(Issuer::parse(self.issuer.as_str()).unwrap(), keys)
        };
        let native = Some(SharedSecret::new(secret()));
        let verifier = TokenVerifier::start(native, vec![trusted], options).await.unwrap();
        let options = ConsoleOptions {
            public_url: Some("https://iam.example".parse().unwrap()),
            issuers: vec![SignInIssuer {
                issuer: self.issuer.clone(),
                client_id: CLIENT.to_owned(),
                client_secret: Some(CLIENT_SECRET.to_owned().into()),
            }],
            ..ConsoleOptions::default()
        };
        Setting { verifier, options, ..Setting::default() }
    }

    /// Follows the browser to the identity provider, where the person signs in. Returns the path to which the browser comes
    /// back. `change` changes the claims of the ID token.
    async fn visit(&self, browser: &Browser, change: impl FnOnce(&mut Value)) -> String {
        let begun = browser.get("/console/sign-in/provider/0?return=/console/companies").await.expect(303);
        let address = begun.header("location").unwrap();
        assert!(address.starts_with(&format!("{}/authorize?", self.issuer)), "{address}");
        let query = web::Query::<Fields>::from_query(address.split_once('?').unwrap().1).unwrap().into_inner();
        assert_eq!((query["response_type"].as_str(), query["client_id"].as_str()), ("code", CLIENT));
        assert_eq!((query["redirect_uri"].as_str(), query["scope"].as_str()), (CALLBACK, "openid profile"));
        assert_eq!(query["code_challenge_method"], "S256");
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "sub": "ada", "nonce": query["nonce"], "iat": now(), "exp": now() + 60,
        });
        change(&mut claims);
        let code = format!("code-{}", query["state"]);
        self.codes.0.lock().unwrap().insert(code.clone(), (query["code_challenge"].clone(), claims));
        format!("/console/sign-in/callback?code={code}&state={}", query["state"])
    }

    fn user(&self) -> UserId {
        ExternalId::parse(&format!("{}|ada", self.issuer)).unwrap().user_id()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

async fn scene() -> (TestApi, Provider, TestConsole) {
    let (api, provider) = (TestApi::memory().await, Provider::start().await);
    let console = TestConsole::of(&api, provider.setting().await).await;
    (api, provider, console)
}

#[actix_web::test]
async fn a_person_signs_in_at_an_identity_provider_and_out() {
    let (_api, provider, console) = scene().await;
    let browser = console.browser();
    assert!(browser.get("/console/sign-in").await.expect(200).text().contains("/console/sign-in/provider/0?return="));
    let back = provider.visit(&browser, |_| {}).await;
    let before = browser.cookies.borrow().clone();
    let done = browser.get(&back).await.expect(303);
    assert_eq!(done.header("location"), Some("/console/companies"));
    assert_ne!(*browser.cookies.borrow(), before, "the key of the session must be renewed");
    let page = browser.get("/console/companies").await.expect(200).text();
    assert!(page.contains(&provider.user().to_string()), "{page}");
    let out = browser.submit("/console/companies", "/console/sign-out", &[]).await.expect(303);
    let page = browser.get(out.header("location").unwrap()).await.expect(200).text();
    assert!(page.contains("/console/sign-out/provider/0"), "{page}");
    let end = browser.get("/console/sign-out/provider/0").await.expect(303);
    let end = end.header("location").unwrap().to_owned();
    assert!(end.starts_with(&format!("{}/end?client_id={CLIENT}&post_logout_redirect_uri=", provider.issuer)), "{end}");
}

#[actix_web::test]
async fn a_sign_in_is_completed_once_in_its_own_browser_with_its_own_state() {
    let (_api, provider, console) = scene().await;
    let expired = "expired, was already completed, or began in another browser";
    // Another browser, as in a login CSRF.
    let (browser, victim) = (console.browser(), console.browser());
    let back = provider.visit(&browser, |_| {}).await;
    assert!(victim.get(&back).await.expect(400).text().contains(expired));
    assert!(!victim.is_signed_in().await);
    // A wrong state, which also ends the sign-in.
    assert!(browser.get(&format!("{back}x")).await.expect(400).text().contains(expired));
    assert!(browser.get(&back).await.expect(400).text().contains(expired));
    // A replayed callback.
    let back = provider.visit(&browser, |_| {}).await;
    browser.get(&back).await.expect(303);
    let again = console.browser();
    assert!(again.get(&back).await.expect(400).text().contains(expired));
    assert!(browser.get(&back).await.expect(400).text().contains(expired));
    // A copy of the browser from before the sign-in: the identity provider accepts the code only once.
    let copy = console.browser();
    let back = provider.visit(&copy, |_| {}).await;
    copy.clone().get(&back).await.expect(303);
    assert!(copy.get(&back).await.expect(400).text().contains("already completed"));
    assert!(!copy.is_signed_in().await);
    for query in ["", "?code=1", "?state=1", "?error=access_denied"] {
        again.get(&format!("/console/sign-in/callback{query}")).await.expect(400);
    }
    assert!(!again.is_signed_in().await);
}

#[actix_web::test]
async fn a_code_that_was_used_elsewhere_is_explained() {
    let (_api, provider, console) = scene().await;
    let browser = console.browser();
    let back = provider.visit(&browser, |_| {}).await;
    provider.codes.0.lock().unwrap().clear();
    let page = browser.get(&back).await.expect(400).text();
    assert!(page.contains("does not accept this sign-in"), "{page}");
    let back = provider.visit(&browser, |_| {}).await;
    let (before, _) = back.split_once('?').unwrap();
    let state = back.split("state=").nth(1).unwrap();
    let denied = browser.get(&format!("{before}?error=access_denied&state={state}")).await.expect(400).text();
    assert!(denied.contains("did not sign you in"), "{denied}");
    let back = provider.visit(&browser, |_| {}).await;
    let mixed = browser.get(&format!("{back}&iss=https://evil.example")).await.expect(400).text();
    assert!(mixed.contains("another identity provider"), "{mixed}");
}

#[actix_web::test]
async fn an_id_token_must_be_of_the_issuer_for_this_client_and_sign_in() {
    let (_api, provider, console) = scene().await;
    for (claim, value) in [
        ("aud", json!("another client")),
        ("aud", json!([CLIENT, "another client"])),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("azp", json!("another client")),
        ("nonce", json!("another nonce")),
        ("nonce", json!(null)),
        ("iss", json!("https://evil.example")),
        ("exp", json!(now() - 120)),
        ("exp", json!(null)),
        ("iat", json!(now() + 600)),
        ("sub", json!(7)),
    ] {
        let browser = console.browser();
        let back = provider.visit(&browser, |claims| claims[claim] = value.clone()).await;
        let page = browser.get(&back).await.expect(400).text();
        assert!(page.contains("The token of the identity provider is not valid"), "{claim}={value}: {page}");
        assert!(!browser.is_signed_in().await, "{claim}={value}");
    }
    let browser = console.browser();
    let several = json!([CLIENT, "another client"]);
    let back = provider.visit(&browser, |claims| {
        claims["aud"] = several;
        claims["azp"] = json!(CLIENT);
    });
    browser.get(&back.await).await.expect(303);
    assert!(browser.is_signed_in().await);
}

#[actix_web::test]
async fn a_sign_in_expires_after_ten_minutes() {
    let (api, provider) = (TestApi::memory().await, Provider::start().await);
    let time = SetTime::at(system_clock().now());
    let console = TestConsole::of(&api, Setting { clock: time.clock(), ..provider.setting().await }).await;
    let browser = console.browser();
    let back = provider.visit(&browser, |claims| claims["exp"] = json!(now() + 3600)).await;
    time.advance(Duration::from_secs(10 * 60));
    browser.get(&back).await.expect(400);
    let back = provider.visit(&browser, |claims| claims["exp"] = json!(now() + 3600)).await;
    time.advance(Duration::from_secs(9 * 60));
    browser.get(&back).await.expect(303);
}

#[actix_web::test]
async fn an_unavailable_identity_provider_is_explained() {
    let (_api, provider, console) = scene().await;
    let browser = console.browser();
    let back = provider.visit(&browser, |_| {}).await;
    provider.handle.stop(false).await;
    let page = browser.get(&back).await.expect(503);
    assert!(page.text().contains("The identity provider is not available"), "{}", page.text());
    let page = browser.get("/console/sign-in/provider/0").await.expect(503).text();
    assert!(page.contains("The identity provider is not available"), "{page}");
    browser.get("/console/sign-in/provider/1").await.expect(404);
    browser.get("/console/sign-in/provider/x").await.expect(404);
    assert!(!browser.is_signed_in().await);
}

#[actix_web::test]
async fn the_session_of_a_super_admin_ends_at_the_maximum_age() {
    let (api, provider) = (TestApi::memory().await, Provider::start().await);
    let time = SetTime::at(system_clock().now());
    let minute = Duration::from_secs(60);
    let options = VerifierOptions { max_super_admin_token_age: Some(10 * minute), ..VerifierOptions::default() };
    let setting = Setting { clock: time.clock(), ..provider.setting_with(&options).await };
    let root = new_user();
    let console = TestConsole::of(&api, setting.demo(root, "Root", true)).await;
    let sign_in = async |is_super_admin: bool| {
        let browser = console.browser();
        let back = provider.visit(&browser, |claims| {
            claims["iat"] = json!(time.now().millis() / 1000);
            claims["exp"] = json!(now() + 3600);
            claims["isSuperAdmin"] = json!(is_super_admin);
        });
        browser.get(&back.await).await.expect(303);
        browser
    };
    let (super_admin, person, demo) = (sign_in(true).await, sign_in(false).await, console.browser());
    demo.submit("/console/sign-in", "/console/sign-in/demo", &[("user", &root.to_string())]).await.expect(303);
    time.advance(9 * minute);
    for browser in [&super_admin, &person, &demo] {
        assert!(browser.is_signed_in().await);
    }
    time.advance(2 * minute);
    assert!(person.is_signed_in().await);
    for browser in [super_admin, demo] {
        let ended = browser.get("/console/companies?q=a").await.expect(303);
        assert_eq!(ended.header("location"), Some("/console/sign-in?return=%2Fconsole%2Fcompanies%3Fq%3Da"));
        assert!(browser.cookies.borrow().is_empty());
    }
}

#[actix_web::test]
async fn the_requests_that_reach_the_identity_provider_are_limited_per_address() {
    let (api, provider) = (TestApi::memory().await, Provider::start().await);
    for path in ["/console/sign-in/provider/0", "/console/sign-out/provider/0"] {
        let http = HttpOptions { failures_per_address: one_a_second(3), ..HttpOptions::default() };
        let console = TestConsole::of(&api, Setting { http, ..provider.setting().await }).await;
        let mut statuses = Vec::new();
        for _ in 0..6 {
            statuses.push(console.browser().get(path).await.status.as_u16());
        }
        assert_eq!((statuses.first(), statuses.last()), (Some(&303), Some(&429)), "{path}");
        // The sign-in page reaches nothing, so it is not limited.
        console.browser().get("/console/sign-in").await.expect(200);
    }
}
