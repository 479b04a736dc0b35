//! Tests of the ways to sign in and out.

use iam_domain::UserId;
use iam_http::HttpOptions;

use crate::support::api::{TestApi, both_adapters, new_user, one_a_second, token};
use crate::support::console::{Setting, TestConsole};

both_adapters! {
    /// A person without a session is led to the sign-in page, and after the sign-in back to the requested page.
    async fn a_token_signs_its_bearer_in(api: TestApi) {
        let (company, console) = (api.company().await, TestConsole::of(&api, Setting::default()).await);
        let browser = console.browser();
        let path = format!("/console/companies/{}?a=b", company.id);
        let refused = browser.get(&path).await.expect(303);
        let sign_in = refused.header("location").unwrap().to_owned();
        assert!(sign_in.starts_with("/console/sign-in?return="), "{sign_in}");
        let page = browser.get(&sign_in).await.expect(200);
        let to = page.text();
        let to = to.split(r#"name="return" value=""#).nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(to, path);
        let fields = [("token", token(company.admin, false)), ("return", to.to_owned())];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let done = browser.submit(&sign_in, "/console/sign-in/token", &fields).await.expect(303);
        assert_eq!(done.header("location"), Some(path.as_str()));
        assert!(browser.get(&path).await.expect(200).text().contains(&company.admin.to_string()));
    }

    /// A sign-out ends the session on all replicas, also if its cookie is still sent.
    async fn a_session_is_valid_on_all_replicas_until_the_sign_out(api: TestApi) {
        let company = api.company().await;
        let other = api.with_options(HttpOptions::default()).await;
        let (a, b) = (TestConsole::of(&api, Setting::default()).await, TestConsole::of(&other, Setting::default()).await);
        let browser = a.signed_in(company.admin, false).await;
        let (at_b, copied) = (browser.at(&b), browser.clone());
        assert!(at_b.is_signed_in().await);
        at_b.submit("/console/companies", "/console/sign-out", &[]).await.expect(303);
        assert!(at_b.cookies.borrow().is_empty());
        assert!(!copied.cookies.borrow().is_empty());
        assert!(!copied.is_signed_in().await);
        assert!(!copied.at(&b).is_signed_in().await);
    }
}

#[actix_web::test]
async fn a_rejected_token_is_explained_and_not_repeated() {
    let console = TestConsole::of(&TestApi::memory().await, Setting::default()).await;
    let browser = console.browser();
    for (text, reason) in [
        ("<script>alert(1)</script>", "neither a JSON Web Token nor an API key"),
        ("", "neither"),
        (&format!("{}x", token(new_user(), true)), "No trusted issuer signed the token"),
    ] {
        let page = browser.sign_in(text).await.expect(401).text();
        assert!(page.contains(reason), "{page}");
        assert!(!page.contains("<script>alert"), "{page}");
    }
    assert!(!browser.is_signed_in().await);
}

#[actix_web::test]
async fn a_demo_user_signs_in_with_a_button() {
    let api = TestApi::memory().await;
    let (company, super_admin) = (api.company().await, new_user());
    let setting = Setting::default().demo(company.admin, "Admin", false).demo(super_admin, "Super admin", true);
    let console = TestConsole::of(&api, setting).await;
    let sign_in = async |user: UserId| {
        let browser = console.browser();
        let user = user.to_string();
        let done = browser.submit("/console/sign-in", "/console/sign-in/demo", &[("user", &user)]).await;
        (browser, done)
    };
    let (browser, done) = sign_in(company.admin).await;
    assert_eq!(done.expect(303).header("location"), Some("/console"));
    // The only company of the person is the first page.
    let first = browser.get("/console").await.expect(303);
    assert_eq!(first.header("location"), Some(format!("/console/companies/{}", company.id).as_str()));
    let (browser, done) = sign_in(super_admin).await;
    done.expect(303);
    assert!(browser.get("/console/companies").await.expect(200).text().contains(&company.id.to_string()));
    for other in [company.member, new_user()] {
        let (browser, done) = sign_in(other).await;
        done.expect(404);
        assert!(!browser.is_signed_in().await);
    }
}

#[actix_web::test]
async fn the_return_path_never_leads_to_another_site() {
    let api = TestApi::memory().await;
    let console = TestConsole::of(&api, Setting::default()).await;
    for to in [
        "https://evil.example/console",
        "//evil.example",
        "/\\evil.example",
        "/console\\..\\evil",
        "/console@evil.example",
        "/consoles",
        "/console/\r\nset-cookie: a=b",
        "javascript:alert(1)",
        "/console/../evil",
        "/console/..",
        "/console/./companies",
        "/console/%2e%2e/evil",
        "/console/.%2E/evil",
        "/console/%2e%2e%2fevil",
        "/console/a%5c..%5c..%5cevil",
        &format!("/console/{}", "a".repeat(2000)),
        "",
    ] {
        let browser = console.browser();
        let token = token(new_user(), false);
        let fields = [("token", token.as_str()), ("return", to)];
        let done = browser.submit("/console/sign-in", "/console/sign-in/token", &fields).await.expect(303);
        assert_eq!(done.header("location"), Some("/console"), "{to}");
    }
}

#[actix_web::test]
async fn the_failures_of_an_address_are_limited() {
    let api = TestApi::memory().await;
    let http = HttpOptions { failures_per_address: one_a_second(3), ..HttpOptions::default() };
    let console = TestConsole::of(&api, Setting { http, ..Setting::default() }).await;
    let browser = console.browser();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(browser.sign_in("forged").await.status.as_u16());
    }
    assert_eq!(statuses.first(), Some(&401));
    assert_eq!(statuses.last(), Some(&429));
}
