//! Tests of who may see and use the pages of the super admins.

use actix_web::http::Method;

use super::super::scene::{Scene, content};
use crate::support::api::TestApi;
use crate::support::console::{Browser, encode, form_token};

/// The pages about the platform.
const PAGES: [&str; 8] = [
    "companies/new",
    "api-keys",
    "api-keys/new",
    "issuers",
    "catalog",
    "catalog/features",
    "catalog/modules",
    "catalog/menu",
];

/// The pages about the settings of one company.
const SETTINGS: [&str; 4] = ["settings", "settings/ceilings", "settings/status", "settings/erase"];

/// The forms about the platform.
const FORMS: [&str; 11] = [
    "companies",
    "api-keys",
    "catalog/views",
    "catalog/features",
    "catalog/modules",
    "catalog/menu-items",
    "catalog/sub-items",
    "catalog/views/018f3c1e-0000-7000-8000-000000000001",
    "catalog/modules/018f3c1e-0000-7000-8000-000000000001/views",
    "catalog/features/018f3c1e-0000-7000-8000-000000000001/delete",
    "catalog/menu/move",
];

/// The forms about the settings of one company.
const SETTING_FORMS: [&str; 8] = [
    "settings/name",
    "settings/modules",
    "settings/modules/review",
    "settings/ceilings",
    "settings/ceilings/review",
    "settings/ceilings/save",
    "settings/status",
    "settings/erase",
];

fn on_platform(page: &str) -> String {
    format!("/console/{page}")
}

#[actix_web::test]
async fn only_super_admins_see_the_pages_of_the_platform() {
    let scene = Scene::new(TestApi::memory().await).await;
    let signed_out = scene.console.browser();
    for page in PAGES.map(on_platform) {
        assert!(scene.super_admin.get(&page).await.expect(200).text().contains("</html>"));
        for browser in [&scene.admin, &scene.reader().await] {
            let refused = browser.get(&page).await.expect(403).text();
            assert!(refused.contains("Superadmin access required"), "{page}: {refused}");
        }
        for (browser, _) in scene.outsiders().await {
            browser.get(&page).await.expect(403);
        }
        let anonymous = signed_out.get(&page).await.expect(303);
        assert!(anonymous.header("location").unwrap().starts_with("/console/sign-in?return="));
    }
}

#[actix_web::test]
async fn only_super_admins_see_the_settings_of_a_company() {
    let scene = Scene::new(TestApi::memory().await).await;
    for page in SETTINGS.map(|page| scene.path(page)) {
        assert!(scene.super_admin.get(&page).await.expect(200).text().contains("</html>"));
        for browser in [&scene.admin, &scene.reader().await] {
            browser.get(&page).await.expect(403);
        }
        for (browser, status) in scene.outsiders().await {
            browser.get(&page).await.expect(status);
        }
    }
    let other = format!("/console/companies/{}/settings", crate::support::api::new_company());
    scene.super_admin.get(&other).await.expect(404);
}

#[actix_web::test]
async fn only_super_admins_have_links_to_their_pages() {
    let scene = Scene::new(TestApi::memory().await).await;
    let links = ["href=\"/console/catalog\"", "href=\"/console/api-keys\"", "href=\"/console/issuers\"", "/settings\""];
    for (browser, has_links) in [(&scene.super_admin, true), (&scene.admin, false)] {
        let page = browser.get(&scene.path("levels")).await.expect(200).text();
        for link in links {
            assert_eq!(page.contains(link), has_links, "{link}: {page}");
        }
    }
    assert!(content(&scene.super_admin.get("/console/companies").await).contains("New company"));
    assert!(!content(&scene.admin.get("/console/companies").await).contains("New company"));
}

/// A form has no effect if another person sends it, if it has no token, or if it comes from another site.
#[actix_web::test]
async fn forms_are_refused_without_the_right_and_without_the_token() {
    let scene = Scene::new(TestApi::memory().await).await;
    let forms = FORMS.map(|form| (on_platform(form), 403)).into_iter();
    let of_company = SETTING_FORMS.map(|form| (scene.path(form), 404)).into_iter();
    let fields = [("name", "Taken over"), ("tag", "x"), ("role", "administer"), ("status", "suspended")];
    for (form, to_non_members) in forms.chain(of_company) {
        scene.admin.submit("/console/companies", &form, &fields).await.expect(403);
        for (browser, status) in scene.outsiders().await {
            let expected = if status == 404 { to_non_members } else { 403 };
            browser.submit("/console/companies", &form, &fields).await.expect(expected);
        }
        is_refused_as_forged(&scene.super_admin, &form, &fields).await;
    }
    assert_eq!(scene.api.application.api_keys().await.unwrap(), []);
    let company = scene.api.application.company_details(scene.company.id).await.unwrap();
    assert_eq!((company.name, company.status.as_str()), (None, "active"));
}

async fn is_refused_as_forged(browser: &Browser, form: &str, fields: &[(&str, &str)]) {
    browser.post(form, fields).await.expect(403);
    let token = form_token(&browser.get("/console/companies").await);
    let body = encode(&[&[("csrf", token.as_str())], fields].concat());
    browser.send(Method::POST, form, &[("sec-fetch-site", "cross-site")], Some(body)).await.expect(403);
}
