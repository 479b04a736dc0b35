//! Tests of the pages of API keys.

use serde_json::json;

use super::super::scene::{Scene, assert_contains, content, row};
use crate::support::api::{TestApi, both_adapters, new_company};
use crate::support::console::form_token;

/// The form of a new key.
const FORM: &str = "/console/api-keys/new";
const KEYS: &str = "/console/api-keys";

/// Returns the key on the page that shows it.
fn key_on(page: &str) -> String {
    let (_, rest) = page.split_once("id=\"key\">").unwrap_or_else(|| panic!("no key: {page}"));
    rest.split('<').next().unwrap().to_owned()
}

/// Returns the secret part of a key, which may contain the character that separates the parts.
fn secret_of(key: &str) -> &str {
    key.splitn(3, '_').nth(2).unwrap()
}

both_adapters! {
    /// The key is shown once, works, is listed without its secret, and is revoked.
    async fn a_key_is_created_shown_once_and_revoked(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, browser, company) = (&scene.api, &scene.super_admin, scene.company.id.to_string());
        let empty = content(&browser.get(KEYS).await.expect(200));
        assert_contains(&empty, &["There are no API keys yet."]);
        let fields = [
            ("name", "Billing"),
            ("role", "read"),
            ("valid_for", "one"),
            ("company", company.as_str()),
            ("rate", "7"),
            ("expires", "2998-12-31T17:30"),
            ("once", "a"),
        ];
        let created = browser.submit(FORM, KEYS, &fields).await.expect(201);
        assert_eq!(created.header("cache-control"), Some("no-store"));
        assert_eq!(created.header("location"), None);
        let key = key_on(&content(&created));
        assert!(key.starts_with("iam_"), "{key}");
        let levels = || api.get("/api/iam/user-levels").by_key(&key).within(scene.company.id).send();
        levels().await.expect(200);
        let stored = api.application.api_keys().await.unwrap().pop().unwrap();
        assert_eq!((stored.role.as_str(), stored.requests_per_second.unwrap().per_second().get()), ("read", 7));
        assert_eq!(stored.company_id, Some(scene.company.id));
        assert_eq!(stored.expires_at.unwrap().to_string(), "2998-12-31T17:30:00.000Z");

        let list = content(&browser.get(KEYS).await.expect(200));
        assert_contains(row(&list, "<bdi>Billing</bdi>"), &["Active", &company, "2998-12-31T17:30:00.000Z"]);
        let path = format!("{KEYS}/{}", stored.id);
        let page = content(&browser.get(&path).await.expect(200));
        assert_contains(&page, &["7 cost units per second", "Revoke <bdi>Billing</bdi>"]);
        let secret = secret_of(&key);
        assert!(!list.contains(secret) && !page.contains(secret));

        let revoked = browser.submit(&path, &format!("{path}/revoke"), &[]).await.expect(303);
        let list = content(&browser.get(revoked.header("location").unwrap()).await.expect(200));
        assert_contains(&list, &["The API key was revoked."]);
        assert_contains(row(&list, "<bdi>Billing</bdi>"), &["Revoked"]);
        levels().await.expect(401);
        assert!(!content(&browser.get(&path).await.expect(200)).contains("<form"));
        browser.get(&format!("{KEYS}/x")).await.expect(404);
    }

    /// A form that is sent again, as after a reload of the page, creates no second key and does not show the key.
    async fn a_form_that_is_sent_twice_creates_one_key(api: TestApi) {
        let scene = Scene::new(api).await;
        let (api, browser) = (&scene.api, &scene.super_admin);
        let fields = [("name", "Twice"), ("role", "check"), ("valid_for", "all"), ("once", "a")];
        let key = key_on(&content(&browser.submit(FORM, KEYS, &fields).await.expect(201)));
        let again = content(&browser.submit(FORM, KEYS, &fields).await.expect(200));
        assert_contains(&again, &["API key already created", "<bdi>Twice</bdi>"]);
        assert!(!again.contains(secret_of(&key)), "{again}");
        assert_eq!(api.application.api_keys().await.unwrap().len(), 1);
        let other = [("name", "Twice"), ("role", "check"), ("valid_for", "all"), ("once", "b")];
        browser.submit(FORM, KEYS, &other).await.expect(201);
        assert_eq!(api.application.api_keys().await.unwrap().len(), 2);
    }
}

#[actix_web::test]
async fn a_refused_key_keeps_what_was_typed() {
    let scene = Scene::new(TestApi::memory().await).await;
    let browser = &scene.super_admin;
    let fields =
        [("name", " "), ("role", "x"), ("valid_for", "one"), ("company", "c"), ("rate", "0"), ("expires", "soon")];
    let page = content(&browser.submit(FORM, KEYS, &fields).await.expect(422));
    assert_contains(
        &page,
        &["It is required.", "It must be one of: check, read, administer.", "It must be a valid UUID."],
    );
    assert_contains(
        &page,
        &["It must be a number between 1 and 1000000.", "It must be a date and a time", "value=\"soon\""],
    );
    let past = [("name", "Old"), ("role", "check"), ("valid_for", "all"), ("expires", "2020-01-01T00:00")];
    let page = content(&browser.submit(FORM, KEYS, &past).await.expect(409));
    assert_contains(&page, &["must be in the future", "value=\"Old\""]);
    assert_eq!(scene.api.application.api_keys().await.unwrap(), []);
}

#[actix_web::test]
async fn the_list_of_keys_is_searched_filtered_and_paged() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (api, browser) = (&scene.api, &scene.super_admin);
    for number in 0..51 {
        let body = json!({ "name": format!("Key {number:02}"), "role": "check" });
        api.post("/api/iam/api-keys").by_super_admin().json(&body).send().await.expect(201);
    }
    let rows = |page: &str| page.matches("<bdi>Key ").count();
    let first = content(&browser.get(KEYS).await.expect(200));
    assert_eq!(rows(&first), 50);
    assert_contains(&first, &["Page 1 of 2", "page=2"]);
    assert_eq!(rows(&content(&browser.get(&format!("{KEYS}?page=2")).await.expect(200))), 1);
    assert_eq!(rows(&content(&browser.get(&format!("{KEYS}?q=KEY%2007")).await.expect(200))), 1);
    let none = content(&browser.get(&format!("{KEYS}?state=revoked")).await.expect(200));
    assert_contains(&none, &["No API key matches."]);
}

#[actix_web::test]
async fn a_revocation_needs_the_token_and_the_right() {
    let scene = Scene::new(TestApi::memory().await).await;
    scene.api.api_key("check", None).await;
    let key = scene.api.application.api_keys().await.unwrap().pop().unwrap();
    let path = format!("{KEYS}/{}/revoke", key.id);
    scene.super_admin.post(&path, &[]).await.expect(403);
    let token = form_token(&scene.admin.get("/console/companies").await);
    scene.admin.post(&path, &[("csrf", &token)]).await.expect(403);
    scene.admin.get(&format!("{KEYS}/{}", key.id)).await.expect(403);
    assert_eq!(scene.api.application.api_key(key.id).await.unwrap().revoked_at, None);
}

/// A key for all companies must be chosen, and a company must exist.
#[actix_web::test]
async fn a_key_states_what_it_is_valid_for() {
    let scene = Scene::new(TestApi::memory().await).await;
    let (browser, unknown) = (&scene.super_admin, new_company().to_string());
    let form = content(&browser.get(FORM).await.expect(200));
    assert!(!form.contains("name=\"valid_for\" value=\"all\" checked"), "{form}");
    for (valid_for, company, problem) in [
        ("", "", "Choose what the key is valid for."),
        ("one", "", "It must be a valid UUID."),
        ("one", unknown.as_str(), "There is no such company."),
        ("all", &unknown, "It must be empty for a key of all companies."),
    ] {
        let fields = [("name", "Key"), ("role", "check"), ("valid_for", valid_for), ("company", company)];
        let page = content(&browser.submit(FORM, KEYS, &fields).await.expect(422));
        assert_contains(&page, &[problem]);
    }
    assert_eq!(scene.api.application.api_keys().await.unwrap(), []);
}
